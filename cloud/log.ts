/** What the stages log to. WARN: nothing is lost. ERROR: something is, or a person is needed. */
import type { Logger } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
