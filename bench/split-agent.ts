/**
 * An experiment of the `scaling` stage, not a way to run the agent: the accepting broker in this thread, all that is behind it
 * (decoding, journal, windows, uplink) in a worker. What one turn of the event loop has read goes over as one transfer; what a
 * commit made durable comes back as one number. Leaves out what an agent would need besides: redelivered messages without
 * an id, status, and an end of the worker.
 */
import { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { BrokerSource } from '../agent/accept/broker.js';
import { loadAgentConfig } from '../agent/config.js';
import type { Accept, Message } from '../agent/reading.js';
import { systemClocks } from '../agent/time/clock.js';
import { counter } from './probe.js';
import type { Handed } from './split-worker.js';

const path = process.argv[2]!;
const config = await loadAgentConfig(path, {});
const worker = new Worker(new URL('split-worker.js', import.meta.url), { workerData: path });
const waiting: ((error?: Error) => void)[] = [];
let messages: Message[] = [];

const accept: Accept = (message, done) => {
  waiting.push(done);
  if (messages.push(message) === 1) setImmediate(handOver);
};

function handOver(): void {
  const payloads = Buffer.concat(messages.map(({ payload }) => payload));
  const bytes = new Uint8Array(payloads); // of its own memory, so that it can be transferred
  const handed: Handed = {
    topics: messages.map(({ topic }) => topic).join('\n'),
    sizes: Uint32Array.from(messages, ({ payload }) => payload.length),
    arrivalUs: Float64Array.from(messages, ({ arrivalUs }) => arrivalUs),
    bytes,
  };
  messages = [];
  worker.postMessage(handed, [
    bytes.buffer,
    handed.sizes.buffer as ArrayBuffer,
    handed.arrivalUs.buffer as ArrayBuffer,
  ]);
}

await new Promise<void>((resolve) => worker.once('message', () => resolve())); // it is ready
worker.on('message', (committed: number) => {
  counter.value += committed;
  for (const done of waiting.splice(0, committed)) done();
});
const [options] = config.accept.sources;
if (options?.type !== 'broker') throw new Error('the experiment takes one broker');
const source = new BrokerSource(options, {
  ...{ accept, gateway: config.gateway, number: 1, filters: [] },
  ...{ clock: systemClocks(), log: pino({ level: config.logLevel }) },
});
await source.start();
console.log('ready');
process.once('SIGTERM', () => process.exit(0));
