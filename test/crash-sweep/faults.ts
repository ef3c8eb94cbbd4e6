/**
 * Faults of disk and power at the k-th system call, by strace and prlimit: a program is run once undisturbed and its calls
 * are counted; every call is then a point at which it is killed or fails.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const STRACE = '/usr/bin/strace';
export const PRLIMIT = '/usr/bin/prlimit';
const LIMIT_MS = 30_000;
/** Without the hooks of a test runner: they take time, and write files of their own. */
const BARE = ['/usr/bin/env', '-u', 'NODE_OPTIONS'];

export interface Call {
  readonly name: string;
  /** Of a write: where in its file. */
  readonly offset: number;
  readonly length: number;
  /** On a file of the day; Node reads its own. */
  readonly isOurs: boolean;
}

export interface Kind {
  readonly name: string;
  readonly call: string;
  /** What is put before `node`. */
  readonly command: (k: number, call: Call) => readonly string[];
  /** A fault that passes is one after which the program is to go on, or to stop in words. */
  readonly ends: 'killed' | 'passes' | 'stays';
  /** Failing so many calls in a row, a point at every so many is enough for every call to fail. */
  readonly every?: number;
  /** Points that come to the same are tried once. */
  readonly same?: (call: Call) => number;
}

function trace(options: readonly string[], call: string, fault: string): string[] {
  return [STRACE, ...options, '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
}

/** Not with seccomp, which lets the signal get lost; and without -f: SQLite works in the main thread. */
const kill = (call: string): Kind => ({
  name: `killed before ${call}`,
  call,
  ends: 'killed',
  command: (k) => trace([], call, `signal=KILL:when=${k}`),
});

const fail = (call: string, error: string, calls = 1, every = 1): Kind => ({
  name: `${error} of ${call}${calls > 1 ? `, ${calls} times` : ''}`,
  call,
  ends: 'passes',
  every,
  command: (k) =>
    trace(['-f', '--seccomp-bpf'], call, `error=${error}:when=${k}${calls > 1 ? `..${k + calls - 1}` : ''}`),
});

const tornAt = ({ offset, length }: Call) => offset + (length >> 1);

export const KINDS: readonly Kind[] = [
  kill('fsync'),
  kill('pwrite64'),
  kill('unlink'),
  kill('ftruncate'),
  fail('fsync', 'EIO'),
  fail('fsync', 'EIO', 3),
  fail('pwrite64', 'EIO'),
  fail('pwrite64', 'ENOSPC', 8, 4),
  fail('pread64', 'EIO', 3, 3),
  fail('ftruncate', 'EIO'),
  {
    // the kernel writes what fits, which is a part, and then nothing any more
    name: 'no room from the middle of a write on',
    call: 'pwrite64',
    ends: 'stays',
    command: (_, call) => [PRLIMIT, `--fsize=${tornAt(call)}`],
    same: tornAt,
  },
];

export interface Run {
  readonly lines: readonly string[];
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly errors: string;
}

export function run(prefix: readonly string[], program: string, dir: string): Promise<Run> {
  const [command, ...args] = [...BARE, ...prefix, process.execPath, program, dir];
  return new Promise((resolve, reject) => {
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.once('error', reject);
    // a line that was cut off was not said
    child.once('close', (code, signal) => resolve({ lines: output.split('\n').slice(0, -1), code, signal, errors }));
  });
}

/** The calls of an undisturbed run, in order. */
export async function record(program: string, dir: string): Promise<{ run: Run; calls: Call[] }> {
  const log = join(dir, 'strace.log');
  const names = [...new Set(KINDS.map(({ call }) => call))].join(',');
  const done = await run([STRACE, '-f', '-y', '--seccomp-bpf', '-qq', '-o', log, '-e', `trace=${names}`], program, dir);
  const calls: Call[] = [];
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const name = /^\d+ +(\w+)\(/.exec(line)?.[1];
    if (name === undefined) continue;
    const [, length = '0', offset = '0'] = /, (\d+), (\d+)\) += \d+$/.exec(line) ?? [];
    calls.push({ name, offset: Number(offset), length: Number(length), isOurs: line.includes(dir) });
  }
  return { run: done, calls };
}
