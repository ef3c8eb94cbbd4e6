/** Which link there is, by the options: a nucleus’s, MQTT alone, or MQTT with HTTPS in its place where that can be. */
import type { Logger } from 'pino';
import { fallbackOf, isNucleus } from './endpoint.js';
import { FallbackLink } from './fallback-link.js';
import { HttpsLink } from './https-link.js';
import type { Link, LinkHandlers } from './link.js';
import { MqttLink } from './mqtt-link.js';
import { NucleusLink } from './nucleus-link.js';
import type { PushOptions } from './options.js';

/** For whom receipts are. */
export interface Sender {
  readonly gateway: string;
  readonly epoch: string;
  readonly session: number;
}

export function makeUplink(
  options: PushOptions,
  sender: Sender,
  handlers: LinkHandlers,
  monotonicMs: () => number,
  log: Logger,
): Link {
  if (isNucleus(options)) return new NucleusLink(options, handlers, monotonicMs, log);
  const fallback = fallbackOf(options);
  const mqtt = (of: LinkHandlers) => new MqttLink(options, of, monotonicMs, log);
  if (fallback === undefined) return mqtt(handlers);
  const { after, retry } = options.fallback;
  return new FallbackLink({
    mqtt,
    https: (of) => new HttpsLink({ options, fallback, sender, handlers: of, monotonicMs, log }),
    handlers,
    afterMs: after,
    retryMs: retry,
    log,
  });
}
