/**
 * `npm run greengrass:build [-- --arch arm64 --node FILE --addon FILE] [--bucket NAME]`: the component of AWS IoT Greengrass, where gdk
 * looks for it. The artifact holds the bundle, its native part and Node itself: a native part fits one Node only, and of a thousand
 * gateways each may have another, or none. Run once for each architecture; the recipe has a place for all that are there.
 *
 *     greengrass-build/artifacts/com.edgetally.Agent/<version>/edgetally-agent-linux-<architecture>.zip
 *     greengrass-build/recipes/recipe.yaml                                   for gdk
 *     greengrass-build/local/recipes/com.edgetally.Agent-<version>.yaml      for a local deployment
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BUNDLE, bundleAgent } from '../packaging/bundle.js';
import { zipDirectory } from '../packaging/zip.js';
import { VERSION } from '../shared/version.js';
import { ROOT } from '../test/needs.js';
import { ARCHITECTURES, artifactName, COMPONENT, recipeText } from './recipe.js';

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    node: { type: 'string', default: process.execPath },
    addon: { type: 'string' },
    version: { type: 'string', default: VERSION },
    bucket: { type: 'string' },
    level: { type: 'string', default: '6' },
    out: { type: 'string', default: join(ROOT, 'greengrass/greengrass-build') },
  },
});

if (!isArchitecture(values.arch)) {
  fail(`no component for ${values.arch}; there are ${Object.keys(ARCHITECTURES).join(', ')}`);
}
const isOther = values.arch !== process.arch;
if (isOther && (values.addon === undefined || values.node === process.execPath)) {
  fail(`--arch ${values.arch} needs --node and --addon of that architecture`);
}

const artifacts = join(values.out, 'artifacts', COMPONENT, values.version);
mkdirSync(artifacts, { recursive: true });
const artifact = join(artifacts, artifactName(ARCHITECTURES[values.arch]));
const program = mkdtempSync(join(tmpdir(), 'edgetally-component-'));
try {
  await gather();
  await zipDirectory(program, artifact, Number(values.level));
} finally {
  rmSync(program, { recursive: true });
}
console.log(artifact);
for (const path of recipes()) console.log(path);

async function gather(): Promise<void> {
  await bundleAgent(program, values.version, values.addon);
  const node = join(program, 'node');
  copyFileSync(values.node, node);
  copyFileSync(join(ROOT, 'packaging/bin.sh'), join(program, 'edgetally-agent'));
  copyFileSync(join(ROOT, 'LICENSE'), join(program, 'LICENSE'));
  for (const name of ['node', 'edgetally-agent']) chmodSync(join(program, name), 0o755);
  if (!isOther) execFileSync('strip', ['--strip-unneeded', node]);
  execFileSync(process.execPath, ['--check', join(program, BUNDLE)]);
}

/** For all the architectures that have an artifact. */
function recipes(): string[] {
  const template = readFileSync(join(ROOT, 'greengrass/recipe.yaml'), 'utf8');
  const architectures = Object.values(ARCHITECTURES).filter((one) => existsSync(join(artifacts, artifactName(one))));
  const text = recipeText(template, { version: values.version, architectures, bucket: values.bucket });
  return ['recipes/recipe.yaml', `local/recipes/${COMPONENT}-${values.version}.yaml`].map((name) => {
    const path = join(values.out, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
    return path;
  });
}

function isArchitecture(name: string): name is keyof typeof ARCHITECTURES {
  return Object.hasOwn(ARCHITECTURES, name);
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
