/** `edgetally-agent setup` on a machine with a Mosquitto that sensors publish to, up to summaries of their readings. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import mqtt from 'mqtt';
import t from 'tap';
import { parse } from 'yaml';
import { askStatus, socketPath } from '../agent/status.js';
import { until } from './cloud-rig.js';
import { MOSQUITTO, Mosquitto } from './mosquitto.js';
import { needs } from './needs.js';
import { AGENT, Program } from './rig.js';

const run = promisify(execFile);

t.test('from a broker with sensors to a running gateway', { timeout: 60_000 }, async (t) => {
  if (!needs(t, MOSQUITTO, 'mosquitto')) return;
  const dir = t.testdir();
  const mosquitto = await Mosquitto.start(join(dir, 'mosquitto'));
  t.teardown(() => mosquitto.stop());
  const url = `mqtt://127.0.0.1:${mosquitto.port}`;
  const sensors = await mqtt.connectAsync(url);
  let count = 0;
  const publishing = setInterval(() => {
    count++;
    sensors.publish('zigbee2mqtt/cellar', JSON.stringify({ temperature: count / 10, battery: 80 }), { qos: 1 });
    sensors.publish('plant/hall/oven', JSON.stringify({ ts: Date.now(), temp: 200 + count }), { qos: 1 });
    sensors.publish('plant/yard/press', JSON.stringify({ ts: Date.now(), temp: count }), { qos: 1 });
    sensors.publish('chat/a', 'hello');
  }, 50);
  t.teardown(async () => {
    clearInterval(publishing);
    await sensors.endAsync();
  });

  const config = join(dir, 'edgetally.yaml');
  const data = join(dir, 'data');
  const options = ['--config', config, '--data', data, '--gateway', 'pi', '--broker', url, '--listen', '1'];
  const setup = (...more: string[]) =>
    run(process.execPath, [AGENT, 'setup', '--yes', ...options, ...more]).catch((error: { stderr: string }) => ({
      stdout: '',
      stderr: error.stderr,
    }));

  const { stdout } = await setup('--uplink', 'mqtts://localhost:1');
  t.match(stdout, /uplink does not come up yet: localhost:1: nothing listens there/, 'said, and written all the same');
  t.match(parse(readFileSync(config, 'utf8')), {
    gateway: 'pi',
    accept: { routes: [{ topic: 'plant/{group}/{device}', time: 'ts' }, { shape: 'zigbee2mqtt' }] },
  });
  t.match((await setup()).stderr, /is there already\nSay --force/);
  writeFileSync(config, '# As installed: nobody wrote this\n');
  t.match((await setup()).stdout, /Written/, 'the file that a package brings may go');
  t.match((await run(process.execPath, [AGENT, 'setup', '--help'])).stdout, /--uplink/);

  const agent = new Program([AGENT, 'run', '--config', config], /ready/);
  t.teardown(() => agent.end('SIGTERM'));
  await agent.start();
  await until(async () => ((await askStatus(socketPath(data)))?.books.counted ?? 0) > 20);
  t.equal(
    (await askStatus(socketPath(data)))?.books.rejected['no-route'] ?? 0,
    0,
    'what is no reading is not asked for',
  );
});

t.test('a broker that is not there', async (t) => {
  const options = ['--yes', '--config', join(t.testdir(), 'x.yaml'), '--broker', 'mqtt://127.0.0.1:1'];
  const failed = run(process.execPath, [AGENT, 'setup', ...options]);
  await t.rejects(failed, { code: 1, stderr: /127\.0\.0\.1:1: nothing listens there/ });
});
