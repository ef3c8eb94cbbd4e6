/**
 * The TLS side of the uplink: reads the certificate files anew for each connection (they may have been replaced), says
 * what is wrong with them, and explains what a connection died of.
 */
import { readFile } from 'node:fs/promises';
import type { IClientOptions } from 'mqtt';
import type { Logger } from 'pino';
import { credentialsOf, type Diagnosis, pemOf } from '../shared/certificates.js';
import type { EdgetallyError } from '../shared/errors.js';
import { explainEnd, type MqttEnd } from '../shared/mqtt-reasons.js';
import type { Transport } from './push/link.js';
import type { PushOptions } from './push/options.js';
import type { Clock } from './time/clock.js';

export interface UplinkTls {
  credentials(): Promise<IClientOptions>;
  explain(end: MqttEnd, transport: Transport, address: string): EdgetallyError;
}

export function uplinkTls(options: PushOptions, clientId: string, clock: Clock, log: Logger): UplinkTls {
  let own: Diagnosis | undefined;
  let said = '';
  return {
    async credentials() {
      own = await credentialsOf(options, clock.nowMs(), readFile);
      const problems = own.problems.map((problem) => `${problem.message}. ${problem.hint}`).join(' ');
      if (problems !== said && problems !== '') log.warn({ problems }, 'certificate');
      said = problems;
      return { ...pemOf(own), rejectUnauthorized: true };
    },
    explain(end, _transport, address) {
      return explainEnd(end, { address, ca: options.ca, clientId, ...(own && { own }) });
    },
  };
}
