/**
 * `npm run bench [stage…]`: measures each stage of the pipeline beside a yardstick, each in a process of its own. Without
 * a name all of them, in under ten minutes, and bench/results.md is written. `--ci` is the minute-long form: it compares
 * ratios with those in bench/ratios.json and ends with 1 where one is clearly worse. `--record` writes them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { ROOT } from '../test/needs.js';
import { aggregate } from './aggregate.js';
import { broker } from './broker.js';
import { cloud } from './cloud.js';
import { type Figure, regressions, type Stage, tableOf } from './figures.js';
import { fleet } from './fleet.js';
import { journal } from './journal.js';
import { latency } from './latency.js';
import { memory } from './memory.js';
import { offline } from './offline.js';
import { report } from './report.js';
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
];

const RESULTS = join(ROOT, 'bench/results.md');
const RATIOS = join(ROOT, 'bench/ratios.json');
/** A stage that takes longer hangs. */
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

if (values.here !== undefined) {
  const stage = stageOf(positionals[0]!);
  const figures = await stage.run({ ci: values.ci, dir: values.here });
  writeFileSync(join(values.here, OUTPUT), JSON.stringify(figures));
} else benchmark();

function benchmark(): void {
  const all = positionals.length === 0;
  const stages = all ? STAGES.filter((stage) => stage.ci || !values.ci) : positionals.map(stageOf);
  const measured = new Map<Stage, readonly Figure[]>();
  for (const stage of stages) {
    const figures = inOwnProcess(stage);
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
  console.error(`no stage ${name}; there are ${STAGES.map((one) => one.name).join(', ')}`);
  process.exit(2);
}

/** Heap, compiled code and garbage of one stage must not show in the next. */
function inOwnProcess(stage: Stage): readonly Figure[] {
  const dir = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), `edgetally-bench-${stage.name}-`));
  try {
    const args = ['--expose-gc', process.argv[1]!, stage.name, '--here', dir, ...(values.ci ? ['--ci'] : [])];
    const { status, signal } = spawnSync(process.execPath, args, {
      stdio: 'inherit',
      timeout: STAGE_MS,
      killSignal: 'SIGTERM',
    });
    if (status !== 0) throw new Error(`stage ${stage.name} ended with ${signal ?? status}`);
    return JSON.parse(readFileSync(join(dir, OUTPUT), 'utf8')) as Figure[];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What is worse is measured a second time, and counts where it is worse again: another program may have been in the way. */
function compareRatios(measured: ReadonlyMap<Stage, readonly Figure[]>): void {
  const recorded = JSON.parse(readFileSync(RATIOS, 'utf8')) as Record<string, number>;
  const worseIn = (stage: Stage, figures: readonly Figure[]) => regressions(stage.name, figures, recorded);
  const worse = [...measured].flatMap(([stage, figures]) =>
    worseIn(stage, figures).length === 0 ? [] : worseIn(stage, inOwnProcess(stage)),
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
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
  const sqlite = new Database(':memory:').prepare('SELECT sqlite_version()').pluck().get();
  const machine = `${cpus().length} × ${cpus()[0]!.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB`;
  const stages = [...measured].map(([stage, figures]) => `## ${stage.name}: ${stage.about}\n\n${tableOf(figures)}`);
  return `# Results of the benchmark

<!-- Written by \`npm run bench\`; not to be edited. What the figures mean and decided: docs/performance.md. -->

${machine}; Node ${process.versions.node}, V8 ${process.versions.v8}, SQLite ${sqlite}; commit ${commit}. Ours and the yardstick are measured in turns in one
run; *ratio* is ours ÷ yardstick, the median of the turns. CPU and RSS are those of the process under test.

${stages.join('\n\n')}
`;
}
