/**
 * `npm run package [-- --arch arm64 --node FILE --addon FILE]`: a tarball that runs where it is unpacked, and a Debian package
 * that installs a service. Both hold the bundle, SQLite's addon and Node itself, so that a gateway needs no compiler, no npm
 * and no network. For another architecture say where its Node and its addon are; for this one they are the ones at work.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION } from '../shared/version.js';
import { ROOT } from '../test/needs.js';
import { BUNDLE, bundleAgent } from './bundle.js';

const NAME = 'edgetally-agent';
const SOURCES = join(ROOT, 'packaging');
/** A few MB more than the best, and a tenth of the time. */
const COMPRESSION = 2;
/** As Debian names them, by the names of Node. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'armhf' };

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    node: { type: 'string', default: process.execPath },
    addon: { type: 'string' },
    version: { type: 'string', default: VERSION },
    out: { type: 'string', default: join(ROOT, 'dist') },
  },
});

const architecture = ARCHITECTURES[values.arch];
if (architecture === undefined)
  fail(`no package for ${values.arch}; there are ${Object.keys(ARCHITECTURES).join(', ')}`);
const isOther = values.arch !== process.arch;
if (isOther && (values.addon === undefined || values.node === process.execPath)) {
  fail(`--arch ${values.arch} needs --node and --addon of that architecture`);
}

const stage = join(values.out, 'stage');
rmSync(stage, { recursive: true, force: true });
const program = join(stage, 'program');
await bundleAgent(program, values.addon);
put(values.node, join(program, 'node'), 0o755);
if (!isOther) execFileSync('strip', ['--strip-unneeded', join(program, 'node')]);
put(join(SOURCES, 'bin.sh'), join(program, NAME), 0o755);
execFileSync(process.execPath, ['--check', join(program, BUNDLE)]);

console.log(tarball());
console.log(debianPackage());
rmSync(stage, { recursive: true });

function tarball(): string {
  const name = `${NAME}-${values.version}-linux-${architecture}`;
  const root = join(stage, name);
  cpSync(program, root, { recursive: true });
  put(join(ROOT, 'agent/edgetally.example.yaml'), join(root, 'edgetally.example.yaml'));
  put(join(SOURCES, 'systemd/edgetally-agent.service'), join(root, 'edgetally-agent.service'));
  put(join(ROOT, 'LICENSE'), join(root, 'LICENSE'));
  const path = join(values.out, `${name}.tar.xz`);
  execFileSync('tar', [
    '--create',
    `--use-compress-program=xz -${COMPRESSION}`,
    '--owner=0',
    '--group=0',
    '--file',
    path,
    '--directory',
    stage,
    name,
  ]);
  return path;
}

function debianPackage(): string {
  const root = join(stage, 'debian');
  const at = (path: string) => join(root, path);
  cpSync(program, at(`usr/lib/${NAME}`), { recursive: true });
  mkdirSync(at('usr/bin'), { recursive: true });
  symlinkSync(`../lib/${NAME}/${NAME}`, at(`usr/bin/${NAME}`));
  put(join(SOURCES, 'systemd/edgetally-agent.service'), at('usr/lib/systemd/system/edgetally-agent.service'));
  put(join(SOURCES, 'edgetally.yaml'), at(`usr/share/${NAME}/edgetally.yaml`));
  for (const page of ['config.md', 'routes.md', 'guarantees.md'])
    put(join(ROOT, 'docs', page), at(`usr/share/doc/${NAME}/${page}`));
  put(join(ROOT, 'agent/edgetally.example.yaml'), at(`usr/share/doc/${NAME}/examples/edgetally.yaml`));
  put(join(ROOT, 'LICENSE'), at(`usr/share/doc/${NAME}/copyright`));
  for (const script of ['postinst', 'prerm', 'postrm'])
    put(join(SOURCES, 'debian', script), at(`DEBIAN/${script}`), 0o755);
  const kilobytes = execFileSync('du', ['--summarize', '--block-size=1024', at('usr')], { encoding: 'utf8' });
  writeFileSync(at('DEBIAN/control'), control(Number.parseInt(kilobytes, 10)));
  const path = join(values.out, `${NAME}_${values.version}_${architecture}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', `-z${COMPRESSION}`, '--build', root, path], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return path;
}

function control(installedKilobytes: number): string {
  return `Package: ${NAME}
Version: ${values.version}
Architecture: ${architecture}
Maintainer: Edgetally <edgetally@localhost>
Installed-Size: ${installedKilobytes}
Depends: adduser, libc6 (>= 2.28), libstdc++6
Recommends: systemd
Section: net
Priority: optional
Description: edge gateway that never loses count
 Sensors publish over MQTT; the agent folds readings into exact statistics of
 time windows, keeps them in SQLite while the link is down, and pushes them over
 mutual TLS to AWS IoT Core or any MQTT broker.
`;
}

function put(from: string, to: string, mode = 0o644): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, mode);
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
