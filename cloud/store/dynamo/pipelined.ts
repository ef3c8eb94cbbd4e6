/** Reads ahead: the results of many small readings, as they come, with a bounded number under way. */
import { pMapIterable } from 'p-map';
import { CONCURRENCY } from './requests.js';

export function pipelined<T, R>(items: Iterable<T>, read: (item: T) => Promise<R>): AsyncIterable<R> {
  return pMapIterable(items, read, { concurrency: CONCURRENCY, backpressure: CONCURRENCY });
}
