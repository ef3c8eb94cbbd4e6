/** The Debian package: the program, a service, and maintainer scripts that keep configuration and data until a purge. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ROOT } from '../test/needs.js';
import { put, putAll, putText, SOURCES } from './files.js';
import { NAME } from './program.js';
import type { TarballOptions } from './tarball.js';

const PAGES = ['config.md', 'routes.md', 'guarantees.md'];

const OF_OTHERS = `
The program holds works of others. What they are, and their licences:
/usr/lib/${NAME}/THIRD-PARTY-NOTICES.txt, and of Node /usr/lib/${NAME}/LICENSE-node.
`;

export interface DebianOptions extends TarballOptions {
  /** Of xz. Undefined: not compressed at all. */
  readonly level: number | undefined;
  /** Debian packages that the program needs. */
  readonly libraries: readonly string[];
  /** Name and address. */
  readonly maintainer: string;
}

export function makeDebianPackage(options: DebianOptions): string {
  const { program, stage, out, version, architecture, date, level } = options;
  const root = join(stage, 'debian');
  const at = (path: string) => join(root, path);
  putAll(program, at(`usr/lib/${NAME}`));
  mkdirSync(at('usr/bin'));
  symlinkSync(`../lib/${NAME}/${NAME}`, at(`usr/bin/${NAME}`));
  put(join(SOURCES, 'systemd/edgetally-agent.service'), at('usr/lib/systemd/system/edgetally-agent.service'));
  put(join(SOURCES, 'edgetally.yaml'), at(`usr/share/${NAME}/edgetally.yaml`));
  documentation(at, options);
  for (const script of ['postinst', 'prerm', 'postrm'])
    put(join(SOURCES, 'debian', script), at(`DEBIAN/${script}`), 0o755);
  const kilobytes = execFileSync('du', ['--summarize', '--block-size=1024', '--apparent-size', at('usr')]);
  putText(control(options, Number.parseInt(String(kilobytes), 10)), at('DEBIAN/control'));
  const path = join(out, `${NAME}_${version}_${architecture}.deb`);
  const compression = level === undefined ? ['-Znone'] : ['-Zxz', `-z${level}`];
  execFileSync('dpkg-deb', ['--root-owner-group', ...compression, '--build', root, path], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, SOURCE_DATE_EPOCH: String(date) },
  });
  return path;
}

function documentation(at: (path: string) => string, options: DebianOptions): void {
  const to = (page: string) => at(`usr/share/doc/${NAME}/${page}`);
  for (const page of PAGES) put(join(ROOT, 'docs', page), to(page));
  put(join(ROOT, 'agent/edgetally.example.yaml'), to('examples/edgetally.yaml'));
  putText(`${readFileSync(join(ROOT, 'LICENSE'), 'utf8')}${OF_OTHERS}`, to('copyright'));
  putText(zipped(readFileSync(join(ROOT, 'CHANGELOG.md'))), to('CHANGELOG.md.gz'));
  putText(zipped(changelog(options)), to('changelog.gz'));
  put(join(SOURCES, 'debian/lintian-overrides'), at(`usr/share/lintian/overrides/${NAME}`));
}

function zipped(text: string | Uint8Array): Uint8Array {
  return gzipSync(text, { level: 9 });
}

/** In the form that Debian's tools read; what changed is in the other one. */
function changelog({ version, maintainer, date }: DebianOptions): string {
  const day = new Date(date * 1000).toUTCString().replace('GMT', '+0000');
  return `${NAME} (${version}) unstable; urgency=medium\n\n  * What changed is in CHANGELOG.md.gz.\n\n -- ${maintainer}  ${day}\n`;
}

function control(options: DebianOptions, installedKilobytes: number): string {
  const { version, architecture, libraries, maintainer } = options;
  return `Package: ${NAME}
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${installedKilobytes}
Depends: adduser, ${libraries.join(', ')}
Recommends: systemd
Suggests: mosquitto
Section: net
Priority: optional
Description: edge gateway that never loses count
 Sensors publish over MQTT; the agent folds readings into exact statistics of
 time windows, keeps them in SQLite while the link is down, and pushes them over
 mutual TLS to AWS IoT Core or any MQTT broker.
`;
}
