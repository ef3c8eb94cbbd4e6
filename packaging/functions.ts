/**
 * The functions of the cloud half on AWS, each a zip of one file with everything it imports: no native module, the AWS SDK of
 * this lockfile and not that of the runtime. The same sources make the same bytes, and so the same prefix to upload to.
 */
import { createHash } from 'node:crypto';
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
    const zips = await Promise.all(names.map((name) => buildFunction(name, stage)));
    const hash = createHash('sha256');
    for (const zip of zips) hash.update(zip);
    const prefix = `edgetally/${VERSION}-${hash.digest('hex').slice(0, 12)}/`;
    const folder = join(directory, prefix);
    mkdirSync(folder, { recursive: true });
    for (const [place, zip] of zips.entries()) writeFileSync(join(folder, `${names[place]}.zip`), zip);
    return { folder, prefix, names };
  } finally {
    rmSync(stage, { recursive: true });
  }
}

async function buildFunction(name: string, stage: string): Promise<Buffer> {
  const content = join(stage, name);
  await bundleFunction(name, content);
  const zip = join(stage, `${name}.zip`);
  await zipDirectory(content, zip, COMPRESSION);
  return readFileSync(zip);
}

/** What is in the zip of a function, unpacked. */
export async function bundleFunction(name: string, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const { metafile } = await build({
    entryPoints: [join(ENTRIES, `${name}.js`)],
    outfile: join(directory, 'index.mjs'),
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
  writeFileSync(join(directory, NOTICES), noticesOf(metafile));
}
