/**
 * Receipts out through the broker's data plane, QoS 0. One that cannot be sent is logged and counted and no more: the gateway sends its batch
 * again, and gets a receipt again.
 */
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import type { SendReceipt } from '../consolidate/receipts.js';
import type { Log } from '../log.js';

export interface Publisher {
  readonly send: SendReceipt;
  readonly counters: { sent: number; failed: number };
}

export function openDataPlane(endpoint: string): IoTDataPlaneClient {
  return new IoTDataPlaneClient({ endpoint });
}

/** For one invocation. */
export function receiptPublisher(client: IoTDataPlaneClient, log: Log): Publisher {
  const counters = { sent: 0, failed: 0 };
  const send = async (topic: string, payload: Uint8Array): Promise<void> => {
    try {
      await client.send(new PublishCommand({ topic, payload, qos: 0 }));
      counters.sent++;
    } catch (error) {
      counters.failed++;
      log.warn(
        { err: error, topic },
        `a receipt was not sent, so the gateway sends its batches again: ${String(error)}`,
      );
    }
  };
  return { send, counters };
}
