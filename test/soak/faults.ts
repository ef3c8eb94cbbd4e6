/**
 * What goes wrong during a soak. Each kind of fault has a lane of its own: wait, do harm, mend it, again, until the
 * signal; so any of them may fall together. What is done, and to whom, follows from the seed; when exactly, does not.
 */

import { setMaxListeners } from 'node:events';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Dice } from '../dice.js';
import { CALM } from './meddler.js';
import { paceOf, windowsOf } from './plan.js';
import type { Stage } from './stage.js';

const JUNK = 'junk';

export interface FaultLog {
  readonly counts: Record<string, number>;
  /** When a disk was full: programs may end then. */
  readonly diskFull: { fromMs: number; toMs: number }[];
}

interface Lane {
  readonly name: string;
  /** Between two faults, s. */
  readonly pause: readonly [least: number, most: number];
  /** Share of the soak after which it rests, so that some processes live long. */
  readonly until?: number;
  readonly strike: (
    dice: Dice,
    seconds: (least: number, most: number) => Promise<void>,
    log: FaultLog,
  ) => Promise<string>;
}

/** Everything is mended when it resolves. */
export async function harass(stage: Stage, signal: AbortSignal, say: (text: string) => void): Promise<FaultLog> {
  const log: FaultLog = { counts: {}, diskFull: [] };
  setMaxListeners(100, signal); // as many as there are lanes
  const pace = paceOf(stage.plan.minutes);
  const startMs = Date.now();
  await Promise.all(
    lanesOf(stage).map(async (lane, number) => {
      const dice = new Dice(stage.plan.seed, 1000 + number);
      const seconds = (least: number, most: number) =>
        sleep((least + (dice.below(1000) / 1000) * (most - least)) * 1000 * pace, undefined, { signal }).catch(
          () => undefined,
        );
      const overMs = startMs + (lane.until ?? 1) * stage.plan.minutes * 60_000;
      for (;;) {
        await seconds(...lane.pause);
        if (signal.aborted || Date.now() > overMs) return;
        const what = await lane.strike(dice, seconds, log);
        log.counts[what] = (log.counts[what] ?? 0) + 1;
        say(what);
      }
    }),
  );
  return log;
}

function lanesOf(stage: Stage): Lane[] {
  return [
    ...processLanes(stage),
    ...networkLanes(stage),
    ...(stage.disks.length > 0 ? [fullDisk(stage)] : []),
    ...(stage.plan.clock ? clocks(stage) : []),
  ];
}

function processLanes(stage: Stage): Lane[] {
  const { broker, cloud, gateways } = stage;
  const agents: Lane[] = gateways
    .filter(({ plan }) => plan.killed)
    .map((gateway) => ({
      name: gateway.plan.name,
      pause: [10, 60],
      strike: async (dice, seconds) => {
        const signal = dice.chance(0.8) ? 'SIGKILL' : 'SIGTERM';
        await gateway.agent.down(signal);
        await seconds(0, 8);
        const changed = dice.chance(0.4);
        if (changed) gateway.window = dice.pick(windowsOf(stage.plan.minutes));
        gateway.agent.start();
        return `${signal} of ${gateway.plan.name}${changed ? ', other windows' : ''}`;
      },
    }));
  const others: Lane[] = [cloud, broker].map((process) => ({
    name: process.name,
    pause: [20, 90],
    until: 0.5,
    strike: async (dice, seconds) => {
      const signal = dice.chance(0.8) ? 'SIGKILL' : 'SIGTERM';
      await process.down(signal);
      await seconds(0, 8);
      process.start();
      return `${signal} of the ${process.name}`;
    },
  }));
  const mosquitto: Lane[] = gateways.flatMap((gateway) => {
    if (gateway.mosquitto === undefined) return [];
    const { mosquitto } = gateway;
    return {
      name: 'mosquitto',
      pause: [60, 180],
      strike: async (_, seconds) => {
        await mosquitto.stop(); // killed, it would lose what it has acknowledged
        await seconds(0, 5);
        await mosquitto.restart();
        return 'SIGTERM of Mosquitto';
      },
    };
  });
  return [...agents, ...others, ...mosquitto];
}

function networkLanes({ gateways, cloudLink, meddler }: Stage): Lane[] {
  const links = [...gateways.map(({ link, plan }) => ({ name: plan.name, link })), { name: 'cloud', link: cloudLink }];
  const cuts = links.map(
    ({ name, link }): Lane => ({
      name: `link of ${name}`,
      pause: [10, 60],
      strike: async (dice, seconds) => {
        const [how, least, most] = dice.pick([
          ['cut for a moment', 0, 0],
          ['cut', 2, 30],
          ['a black hole', 2, 30],
        ] as const);
        if (how === 'a black hole') link.stall();
        else link.cut();
        await seconds(least, most);
        link.restore();
        return `link of ${name} ${how}`;
      },
    }),
  );
  const moods: Lane = {
    name: 'meddling',
    pause: [0, 15],
    strike: async (dice, seconds) => {
      const share = () => dice.below(4) / 10;
      meddler.mood = { dropped: share(), doubled: share(), delayed: share(), delayMs: 50 + dice.below(3_000) };
      await seconds(5, 40);
      meddler.mood = CALM;
      return 'batches and receipts dropped, doubled, delayed, overtaken';
    },
  };
  return [...cuts, moods];
}

/** As far as an hour or half a day ahead or behind, or to the year 1970; whoever starts meanwhile starts with that. */
function clocks({ gateways }: Stage): Lane[] {
  return gateways.map((gateway) => ({
    name: `clock of ${gateway.plan.name}`,
    pause: [10, 60],
    strike: async (dice, seconds) => {
      const [how, by] = dice.pick([
        ['set forward', 60 + dice.below(12 * 3_600)],
        ['set back', -60 - dice.below(12 * 3_600)],
        ['in 1970', 60 - Math.floor(Date.now() / 1000)],
      ] as const);
      gateway.setClock(by);
      await seconds(3, 30);
      gateway.setClock(0);
      return `clock of ${gateway.plan.name} ${how}, and right again`;
    },
  }));
}

function fullDisk({ disks }: Stage): Lane {
  return {
    name: 'disk',
    pause: [30, 120],
    strike: async (dice, seconds, log) => {
      const dir = dice.pick(disks);
      const fromMs = Date.now();
      fill(join(dir, JUNK), dir);
      await seconds(2, 20);
      rmSync(join(dir, JUNK));
      log.diskFull.push({ fromMs, toMs: Date.now() });
      return 'a disk was full';
    },
  };
}

/** Takes all the room there is. */
function fill(path: string, dir: string): void {
  const file = openSync(path, 'w');
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(dir);
      writeSync(file, new Uint8Array(Math.min(1 << 20, Math.max(4096, bavail * bsize))));
    }
  } catch {
    // full
  } finally {
    closeSync(file);
  }
}
