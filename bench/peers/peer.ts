/** What a peer is to the benchmark: a way from sensors on MQTT to summaries (or whatever it sends) at the uplink. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CertificateFiles } from '../../certs.example/make-certs.js';
import { ROOT } from '../../test/needs.js';
import type { Found } from './programs.js';
import type { Service } from './service.js';

/** How the sensors of a peer speak: the JSON of the benchmark, or collectd's own form, one message a metric. */
export type Dialect = 'json' | 'collectd';

/** How what a peer sends upstream is counted: see upstream.ts. */
export type Upstream = 'batch' | 'raw' | 'summary' | 'collectd' | 'telegraf' | 'ekuiper';

export interface Site {
  /** Of the peer's own. */
  readonly dir: string;
  /** Kept over runs, for what has to be installed first. */
  readonly cache: string;
  readonly uplink: Uplink;
  readonly windowSeconds: number;
}

/** Where to: a TLS broker that asks for a client certificate. */
export interface Uplink extends CertificateFiles {
  readonly port: number;
  readonly ca: string;
}

export interface RunningPeer {
  /** Where its sensors connect to. */
  readonly port: number;
  /** All of its processes, in the order in which they are started. */
  readonly services: readonly Service[];
  /** The one that aggregates (or forwards). */
  readonly gateway: Service;
}

export interface Peer {
  readonly name: string;
  readonly dialect: Dialect;
  readonly upstream: Upstream;
  /** What it sends for each metric and window. */
  readonly tells: string;
  /** Its version, or why it cannot run here. Installs what only it needs. */
  find(cache: string): Found;
  /** Its processes, not yet started. */
  prepare(site: Site): Promise<RunningPeer>;
}

const CONFIGURATIONS = join(ROOT, 'bench/peers');

/** The configuration file of a peer with its {{placeholders}} filled in, written into the site; its path there. */
export function configure(site: Site, file: string, values: Readonly<Record<string, string | number>>): string {
  const { port, ca, cert, key } = site.uplink;
  const known: typeof values = { dir: site.dir, window: site.windowSeconds, uplink: port, ca, cert, key, ...values };
  const text = readFileSync(join(CONFIGURATIONS, file), 'utf8').replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = known[name];
    if (value === undefined) throw new Error(`${file}: nothing for {{${name}}}`);
    return String(value);
  });
  const path = join(site.dir, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** A text of a peer's folder as it stands. */
export function peerFile(file: string): string {
  return readFileSync(join(CONFIGURATIONS, file), 'utf8');
}
