/** A process under test or one that serves it: started with the probe, asked for what it used, ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../test/needs.js';
import type { Usage } from './probe.js';

const PROBE = join(ROOT, 'build/bench/probe.js');
const READY_MS = 60_000;

export class Subject {
  readonly #child: ChildProcess;
  readonly #output: string[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Started once a line of its output matches; the match is given to `ready`. */
  static async start(args: readonly string[], ready: RegExp, nodeArgs: readonly string[] = []): Promise<Subject> {
    const child = spawn(process.execPath, [...nodeArgs, '--import', PROBE, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      cwd: ROOT,
    });
    const subject = new Subject(child);
    await subject.#untilReady(ready);
    return subject;
  }

  async #untilReady(ready: RegExp): Promise<void> {
    const { promise, resolve, reject } = deferred();
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#output.push(line);
        if (this.#output.length > 100) this.#output.shift();
        if (ready.test(line)) resolve();
      });
    }
    this.#child.once('exit', () => reject(new Error(`ended:\n${this.#output.join('\n')}`)));
    const timer = setTimeout(() => reject(new Error(`not ready:\n${this.#output.join('\n')}`)), READY_MS);
    await promise.finally(() => clearTimeout(timer));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The last lines it said. */
  get output(): readonly string[] {
    return this.#output;
  }

  usage(): Promise<Usage> {
    return this.ask<Usage>('usage');
  }

  async ask<T>(question: unknown): Promise<T> {
    const over = new AbortController();
    const { signal } = over;
    const answered = once(this.#child, 'message', { signal });
    const ended = once(this.#child, 'exit', { signal }).then(() => {
      throw new Error(`ended:\n${this.#output.join('\n')}`);
    });
    this.#child.send(question as object);
    try {
      const [answer] = await Promise.race([answered, ended]);
      return answer as T;
    } finally {
      over.abort();
      await Promise.allSettled([answered, ended]);
    }
  }

  /** Bytes that it made the kernel write to the disk. */
  writtenBytes(): number {
    const io = readFileSync(`/proc/${this.pid}/io`, 'utf8');
    return Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? Number.NaN);
  }

  /** CPU time of each of its threads, by id, µs. */
  threadsUs(): ReadonlyMap<string, number> {
    const folder = `/proc/${this.pid}/task`;
    const times = readdirSync(folder).map((thread) => {
      // time on a CPU, time waiting for one, slices: ns
      const schedstat = readFileSync(`${folder}/${thread}/schedstat`, 'utf8');
      return [thread, Number(schedstat.split(' ')[0]) / 1000] as const;
    });
    return new Map(times);
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exited;
  }
}

function deferred() {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
