/** A function of ours in a process that may be killed in the middle of a call: the parent's side of function-child.ts. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Invoke } from './mapping.js';

type Reply =
  | { readonly ok: true; readonly result: Awaited<ReturnType<Invoke>> }
  | { readonly ok: false; readonly error: string };

const CHILD = fileURLToPath(new URL('./function-child.js', import.meta.url));

export class FunctionProcess {
  readonly #module: string;
  readonly #env: Readonly<Record<string, string>>;
  #child: Promise<ChildProcess> | undefined;
  kills = 0;

  /** `module`: a file or URL that exports `handler`. */
  constructor(module: string, env: Readonly<Record<string, string>>) {
    this.#module = module;
    this.#env = env;
  }

  /** Rejects where it dies: with `killAfterMs` by SIGKILL, unless it was done before. */
  async invoke(event: object, killAfterMs?: number): ReturnType<Invoke> {
    this.#child ??= this.#start();
    const child = await this.#child;
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => this.#kill(child), killAfterMs);
    try {
      const replied = Promise.race([once(child, 'message'), once(child, 'exit').then(() => [])]);
      child.send(event);
      const [reply] = (await replied) as [Reply?];
      if (reply === undefined) throw new Error('killed');
      if (!reply.ok) throw new Error(reply.error);
      return reply.result;
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    const child = await this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  #kill(child: ChildProcess): void {
    this.kills++;
    this.#child = undefined;
    child.kill('SIGKILL');
  }

  async #start(): Promise<ChildProcess> {
    const env = { ...process.env, ...this.#env };
    const child = fork(CHILD, [this.#module], { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    await once(child, 'message');
    return child;
  }
}
