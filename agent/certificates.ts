/** The certificate of the uplink: the operator’s files, or, where `enroll` is configured, the gateway’s own. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Status } from '../shared/status.js';
import type { AgentConfig } from './config.js';
import { renewAtMs } from './enroll/due.js';
import { describe, Identity, type IdentityState } from './enroll/identity.js';
import { lockIdentity } from './enroll/lock.js';
import { Rotation, type RotationLink } from './enroll/rotation.js';
import { factsOf, Slots } from './enroll/slots.js';
import type { PushOptions } from './push/options.js';
import type { Now } from './time/time-keeper.js';
import { type CertificateSource, filesOf } from './uplink-tls.js';

export interface CertificateState extends IdentityState {
  /** When the next one is asked for; null where nobody does. */
  readonly renewAtMs: number | null;
}

export interface Certificates {
  readonly source: CertificateSource;
  readonly state: CertificateState | null;
  /** To be told to the cloud: of the gateway’s own only. */
  readonly trusted: Status['certificate'];
  start(link: RotationLink): void;
  stop(): Promise<void>;
}

/** Takes the lock on the gateway’s own, until it is stopped. */
export function certificatesOf(config: AgentConfig, time: () => Now, log: Logger): Certificates {
  const { enroll, push, gateway, data } = config;
  if (push === undefined || enroll === undefined) return operatorsOwn(push);
  const slots = new Slots(data);
  slots.make();
  const unlock = lockIdentity(slots.directory);
  const context = { slots, gateway, push, options: enroll, time, log };
  const identity = new Identity(context);
  let rotation: Rotation | undefined;
  return {
    source: identity,
    get state() {
      const state = identity.state;
      return withRenewal({ ...state, problem: state.problem ?? rotation?.problem ?? null }, enroll);
    },
    get trusted() {
      const { certificate, confirmedMs } = identity.state;
      return certificate === null ? undefined : { id: certificate.id, notAfterMs: certificate.notAfterMs, confirmedMs };
    },
    start(link) {
      rotation = new Rotation({ ...context, identity, link, trustedMs: () => time().trustedMs });
      rotation.start();
    },
    async stop() {
      await rotation?.stop();
      unlock();
    },
  };
}

/** Of an agent that does not run. */
export function certificateState({ enroll, push, data }: AgentConfig): CertificateState | null {
  if (push === undefined || enroll === undefined) return operatorsOwn(push).state;
  return withRenewal(describe(new Slots(data), null), enroll);
}

function operatorsOwn(push: PushOptions | undefined): Certificates {
  return {
    source: filesOf(push ?? {}),
    get state() {
      const certificate = push?.cert === undefined ? undefined : factsIn(push.cert);
      if (certificate === undefined) return null;
      const never = { trial: null, confirmedMs: null, confirmed: 0, rolledBack: 0, problem: null, renewAtMs: null };
      return { certificate, ...never };
    },
    trusted: undefined,
    start: () => undefined,
    stop: async () => undefined,
  };
}

function withRenewal(state: IdentityState, enroll: NonNullable<AgentConfig['enroll']>): CertificateState {
  const { certificate } = state;
  return { ...state, renewAtMs: certificate === null ? null : renewAtMs(certificate, enroll) };
}

function factsIn(path: string) {
  try {
    return factsOf(new X509Certificate(readFileSync(path)));
  } catch {
    return undefined; // the uplink says why
  }
}
