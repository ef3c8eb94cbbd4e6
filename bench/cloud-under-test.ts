/** The cloud as `edgetally-cloud run` starts it, in a process that counts the windows it has put. */
import { pino } from 'pino';
import { readConfig } from '../cloud/config.js';
import { openDatabase } from '../cloud/database.js';
import { Service } from '../cloud/service.js';
import { counter } from './probe.js';

const config = readConfig(process.argv[2]!, {});
const log = pino({ level: config.logLevel });
const service = new Service(config, await openDatabase(config, log, Date.now), log, Date.now);
Object.defineProperty(counter, 'value', { get: () => service.state.books.windowsPut });
await service.start();
console.log('ready');
process.once('SIGTERM', () => void service.stop());
