/**
 * Alerts: events on a bus of EventBridge, for whoever routes them to people. An alert is best effort and never holds up a
 * message: what it tells of is in the log, the metrics and the quarantine too.
 */
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import type { Log } from '../log.js';

export const ALERT_SOURCE = 'edgetally';

/** `warning`: look today. `critical`: somebody may be cheating, or readings are in danger. */
export type Severity = 'warning' | 'critical';

/** The event's detail-type. */
export type AlertKind = 'message-rejected' | 'over-quota' | 'forged-message' | 'unreadable-record';

export interface Alert {
  readonly kind: AlertKind;
  readonly severity: Severity;
  /** Undefined where it is not known, or where its name was misused. */
  readonly gateway?: string;
  readonly reason: string;
  readonly detail: string;
  /** Messages that it is about. */
  readonly count: number;
}

export type RaiseAlerts = (alerts: readonly Alert[]) => Promise<void>;

/** Of one call. */
const MAX_ENTRIES = 10;

/** `bus` undefined: alerts are only logged. */
export function alertBus(bus: string | undefined, log: Log): RaiseAlerts {
  const client = bus === undefined ? undefined : new EventBridgeClient();
  return async (alerts) => {
    for (const alert of alerts) {
      if (alert.severity === 'critical') log.error({ alert }, alert.detail);
      else if (client === undefined) log.warn({ alert }, alert.detail);
    }
    if (client === undefined) return;
    for (let i = 0; i < alerts.length; i += MAX_ENTRIES) {
      const Entries = alerts.slice(i, i + MAX_ENTRIES).map(({ kind, ...detail }) => ({
        EventBusName: bus,
        Source: ALERT_SOURCE,
        DetailType: kind,
        Detail: JSON.stringify(detail),
      }));
      const put = client.send(new PutEventsCommand({ Entries }));
      await put.catch((error: Error) => log.error({ err: error }, `alerts were not sent: ${error.message}`));
    }
  };
}

/** One alert for all that are alike: a gateway that went mad must not ring a thousand times. */
export function together(alerts: readonly Alert[]): Alert[] {
  const merged = new Map<string, Alert>();
  for (const alert of alerts) {
    const key = JSON.stringify([alert.kind, alert.gateway, alert.reason]);
    const before = merged.get(key);
    merged.set(key, before === undefined ? alert : { ...before, count: before.count + alert.count });
  }
  return [...merged.values()];
}
