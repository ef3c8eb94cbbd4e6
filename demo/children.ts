/**
 * The demo's child processes: started in their own process groups (so that Ctrl-C reaches the demo alone, which ends them
 * in order), with the tail of what they print at hand.
 *
 * Promises: `stop` leaves none behind, `kill` does so at once and synchronously; an end that nobody asked for rejects
 * `failure` with the name and the last lines of the process.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const TAIL_LINES = 15;
const STOP_PATIENCE_MS = 10_000;

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** The last lines that it printed. */
  tail(): string;
  /** Resolves with the first line that it prints to stdout. */
  readonly firstLine: Promise<string>;
}

interface Running extends Child {
  readonly process: ChildProcess;
  readonly ended: Promise<void>;
}

export class Children {
  readonly #running: Running[] = [];
  #stopping = false;
  #fail: (error: Error) => void = () => undefined;
  /** Never resolves; rejects when a child ends on its own. */
  readonly failure: Promise<never>;

  constructor() {
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failure.catch(() => undefined); // whoever waits for it still sees it
  }

  /** Runs a script of this build tree with Node. */
  start(name: string, script: string, args: readonly string[]): Child {
    const preload = pathToFileURL(join(import.meta.dirname, 'end-with-parent.js')).href;
    const child = spawn(process.execPath, ['--import', preload, join(import.meta.dirname, '..', script), ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: plainEnvironment(),
    });
    const lines: string[] = [];
    let firstLine: (line: string) => void = () => undefined;
    const running: Running = {
      name,
      pid: child.pid ?? 0,
      process: child,
      tail: () => lines.join('\n'),
      firstLine: new Promise((resolve) => {
        firstLine = resolve;
      }),
      ended: new Promise((resolve) => {
        child.once('error', (error) => {
          lines.push(error.message);
          resolve();
        });
        child.once('close', () => resolve());
      }),
    };
    const keep = (line: string): void => {
      lines.push(line);
      if (lines.length > TAIL_LINES) lines.shift();
    };
    eachLine(child.stdout, (line) => {
      firstLine(line);
      keep(line);
    });
    eachLine(child.stderr, keep);
    this.#running.push(running);
    void running.ended.then(() => this.#onEnd(running));
    return running;
  }

  /** Asks all to end, the last one started first; kills what does not. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const running of this.#running.toReversed()) {
      running.process.kill('SIGTERM');
      const patience = setTimeout(() => running.process.kill('SIGKILL'), STOP_PATIENCE_MS);
      await running.ended;
      clearTimeout(patience);
    }
  }

  /** Kills all, now. */
  kill(): void {
    this.#stopping = true;
    for (const running of this.#running) running.process.kill('SIGKILL');
  }

  #onEnd(running: Running): void {
    if (this.#stopping) return;
    const { exitCode, signalCode } = running.process;
    const how = signalCode === null ? `code ${exitCode}` : signalCode;
    this.#fail(new Error(`the ${running.name} ended by itself (${how}); its last lines:\n${running.tail()}`));
  }
}

/** Settings of the product in the caller's environment are not meant for the demo. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EDGETALLY_')));
}

function eachLine(stream: NodeJS.ReadableStream | null, take: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
  stream?.on('end', () => {
    if (rest !== '') take(rest);
  });
}
