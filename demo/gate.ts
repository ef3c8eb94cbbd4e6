/** Who may do what at the stand-in for IoT Core: the policies, and where there is provisioning, those about certificates. */
import { mayConnect, mayPublish, maySubscribe } from './policy.js';
import type { Provisioning } from './provisioning.js';

export interface Gate {
  mayConnect(name: string, clientId: string): boolean;
  mayPublish(name: string, topic: string, isRetained: boolean): boolean;
  maySubscribe(name: string, filter: string): boolean;
}

/** A claim certificate may ask for a certificate and nothing else; a gateway may ask for its next one. */
export function gateOf(provisioning: Provisioning | undefined): Gate {
  if (provisioning === undefined) return { mayConnect, mayPublish, maySubscribe };
  const isClaim = (name: string): boolean => provisioning.isClaim(name);
  return {
    mayConnect: (name, id) => (isClaim(name) ? provisioning.mayConnect(id) : mayConnect(name, id)),
    mayPublish: (name, topic, isRetained) =>
      provisioning.isRequest(topic) ? !isRetained : !isClaim(name) && mayPublish(name, topic, isRetained),
    maySubscribe: (name, filter) => provisioning.isAnswer(filter) || (!isClaim(name) && maySubscribe(name, filter)),
  };
}
