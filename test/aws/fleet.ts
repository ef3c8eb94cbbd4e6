/**
 * Gateways that are real agents, as processes: each imports its readings from CSV files, pushes them, and ends once
 * everything has its receipt. The second file is late: it amends windows that were sent.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { MadeCertificates } from '../../certs.example/make-certs.js';
import type { Dice } from '../dice.js';
import { AGENT } from '../rig.js';

const run = promisify(execFile);

/** Yesterday, half an hour before midnight: old windows would be past their time in the table. */
export const START_MS = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 1_800_000;
const METRICS = ['temperature', 'humidity', 'co2', 'power', 'odd'];

export interface FleetOptions {
  readonly dir: string;
  readonly certs: MadeCertificates;
  readonly port: number;
  readonly rule: string;
  readonly gateways: readonly string[];
  readonly devices: number;
  readonly minutes: number;
  readonly dice: Dice;
}

/** Resolves once every agent has its receipts. */
export async function runFleet(options: FleetOptions): Promise<void> {
  await Promise.all(options.gateways.map((gateway) => runGateway(gateway, options)));
}

async function runGateway(gateway: string, { dir, certs, port, rule, devices, minutes, dice }: FleetOptions) {
  const config = join(dir, `${gateway}.yaml`);
  writeFileSync(
    config,
    stringify({
      gateway,
      data: join(dir, gateway),
      accept: {
        sources: [{ type: 'broker', listeners: [{ listen: '127.0.0.1:1' }] }],
        routes: [{ name: 'table', group: 'group', device: 'device', time: 'time', window: '1m' }],
      },
      push: {
        url: `mqtts://localhost:${port}`,
        ca: certs.ca,
        ...certs.gateways.get(gateway),
        basicIngestRule: rule,
        maxBatchBytes: '4KiB',
        receiptTimeout: '2s',
        minBackoff: '1100ms',
        drainJitter: 0,
      },
    }),
  );
  for (const [i, isLate] of [false, true].entries()) {
    const file = join(dir, `${gateway}-${i}.csv`);
    writeFileSync(file, table(gateway, devices, minutes, isLate, dice));
    await run(process.execPath, [AGENT, 'import', file, '--route', 'table', '--config', config]);
  }
}

/** Three readings a minute, the late file one more in some; a tenth of the rows are not usable or come twice. */
function table(gateway: string, devices: number, minutes: number, isLate: boolean, dice: Dice): string {
  const rows: string[] = [];
  for (let minute = 0; minute < minutes; minute++) {
    for (let device = 0; device < devices; device++) {
      if (isLate && !dice.chance(0.2)) continue;
      for (let i = 0; i < (isLate ? 1 : 3); i++) {
        const seconds = START_MS / 1000 + minute * 60 + (isLate ? 55 : i * 15) + device;
        const values = METRICS.map((name, m) => (name === 'odd' ? (seconds % 97) / 7 : (dice.below(9000) + m) / 100));
        const row = `${device % 2 === 0 ? 'hall' : ''},${gateway}-d${device % 5},${seconds},${values.join()}`;
        rows.push(row, ...(dice.chance(0.05) ? [row] : []), ...(dice.chance(0.05) ? [row.replace(/\d+$/, 'x')] : []));
      }
    }
  }
  return `group,device,time,${METRICS.join()}\n${dice.shuffled(rows).join('\n')}\n`;
}
