/** The tarball: the program in one folder, with a sample configuration and the systemd unit beside it. By gzip: small systems have no xz. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../test/needs.js';
import { put, putAll, SOURCES } from './files.js';
import { NAME } from './program.js';

export interface TarballOptions {
  readonly program: string;
  readonly stage: string;
  readonly out: string;
  readonly version: string;
  readonly architecture: string;
  /** s */
  readonly date: number;
}

export function makeTarball({ program, stage, out, version, architecture, date }: TarballOptions): string {
  const name = `${NAME}-${version}-linux-${architecture}`;
  const root = join(stage, name);
  putAll(program, root);
  put(join(ROOT, 'agent/edgetally.example.yaml'), join(root, 'edgetally.example.yaml'));
  put(join(SOURCES, 'systemd/edgetally-agent.service'), join(root, 'edgetally-agent.service'));
  put(join(ROOT, 'LICENSE'), join(root, 'LICENSE'));
  const path = join(out, `${name}.tar.gz`);
  const same = ['--sort=name', `--mtime=@${date}`, '--owner=0', '--group=0', '--numeric-owner', '--format=gnu'];
  const packed = ['--use-compress-program=gzip --no-name', '--file', path, '--directory', stage, name];
  execFileSync('tar', ['--create', ...same, ...packed]);
  return path;
}
