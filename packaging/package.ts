/**
 * `npm run package [-- --arch arm64 --node-directory DIR]`: a tarball that runs where it is unpacked, and a Debian package
 * that installs a service. Both hold the bundle, SQLite's addon and Node itself, so that a gateway needs no compiler, no npm
 * and no network. For another architecture say where its Node is unpacked (bin/node, include/node): the addon is compiled for
 * it, or taken from `--addon`. For this one they are the ones at work.
 *
 * Two makings of one commit with the same Node and addon are equal to the byte (SOURCE_DATE_EPOCH, else the commit's date).
 * DEBFULLNAME and DEBEMAIL name who makes the package, as everywhere in Debian. `--quick`: the Debian package alone, not
 * compressed, for tests. `--program DIR`: nothing but the program, for a container.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION } from '../shared/version.js';
import { ROOT } from '../test/needs.js';
import { buildAddon } from './cross-addon.js';
import { makeDebianPackage } from './debian.js';
import { sourceDate } from './files.js';
import { ARCHITECTURES, stageProgram } from './program.js';
import { makeTarball } from './tarball.js';

/** A few MB more than the best, and a tenth of the time. */
const LEVEL = 2;

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    'node-directory': { type: 'string' },
    addon: { type: 'string' },
    version: { type: 'string', default: VERSION },
    out: { type: 'string', default: join(ROOT, 'dist') },
    program: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});

const architecture = ARCHITECTURES[values.arch];
if (architecture === undefined)
  fail(`no package for ${values.arch}; there are ${Object.keys(ARCHITECTURES).join(', ')}`);
const nodeDirectory = values['node-directory'];
const isForeign = values.arch !== process.arch;
if (isForeign && nodeDirectory === undefined) fail(`--arch ${values.arch} needs --node-directory of that architecture`);

process.umask(0o022); // the modes of directories
const out = resolve(values.out);
const stage = join(out, `stage-${values.version}-${architecture.name}`);
rmSync(stage, { recursive: true, force: true });
mkdirSync(stage, { recursive: true });
const program = values.program ?? join(stage, 'program');
const { version } = values;
const node = nodeDirectory === undefined ? process.execPath : join(nodeDirectory, 'bin/node');
const addon = values.addon ?? crossAddon();
const libraries = await stageProgram(program, { architecture, version, node, addon });
if (values.program === undefined) makePackages(libraries);
rmSync(stage, { recursive: true });

function makePackages(libraries: readonly string[]): void {
  const { DEBFULLNAME = 'Edgetally', DEBEMAIL = 'edgetally@localhost' } = process.env;
  const maintainer = `${DEBFULLNAME} <${DEBEMAIL}>`;
  const common = { program, stage, out, version, architecture: architecture!.name, date: sourceDate(process.env) };
  if (!values.quick) console.log(makeTarball(common));
  console.log(makeDebianPackage({ ...common, level: values.quick ? undefined : LEVEL, libraries, maintainer }));
}

function crossAddon(): string | undefined {
  if (!isForeign || nodeDirectory === undefined) return undefined;
  return buildAddon({ arch: values.arch, tools: architecture!.tools, nodeDirectory, directory: stage });
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
