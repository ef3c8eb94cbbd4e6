/**
 * The TLS side of the uplink: reads the certificate files anew for each connection (they may have been replaced), says
 * what is wrong with them, and explains what a connection died of.
 */
import type { IClientOptions } from 'mqtt';
import type { Logger } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import { type Diagnosis, diagnose, explainTlsError } from './certificates.js';
import type { Clock } from './clock.js';
import type { PushOptions } from './push/options.js';

export interface UplinkTls {
  credentials(): Promise<IClientOptions>;
  explain(error: Error): Error;
}

/** A wrong clock makes a good certificate look bad, so dates alone do not keep us from trying. */
const WORTH_TRYING = new Set<string>(['certificate-expired', 'certificate-not-yet-valid']);

export function uplinkTls(options: PushOptions, clock: Clock, log: Logger): UplinkTls {
  const url = new URL(options.url);
  const secure = url.protocol === 'mqtts:';
  const address = url.host;
  let own: Diagnosis | undefined;
  let said = '';
  return {
    async credentials() {
      if (!secure) return {};
      own = await diagnose({ ca: options.ca, cert: options.cert, key: options.key }, clock.nowMs());
      for (const problem of own.problems) if (!WORTH_TRYING.has(problem.code)) throw problem;
      const problems = own.problems.map((problem) => `${problem.message}. ${problem.hint}`).join(' ');
      if (problems !== said && problems !== '') log.warn({ problems }, 'certificate');
      said = problems;
      const { ca, cert, key } = own;
      return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), rejectUnauthorized: true };
    },
    explain(error) {
      if (error instanceof EdgetallyError && error.code !== 'link-lost') return error;
      // closed without a word: our own files are the best witness
      const cause = error instanceof EdgetallyError ? undefined : error;
      return explainTlsError(cause, { address, ca: options.ca, ...(own && { own }) });
    },
  };
}
