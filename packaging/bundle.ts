/**
 * The agent in two files: edgetally-agent.mjs with everything it imports, and better_sqlite3.node, the one native part. Starts
 * in an empty directory, with nothing but Node beside it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { VERSION } from '../shared/version.js';
import { ROOT } from '../test/needs.js';
import { put } from './files.js';
import { noticesOf } from './notices.js';

export const BUNDLE = 'edgetally-agent.mjs';
export const NOTICES = 'THIRD-PARTY-NOTICES.txt';
export const ADDON = 'better_sqlite3.node';
const BUILT_ADDON = join(ROOT, 'node_modules/better-sqlite3/build/Release', ADDON);

/** better-sqlite3 looks its addon up by the layout of node_modules; in a bundle it lies beside. */
const addonBeside: Plugin = {
  name: 'addon-beside',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^bindings$/ }, () => ({ path: 'bindings', namespace: 'addon-beside' }));
    onResolve({ filter: /\.node$/ }, ({ path }) => ({ path, external: true }));
    onLoad({ filter: /.*/, namespace: 'addon-beside' }, () => ({
      contents: `module.exports = () => require('./${ADDON}');`,
    }));
  },
};

/**
 * What libraries say where DEBUG is set. That nobody hears it cost 4 % of the CPU at 10,000 messages a second, since a call
 * gathers its arguments first.
 */
const withoutDebug: Plugin = {
  name: 'without-debug',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^debug$/ }, () => ({ path: 'debug', namespace: 'without-debug' }));
    onLoad({ filter: /.*/, namespace: 'without-debug' }, () => ({
      contents: `const silent = Object.assign(() => {}, { enabled: false, extend: () => silent });
module.exports = () => silent;`,
    }));
  },
};

/** CommonJS inside of the bundle asks for `require`, which a module does not have. */
export const REQUIRE = `import { createRequire as edgetallyRequire } from 'node:module';
const require = edgetallyRequire(import.meta.url);`;

/** The version that the program says, where it is not that of the sources. */
function calledVersion(version: string): Plugin {
  return {
    name: 'called-version',
    setup({ onLoad }) {
      onLoad({ filter: /build\/shared\/version\.js$/ }, async ({ path }) => {
        const contents = await readFile(path, 'utf8');
        return { contents: contents.replace(`'${VERSION}'`, `'${version}'`) };
      });
    },
  };
}

/** `addon`: where it was built for another architecture. */
export async function bundleAgent(directory: string, version = VERSION, addon = BUILT_ADDON): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const { metafile } = await build({
    entryPoints: [join(ROOT, 'build/agent/main.js')],
    outfile: join(directory, BUNDLE),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    banner: { js: REQUIRE },
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none', // in the notices
    metafile: true,
    absWorkingDir: ROOT,
    plugins: [addonBeside, withoutDebug, calledVersion(version)],
    logLevel: 'warning',
  });
  writeFileSync(join(directory, NOTICES), noticesOf(metafile));
  put(addon, join(directory, ADDON));
}
