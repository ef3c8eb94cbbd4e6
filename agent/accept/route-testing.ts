/** For tests of routes: decoders from plain options, and what one payload gives. */
import type { Decoded, Reading } from '../reading.js';
import { limitsSchema, routesSchema } from './route-options.js';
import { compileRoutes } from './routes.js';

export const ARRIVAL_US = 1_795_248_000_000_000;
export const LIMITS = limitsSchema.parse({});

export function decoder(routes: unknown[], limits: Partial<typeof LIMITS> = {}) {
  const decode = compileRoutes(routesSchema.parse(routes), { ...LIMITS, ...limits });
  return (topic: string, payload: unknown): Decoded => {
    const text = typeof payload === 'string' || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
    return decode({ topic, payload: typeof text === 'string' ? Buffer.from(text) : text, arrivalUs: ARRIVAL_US });
  };
}

export const metricsOf = (reading: Reading | undefined) =>
  Object.fromEntries((reading?.metrics ?? []).map((name, index) => [name, reading!.values[index]]));

/** Metrics of the one reading that a payload gives. */
export function metrics(route: object, payload: unknown) {
  const { readings } = decoder([{ topic: 't', device: { constant: 'd' }, ...route }])('t', payload);
  return metricsOf(readings[0]);
}

/** Reason of the one rejection that a payload gives. */
export function reason(route: object, payload: unknown, limits: Partial<typeof LIMITS> = {}) {
  const decoded = decoder([{ topic: 't', device: { constant: 'd' }, ...route }], limits)('t', payload);
  if (decoded.readings.length !== 0 || decoded.rejects.length !== 1) return 'not one rejection';
  return decoded.rejects[0]!.reason;
}
