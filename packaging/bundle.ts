/**
 * The agent in two files: edgetally-agent.mjs with everything it imports, and better_sqlite3.node, the one native part. Starts
 * in an empty directory, with nothing but Node beside it.
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { ROOT } from '../test/needs.js';
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

/** CommonJS inside of the bundle asks for `require`, which a module does not have. */
export const REQUIRE = `import { createRequire as edgetallyRequire } from 'node:module';
const require = edgetallyRequire(import.meta.url);`;

/** `addon`: where it was built for another architecture. */
export async function bundleAgent(directory: string, addon = BUILT_ADDON): Promise<void> {
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
    plugins: [addonBeside],
    logLevel: 'warning',
  });
  writeFileSync(join(directory, NOTICES), noticesOf(metafile));
  copyFileSync(addon, join(directory, ADDON));
}
