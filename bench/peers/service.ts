/**
 * One process of a peer: started, looked at through /proc, killed in mid-run and started again on what it left. Knows no
 * peer. Linux only, as the peers are.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const READY_MS = 60_000;
const TICKS_PER_SECOND = 100; // USER_HZ, on every Linux that Node runs on
const PAGE_BYTES = 4096;

/** Whoever measures may be ended from outside: nothing stays behind. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface Command {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A line of its output that says that it runs. */
  readonly ready: RegExp;
}

export class Service {
  readonly #command: Command;
  #child: ChildProcess | undefined;

  constructor(command: Command) {
    this.#command = command;
  }

  get name(): string {
    return this.#command.name;
  }

  async start(): Promise<void> {
    const { file, args, cwd, env, ready } = this.#command;
    const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    const output: string[] = [];
    const signal = AbortSignal.timeout(READY_MS);
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${this.name} ${why}:\n${output.join('\n')}`));
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code, by) => fail(`ended with ${by ?? code}`));
      signal.addEventListener('abort', () => fail('is not ready'), { once: true });
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          if (output.push(line) > 50) output.shift();
          if (ready.test(line)) resolve();
        });
      }
    });
  }

  /** CPU time of all its threads since it was started, s. */
  cpuSeconds(): number {
    // proc(5): the name in parentheses may hold blanks; utime and stime are the 14th and 15th field
    const fields = this.#proc('stat').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  rssBytes(): number {
    return Number(this.#proc('statm').split(' ')[1]) * PAGE_BYTES;
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  #proc(file: string): string {
    return readFileSync(`/proc/${this.#child!.pid}/${file}`, 'utf8');
  }
}
