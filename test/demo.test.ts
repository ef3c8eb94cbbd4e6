import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';

const SCRIPT = join(import.meta.dirname, '../demo/main.js');
const VERDICT = /^([\d,]+) values compared with a batch computation over ([\d,]+) raw messages: all equal$/;

t.jobs = 5; // they mostly wait

interface Demo {
  readonly process: ChildProcess;
  /** Its temporary directories are in here. */
  readonly dir: string;
  output(): string;
  errors(): string;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

function start(t: Test, ...args: string[]): Demo {
  const dir = mkdtempSync(join(tmpdir(), 'edgetally-demo-test-'));
  const child = spawn(process.execPath, [SCRIPT, ...args], {
    env: { ...process.env, TMPDIR: dir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return { process: child, dir, output: () => output, errors: () => errors, ended };
}

async function until(condition: () => boolean, patienceMs = 40_000): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < patienceMs && !condition(); waitedMs += 20) await sleep(20);
  return condition();
}

/** Command lines of processes that work in the demo's directory, with their ids. */
function processesOf(demo: Demo): string[] {
  const all = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8', maxBuffer: 2 ** 26 }).split('\n');
  return all.filter((line) => line.includes(demo.dir) && line.includes('build'));
}

function nothingIsLeft(t: Test, demo: Demo): void {
  t.same(processesOf(demo), [], 'no process');
  t.same(readdirSync(demo.dir), [], 'no file');
}

t.test('two demos at once, each equal to its batch computation', { buffered: true }, async (t) => {
  const demos = [start(t, '--seconds', '8', '--seed', '5'), start(t, '--seconds', '6', '--rate', '300')];
  const messages = [];
  for (const demo of demos) {
    t.same(await demo.ended, { code: 0, signal: null }, demo.errors());
    const lines = demo.output().trimEnd().split('\n');
    const [, values, raw] = VERDICT.exec(lines.at(-1) ?? '') ?? [];
    t.ok(Number(values?.replaceAll(',', '')) > 1000, lines.at(-1) ?? 'no output');
    messages.push(raw);
    t.match(demo.output(), /the link is cut; sensors go on \| link cut/);
    t.match(demo.output(), /^homes +voltage +[\d,]+ +2\d\d/m);
    t.equal(demo.errors(), '');
    nothingIsLeft(t, demo);
  }
  t.same(messages, ['4,800', '1,800']);
});

t.test('Ctrl-C at any moment leaves nothing behind', { buffered: true }, async (t) => {
  const moments: [name: string, reached: (demo: Demo) => boolean, afterMs: number][] = [
    ['before it is up', () => true, 100],
    ['while it starts', (demo) => demo.output() !== '', 300],
    ['with all processes', (demo) => processesOf(demo).length === 3, 0],
    ['with the link cut', (demo) => demo.output().includes('the link is cut'), 300],
    ['in the report', (demo) => demo.output().includes('the cloud has all'), 0],
  ];
  const interrupt = async ([name, reached, afterMs]: (typeof moments)[number]): Promise<void> => {
    const demo = start(t, '--seconds', '3', '--rate', '200');
    t.ok(await until(() => reached(demo)), name);
    await sleep(afterMs);
    const startedMs = performance.now();
    demo.process.kill('SIGINT');
    const { code, signal } = await demo.ended;
    t.ok(code === 130 || signal === 'SIGINT', `${name}: ended with ${code ?? signal} ${demo.errors()}`);
    t.ok(performance.now() - startedMs < 10_000, 'soon');
    nothingIsLeft(t, demo);
  };
  await Promise.all(moments.map(interrupt));
});

t.test('a process that dies ends the demo, which says which and why', { buffered: true }, async (t) => {
  const demo = start(t, '--seconds', '60');
  t.ok(await until(() => demo.output().includes('sensors publish')));
  const broker = processesOf(demo).find((line) => line.includes('iot-core.js'));
  process.kill(Number(broker?.trim().split(' ')[0]), 'SIGKILL');
  t.same(await demo.ended, { code: 1, signal: null });
  t.match(demo.errors(), /The demo failed: the broker ended by itself \(SIGKILL\); its last lines:\n\{"port":\d+\}/);
  nothingIsLeft(t, demo);
});

t.test('killed without warning, it takes its processes with it', { buffered: true }, async (t) => {
  const demo = start(t, '--seconds', '60');
  t.ok(await until(() => demo.output().includes('sensors publish')));
  t.equal(processesOf(demo).length, 3);
  demo.process.kill('SIGKILL');
  t.ok(await until(() => processesOf(demo).length === 0, 12_000));
});

t.test('--keep stays up until Ctrl-C; wrong options are refused', { buffered: true }, async (t) => {
  const demo = start(t, '--seconds', '3', '--rate', '100', '--keep');
  t.ok(await until(() => demo.output().includes('Still running')));
  await sleep(300);
  t.equal(demo.process.exitCode, null);
  const status = /node (build.*) status --config (\S+)/.exec(demo.output());
  const text = execFileSync(process.execPath, [
    join(SCRIPT, '../../agent/main.js'),
    'status',
    '--config',
    status?.[2] ?? '',
  ]);
  t.match(text.toString(), /gateway +demo-gateway/);
  demo.process.kill('SIGINT');
  t.same(await demo.ended, { code: 130, signal: null });
  nothingIsLeft(t, demo);

  const wrong = start(t, '--seconds', 'soon');
  t.same(await wrong.ended, { code: 1, signal: null });
  t.match(wrong.errors(), /Expected a number from 3 to 3600/);
  nothingIsLeft(t, wrong);
});
