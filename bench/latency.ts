/**
 * A real agent, a real broker with TLS, the cloud as it runs: how long after a window is closed it is committed and
 * reportable in the cloud. A window closes at its end plus its lateness; what comes after that is commit, save, encoding,
 * link, decoding, commit and receipt. Told by the receipts, seen by a client that listens at the broker.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import { stringify } from 'yaml';
import { makeCertificates } from '../certs.example/make-certs.js';
import { decodeBatch } from '../shared/batch.js';
import { decodeReceipt } from '../shared/receipt.js';
import { downTopic, upTopic } from '../shared/topics.js';
import { freePort, Mosquitto } from '../test/mosquitto.js';
import type { Figure, Stage } from './figures.js';
import { loadRound, startGateway, startLoad } from './gateway.js';
import { Subject } from './subject.js';

const CONNECTIONS = 1000;
const PER_SECOND = 2000;
const SECONDS = 30;
const LATENESS_MS = 1000;
const ROUTE = { window: '5s', lateness: `${LATENESS_MS}ms` };

export const latency: Stage = {
  name: 'latency',
  about: `from a sensor to the cloud, ${PER_SECOND} messages a second of ${CONNECTIONS} sensors, the wait for the window taken off`,
  ci: false,
  async run({ dir }) {
    const certificates = join(dir, 'broker');
    mkdirSync(certificates);
    const { ca, gateways } = await makeCertificates(certificates, { gateways: ['gw'] });
    const tlsPort = await freePort();
    const pem = (name: string) => join(certificates, `${name}.pem`);
    const tls = [`listener ${tlsPort} 127.0.0.1`, `cafile ${ca}`, `certfile ${pem('server')}`];
    const broker = await Mosquitto.start(certificates, [
      'allow_anonymous true',
      ...tls,
      `keyfile ${pem('server-key')}`,
    ]);
    const plain = `mqtt://127.0.0.1:${broker.port}`;
    writeFileSync(
      join(dir, 'cloud.yaml'),
      stringify({ database: join(dir, 'cloud.db'), logLevel: 'warn', mqtt: { url: plain } }),
    );
    const cloud = await Subject.start(['build/bench/cloud-under-test.js', join(dir, 'cloud.yaml')], /^ready$/);
    const tookMs: number[] = [];
    const listener = await listen(plain, tookMs);
    const push = { url: `mqtts://localhost:${tlsPort}`, ca, ...gateways.get('gw') };
    const gateway = await startGateway({ dir, route: ROUTE, push });
    const load = await startLoad();
    try {
      await load.ask({ kind: 'connect', port: gateway.port, connections: CONNECTIONS, qos: 1 });
      await loadRound(load, { group: 0, seconds: 5, perSecond: PER_SECOND }); // warms up
      await untilDrained(gateway.status);
      tookMs.length = 0;
      await loadRound(load, { group: 0, seconds: SECONDS, perSecond: PER_SECOND });
      await untilDrained(gateway.status);
    } finally {
      await load.end();
      await gateway.stop();
      await listener.endAsync(true);
      await cloud.end();
      await broker.stop();
    }
    return figuresOf(tookMs);
  },
};

async function listen(url: string, tookMs: number[]): Promise<MqttClient> {
  const client = await mqtt.connectAsync(url);
  const sent = new Map<number, readonly number[]>();
  client.on('message', (topic, payload) => {
    if (topic === upTopic('gw', 'batch')) {
      const decoded = decodeBatch(payload);
      if (!decoded.ok) throw new Error(decoded.detail);
      const { sequence, windows } = decoded.batch;
      const closes = windows
        .filter(({ revision }) => revision === 1)
        .map(({ startMs, lengthMs }) => startMs + lengthMs);
      sent.set(sequence, closes);
      return;
    }
    const receipt = decodeReceipt(payload);
    if (!receipt.ok) return;
    const nowMs = Date.now();
    for (const sequence of receipt.value.committed.flatMap(({ sequences }) => sequences)) {
      for (const endMs of sent.get(sequence) ?? []) tookMs.push(nowMs - endMs - LATENESS_MS);
      sent.delete(sequence);
    }
  });
  await client.subscribeAsync([upTopic('gw', 'batch'), downTopic('gw', 'receipt')], { qos: 0 });
  return client;
}

async function untilDrained(status: () => Promise<{ readonly backlog: { readonly windows: number } }>): Promise<void> {
  await sleep(5000 + 2 * LATENESS_MS); // the last window closes
  while ((await status()).backlog.windows > 0) await sleep(50);
  await sleep(200); // the receipt is on its way to the listener too
}

function figuresOf(tookMs: number[]): Figure[] {
  if (tookMs.length === 0) throw new Error('no receipts were seen');
  tookMs.sort((a, b) => a - b);
  const common = { unit: 'ms', better: 'less' } as const;
  const at = (share: number) => tookMs[Math.floor(tookMs.length * share)]!;
  return [
    { ...common, name: 'closed → committed and reportable, p50', ours: at(0.5), note: `${tookMs.length} windows` },
    { ...common, name: 'closed → committed and reportable, p99', ours: at(0.99), target: '< 2 000' },
  ];
}
