/** What is around the gateway: its Mosquitto with sensors that publish, the TLS broker, and the cloud side with its receipts. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'csv-parse/sync';
import mqtt, { type MqttClient } from 'mqtt';
import { stringify } from 'yaml';
import { type MadeCertificates, makeCertificates } from '../../certs.example/make-certs.js';
import { Mosquitto } from '../mosquitto.js';
import { BROKER, CLOUD, Program } from '../rig.js';

const run = promisify(execFile);
const DEVICES = ['oven', 'press', 'saw'];
const EVERY_MS = 10;
export const UPLINK = 'mqtts://localhost:8883';

/** Of one device; values are tenths, so that adding them up is exact. */
export interface Tally {
  n: number;
  sum: number;
  min: number;
  max: number;
}

export class Outside {
  readonly certificates: MadeCertificates;
  /** What sensors have a PUBACK for. */
  readonly told = new Map<string, Tally>();
  readonly #dir: string;
  readonly #mosquitto: Mosquitto;
  readonly #sensors: MqttClient;
  readonly #broker: Program;
  readonly #cloud: Program;
  #publishing: NodeJS.Timeout | undefined;
  #pending: Promise<unknown>[] = [];
  #count = 0;

  static async start(dir: string, gateway: string): Promise<Outside> {
    const certificates = await makeCertificates(dir, { gateways: [gateway, 'cloud'] });
    const config = { url: UPLINK, ca: certificates.ca, ...certificates.gateways.get('cloud') };
    const files = { database: join(dir, 'cloud.db'), mqtt: { ...config, clientId: 'cloud' } };
    writeFileSync(join(dir, 'cloud.yaml'), stringify(files));
    const mosquitto = await Mosquitto.start(join(dir, 'mosquitto'), [
      'allow_anonymous true',
      'listener 1883 127.0.0.1',
    ]);
    const outside = new Outside(dir, certificates, mosquitto, await mqtt.connectAsync('mqtt://127.0.0.1:1883'));
    await outside.linkUp();
    return outside;
  }

  private constructor(dir: string, certificates: MadeCertificates, mosquitto: Mosquitto, sensors: MqttClient) {
    this.#dir = dir;
    this.certificates = certificates;
    this.#mosquitto = mosquitto;
    this.#sensors = sensors;
    this.#broker = new Program([BROKER, '--dir', dir, '--port', new URL(UPLINK).port], /"port"/);
    this.#cloud = new Program([CLOUD, 'run', '--config', join(dir, 'cloud.yaml')], /ready/);
  }

  async linkUp(): Promise<void> {
    await this.#broker.start();
    await this.#cloud.start();
  }

  async linkDown(): Promise<void> {
    await this.#cloud.end('SIGTERM');
    await this.#broker.end('SIGTERM');
  }

  publish(): void {
    this.#publishing = setInterval(() => {
      const device = DEVICES[this.#count++ % DEVICES.length]!;
      const tenths = (this.#count * 7) % 1000;
      const payload = JSON.stringify({ ts: Date.now(), temperature: tenths / 10 });
      const told = this.#sensors.publishAsync(`plant/${device}`, payload, { qos: 1 });
      this.#pending.push(told.then(() => this.#tell(device, tenths)));
    }, EVERY_MS);
  }

  #tell(device: string, tenths: number): void {
    const before = this.told.get(device) ?? { n: 0, sum: 0, min: tenths, max: tenths };
    this.told.set(device, {
      n: before.n + 1,
      sum: before.sum + tenths,
      min: Math.min(before.min, tenths),
      max: Math.max(before.max, tenths),
    });
  }

  /** Ends publishing; resolves when Mosquitto has all of it. */
  async quiet(): Promise<void> {
    clearInterval(this.#publishing);
    await Promise.all(this.#pending);
    this.#pending = [];
  }

  /** What the cloud side says was measured. */
  async report(): Promise<Map<string, Tally>> {
    const args = ['report', '--database', join(this.#dir, 'cloud.db'), '--group-by', 'device', '--format', 'csv'];
    const { stdout } = await run(process.execPath, [CLOUD, ...args]);
    const rows = parse(stdout, { columns: true }) as Record<string, string>[];
    return new Map(rows.map((row) => [row.device!, tallyOf(row)]));
  }

  async stop(): Promise<void> {
    await this.quiet();
    await this.#sensors.endAsync(true);
    await this.linkDown();
    await this.#mosquitto.stop();
  }
}

function tallyOf({ count, sum, min, max }: Record<string, string>): Tally {
  const tenths = (text: string | undefined) => Math.round(Number(text) * 10);
  return { n: Number(count), sum: tenths(sum), min: tenths(min), max: tenths(max) };
}
