/**
 * A tarball for another architecture, run under qemu: readings are acknowledged, the agent is killed, all of them are counted by
 * the next one, which ends cleanly. Needs qemu-user-static and the cross compiler's libraries.
 *
 *   npm run torture:arm -- dist/edgetally-agent-0.1.0-linux-arm64.tar.gz
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { stringify } from 'yaml';
import { type AgentStatus, askStatus, socketPath } from '../../agent/status.js';
import { until } from '../cloud-rig.js';
import { freePort } from '../rig.js';

const EMULATORS: Readonly<Record<string, readonly [string, string]>> = {
  arm64: ['qemu-aarch64-static', '/usr/aarch64-linux-gnu'],
  armhf: ['qemu-arm-static', '/usr/arm-linux-gnueabihf'],
};
const READINGS = 200;

const tarball = process.argv[2] ?? '';
const emulator = EMULATORS[/-linux-(\w+)\.tar\.gz$/.exec(tarball)?.[1] ?? ''];
if (emulator === undefined) throw new Error(`which architecture is ${tarball}? One of ${Object.keys(EMULATORS)}`);
const [qemu, libraries] = emulator;

const directory = mkdtempSync(join(tmpdir(), 'edgetally-'));
process.once('exit', () => rmSync(directory, { recursive: true }));
execFileSync('tar', ['-xzf', tarball, '-C', directory]);
const program = join(directory, readdirSync(directory)[0]!);
const port = await freePort();
const sources = [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${port}` }] }];
const data = join(directory, 'data');
const config = join(directory, 'agent.yaml');
writeFileSync(config, stringify({ gateway: 'gw', data, accept: { sources, routes: [{ topic: 'plant/{device}' }] } }));

const first = await started();
const sensor = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
sensor.on('error', () => undefined);
const told = Array.from({ length: READINGS }, (_, i) =>
  sensor.publishAsync('plant/oven', JSON.stringify({ ts: Date.now() + i, x: i / 10 }), { qos: 1 }),
);
await Promise.all(told);
await ended(first.agent, 'SIGKILL');
const { agent, status } = await started();
const code = await ended(agent, 'SIGTERM');
console.log(`${tarball}: ${READINGS} acknowledged, killed, ${status.books.counted} counted, ended with ${code}`);
process.exitCode = status.books.counted === READINGS && code === 0 ? 0 : 1;

async function started(): Promise<{ readonly agent: ChildProcess; readonly status: AgentStatus }> {
  const args = ['-L', libraries, join(program, 'node'), join(program, 'edgetally-agent.mjs'), 'run', '-c', config];
  const agent = spawn(qemu, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let status: AgentStatus | undefined;
  await until(async () => {
    if (agent.exitCode !== null) throw new Error(`the agent ended with ${agent.exitCode}`);
    status = await askStatus(socketPath(data));
    return status?.sources[0]?.state === 'up';
  });
  return { agent, status: status! };
}

async function ended(agent: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const over = once(agent, 'exit');
  agent.kill(signal);
  await over;
  return agent.exitCode;
}
