/**
 * The functions of the cloud half on AWS, each a zip of one file with everything it imports: no native module, the AWS SDK of
 * this lockfile and not that of the runtime. The same sources make the same files, and so the same prefix to upload to.
 */
import { createHash, type Hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { VERSION } from '../shared/version.js';
import { ROOT } from '../test/needs.js';
import { NOTICES, REQUIRE } from './bundle.js';
import { noticesOf } from './notices.js';
import { zipDirectory } from './zip.js';

/** One file a function, which exports `handler`. */
const ENTRIES = join(ROOT, 'build/cloud/aws/functions');
const COMPRESSION = 9;

export interface BuiltFunctions {
  readonly folder: string;
  /** For the parameter ArtifactPrefix: another one where anything differs, so that an update takes the new code. */
  readonly prefix: string;
  readonly names: readonly string[];
}

/** Zips into a folder of their own below `directory`. */
export async function buildFunctions(directory: string): Promise<BuiltFunctions> {
  const names = readdirSync(ENTRIES)
    .filter((name) => name.endsWith('.js') && !name.endsWith('.test.js'))
    .map((name) => basename(name, '.js'))
    .sort();
  const stage = mkdtempSync(join(tmpdir(), 'edgetally-functions-'));
  try {
    const hash = createHash('sha256');
    for (const name of names) await bundleFunction(name, join(stage, name));
    for (const name of names) addTo(hash, name, join(stage, name));
    const prefix = `edgetally/${VERSION}-${hash.digest('hex').slice(0, 12)}/`;
    const folder = join(directory, prefix);
    mkdirSync(folder, { recursive: true });
    for (const name of names) await zipDirectory(join(stage, name), join(folder, `${name}.zip`), COMPRESSION);
    return { folder, prefix, names };
  } finally {
    rmSync(stage, { recursive: true });
  }
}

/** What is in the zip of a function, unpacked. */
export async function bundleFunction(name: string, directory: string): Promise<void> {
  const { metafile, outputFiles } = await build({
    entryPoints: [join(ENTRIES, `${name}.js`)],
    // not written there, but what the source map says is relative to it: no path of this machine
    outfile: join(ROOT, 'build/functions', name, 'index.mjs'),
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'esm',
    mainFields: ['module', 'main'],
    banner: { js: REQUIRE },
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none', // in the notices
    metafile: true,
    absWorkingDir: ROOT,
    logLevel: 'warning',
  });
  mkdirSync(directory, { recursive: true });
  for (const { path, contents } of outputFiles) writeFileSync(join(directory, basename(path)), contents);
  writeFileSync(join(directory, NOTICES), noticesOf(metafile));
}

/** What is in a zip, and not the zip: another version of zlib compresses to other bytes. */
function addTo(hash: Hash, name: string, directory: string): void {
  for (const file of readdirSync(directory).sort()) {
    const contents = readFileSync(join(directory, file));
    hash.update(`${name}/${file} ${contents.length}\n`).update(contents);
  }
}
