/** The cloud side as it runs, a real broker before it, and simulated gateways: each a process of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Mosquitto } from '../test/mosquitto.js';
import type { FleetDone, Flood, Open, Steady } from './fleet-load.js';
import { Subject } from './subject.js';

/** As the launcher gives them, cloud/bin.js. */
const NODE_ARGS = ['--max-semi-space-size=32'];
/** The cloud takes 16 at a time; the others wait here. */
const BROKER = ['allow_anonymous true', 'max_queued_messages 100000', 'max_inflight_messages 100'];

export interface FleetRig {
  readonly cloud: Subject;
  readonly database: string;
  ask(what: Flood | Steady): Promise<FleetDone>;
  stop(): Promise<void>;
}

export async function startFleet(dir: string, { gateways, devices }: Omit<Open, 'kind' | 'port'>): Promise<FleetRig> {
  const broker = await Mosquitto.start(dir, BROKER);
  const database = join(dir, 'cloud.db');
  const path = join(dir, 'cloud.yaml');
  writeFileSync(path, stringify({ database, logLevel: 'warn', mqtt: { url: `mqtt://127.0.0.1:${broker.port}` } }));
  const cloud = await Subject.start(['build/bench/cloud-under-test.js', path], /^ready$/, NODE_ARGS);
  const load = await Subject.start(['build/bench/fleet-load.js'], /fleet ready/);
  await load.ask({ kind: 'open', port: broker.port, gateways, devices } satisfies Open);
  const stop = async () => {
    await load.end();
    await cloud.end();
    await broker.stop();
  };
  return { cloud, database, ask: (what) => load.ask<FleetDone>(what), stop };
}
