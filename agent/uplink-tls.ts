/**
 * The TLS side of the uplink: reads the certificate files anew for each connection (they may have been replaced), says
 * what is wrong with them, and explains what a connection died of.
 */
import { readFile } from 'node:fs/promises';
import type { IClientOptions } from 'mqtt';
import type { Logger } from 'pino';
import { credentialsOf, type Diagnosis, pemOf } from '../shared/certificates.js';
import type { EdgetallyError } from '../shared/errors.js';
import { explainEnd, isAboutVersion, type MqttEnd } from '../shared/mqtt-reasons.js';
import type { Transport } from './push/link.js';
import type { PushOptions } from './push/options.js';

/** Where the certificate comes from: files that the operator put there, or the gateway's own. */
export interface CertificateSource {
  /** Paths, for the next connection. */
  files(transport: Transport, signal: AbortSignal): Promise<{ cert?: string | undefined; key?: string | undefined }>;
  /** What became of the last one over MQTT. */
  up(): void;
  receipt(): void;
  ended(wasUp: boolean): void;
}

/** What is known of the time: while the clock is not believed, what is not yet valid by it may well be. */
export type Judge = () => { readonly nowMs: number; readonly isSure: boolean };

export interface UplinkTls {
  credentials(transport: Transport, signal: AbortSignal): Promise<IClientOptions>;
  explain(end: MqttEnd, transport: Transport, address: string): EdgetallyError;
  readonly witness: Pick<CertificateSource, 'up' | 'receipt'>;
}

export function uplinkTls(
  { url, ca }: PushOptions,
  source: CertificateSource,
  clientId: string,
  judge: Judge,
  log: Logger,
): UplinkTls {
  let own: Diagnosis | undefined;
  let said = '';
  return {
    async credentials(transport, signal) {
      const { cert, key } = await source.files(transport, signal);
      const { nowMs, isSure } = judge();
      own = believable(await credentialsOf({ url, ca, cert, key }, nowMs, readFile), isSure);
      const problems = own.problems.map((problem) => `${problem.message}. ${problem.hint}`).join(' ');
      if (problems !== said && problems !== '') log.warn({ problems }, 'certificate');
      said = problems;
      return { ...pemOf(own), rejectUnauthorized: true };
    },
    explain(end, transport, address) {
      // another attempt, with an older MQTT, follows at once
      if (transport === 'mqtt' && !isAboutVersion(end.reasonCode)) source.ended(end.wasUp);
      return explainEnd(end, { address, ca, clientId, ...(own && { own }) });
    },
    witness: source,
  };
}

export function filesOf({ cert, key }: Pick<PushOptions, 'cert' | 'key'>): CertificateSource {
  const nothing = (): void => undefined;
  return { files: async () => ({ cert, key }), up: nothing, receipt: nothing, ended: nothing };
}

function believable(own: Diagnosis, isSure: boolean): Diagnosis {
  if (isSure) return own;
  return { ...own, problems: own.problems.filter(({ code }) => code !== 'certificate-not-yet-valid') };
}
