/**
 * SQLite's addon for another architecture, with the cross compiler of that architecture (Debian: crossbuild-essential-arm64,
 * crossbuild-essential-armhf) and the headers of the Node that it will run under.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ROOT } from '../test/needs.js';
import { ADDON } from './bundle.js';

export interface CrossOptions {
  /** As Node says. */
  readonly arch: string;
  /** What the compiler is called by. */
  readonly tools: string;
  /** Node for that architecture, unpacked: it has include/node. */
  readonly nodeDirectory: string;
  /** Where it may build. */
  readonly directory: string;
}

/** Path of the addon. Throws in words where something is missing. */
export function buildAddon({ arch, tools, nodeDirectory, directory }: CrossOptions): string {
  const gyp = process.env.npm_config_node_gyp;
  if (gyp === undefined) throw new Error('run it by `npm run package`: npm brings node-gyp');
  if (!existsSync(join(nodeDirectory, 'include/node/node.h'))) throw new Error(`${nodeDirectory} has no include/node`);
  const sources = join(directory, 'better-sqlite3');
  cpSync(join(ROOT, 'node_modules/better-sqlite3'), sources, {
    recursive: true,
    filter: (path) => !path.startsWith(join(ROOT, 'node_modules/better-sqlite3/build')),
  });
  const compilers = { CC: `${tools}-gcc`, CXX: `${tools}-g++`, AR: `${tools}-ar`, LINK: `${tools}-g++` };
  const forHost = { CC_host: 'gcc', CXX_host: 'g++' };
  try {
    const args = [gyp, 'rebuild', '--release', `--arch=${arch}`, `--nodedir=${resolve(nodeDirectory)}`];
    const env = { ...process.env, ...compilers, ...forHost };
    execFileSync(process.execPath, args, { cwd: sources, env, stdio: 'pipe', maxBuffer: 1e8 });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: Uint8Array };
    throw new Error(`the addon was not built; is ${compilers.CXX} installed?\n${String(stderr).slice(-2_000)}`);
  }
  return join(sources, 'build/Release', ADDON);
}
