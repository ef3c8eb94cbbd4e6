/**
 * The component as a nucleus runs it: the scripts of its recipe with the recipe's variables filled in, in its working directory, with
 * the environment that a nucleus gives and nothing else, far from this project and its node_modules.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { COMPONENT, type Recipe } from '../greengrass/recipe.js';
import { VERSION } from '../shared/version.js';
import { ROOT } from './needs.js';
import type { Nucleus } from './nucleus.js';

const run = promisify(execFile);

/** What a classic nucleus waits after SIGTERM, before it kills; Lite waits longer. */
export const GRACE_MS = 5_000;

export interface Built {
  readonly artifact: string;
  readonly recipe: Recipe;
  readonly out: string;
}

/** The real thing, made by the real command. */
export function build(): Built {
  const out = mkdtempSync(join(tmpdir(), 'edgetally-greengrass-'));
  const options = ['--out', out, '--level', '1'];
  const paths = execFileSync(process.execPath, [join(ROOT, 'build/greengrass/build.js'), ...options], {
    encoding: 'utf8',
  });
  const [artifact = '', recipe = ''] = paths.trim().split('\n');
  return { artifact, recipe: parse(readFileSync(recipe, 'utf8')) as Recipe, out };
}

export type Runtime = 'lite' | 'classic';

export class Component {
  readonly work: string;
  readonly output: string[] = [];
  readonly #packages: string;
  readonly #manifest: Recipe['Manifests'][number];
  readonly #nucleus: Nucleus;
  readonly #artifact: string;
  #child: ChildProcess | undefined;

  constructor(root: string, { recipe, artifact }: Built, runtime: Runtime, nucleus: Nucleus) {
    this.work = join(root, 'work', COMPONENT);
    this.#packages = join(root, 'packages');
    this.#artifact = artifact;
    this.#nucleus = nucleus;
    const lite = runtime === 'lite' ? 'aws_nucleus_lite' : undefined;
    this.#manifest = recipe.Manifests.find(({ Platform }) => Platform.runtime === lite)!;
    mkdirSync(this.work, { recursive: true });
    mkdirSync(this.#artifacts, { recursive: true });
    symlinkSync(artifact, join(this.#artifacts, basename(artifact)));
  }

  get #artifacts(): string {
    return join(this.#packages, 'artifacts', COMPONENT, VERSION);
  }

  get #unarchived(): string {
    return join(this.#packages, 'artifacts-unarchived', COMPONENT, VERSION);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** As a nucleus does with what comes from the cloud. */
  unpack(): void {
    const to = join(this.#unarchived, basename(this.#artifact, '.zip'));
    mkdirSync(dirname(to), { recursive: true });
    execFileSync('python3', ['-m', 'zipfile', '-e', this.#artifact, to]);
    execFileSync('chmod', ['-R', '0555', to]);
  }

  async step(name: 'install' | 'shutdown'): Promise<void> {
    await run('/bin/sh', ['-c', this.script(name)], { cwd: this.work, env: this.#env });
  }

  async start(): Promise<void> {
    const before = this.#nucleus.states.length;
    const child = spawn('/bin/sh', ['-c', this.script('startup')], {
      cwd: this.work,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.output.push(line));
    }
    while (this.#nucleus.states.length === before) {
      if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}\n${this.output.join('\n')}`);
      await sleep(20);
    }
  }

  /** As a nucleus stops it. Returns the exit code; null where it had to be killed. */
  async stop(): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const grace = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
    await exited;
    clearTimeout(grace);
    return child.exitCode;
  }

  async killed(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** The program of the artifact, as an operator calls it in the working directory. */
  async command(...args: string[]): Promise<string> {
    const unpacked = join(this.#unarchived, basename(this.#artifact, '.zip'));
    const program = existsSync(unpacked) ? unpacked : join(this.work, 'program');
    const { stdout } = await run(join(program, 'edgetally-agent'), args, { cwd: this.work, env: this.#env });
    return stdout;
  }

  /** As Nucleus Lite fills it: whatever is in braces has to be a variable. */
  script(name: 'install' | 'startup' | 'shutdown'): string {
    const values: Record<string, string> = {
      'artifacts:path': `${this.#artifacts}/`,
      'artifacts:decompressedPath': `${this.#unarchived}/`,
    };
    return this.#manifest.Lifecycle[name]!.Script.replaceAll(/\{([^}]*)\}?/g, (text, variable: string) => {
      const value = values[variable];
      if (value === undefined) throw new Error(`unhandled variable substitution: ${text}`);
      return value;
    });
  }

  get #env(): Record<string, string> {
    return { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...this.#nucleus.environment };
  }
}
