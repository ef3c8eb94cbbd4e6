/** Why a broker refused or ended a connection of the mqtt source, in words. */
import { EdgetallyError } from '../../shared/errors.js';
import { explainTlsError, type TlsContext } from '../../shared/tls-reasons.js';
import type { LinkEnd } from './mqtt-link.js';

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

export function explainEnd(end: LinkEnd, context: TlsContext & { readonly clientId: string }): EdgetallyError {
  const { reasonCode, error, wasUp } = end;
  const lost = { cause: error, hint: 'Nothing to do: the broker keeps what comes meanwhile.' };
  const { address } = context;
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
