/**
 * A program of ours under a supervisor: started again whenever it ends, as systemd does, until `stop`. Remembers every end
 * that nobody asked for, with its last lines.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

export interface End {
  readonly name: string;
  readonly atMs: number;
  readonly how: string;
  readonly lines: readonly string[];
}

const VITALS = pathToFileURL(join(import.meta.dirname, 'vitals.js')).href;
const RESTART_MS = 500;
const PATIENCE_MS = 20_000;
const LINES = 12;

export class Supervised {
  readonly name: string;
  /** Where its memory and its event-loop delay are written down. */
  readonly vitalsPath: string;
  readonly ends: End[] = [];
  starts = 0;
  readonly #command: () => { args: readonly string[]; env?: NodeJS.ProcessEnv };
  #child: ChildProcess | undefined;
  #lines: string[] = [];
  #wanted = false;

  /** `command` is asked at each start. */
  constructor(name: string, vitalsPath: string, command: () => { args: readonly string[]; env?: NodeJS.ProcessEnv }) {
    this.name = name;
    this.vitalsPath = vitalsPath;
    this.#command = command;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  start(): void {
    this.#wanted = true;
    if (this.#child !== undefined) return;
    const { args, env } = this.#command();
    const vitals = `${VITALS}?${encodeURIComponent(this.vitalsPath)}`;
    const child = spawn(process.execPath, ['--import', vitals, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
    });
    this.starts++;
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line);
        if (this.#lines.length > LINES) this.#lines.shift();
      });
    }
    child.once('exit', (code, signal) => void this.#ended(`${signal ?? code}`));
  }

  /** Ends it, and leaves it down until `start`. */
  async down(signal: NodeJS.Signals): Promise<void> {
    this.#wanted = false;
    const child = this.#child;
    if (child === undefined) return;
    const over = once(child, 'exit');
    child.kill(signal);
    const patience = setTimeout(() => {
      this.ends.push({ name: this.name, atMs: Date.now(), how: `did not end on ${signal}`, lines: [...this.#lines] });
      child.kill('SIGKILL');
    }, PATIENCE_MS);
    await over;
    clearTimeout(patience);
  }

  async #ended(how: string): Promise<void> {
    this.#child = undefined;
    if (!this.#wanted) return;
    this.ends.push({ name: this.name, atMs: Date.now(), how, lines: [...this.#lines] });
    await sleep(RESTART_MS);
    if (this.#wanted) this.start();
  }
}
