/**
 * `npm run torture:power -- --cuts 50 [--mode M] [--seed S]`: cuts a machine's power again and again in each mode, and prints
 * the table of docs/guarantees.md. Ends with 1 where a promise was broken, or a control kept it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { Dice } from '../dice.js';
import { writeInitramfs } from './initramfs.js';
import { Machine } from './machine.js';
import { isControl, judge, judgeAll, MODES, type Mode, TITLES } from './modes.js';
import { findKernel, HINT, missingParts } from './requirements.js';
import { type Cut, DISK_BYTES, Rig } from './rig.js';

/** Of controls: they have only to show that the rig sees. */
const CONTROL_SHARE = 0.4;
const MIN_CONTROLS = 3;

interface Options {
  readonly cuts: number;
  readonly seed: number;
  readonly mode?: Mode;
}

async function run({ cuts, seed, mode }: Options): Promise<void> {
  const missing = missingParts();
  if (missing.length > 0) {
    console.log(`skipped: missing ${missing.join(', ')}\n${HINT}`);
    return;
  }
  console.log(`seed ${seed}`);
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-power-'));
  try {
    const kernel = findKernel()!;
    const path = (name: string) => join(dir, name);
    const [initramfs, disk, control, asleep] = [path('initramfs'), path('nbd'), path('qmp'), path('asleep')];
    const parts = { kernel, initramfs, disk, control, asleep };
    writeInitramfs(initramfs, kernel);
    await Machine.prepare(parts, DISK_BYTES);
    const rows: string[] = [];
    for (const one of mode === undefined ? MODES : [mode]) {
      const times =
        isControl(one) && mode === undefined ? Math.max(MIN_CONTROLS, Math.ceil(cuts * CONTROL_SHARE)) : cuts;
      rows.push(row(one, await cutAll(new Rig(dir, parts, one, new Dice(seed)), one, times)));
    }
    console.log([...HEAD, ...rows].join('\n'));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function cutAll(rig: Rig, mode: Mode, times: number): Promise<Cut[]> {
  const cuts: Cut[] = [];
  while (cuts.length < times) {
    const cut = await rig.cut();
    cuts.push(cut);
    const { acknowledged, lost, twice, receipted } = cut;
    const counts = `${acknowledged} acknowledged, ${lost.length} lost, ${twice.length} twice, ${receipted} receipts`;
    console.log(`${mode} ${cuts.length}/${times}: ${counts}`);
    report(judge(mode, cut));
  }
  report(judgeAll(mode, cuts));
  return cuts;
}

function report(wrong: readonly string[]): void {
  for (const problem of wrong) console.log(`  WRONG: ${problem.slice(0, 500)}`);
  if (wrong.length > 0) process.exitCode = 1;
}

const HEAD = [
  '| mode | cuts | acknowledged | lost (in cuts) | at most | counted twice | receipts | not kept | second contents | damaged |',
  '|---|---|---|---|---|---|---|---|---|---|',
];

function row(mode: Mode, cuts: readonly Cut[]): string {
  const sum = (count: (cut: Cut) => number) => cuts.reduce((total, cut) => total + count(cut), 0);
  const cells = [
    TITLES[mode],
    cuts.length,
    sum((cut) => cut.acknowledged),
    `${sum((cut) => cut.lost.length)} (${cuts.filter((cut) => cut.lost.length > 0).length})`,
    `${Math.max(...cuts.map((cut) => cut.lostSteps))} steps`,
    sum((cut) => cut.twice.length),
    sum((cut) => cut.receipted),
    sum((cut) => cut.unkept.length),
    sum((cut) => cut.reused.length),
    sum((cut) => cut.wrong.length),
  ];
  return `| ${cells.join(' | ')} |`;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is expected');
  return Number(text);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130)); // takes the machine along
const program = new Command('torture:power')
  .option('--cuts <n>', 'how often the power is cut in a mode', wholeNumber, 10)
  .option('--seed <n>', 'of the moments', wholeNumber, Date.now() % 1_000_000)
  .addOption(new Option('--mode <mode>', 'only this one').choices(MODES))
  .action(run);
await program.parseAsync();
