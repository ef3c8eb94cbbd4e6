/**
 * MQTT topics between gateway and cloud: `edgetally/v1/<gateway>/up/{batch,status,event}` and
 * `edgetally/v1/<gateway>/down/{receipt,command,config}`.
 *
 * The gateway's name is read from the topic, which the broker's policy guards, never from a payload.
 */

export const TOPIC_ROOT = 'edgetally/v1';

export type UpKind = 'batch' | 'status' | 'event';
export type DownKind = 'receipt' | 'command' | 'config';

/** What a gateway may be called: one topic level, at most 128 bytes (the limit of an IoT Core thing name). */
export const GATEWAY_NAME = /^[A-Za-z0-9:_.-]{1,128}$/;

export function upTopic(gateway: string, kind: UpKind): string {
  return `${TOPIC_ROOT}/${gateway}/up/${kind}`;
}

export function downTopic(gateway: string, kind: DownKind): string {
  return `${TOPIC_ROOT}/${gateway}/down/${kind}`;
}

/** The gateway and kind of an up topic; undefined where the topic is none of ours. A Basic Ingest prefix is allowed. */
export function parseUpTopic(topic: string): { gateway: string; kind: UpKind } | undefined {
  const match = /^(?:\$aws\/rules\/[A-Za-z0-9_]+\/)?edgetally\/v1\/([^/]+)\/up\/(batch|status|event)$/.exec(topic);
  const gateway = match?.[1];
  if (gateway === undefined || !GATEWAY_NAME.test(gateway)) return undefined;
  return { gateway, kind: match?.[2] as UpKind };
}
