/** The agent as `edgetally-agent run` starts it, in a process that counts the readings it has counted. */
import { pino } from 'pino';
import { Agent } from '../agent/agent.js';
import { loadAgentConfig } from '../agent/config.js';
import { keepHeapSmall } from '../agent/heap.js';
import { counter } from './probe.js';

keepHeapSmall();
const config = await loadAgentConfig(process.argv[2]!, {});
const agent = new Agent(config, pino({ level: config.logLevel }), 'run');
Object.defineProperty(counter, 'value', { get: () => agent.pipeline.books.in });
await agent.start();
console.log('ready');
process.once('SIGTERM', () => void agent.stop());
