/** Tries a program at all its points, or at every so many, and tells of each kind of fault what became of it. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { type Call, KINDS, type Kind, type Run, record, run } from './faults.js';

export interface Day {
  readonly name: string;
  /** Path of the compiled program. */
  readonly program: string;
  /** What is wrong with what a run left behind. */
  readonly check: (dir: string, lines: readonly string[]) => Promise<readonly string[]>;
}

interface Point {
  readonly kind: Kind;
  readonly k: number;
  readonly call: Call;
}

export interface Row {
  readonly kind: string;
  readonly calls: number;
  points: number;
  /** How the runs ended. */
  killed: number;
  stopped: number;
  wentOn: number;
  readonly wrong: string[];
}

const JOBS = 2;
const END = { killed: 0, stopped: 0, wentOn: 0, points: 0 };

export async function sweep(unbundled: Day, every: number): Promise<Row[]> {
  const day = { ...unbundled, program: bundled(unbundled.program) };
  // no disk needed: what a killed process wrote, the kernel has
  const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'edgetally-sweep-'));
  try {
    const calls = await calm(day, fresh(root, 'calm'));
    const rows = KINDS.map((kind) => ({ ...END, kind: kind.name, calls: countOf(calls, kind), wrong: [] as string[] }));
    const points = KINDS.flatMap((kind) => pointsOf(kind, calls, every));
    const next = points.values();
    const work = async (worker: number) => {
      for (const point of next) {
        const dir = fresh(root, String(worker));
        await tryOut(day, point, dir, rows[KINDS.indexOf(point.kind)]!);
      }
    };
    await Promise.all(Array.from({ length: JOBS }, (_, worker) => work(worker)));
    return rows;
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** All of a program in one file: most of what a point takes is Node loading hundreds of them. */
function bundled(program: string): string {
  const outfile = program.replace(/\.js$/, '.bundle.mjs');
  buildSync({
    entryPoints: [program],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['better-sqlite3'],
    // what was CommonJS asks for Node's own modules by `require`
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  return outfile;
}

function fresh(root: string, name: string): string {
  const dir = join(root, name);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  return dir;
}

/** Nothing is worth much if the undisturbed day is not right. */
async function calm(day: Day, dir: string): Promise<Call[]> {
  const { run, calls } = await record(day.program, dir);
  const faults = run.lines.filter((line) => /^(nak|fault|stop)/.test(line));
  const wrong = run.code === 0 ? [...faults, ...(await day.check(dir, run.lines))] : [`ended with ${run.code}`];
  if (wrong.length > 0) throw new Error(`the undisturbed day: ${wrong.join('; ')}\n${run.errors}`);
  return calls;
}

function countOf(calls: readonly Call[], kind: Kind): number {
  return calls.filter(({ name, isOurs }) => name === kind.call && isOurs).length;
}

function pointsOf(kind: Kind, calls: readonly Call[], every: number): Point[] {
  const tried = new Set<number>();
  const points: Point[] = [];
  for (const [i, call] of calls.filter(({ name }) => name === kind.call).entries()) {
    const same = kind.same?.(call) ?? i;
    if (call.isOurs && !tried.has(same)) points.push({ kind, k: i + 1, call });
    tried.add(same);
  }
  // not the same points for all kinds
  const offset = KINDS.indexOf(kind);
  return points.filter((_, i) => i % (kind.every ?? 1) === 0).filter((_, i) => i % every === offset % every);
}

async function tryOut(day: Day, { kind, k, call }: Point, dir: string, row: Row): Promise<void> {
  row.points++;
  const done = await run(kind.command(k, call), day.program, dir);
  const problems = [...ended(done, kind, row)];
  try {
    problems.push(...(await day.check(dir, done.lines)));
  } catch (error) {
    problems.push(`the check failed: ${(error as Error).stack}`);
  }
  for (const problem of problems.slice(0, 3)) row.wrong.push(`${day.name}, ${kind.name}, k = ${k}: ${problem}`);
}

function ended({ lines, code, signal, errors }: Run, kind: Kind, row: Row): string[] {
  const last = lines.at(-1) ?? '';
  if (signal === 'SIGKILL') row.killed++;
  else if (code === 3 && last.startsWith('stop ')) row.stopped++;
  else if (code === 0 && last === 'end') row.wentOn++;
  else return [`ended with ${signal ?? code}: ${last.slice(0, 200)}\n${errors.slice(0, 2000)}`];
  if ((kind.ends === 'killed') !== (signal === 'SIGKILL')) return [`ended with ${signal ?? code}`];
  if (kind.ends !== 'passes' || code !== 0) return [];
  const refused = lines.filter((line) => line.startsWith('nak')).map((line) => line.split(' ')[1]);
  const acknowledged = new Set(lines.filter((line) => line.startsWith('ack')).map((line) => line.split(' ')[1]));
  return refused.filter((index) => !acknowledged.has(index)).map((index) => `${index} was refused for ever`);
}

export function table(day: Day, rows: readonly Row[]): string[] {
  const cells = rows.map((row) => [
    row.kind,
    row.calls,
    row.points,
    row.killed,
    row.stopped,
    row.wentOn,
    row.wrong.length,
  ]);
  const all = [[day.name, 'calls', 'points', 'killed', 'stopped', 'went on', 'wrong'], ...cells].map((row) =>
    row.map(String),
  );
  const width = Math.max(...all.map(([name]) => name!.length));
  return all.map(([name, ...numbers]) => [name!.padEnd(width), ...numbers.map((n) => n.padStart(8))].join(''));
}
