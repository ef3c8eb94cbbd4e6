/**
 * Why an MQTT broker refused or ended a connection, in our words: the codes of CONNACK and DISCONNECT, what mqtt.js says,
 * and where neither says anything, what TLS and our own certificate files tell (`tls-reasons.ts`). Pure, never throws.
 */
import { EdgetallyError } from './errors.js';
import { explainTlsError, type TlsContext } from './tls-reasons.js';

/** Why a connection ended, as far as is known. */
export interface MqttEnd {
  /** What mqtt.js or the socket complained of; undefined for a plain close. */
  readonly error: unknown;
  /** CONNACK or DISCONNECT reason code of the broker. */
  readonly reasonCode: number | undefined;
  /** The broker had accepted the connection. */
  readonly wasUp: boolean;
}

export interface MqttContext extends TlsContext {
  /** As whom we connected. */
  readonly clientId: string;
  /** What to do about a connection that is just lost, where the registry's words do not fit. */
  readonly lostHint?: string;
}

/** MQTT 5 §3.14.2.1: session taken over. */
export const TAKEN_OVER = 0x8e;

/** CONNACK return codes (MQTT 3.1.1 §3.2.2.3) and reason codes (MQTT 5 §3.2.2.2) about who we are. */
const ABOUT_US: Readonly<Record<number, string>> = {
  2: 'the client id is rejected',
  4: 'wrong user name or password',
  5: 'not authorized',
  133: 'the client id is rejected',
  134: 'wrong user name or password',
  135: 'not authorized',
  138: 'banned',
  140: 'bad authentication method',
};

/** Does the broker say that it does not speak this version of MQTT? */
export function isAboutVersion(reasonCode: number | undefined): boolean {
  return reasonCode === 1 || reasonCode === 0x84;
}

/** The code of a refusal, which mqtt.js puts where the system has a text such as ECONNREFUSED. */
export function reasonCodeOf(error: unknown): number | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'number' ? code : undefined;
}

export function explainEnd(end: MqttEnd, context: MqttContext): EdgetallyError {
  const { reasonCode, error, wasUp } = end;
  if (error instanceof EdgetallyError) return error;
  const { address, lostHint } = context;
  const lost = { cause: error, ...(lostHint !== undefined && { hint: lostHint }) };
  const said = error instanceof Error ? error.message : '';
  if (reasonCode === TAKEN_OVER) {
    return new EdgetallyError('session-taken-over', `another client has taken over our session at ${address}`);
  }
  if (isAboutVersion(reasonCode)) {
    return new EdgetallyError('link-refused', `${address} does not speak this version of MQTT`, {
      cause: error,
      hint: 'Leave `protocol` at auto.',
    });
  }
  const aboutUs = reasonCode === undefined ? undefined : ABOUT_US[reasonCode];
  if (aboutUs !== undefined) {
    return new EdgetallyError('link-unauthorized', `${address} refused us: ${aboutUs}`, { cause: error });
  }
  if (reasonCode !== undefined) {
    const what = wasUp ? 'ended the connection' : 'refused the connection';
    const code = `reason code 0x${reasonCode.toString(16)}`;
    const message = `${address} ${what} (${said || code})`;
    return wasUp
      ? new EdgetallyError('link-lost', message, lost)
      : new EdgetallyError('link-refused', message, { cause: error });
  }
  if (said === 'connack timeout') return new EdgetallyError('link-refused', `${address}: no answer`, { cause: error });
  if (said === 'Keepalive timeout') return new EdgetallyError('link-lost', `${address}: no answer to a ping`, lost);
  if (wasUp) {
    // without MQTT 5 (and with Mosquitto also with it) this is all one sees of a session that was taken over
    const hint = `Nothing to do, unless it happens again and again: does another client use the id ${context.clientId}?`;
    return new EdgetallyError('link-lost', `${address} closed the connection`, { cause: error, hint });
  }
  return explainTlsError(error, context);
}
