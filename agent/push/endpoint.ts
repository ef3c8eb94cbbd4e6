/**
 * What follows from the address of the broker. AWS IoT Core serves MQTT on 8883, and on 443 to those who ask for it by ALPN: there
 * the same port serves HTTPS. Pure.
 */
import type { PushOptions } from './options.js';

/** Data endpoints of AWS IoT Core: `abc-ats.iot.eu-central-1.amazonaws.com`, also in China. */
const AWS_ENDPOINT = /^[a-z0-9]+(-ats)?\.iot\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$/;

/** What IoT Core calls MQTT with client certificates on port 443. */
const AWS_MQTT = 'x-amzn-mqtt-ca';

export function isAwsEndpoint(url: URL): boolean {
  return AWS_ENDPOINT.test(url.hostname);
}

/** What is asked for in the TLS handshake; undefined: nothing. */
export function mqttAlpn({ url, alpn }: Pick<PushOptions, 'url' | 'alpn'>): string | undefined {
  if (alpn !== undefined) return alpn;
  const address = new URL(url);
  return isAwsEndpoint(address) && address.port === '443' ? AWS_MQTT : undefined;
}
