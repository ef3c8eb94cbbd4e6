/** All peers up at once, each behind its own brokers, with sensors and uplink in processes of their own. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificates } from '../../certs.example/make-certs.js';
import { Subject } from '../subject.js';
import type { Peer, RunningPeer } from './peer.js';
import type { Made, OpenSensors, SensorRound } from './sensors.js';
import type { Question } from './uplink.js';
import { type Book, balanceOf, type Heard } from './upstream.js';

export interface Contender {
  readonly peer: Peer;
  readonly version: string;
  readonly running: RunningPeer;
  /** Its number at the uplink and among the sensors. */
  readonly link: number;
}

export type Books = ReadonlyMap<Contender, Book>;

/** A window is closed, sent and heard of within this, or something is wrong; our agent waits up to ten seconds to drain. */
const NOTHING_NEW_MS = 12_000;
const QUIET_MS = 3000;
const LOOK_MS = 500;
const NOTHING: Book = { made: {}, heard: { counts: {}, again: 0, bytes: 0 } };

export class PeersRig {
  readonly contenders: readonly Contender[];
  readonly #uplink: Subject;
  readonly #sensors: Subject;
  #made: Made = [];

  private constructor(contenders: readonly Contender[], uplink: Subject, sensors: Subject) {
    this.contenders = contenders;
    this.#uplink = uplink;
    this.#sensors = sensors;
  }

  static async start(
    dir: string,
    cache: string,
    peers: ReadonlyMap<Peer, string>,
    size: { windowSeconds: number; sensors: number },
  ) {
    const made = await makeCertificates(join(dir, 'certs'), { gateways: ['gw'] });
    const uplink = await Subject.start(['build/bench/peers/uplink.js', join(dir, 'certs')], /uplink ready/);
    const sensors = await Subject.start(['build/bench/peers/sensors.js'], /sensors ready/);
    const contenders: Contender[] = [];
    const rig = new PeersRig(contenders, uplink, sensors);
    try {
      for (const [peer, version] of peers) {
        const site = join(dir, peer.name.replaceAll(/\W+/g, '-').toLowerCase());
        mkdirSync(site);
        const question: Question = { kind: 'open', upstream: peer.upstream };
        const { link, port } = await uplink.ask<{ link: number; port: number }>(question);
        const certificate = made.gateways.get('gw')!;
        const running = await peer.prepare({
          ...{ dir: site, cache, windowSeconds: size.windowSeconds },
          uplink: { port, ca: made.ca, ...certificate },
        });
        contenders.push({ peer, version, running, link });
        for (const service of running.services) await service.start();
        const open: OpenSensors = { kind: 'open', port: running.port, dialect: peer.dialect, sensors: size.sensors };
        await sensors.ask(open);
      }
      return rig;
    } catch (error) {
      await rig.stop();
      throw error;
    }
  }

  /** Readings of all of these at the same time; done when the last is acknowledged. */
  async publish(contenders: readonly Contender[], way: Omit<SensorRound, 'kind' | 'groups'>): Promise<void> {
    const round: SensorRound = { kind: 'round', groups: contenders.map(({ link }) => link), ...way };
    this.#made = await this.#sensors.ask<Made>(round);
  }

  made({ link }: Contender): number {
    return Object.values(this.#made[link] ?? {}).reduce((sum, made) => sum + made, 0);
  }

  heard({ link }: Contender): Promise<Heard> {
    return this.#uplink.ask<Heard>({ kind: 'told', link } satisfies Question);
  }

  /** Once all is told and nothing new comes, or has not come for long: what each has made and told so far. */
  async settled(): Promise<Books> {
    let before = '';
    let newMs = performance.now();
    for (;;) {
      const books = new Map<Contender, Book>();
      for (const one of this.contenders) books.set(one, { made: this.#made[one.link]!, heard: await this.heard(one) });
      const now = JSON.stringify([...books.values()].map(({ heard }) => [heard.counts, heard.again]));
      if (now !== before) newMs = performance.now();
      before = now;
      const allTold = [...books.values()].every(({ made, heard }) => balanceOf(NOTHING, { made, heard }).missing === 0);
      if (performance.now() - newMs > (allTold ? QUIET_MS : NOTHING_NEW_MS)) return books;
      await sleep(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    await this.#sensors.end();
    for (const { running } of this.contenders) {
      for (const service of running.services.toReversed()) await service.end('SIGKILL');
    }
    await this.#uplink.end();
  }
}
