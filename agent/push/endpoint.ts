/**
 * What follows from the address of the broker. AWS IoT Core serves MQTT on 8883, and on 443 to those who ask for it by ALPN: there
 * the same port serves HTTPS. Pure.
 */
import type { PushOptions } from './options.js';

/** Data endpoints of AWS IoT Core: `abc-ats.iot.eu-central-1.amazonaws.com`, also in China. */
const AWS_ENDPOINT = /^[a-z0-9]+(-ats)?\.iot\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$/;

/** What IoT Core calls MQTT and HTTPS with client certificates on port 443. */
const AWS_MQTT = 'x-amzn-mqtt-ca';
const AWS_HTTPS = 'x-amzn-http-ca';

/** Where batches may be posted while MQTT does not get through. */
export interface Fallback {
  readonly origin: URL;
  readonly alpn: string | undefined;
}

export function isAwsEndpoint(url: URL): boolean {
  return AWS_ENDPOINT.test(url.hostname);
}

/** What is asked for in the TLS handshake; undefined: nothing. */
export function mqttAlpn({ url, alpn }: Pick<PushOptions, 'url' | 'alpn'>): string | undefined {
  if (alpn !== undefined) return alpn;
  const address = new URL(url);
  return isAwsEndpoint(address) && address.port === '443' ? AWS_MQTT : undefined;
}

/** Undefined where there is none: batches then wait for MQTT. */
export function fallbackOf({ url, fallback }: Pick<PushOptions, 'url' | 'fallback'>): Fallback | undefined {
  if (!fallback.enabled) return undefined;
  if (fallback.url !== undefined) {
    const origin = new URL(fallback.url);
    const isAws = isAwsEndpoint(origin) && origin.port === '';
    return { origin, alpn: fallback.alpn ?? (isAws ? AWS_HTTPS : undefined) };
  }
  const broker = new URL(url);
  if (broker.protocol !== 'mqtts:' || !isAwsEndpoint(broker)) return undefined;
  return { origin: new URL(`https://${broker.hostname}`), alpn: AWS_HTTPS };
}

/** What a Greengrass nucleus takes: the buffers of Nucleus Lite hold 5,000 bytes, topic and all. */
const NUCLEUS_BYTES = 4_500;

/** Whether batches go by the connection of a nucleus, and none of our own. */
export function isNucleus({ url }: Pick<PushOptions, 'url'>): boolean {
  return url === 'greengrass-ipc:';
}

export function largestBatch(options: Pick<PushOptions, 'url' | 'maxBatchBytes'>): number {
  return isNucleus(options) ? Math.min(options.maxBatchBytes, NUCLEUS_BYTES) : options.maxBatchBytes;
}
