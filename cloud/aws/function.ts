/**
 * What a function is to AWS, and the frame around ours: what is needed is opened by the first invocation and kept for the next ones, and each
 * has a signal that ends its work shortly before AWS would cut it off.
 */
import { pino } from 'pino';
import type { Log } from '../log.js';

export interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

export type LambdaHandler<T> = (event: unknown, context: LambdaContext) => Promise<T>;

/** `open` is called once; where it throws, by the next invocation again. */
export function lambda<T>(open: () => LambdaHandler<T>): LambdaHandler<T> {
  let handler: LambdaHandler<T> | undefined;
  return async (event, context) => {
    handler ??= open();
    return handler(event, context);
  };
}

/** Ends work `reserveMs` before the function’s time is over; after `mostMs` at the latest. */
export function deadline(context: LambdaContext, reserveMs: number, mostMs = Number.POSITIVE_INFINITY): AbortSignal {
  const leftMs = Math.max(0, context.getRemainingTimeInMillis() - reserveMs);
  return AbortSignal.timeout(Math.min(leftMs, mostMs));
}

/** Lines of JSON on stdout, where AWS gathers them. */
export function functionLog(): Log {
  const level = process.env.EDGETALLY_LOG_LEVEL ?? 'info';
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}
