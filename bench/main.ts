/**
 * `npm run bench [stage…]`: measures each stage of the pipeline beside a yardstick, each in a process of its own. Without
 * a name all stages, in under ten minutes, and bench/results.md is written; studies run by name only and write pages of their own. `--ci` is the minute-long form: it compares
 * ratios with those in bench/ratios.json and ends with 1 where one is clearly worse. `--record` writes them.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../test/needs.js';
import { aggregate } from './aggregate.js';
import { broker } from './broker.js';
import { cloud } from './cloud.js';
import { curves, plots } from './curves.js';
import { type Figure, regressions, type Stage, type Study, tableOf } from './figures.js';
import { fleet } from './fleet.js';
import { journal } from './journal.js';
import { latency } from './latency.js';
import { machine } from './machine.js';
import { memory } from './memory.js';
import { offline } from './offline.js';
import { peers } from './peers.js';
import { report } from './report.js';
import { scaling } from './scaling.js';
import { sketch } from './sketch.js';
import { wire } from './wire.js';

/** In the order of the flow. */
const STAGES: readonly Stage[] = [
  broker,
  aggregate,
  sketch,
  journal,
  wire,
  offline,
  cloud,
  fleet,
  latency,
  report,
  memory,
  scaling,
];

/** Only by name; each writes its own page. */
const STUDIES: readonly Study[] = [peers, curves, plots];

const RESULTS = join(ROOT, 'bench/results.md');
const RATIOS = join(ROOT, 'bench/ratios.json');
/** What takes longer hangs. */
const STUDY_MS = 600_000;
const STAGE_MS = 180_000 + 1000 * Number(process.env.BENCH_SECONDS ?? 0);
const OUTPUT = 'figures.json';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ci: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    /** Internal: one stage, here, its figures to a file in the directory. */
    here: { type: 'string' },
  },
});

if (values.here !== undefined) await runHere(positionals[0]!, values.here);
else benchmark();

async function runHere(name: string, dir: string): Promise<void> {
  process.once('SIGTERM', () => process.exit(1)); // so that what it has started ends too
  const study = STUDIES.find((one) => one.name === name);
  if (study !== undefined) return study.run({ dir });
  const figures = await stageOf(name).run({ ci: values.ci, dir });
  writeFileSync(join(dir, OUTPUT), JSON.stringify(figures));
}

function benchmark(): void {
  const all = positionals.length === 0;
  const names = new Set(positionals);
  for (const study of STUDIES) if (names.delete(study.name)) inOwnProcess(study.name, STUDY_MS);
  const stages = all ? STAGES.filter((stage) => stage.ci || !values.ci) : [...names].map(stageOf);
  const measured = new Map<Stage, readonly Figure[]>();
  for (const stage of stages) {
    const figures = figuresOf(stage);
    measured.set(stage, figures);
    console.log(`\n${stage.name}: ${stage.about}\n${tableOf(figures)}`);
  }
  if (values.ci) compareRatios(measured);
  else if (all) writeFileSync(RESULTS, results(measured));
  if (values.record) record(measured);
}

function stageOf(name: string): Stage {
  const stage = STAGES.find((one) => one.name === name);
  if (stage !== undefined) return stage;
  console.error(`no stage ${name}; there are ${[...STAGES, ...STUDIES].map((one) => one.name).join(', ')}`);
  process.exit(2);
}

function figuresOf(stage: Stage): readonly Figure[] {
  return inOwnProcess(stage.name, STAGE_MS, (dir) => JSON.parse(readFileSync(join(dir, OUTPUT), 'utf8')) as Figure[]);
}

/** Heap, compiled code and garbage of one stage must not show in the next. */
function inOwnProcess<T>(name: string, timeout: number, result?: (dir: string) => T): T {
  const dir = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), `edgetally-bench-${name}-`));
  try {
    const args = ['--expose-gc', process.argv[1]!, name, '--here', dir, ...(values.ci ? ['--ci'] : [])];
    const { status, signal } = spawnSync(process.execPath, args, { stdio: 'inherit', timeout, killSignal: 'SIGTERM' });
    if (status !== 0) throw new Error(`${name} ended with ${signal ?? status}`);
    return result?.(dir) as T;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What is worse is measured a second time, and counts where it is worse again: another program may have been in the way. */
function compareRatios(measured: ReadonlyMap<Stage, readonly Figure[]>): void {
  const recorded = JSON.parse(readFileSync(RATIOS, 'utf8')) as Record<string, number>;
  const worseIn = (stage: Stage, figures: readonly Figure[]) => regressions(stage.name, figures, recorded);
  const worse = [...measured].flatMap(([stage, figures]) =>
    worseIn(stage, figures).length === 0 ? [] : worseIn(stage, figuresOf(stage)),
  );
  for (const line of worse) console.error(`clearly worse than recorded: ${line}`);
  console.log(
    worse.length === 0 ? 'all ratios are as recorded, or better' : `${worse.length} ratios are clearly worse`,
  );
  if (worse.length > 0) process.exitCode = 1;
}

/** Keeps what was recorded of stages that were not measured now. */
function record(measured: ReadonlyMap<Stage, readonly Figure[]>): void {
  const ratios = JSON.parse(readFileSync(RATIOS, 'utf8')) as Record<string, number>;
  for (const [stage, figures] of measured) {
    for (const { name, ratio, gate } of figures) {
      if (gate === true && ratio !== undefined) ratios[`${stage.name}: ${name}`] = Number(ratio.toPrecision(3));
    }
  }
  writeFileSync(RATIOS, `${JSON.stringify(ratios, undefined, 2)}\n`);
}

function results(measured: ReadonlyMap<Stage, readonly Figure[]>): string {
  const stages = [...measured].map(([stage, figures]) => `## ${stage.name}: ${stage.about}\n\n${tableOf(figures)}`);
  return `# Results of the benchmark

<!-- Written by \`npm run bench\`; not to be edited. What the figures mean and decided: docs/performance.md. -->

${machine()}. Ours and the yardstick are measured in turns in one
run; *ratio* is ours ÷ yardstick, the median of the turns. CPU and RSS are those of the process under test.

${stages.join('\n\n')}
`;
}
