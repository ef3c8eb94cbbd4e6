/** What the agent tells of its writing, beside what the kernel says; and that a data directory in memory is warned of. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { askStatus, socketPath } from '../agent/status.js';
import { needs } from './needs.js';
import { AGENT, freePort, Program } from './rig.js';

async function started(t: Test, data: string): Promise<{ readonly agent: Program; readonly port: number }> {
  const port = await freePort();
  const config = join(t.testdir(), 'agent.yaml');
  const sources = [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${port}` }] }];
  writeFileSync(config, stringify({ gateway: 'gw', data, accept: { sources, routes: [{ topic: 'plant/{device}' }] } }));
  const agent = new Program([AGENT, 'run', '--config', config], /ready/);
  await agent.start();
  t.teardown(() => agent.end('SIGTERM'));
  return { agent, port };
}

t.test('bytes a reading are what the kernel counts', { timeout: 60_000 }, async (t) => {
  if (!needs(t, '/proc/self/io', 'I/O accounting of the kernel')) return;
  const data = join(t.testdir(), 'data');
  const { agent, port } = await started(t, data);
  const kernel = () => {
    const io = readFileSync(`/proc/${agent.pid}/io`, 'utf8');
    const [written = 0, cancelled = 0] = [...io.matchAll(/write_bytes: (\d+)/g)].map(([, count]) => Number(count));
    return written - cancelled;
  };
  const begun = kernel();
  const atStart = (await askStatus(socketPath(data)))!.writes!;
  const sensor = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
  for (let i = 0; i < 20; i++) await sensor.publishAsync('plant/oven', `{"ts":${1.7e12 + i},"x":${i}}`, { qos: 1 });
  await sensor.endAsync();
  const before = kernel();
  const { writes, disk } = (await askStatus(socketPath(data)))!;
  const after = kernel();
  t.match(writes, { readings: 20, bytesPerDay: null });
  const bytes = writes!.bytes - atStart.bytes;
  t.ok(bytes >= before - begun && bytes <= after - begun, `${bytes} bytes of ${before - begun} to ${after - begun}`);
  t.equal(writes!.bytesPerReading, writes!.bytes / 20);
  if (!disk.inMemory) t.ok(bytes / writes!.commits >= 4096, 'a page a commit at least');
});

t.test('data in memory', { timeout: 60_000 }, async (t) => {
  if (!needs(t, '/dev/shm', 'a file system in memory')) return;
  const data = mkdtempSync('/dev/shm/edgetally-');
  t.teardown(() => rmSync(data, { recursive: true }));
  const { agent } = await started(t, data);
  t.match(agent.output.join('\n'), 'is in memory (tmpfs): a power cut');
  t.equal((await askStatus(socketPath(data)))!.disk.inMemory, true);
});
