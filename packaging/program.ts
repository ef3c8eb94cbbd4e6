/** The program as it lies on a gateway: bundle, addon, Node, launcher, licences. Starts where it lies, with nothing beside it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ADDON, BUNDLE, bundleAgent } from './bundle.js';
import { put, SOURCES } from './files.js';
import { librariesOf } from './libraries.js';

export const NAME = 'edgetally-agent';

export interface Architecture {
  /** As Debian says. */
  readonly name: string;
  /** What its tools are called by. */
  readonly tools: string;
}

/** By the names of Node. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x64: { name: 'amd64', tools: 'x86_64-linux-gnu' },
  arm64: { name: 'arm64', tools: 'aarch64-linux-gnu' },
  arm: { name: 'armhf', tools: 'arm-linux-gnueabihf' },
};

export interface ProgramOptions {
  readonly architecture: Architecture;
  readonly version: string;
  /** Where Node is for that architecture. */
  readonly node: string;
  /** SQLite's addon for it; the one at work where undefined. */
  readonly addon: string | undefined;
}

/** Puts it into `directory`; returns the Debian packages that it needs. */
export async function stageProgram(directory: string, options: ProgramOptions): Promise<string[]> {
  const { architecture, version, node, addon } = options;
  await bundleAgent(directory, version, addon);
  const programs = [join(directory, 'node'), join(directory, ADDON)] as const;
  put(node, programs[0], 0o755);
  for (const program of programs) strip(program, architecture);
  put(join(SOURCES, 'bin.sh'), join(directory, NAME), 0o755);
  const licence = licenceOf(node);
  if (licence === undefined) console.warn(`no licence found beside ${node}; whoever passes this on has to add it`);
  else put(licence, join(directory, 'LICENSE-node'));
  execFileSync(process.execPath, ['--check', join(directory, BUNDLE)]);
  return librariesOf(programs);
}

/** Takes a tenth or more off; without the tool of that architecture the package is only larger. */
function strip(program: string, { tools }: Architecture): void {
  try {
    execFileSync(`${tools}-strip`, ['--strip-unneeded', program]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    console.warn(`${tools}-strip is not there: ${program} keeps what only a debugger needs`);
  }
}

function licenceOf(node: string): string | undefined {
  const prefix = join(dirname(node), '..');
  return ['LICENSE', 'share/doc/nodejs/LICENSE'].map((name) => join(prefix, name)).find((path) => existsSync(path));
}
