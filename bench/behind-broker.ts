/**
 * What a message costs behind the broker, without any socket: decoding it; and gathering, journal, commit and folding, in
 * blocks of nearly a thousand. In this process.
 */
import { join } from 'node:path';
import { pino } from 'pino';
import { compileRoutes } from '../agent/accept/routes.js';
import { agentSchema } from '../agent/config.js';
import { Pipeline } from '../agent/pipeline.js';
import type { Message } from '../agent/reading.js';
import { ALWAYS, TestClocks } from '../agent/time/clock-testing.js';
import { cpuNs, median } from './figures.js';
import { DeviceTraffic, deviceTopic, PAYLOAD_BYTES, ROUTE } from './traffic.js';

const BLOCK = 900; // a thousand would be committed unasked
const BLOCKS = 40;
const TURNS = 5;
const START_MS = 1_795_248_000_000;

/** µs of CPU for each message. */
export interface BehindBroker {
  readonly decodeUs: number;
  readonly restUs: number;
}

export async function behindBroker(dir: string): Promise<BehindBroker> {
  const config = agentSchema.parse({ gateway: 'gw', accept: { routes: [{ ...ROUTE, window: '1m', lateness: '1s' }] } });
  const decode = compileRoutes(config.accept.routes, config.accept.limits);
  const clock = new TestClocks(START_MS);
  const pipeline = new Pipeline({
    ...{ options: config.buffer, databasePath: join(dir, 'behind-broker.db'), decode, clock },
    ...{ clockOptions: ALWAYS, log: pino({ level: 'silent' }) },
  });
  const traffic = Array.from({ length: BLOCK }, (_, device) => new DeviceTraffic(device, 0, START_MS));
  const turn = () => {
    clock.pass(1000);
    const blocks = Array.from({ length: BLOCKS }, () => traffic.map(messageOf));
    const all = blocks.flat();
    const decodeNs = cpuNs(all.length, () => all.forEach(decode));
    const wholeNs = cpuNs(all.length, () => {
      for (const block of blocks) {
        for (const message of block) pipeline.accept(message, refuse);
        pipeline.commit();
      }
    });
    pipeline.work();
    return { decodeUs: decodeNs / 1000, restUs: (wholeNs - decodeNs) / 1000 };
  };
  const turns = Array.from({ length: TURNS + 1 }, turn).slice(1); // the first one warms up
  if (pipeline.books.counted !== (TURNS + 1) * BLOCKS * BLOCK) throw new Error('not all was counted');
  await pipeline.stop();
  return {
    decodeUs: median(turns.map(({ decodeUs }) => decodeUs)),
    restUs: median(turns.map(({ restUs }) => restUs)),
  };
}

function messageOf(device: DeviceTraffic, index: number): Message {
  const payload = device.next(1, START_MS).subarray(-PAYLOAD_BYTES);
  return { topic: deviceTopic(index), payload, arrivalUs: START_MS * 1000 };
}

function refuse(error?: Error): void {
  if (error !== undefined) throw error;
}
