/** A whole agent as a process under test, with its TLS uplink to a sink, as it would run on a gateway. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type AgentStatus, askStatus, socketPath } from '../agent/status.js';
import { makeCertificates } from '../certs.example/make-certs.js';
import { BUNDLE, bundleAgent } from '../packaging/bundle.js';
import { freePort } from '../test/rig.js';
import type { Done, Round } from './load.js';
import { Subject } from './subject.js';
import { ROUTE } from './traffic.js';

/** Windows that close within a measurement, so that saving, encoding and pushing them is part of it. */
const WINDOW = '10s';

export interface Gateway {
  readonly agent: Subject;
  readonly sink: Subject;
  readonly port: number;
  readonly dataDir: string;
  status(): Promise<AgentStatus>;
  stop(): Promise<void>;
}

export interface GatewayOptions {
  readonly dir: string;
  readonly route?: object;
  readonly buffer?: object;
  readonly push?: object | null;
  readonly nodeArgs?: readonly string[];
  /** Another one than the agent, from build/bench; `installed`: the agent as a package has it. */
  readonly program?: string;
}

export async function startSink(dir: string): Promise<{ sink: Subject; push: object }> {
  const made = await makeCertificates(dir, { gateways: ['gw'] });
  const sink = await Subject.start(['build/bench/sink.js', dir], /"port"/);
  const push = { url: `mqtts://localhost:${portOf(sink)}`, ca: made.ca, ...made.gateways.get('gw') };
  return { sink, push };
}

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { dir } = options;
  const { sink, push } = await startSink(dir);
  const port = await freePort();
  const dataDir = join(dir, 'data');
  writeFileSync(
    join(dir, 'agent.yaml'),
    stringify({
      gateway: 'gw',
      data: dataDir,
      logLevel: options.program === 'installed' ? 'info' : 'warn',
      accept: {
        sources: [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${port}` }], limits: { maxConnections: 10_000 } }],
        routes: [{ ...ROUTE, window: WINDOW, lateness: '1s', ...options.route }],
      },
      buffer: { ...options.buffer },
      push: options.push === null ? undefined : { ...push, ...options.push },
    }),
  );
  const agent = await startAgent(dir, options.nodeArgs, options.program);
  const status = async () => {
    const state = await askStatus(socketPath(dataDir));
    if (state === undefined) throw new Error(`the agent does not answer:\n${agent.output.join('\n')}`);
    return state;
  };
  const stop = async () => {
    await agent.end();
    await sink.end();
  };
  return { agent, sink, port, dataDir, status, stop };
}

/** The agent again, on what is in the directory. */
export async function startAgent(
  dir: string,
  nodeArgs?: readonly string[],
  program = 'agent-under-test',
): Promise<Subject> {
  const config = join(dir, 'agent.yaml');
  if (program !== 'installed') return Subject.start([`build/bench/${program}.js`, config], /^ready$/, nodeArgs);
  await bundleAgent(join(dir, 'program'));
  return Subject.start([join(dir, 'program', BUNDLE), 'run', '--config', config], /"msg":"ready"/, nodeArgs);
}

export function portOf(subject: Subject): number {
  const line = subject.output.find((text) => text.startsWith('{"port"'));
  return (JSON.parse(line!) as { port: number }).port;
}

export function startLoad(): Promise<Subject> {
  return Subject.start(['build/bench/load.js'], /load ready/);
}

export function loadRound(load: Subject, round: Omit<Round, 'kind'>): Promise<Done> {
  return load.ask<Done>({ kind: 'round', ...round });
}
