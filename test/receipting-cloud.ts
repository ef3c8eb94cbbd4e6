/** IoT Core with a cloud behind it that commits every batch and says so at once. */
import { readFileSync } from 'node:fs';
import mqtt from 'mqtt';
import type { Test } from 'tap';
import type { MadeCertificates } from '../certs.example/make-certs.js';
import { type IotCore, startIotCore } from '../demo/iot-core.js';
import type { Provisioning } from '../demo/provisioning.js';
import { decodeBatch } from '../shared/batch.js';
import { encodeReceipt } from '../shared/receipt.js';
import { downTopic, parseUpTopic } from '../shared/topics.js';

export interface ReceiptingCloud {
  readonly core: IotCore;
  /** Batches that came, in their order. */
  readonly seen: readonly { readonly sequence: number; readonly windows: number }[];
  readonly receipts: readonly Uint8Array[];
}

export function pemOf(files: { ca: string; cert: string; key: string }) {
  return { ca: readFileSync(files.ca), cert: readFileSync(files.cert), key: readFileSync(files.key) };
}

/** Among the certificates there has to be one for `cloud`. */
export async function receiptingCloud(
  t: Test,
  { ca, server, gateways }: MadeCertificates,
  provisioning?: Provisioning,
  connectIntervalMs = 0,
): Promise<ReceiptingCloud> {
  const core = await startIotCore({
    ...pemOf({ ca, ...server }),
    port: 0,
    limits: { connectIntervalMs },
    ...(provisioning && { provisioning }),
  });
  const client = await mqtt.connectAsync(`mqtts://localhost:${core.port}`, {
    ...pemOf({ ca, ...gateways.get('cloud')! }),
    clientId: 'cloud',
    protocolVersion: 4,
  });
  const seen: { sequence: number; windows: number }[] = [];
  const receipts: Uint8Array[] = [];
  client.on('message', (topic, payload) => {
    const decoded = decodeBatch(payload);
    if (!decoded.ok) throw new Error(decoded.detail);
    const { epoch, session, sequence, windows } = decoded.batch;
    seen.push({ sequence, windows: windows.length });
    const receipt = encodeReceipt({ epoch, committed: [{ session, sequences: [sequence] }], rejected: [], timeMs: 1 });
    receipts.push(receipt);
    client.publish(downTopic(parseUpTopic(topic)!.gateway, 'receipt'), Buffer.from(receipt));
  });
  await client.subscribeAsync('edgetally/v1/+/up/batch', { qos: 1 });
  t.teardown(async () => {
    await client.endAsync(true);
    await core.stop();
  });
  return { core, seen, receipts };
}
