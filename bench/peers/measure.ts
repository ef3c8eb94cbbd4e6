/**
 * What is measured of peers. Undisturbed: each in turns, for one window, the others idle; what all of its processes take.
 * Then with all of them at the same time, a slower stream: kill -9 of the gateway's process, and of all processes at once
 * with the broker before it, each twice in mid-run, and started again a second later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../figures.js';
import type { Contender, PeersRig } from './rig.js';
import type { Service } from './service.js';
import { type Balance, balanceOf } from './upstream.js';

export const WINDOW_SECONDS = 5;
export const SENSORS = 200;
/** Sixty readings a window: one a second and a minute, shortened twelvefold. */
export const PER_SECOND = (SENSORS * 60) / WINDOW_SECONDS;
const TURNS = 2;
const KILL = { seconds: 13, perSecond: 300 };
/** Neither is at the edge of a window. */
const KILLS_AT_MS = [3200, 8300];
const DEAD_MS = 1000;
/** From the end of a window until it is closed and sent. */
const SENT_MS = 2200;

export interface PeerFigures {
  readonly name: string;
  readonly version: string;
  readonly tells: string;
  readonly readingsPerCpuSecond: number;
  /** Of its CPU time, that of the gateway itself, without the broker before it. */
  readonly gatewayShare: number;
  readonly rssBytes: number;
  readonly bytesPerReading: number;
  readonly undisturbed: Balance;
  readonly gatewayKilled: Balance;
  readonly allKilled: Balance;
}

interface Turn {
  readonly readings: number;
  readonly cpuSeconds: number;
  readonly gatewaySeconds: number;
  readonly rssBytes: number;
}

export async function measurePeers(rig: PeersRig): Promise<PeerFigures[]> {
  await rig.publish(rig.contenders, { seconds: 2 * WINDOW_SECONDS, perSecond: PER_SECOND }); // warms up
  const start = await rig.settled();
  const turns = new Map<Contender, Turn[]>(rig.contenders.map((one) => [one, []]));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [contender, own] of turns) own.push(await oneTurn(rig, contender));
  }
  const calm = await rig.settled();
  const gatewayKilled = await killing(rig, ({ running }) => [running.gateway]);
  const allKilled = await killing(rig, ({ running }) => running.services);
  return rig.contenders.map((one) => {
    const own = turns.get(one)!;
    const [first, second, third, fourth] = [start, calm, gatewayKilled, allKilled].map((books) => books.get(one)!);
    const undisturbed = balanceOf(first!, second!);
    return {
      ...{ name: one.peer.name, version: one.version, tells: one.peer.tells },
      readingsPerCpuSecond: median(own.map(({ readings, cpuSeconds }) => readings / cpuSeconds)),
      gatewayShare: median(own.map(({ gatewaySeconds, cpuSeconds }) => gatewaySeconds / cpuSeconds)),
      rssBytes: median(own.map(({ rssBytes }) => rssBytes)),
      bytesPerReading: (second!.heard.bytes - first!.heard.bytes) / undisturbed.made,
      undisturbed,
      gatewayKilled: balanceOf(second!, third!),
      allKilled: balanceOf(third!, fourth!),
    };
  });
}

/** A window's worth of readings, from the start of a window until it is sent. */
async function oneTurn(rig: PeersRig, contender: Contender): Promise<Turn> {
  const windowMs = WINDOW_SECONDS * 1000;
  await sleep(windowMs - (Date.now() % windowMs));
  const { services, gateway } = contender.running;
  const cpu = (of: readonly Service[]) => of.reduce((sum, service) => sum + service.cpuSeconds(), 0);
  const before = { made: rig.made(contender), all: cpu(services), gateway: cpu([gateway]) };
  await rig.publish([contender], { seconds: WINDOW_SECONDS - 0.1, perSecond: PER_SECOND });
  await sleep(SENT_MS);
  return {
    readings: rig.made(contender) - before.made,
    cpuSeconds: cpu(services) - before.all,
    gatewaySeconds: cpu([gateway]) - before.gateway,
    rssBytes: services.reduce((sum, service) => sum + service.rssBytes(), 0),
  };
}

async function killing(rig: PeersRig, whom: (contender: Contender) => readonly Service[]) {
  const published = rig.publish(rig.contenders, KILL);
  const startMs = performance.now();
  for (const atMs of KILLS_AT_MS) {
    await sleep(startMs + atMs - performance.now());
    await Promise.all(rig.contenders.map((contender) => killAndRestart(whom(contender))));
  }
  await published;
  return rig.settled();
}

async function killAndRestart(services: readonly Service[]): Promise<void> {
  await Promise.all(services.map((service) => service.end('SIGKILL')));
  await sleep(DEAD_MS);
  for (const service of services) await service.start();
}
