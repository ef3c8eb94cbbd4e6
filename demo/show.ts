/**
 * What happens in the demo: sensors publish, the link is cut and restored, the backlog drains, and the report is held
 * against a batch computation over the raw messages.
 */

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Books, sumReasons } from '../agent/books.js';
import { runSimulation, type SimulationOptions, type SimulationProgress } from '../agent/simulate/simulation.js';
import type { AgentStatus } from '../agent/status.js';
import type { GatewayState } from '../cloud/report/gateways.js';
import { Oracle, type OracleKey } from './oracle.js';
import { compare } from './oracle-compare.js';
import { count, reportTable, type View } from './screen.js';
import type { Stage } from './stage.js';

export interface ShowOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Readings a second. */
  readonly rate: number;
}

const FLEETS = ['traffic', 'energy', 'flows'];
const DEVICES = 25;
/** When the link is cut and restored, as shares of the time that sensors publish. */
const CUT_AT = 0.3;
const RESTORE_AT = 0.65;
const POLL_MS = 250;
const SETTLE_PATIENCE_MS = 60_000;
const DIFFERENCES_SHOWN = 10;

/** By what the report is grouped, once each. */
const GROUPINGS: readonly (readonly OracleKey[])[] = [['group', 'device'], ['group'], []];

export class Show {
  readonly #stage: Stage;
  readonly #options: ShowOptions;
  readonly #startedMs = performance.now();
  #phase = 'starting the broker, the cloud side and the gateway';
  #sensors: SimulationProgress | undefined;
  #gateway: AgentStatus | undefined;
  #cloud: GatewayState | undefined;

  constructor(stage: Stage, options: ShowOptions) {
    this.#stage = stage;
    this.#options = options;
  }

  /** Sensors publish while the link fails; resolves when the cloud has all that they sent. */
  async run(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const poll = this.#poll(ended.signal);
    const faults = this.#failLink(AbortSignal.any([signal, ended.signal]));
    try {
      this.#phase = 'sensors publish, in disorder and some twice';
      const result = await runSimulation(this.#simulation(), signal);
      signal.throwIfAborted();
      if (result.unacknowledged > 0) throw new Error(`${result.unacknowledged} readings were not acknowledged`);
      await faults;
      this.#phase = 'sensors are done; the backlog drains';
      await this.#settle(signal);
      this.#phase = 'the cloud has all of it';
    } finally {
      ended.abort();
      await Promise.all([poll, faults]);
    }
  }

  /** Prints the report and the result of the comparison; true where all is equal. */
  async verify(print: (text: string) => void, signal: AbortSignal): Promise<boolean> {
    const oracle = new Oracle();
    for await (const line of createInterface({ input: createReadStream(this.#stage.recordPath) })) oracle.add(line);
    print(`\n${reportTable(await this.#stage.report(['group'], signal), ['group'])}\n`);
    const differences = [...this.#unbalanced()];
    let compared = 0;
    for (const keys of GROUPINGS) {
      const result = compare(await this.#stage.report(keys, signal), oracle.rows(keys), keys);
      compared += result.compared;
      differences.push(...result.differences);
    }
    for (const difference of differences.slice(0, DIFFERENCES_SHOWN)) print(`  ${difference}`);
    const verdict = differences.length === 0 ? 'all equal' : `${count(differences.length)} differences`;
    print(
      `${count(compared)} values compared with a batch computation over ${count(oracle.messages)} raw messages: ${verdict}`,
    );
    return differences.length === 0;
  }

  readonly view = (): View => {
    const { books, backlog, openWindows, push } = this.#gateway ?? {};
    const sensors = this.#sensors;
    return {
      phase: this.#phase,
      elapsedMs: performance.now() - this.#startedMs,
      link: this.#stage.hasLink ? this.#stage.link.state : 'up',
      devices: DEVICES * FLEETS.length,
      ...(sensors !== undefined && { sensors }),
      ...(books !== undefined && {
        gateway: {
          ...books,
          rejected: sumReasons(books.rejected),
          openWindows: openWindows ?? 0,
          backlogWindows: backlog?.windows ?? 0,
          backlogBytes: backlog?.bytes ?? 0,
          uplink: push?.link.state ?? 'down',
          receipted: push?.counters.receipted ?? 0,
          sent: push?.counters.sent ?? 0,
          sentAgain: push?.counters.expired ?? 0,
        },
      }),
      ...(this.#cloud !== undefined && { cloud: this.#cloud }),
    };
  };

  #simulation(): SimulationOptions {
    const { seconds, seed, rate } = this.#options;
    return {
      url: this.#stage.sensorUrl,
      clientId: 'demo-sensors',
      qos: 1,
      maxInFlight: 500,
      ackTimeoutMs: 10_000,
      fleets: FLEETS,
      devices: DEVICES,
      rate,
      count: Math.round(rate * seconds),
      seed,
      lateShare: 0.15,
      lateByMs: seconds * 250,
      duplicateShare: 0.05,
      speed: 1,
      record: this.#stage.recordPath,
      graceMs: 0,
      onProgress: (progress) => {
        this.#sensors = progress;
      },
    };
  }

  async #failLink(signal: AbortSignal): Promise<void> {
    const ms = this.#options.seconds * 1000;
    try {
      await sleep(ms * CUT_AT, undefined, { signal });
      this.#stage.link.cut();
      this.#phase = 'the link is cut; sensors go on';
      await sleep(ms * (RESTORE_AT - CUT_AT), undefined, { signal });
      this.#phase = 'the link is back; sensors go on';
    } catch {
      // the show ended first
    } finally {
      this.#stage.link.restore();
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#gateway = (await this.#stage.askAgent()) ?? this.#gateway;
      this.#cloud = (await this.#stage.askCloud()) ?? this.#cloud;
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Waits until the gateway holds nothing that the cloud does not have. */
  async #settle(signal: AbortSignal): Promise<void> {
    const deadlineMs = performance.now() + SETTLE_PATIENCE_MS;
    for (;;) {
      const status = await this.#stage.askAgent();
      if (status !== undefined) this.#gateway = status;
      if (status?.openWindows === 0 && status.backlog.windows === 0 && status.books.held === 0) return;
      if (performance.now() > deadlineMs) {
        const problem = status?.push?.link.problem ?? status?.refusedWindows.latest[0]?.detail ?? 'no reason is known';
        throw new Error(`after ${SETTLE_PATIENCE_MS / 1000} s there is still a backlog (${problem})`);
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  /** What the books of the gateway should say of what the sensors sent. */
  #unbalanced(): string[] {
    const books: Books | undefined = this.#gateway?.books;
    const sensors = this.#sensors;
    if (books === undefined || sensors === undefined) return ['the gateway did not say what it counted'];
    const sent = sensors.messages + sensors.duplicates;
    const wrong: string[] = [];
    if (books.counted !== sensors.messages) wrong.push(`counted ${books.counted} of ${sensors.messages} readings`);
    // A reading that was sent again because its PUBACK was lost comes in once more.
    if (books.in < sent) wrong.push(`${books.in} readings came in of ${sent} sent`);
    if (books.in !== books.counted + books.duplicate + books.held)
      wrong.push('the books of the gateway do not balance');
    return wrong;
  }
}
