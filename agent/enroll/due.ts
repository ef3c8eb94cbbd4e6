/** When the next certificate is asked for. Pure. */
import type { EnrollOptions } from './options.js';
import type { CertificateFacts } from './slots.js';

/** A fleet that was enrolled in one day shall not rotate in one hour: up to this share of the time is taken off. */
const JITTER = 0.1;

/** ms; before the certificate ends, whatever is configured. */
export function renewAtMs(
  { id, notBeforeMs, notAfterMs }: CertificateFacts,
  { renewBefore, maxAge }: Pick<EnrollOptions, 'renewBefore' | 'maxAge'>,
): number {
  const byExpiry = notAfterMs - Math.min(renewBefore, (notAfterMs - notBeforeMs) / 3);
  const byAge = maxAge === 0 ? Number.POSITIVE_INFINITY : notBeforeMs + maxAge;
  const atMs = Math.min(byExpiry, byAge);
  const share = Number.parseInt(id.slice(0, 8), 16) / 2 ** 32; // of this certificate, so that a restart does not throw the dice again
  return Math.round(atMs - share * JITTER * (atMs - notBeforeMs));
}
