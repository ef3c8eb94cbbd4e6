/** The other half of split-agent.ts: the agent without sources, fed by messages from the accepting thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { pino } from 'pino';
import { Agent } from '../agent/agent.js';
import { loadAgentConfig } from '../agent/config.js';

/** What one turn of the event loop has read. */
export interface Handed {
  /** A line each. */
  readonly topics: string;
  readonly sizes: Uint32Array;
  readonly arrivalUs: Float64Array;
  /** The payloads, one after the other. */
  readonly bytes: Uint8Array;
}

const config = await loadAgentConfig(workerData as string, {});
const agent = new Agent(config, pino({ level: config.logLevel }), 'import');
await agent.start();
const port = parentPort!;
let committed = 0;

/** A commit tells all of its senders in one go. */
function done(error?: Error): void {
  if (error !== undefined) throw error;
  if (++committed === 1) {
    queueMicrotask(() => {
      port.postMessage(committed);
      committed = 0;
    });
  }
}

port.on('message', ({ topics, sizes, arrivalUs, bytes }: Handed) => {
  let at = 0;
  for (const [i, topic] of topics.split('\n').entries()) {
    const payload = bytes.subarray(at, at + sizes[i]!);
    at += sizes[i]!;
    agent.pipeline.accept({ topic, payload, arrivalUs: arrivalUs[i]! }, done);
  }
});
port.postMessage(0);
