/**
 * The component of AWS IoT Greengrass: its recipe, and the artifact, started from the zip alone. The nucleus is a stand-in
 * (`nucleus.ts`) that Amazon's own client is at home with; scripts, environment and signals are as a nucleus has them (`component.ts`).
 */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Aedes } from 'aedes';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { componentConfig } from '../agent/greengrass/configuration.js';
import { NucleusConnection } from '../agent/greengrass/nucleus.js';
import { type AgentStatus, askStatus, socketPath } from '../agent/status.js';
import { COMPONENT, type Recipe, recipeSchema, recipeText } from '../greengrass/recipe.js';
import { zipDirectory } from '../packaging/zip.js';
import { decodeBatch } from '../shared/batch.js';
import { encodeReceipt } from '../shared/receipt.js';
import { parseUpTopic } from '../shared/topics.js';
import { VERSION } from '../shared/version.js';
import { until } from './cloud-rig.js';
import { build, Component, type Runtime } from './component.js';
import { Dice } from './dice.js';
import { ROOT } from './needs.js';
import { merged, Nucleus, type Published } from './nucleus.js';
import { freePort } from './rig.js';

t.setTimeout(180_000);

type Json = Record<string, unknown>;

const TEMPLATE = readFileSync(join(ROOT, 'greengrass/recipe.yaml'), 'utf8');
const ENV = { AWS_IOT_THING_NAME: 'core-1', GG_ROOT_CA_PATH: '/greengrass/v2/rootCA.pem' };
const built = build();
t.teardown(() => rmSync(built.out, { recursive: true }));
const defaults = built.recipe.ComponentConfiguration.DefaultConfiguration as Json;

t.test('the recipe holds to the rules of both nuclei', async (t) => {
  const text = recipeText(TEMPLATE, { version: '1.2.3', architectures: ['amd64', 'aarch64'] });
  const recipe = parse(text) as Recipe;
  t.equal(recipe.ComponentVersion, '1.2.3');
  t.notMatch(text, /ARCHITECTURE|: [&*]/);
  t.strictSame(
    recipe.Manifests.map(({ Platform }) => [Platform.architecture, Platform.runtime]),
    ['amd64', 'aarch64'].flatMap((one) => [
      [one, 'aws_nucleus_lite'],
      [one, undefined],
    ]),
  );
  t.equal(recipe.Manifests[0]!.Lifecycle.shutdown, undefined, 'Lite has no such step');
  const uri = (bucket?: string) =>
    (parse(recipeText(TEMPLATE, { version: '1.2.3', architectures: ['amd64'], bucket })) as Recipe).Manifests[0]!
      .Artifacts;
  t.equal(uri()[0]!.Uri, 's3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/edgetally-agent-linux-amd64.zip');
  t.equal(uri('ours')[0]!.Uri, 's3://ours/com.edgetally.Agent/1.2.3/edgetally-agent-linux-amd64.zip');
});

t.test('a misspelt recipe is refused', async (t) => {
  const slips: [string, string, string][] = [
    ['Lifecycle:', 'LifeCycle:', 'a key of a manifest'],
    ['Lifecycle:', 'lifecycle:', 'its case'],
    ['startup:', 'Startup:', 'a step'],
    ['startup:', 'start:', 'a step by another name'],
    ['Script:', 'script:', 'the script of a step'],
    ["Timeout: '300'", 'Timeout: 300', 'a number'],
    ['Unarchive: ZIP', 'Unarchive: zip', 'how it is packed'],
    ['Artifacts:', 'Artifact:', 'what is downloaded'],
    ['runtime: aws_nucleus_lite', 'runtime: aws_greengrass_lite', 'the runtime'],
    ['architecture: ARCHITECTURE', 'architecture: arm64', 'the architecture'],
    ['"{artifacts:path}/$name.zip"', '"{artifacts:path}/${name}.zip"', 'a brace of the shell'],
    ['edgetally/v1/+/up/batch', 'edgetally/v1/{iot:thingName}/up/batch', 'what Lite does not fill in'],
    ['aws.greengrass#PublishToIoTCore', 'aws.greengrass#PublishToIotCore', 'an operation'],
    ['ComponentType: aws.greengrass.generic', 'ComponentType: aws.greengrass.plugin', 'the type'],
  ];
  for (const [right, wrong, what] of slips) {
    t.ok(TEMPLATE.includes(right), right);
    const text = TEMPLATE.replaceAll(right, wrong);
    t.throws(() => recipeText(text, { version: '1.2.3', architectures: ['amd64'] }), what);
  }
  const { Manifests } = built.recipe;
  t.notOk(
    recipeSchema.safeParse({ ...built.recipe, Manifests: [Manifests[0], Manifests[0]] }).success,
    'no classic one',
  );
});

t.test('what the recipe names is in the artifact, and gdk finds both', async (t) => {
  for (const { Artifacts, Lifecycle } of built.recipe.Manifests) {
    t.equal(basename(Artifacts[0]!.Uri), basename(built.artifact));
    for (const step of [Lifecycle.install, Lifecycle.startup]) t.match(step.Script, basename(built.artifact, '.zip'));
  }
  t.match(built.artifact, `artifacts/${COMPONENT}/${VERSION}/edgetally-agent-linux-`);
  const gdk = JSON.parse(readFileSync(join(ROOT, 'greengrass/gdk-config.json'), 'utf8'));
  const { version, build } = gdk.component[COMPONENT];
  const scripts = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts;
  t.equal(version, VERSION);
  t.equal(build.build_system, 'custom');
  t.ok(scripts[build.custom_build_command.at(-1)], build.custom_build_command.join(' '));
});

t.test('a zip is the same whenever it is made', async (t) => {
  const dir = t.testdir({ from: { b: 'b'.repeat(1000), a: 'a' } });
  const make = async (name: string) => {
    await zipDirectory(join(dir, 'from'), join(dir, name), 6);
    return readFileSync(join(dir, name));
  };
  const first = await make('first.zip');
  utimesSync(join(dir, 'from/a'), 1_000_000_000, 1_000_000_000);
  t.ok(first.equals(await make('second.zip')));
  writeFileSync(join(dir, 'from/a'), 'c');
  t.notOk(first.equals(await make('third.zip')));
});

t.test('the defaults are a configuration of the agent, however numbers arrive', async (t) => {
  const numbers = (value: unknown, how: (number: number) => unknown): unknown => {
    if (Array.isArray(value)) return value.map((item) => numbers(item, how));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, numbers(item, how)]));
    }
    const isNumber = typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value));
    return isNumber ? how(Number(value)) : value;
  };
  const deployed = merged(defaults, { push: { maxInFlight: 7, maxPublishesPerSecond: '12.5' }, version: '1' });
  for (const how of [String, Number, (number: number) => number.toFixed(1)]) {
    const { parsed } = componentConfig(numbers(deployed, how), ENV);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    t.equal(parsed.value.gateway, 'core-1', 'the name of the thing');
    t.equal(parsed.value.push!.maxInFlight, 7);
  }
  t.ok(componentConfig(defaults, ENV).parsed.ok);
  t.notOk(componentConfig({ ...defaults, pusch: {} }, ENV).parsed.ok, 'an unknown key');
});

t.test('a connection of our own does not fight that of the nucleus', async (t) => {
  const config = (given: Json) => componentConfig(given, ENV).parsed;
  const aws = { url: 'mqtts://abc-ats.iot.eu-central-1.amazonaws.com:8883' };
  const other = { url: 'mqtts://broker.example:8883' };
  const own = config({ push: other });
  t.match(own, {
    ok: true,
    value: { gateway: 'core-1', push: { clientId: 'core-1-edgetally', ca: ENV.GG_ROOT_CA_PATH } },
  });
  t.match(config({ push: { ...other, ca: '/own.pem' } }), { ok: true, value: { push: { ca: '/own.pem' } } });
  t.match(
    config({ gateway: 'gw-7', push: aws }),
    { ok: true, value: { push: { clientId: undefined } } },
    'a thing of its own',
  );
  t.match(config({ push: aws }), { ok: false, problems: [{ key: 'gateway', got: /^core-1, .* nucleus/ }] });
  t.match(config({ push: { ...aws, clientId: 'core-1-b' } }), { ok: true }, 'who knows what they do');
  for (const push of [aws, other]) {
    const fight = config({ push: { ...push, clientId: 'core-1' } });
    t.match(fight, { ok: false, problems: [{ key: 'push.clientId', got: /nucleus/ }] });
  }
});

t.test('the stand-in speaks what the client of Amazon speaks', async (t) => {
  const nucleus = new Nucleus(join(mkdtempSync(join(tmpdir(), 'edgetally-ipc-')), 'gg-ipc.socket'), { a: { b: '60' } });
  await nucleus.start();
  t.teardown(() => nucleus.stop());
  Object.assign(process.env, nucleus.environment);
  const { createClient, model } = await import('aws-iot-device-sdk-v2/dist/greengrasscoreipc.js');
  const client = createClient();
  await client.connect();
  t.strictSame((await client.getConfiguration({ keyPath: [] })).value, { a: { b: '60' } });
  await client.updateState({ state: model.ReportedLifecycleState.RUNNING });
  t.strictSame(nucleus.states, ['RUNNING']);
  const stream = client.subscribeToIoTCore({ topicName: 'edgetally/v1/g/down/receipt', qos: model.QOS.AT_MOST_ONCE });
  const heard = once(stream, 'message');
  await stream.activate();
  nucleus.published = ({ payload }) => nucleus.deliver('edgetally/v1/g/down/receipt', payload);
  const payload = Buffer.from('batch');
  await client.publishToIoTCore({ topicName: 'edgetally/v1/g/up/batch', qos: model.QOS.AT_LEAST_ONCE, payload });
  const [{ message }] = (await heard) as [{ message: { payload: ArrayBuffer } }];
  t.equal(Buffer.from(message.payload).toString(), 'batch');
  nucleus.isOnline = false;
  await t.rejects(client.publishToIoTCore({ topicName: 'a', qos: model.QOS.AT_LEAST_ONCE, payload }));
  await client.close();
});

t.test('what is no message ends a connection to a nucleus, and nothing else', async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'edgetally-ipc-')), 'gg-ipc.socket');
  let answer = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(answer));
  }).listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const dice = new Dice(11, 0);
  const silent = join(path, '..', 'silent.socket');
  const deaf = createServer((socket) => socket.on('error', () => undefined)).listen(silent);
  await once(deaf, 'listening');
  t.teardown(() => deaf.close());
  const stop = new AbortController();
  const opening = NucleusConnection.open({ path: silent, token: 'x' }, stop.signal);
  const [waiting] = (await once(deaf, 'connection')) as [Socket];
  await once(waiting, 'data');
  stop.abort();
  await t.rejects(opening, { message: /^(?!.*no answer)/ }, 'who is stopped does not wait for an answer');
  const refused = { code: /link-/, message: /^the nucleus at connect: / };
  for (let i = 0; i < 300; i++) {
    answer = Buffer.from(Array.from({ length: dice.below(80) }, () => dice.below(256)));
    if (dice.chance(0.5) && answer.length > 4) answer.writeUInt32BE(answer.length);
    await NucleusConnection.open({ path, token: 'x' }, new AbortController().signal).then(
      () => t.fail('it was let in'),
      (error) => t.match(error, refused, answer.toString('hex')),
    );
  }
});

/** Behind a nucleus or a broker: what it has of each window, and receipts. */
class Cloud {
  readonly #windows = new Map<string, { revision: number; readings: number }>();
  answers = true;
  statuses = 0;
  largest = 0;

  get readings(): number {
    return [...this.#windows.values()].reduce((sum, { readings }) => sum + readings, 0);
  }

  /** A receipt to send, and where to. */
  take({ topic, payload }: Pick<Published, 'topic' | 'payload'>): { topic: string; payload: Uint8Array } | undefined {
    const { gateway, kind } = parseUpTopic(topic)!;
    this.largest = Math.max(this.largest, payload.length);
    if (kind === 'status') this.statuses++;
    if (kind !== 'batch' || !this.answers) return undefined;
    const decoded = decodeBatch(payload);
    if (!decoded.ok) throw new Error(decoded.detail);
    const { epoch, session, sequence, windows } = decoded.batch;
    for (const { device, group, startMs, lengthMs, revision, readings, ...rest } of windows) {
      const key = JSON.stringify([epoch, group, device, startMs, lengthMs, 'part' in rest ? rest.part : 0]);
      if (revision > (this.#windows.get(key)?.revision ?? 0)) this.#windows.set(key, { revision, readings });
    }
    const committed = [{ session, sequences: [sequence] }];
    const receipt = encodeReceipt({ epoch, committed, rejected: [], timeMs: Date.now() });
    return { topic: `edgetally/v1/${gateway}/down/receipt`, payload: receipt };
  }
}

interface Stage {
  readonly root: string;
  readonly nucleus: Nucleus;
  readonly component: Component;
  readonly cloud: Cloud;
  readonly sensorPort: number;
}

const ROUTES = [{ topic: 'sensors/{group}/{device}', window: '1s', lateness: '0s' }];

/** A core device with the component installed, not started. `merge`: of the deployment. */
async function stage(t: Test, runtime: Runtime, merge: Json = {}): Promise<Stage> {
  const root = mkdtempSync(join(tmpdir(), 'edgetally-core-'));
  const sensorPort = await freePort();
  const accept = { sources: [{ type: 'broker', listeners: [{ listen: `127.0.0.1:${sensorPort}` }] }], routes: ROUTES };
  const push = { drainJitter: '0', minBackoff: '10', maxBackoff: '50', receiptTimeout: '1s', statusInterval: '50ms' };
  const configuration = merged(merged(defaults, { accept, push }), merge);
  const nucleus = new Nucleus(join(root, 'gg-ipc.socket'), configuration);
  const cloud = new Cloud();
  nucleus.published = (message) => {
    const answer = cloud.take(message);
    if (answer !== undefined) nucleus.deliver(answer.topic, answer.payload);
  };
  await nucleus.start();
  const component = new Component(root, built, runtime, nucleus);
  t.teardown(async () => {
    await component.killed();
    await nucleus.stop();
    rmSync(root, { recursive: true, force: true });
  });
  if (runtime === 'classic') component.unpack();
  await component.step('install');
  return { root, nucleus, component, cloud, sensorPort };
}

async function sensor(t: Test, port: number, clientId = 'sensor'): Promise<MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 50, clientId, clean: false });
  client.on('error', () => undefined);
  t.teardown(() => client.endAsync(true));
  return client;
}

let timeMs = Date.now() - 3_600_000;
const reading = () => JSON.stringify({ id: `r${++timeMs}`, temp: 20 + (timeMs % 10) });

async function status({ component }: Stage): Promise<AgentStatus> {
  return (await askStatus(socketPath(join(component.work, 'data'))))!;
}

/** Waits through a restart of the agent. */
async function renamed({ component }: Stage): Promise<void> {
  const path = socketPath(join(component.work, 'data'));
  const isRenamed = async () => (await askStatus(path).catch(() => undefined))?.gateway === 'renamed';
  await until(isRenamed, () => component.output.slice(-20).join('\n'));
}

t.test('it starts from the zip alone, and at SIGTERM all that was acknowledged is on disk', async (t) => {
  for (const runtime of ['lite', 'classic'] as const) {
    const on = await stage(t, runtime, { logLevel: 'debug' });
    const { component, nucleus, sensorPort } = on;
    await component.step('install'); // a nucleus does it again when it starts
    nucleus.isOnline = false; // nothing leaves: what is counted is in the database
    await component.start();
    t.strictSame(nucleus.states, ['RUNNING'], 'the deployment has succeeded');
    t.equal((await status(on)).gateway, 'core-1');
    const client = await sensor(t, sensorPort);
    let acknowledged = 0;
    let sent = 0;
    const publish = () => {
      sent++;
      client.publish('sensors/north/s1', reading(), { qos: 1 }, (error) => {
        if (!error) acknowledged++;
      });
    };
    for (let i = 0; i < 200; i++) publish();
    await until(() => acknowledged >= 100);
    for (let i = 0; i < 200; i++) publish();
    t.equal(await component.stop(), 0, `${runtime}: it ends by itself, and in time`);
    const atTheEnd = acknowledged;
    await client.endAsync(true);
    t.ok(existsSync(join(component.work, 'data/edgetally.db')), 'in its working directory');
    await component.start();
    const { counted } = (await status(on)).books;
    t.ok(
      counted >= atTheEnd && counted <= sent,
      `${runtime}: ${atTheEnd} acknowledged, ${counted} counted, ${sent} sent`,
    );
    t.ok(atTheEnd >= 100);
    t.equal(await component.stop(), 0);
  }
});

t.test('the shutdown step of the classic nucleus waits for the end of the agent, and kills nobody else', async (t) => {
  const { component } = await stage(t, 'classic');
  await component.start();
  const pid = component.pid!;
  await component.step('shutdown');
  t.throws(() => process.kill(pid, 0), 'it is gone');
  await component.step('shutdown');
  writeFileSync(join(component.work, 'agent.pid'), String(process.pid)); // of somebody else by now
  await component.step('shutdown');
});

t.test('by the nucleus: a hundred outages, and nothing is lost', async (t) => {
  const on = await stage(t, 'lite');
  const { component, nucleus, cloud, sensorPort } = on;
  await component.start();
  const { pid } = component;
  const client = await sensor(t, sensorPort);
  let sent = 0;
  for (let outage = 0; outage < 100; outage++) {
    await client.publishAsync('sensors/north/s1', reading(), { qos: 1 });
    sent++;
    const { failures } = (await status(on)).push!.link;
    nucleus.isOnline = false;
    if (outage % 4 === 0) nucleus.drop();
    await until(async () => (await status(on)).push!.link.failures > failures);
    const { statuses } = cloud;
    nucleus.isOnline = true;
    await until(() => cloud.statuses > statuses);
  }
  nucleus.isOnline = false; // more than one message takes
  const devices = Array.from({ length: 2000 }, (_, i) => `sensors/north/m${i}`);
  await Promise.all(devices.map((topic) => client.publishAsync(topic, reading(), { qos: 1 })));
  sent += devices.length;
  await until(async () => (await status(on)).openWindows === 0);
  nucleus.isOnline = true;
  await until(
    () => cloud.readings === sent,
    () => component.output.slice(-20).join('\n'),
  );
  await until(async () => (await status(on)).backlog.windows === 0);
  t.equal(component.pid, pid, 'it never ended');
  t.ok(cloud.largest > 2_000 && cloud.largest <= 4_500, `no message above 4.5 KB: ${cloud.largest}`);
  t.equal(await component.stop(), 0);
});

/** A broker that can be cut off. */
async function broker(t: Test, cloud: Cloud) {
  const aedes = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  const clients: string[] = [];
  aedes.on('client', ({ id }) => clients.push(id));
  aedes.on('publish', ({ topic, payload }) => {
    if (parseUpTopic(topic) === undefined) return;
    const answer = cloud.take({ topic, payload: payload as Buffer });
    if (answer === undefined) return;
    const packet = { cmd: 'publish', qos: 0, retain: false, dup: false, topic: answer.topic } as const;
    aedes.publish({ ...packet, payload: Buffer.from(answer.payload) }, () => undefined);
  });
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    aedes.handle(socket, undefined as never);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(async () => {
    cut();
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, clients, cut };
}

t.test('by a connection of its own: a hundred outages, and nothing is lost', async (t) => {
  const cloud = new Cloud();
  const { port, clients, cut } = await broker(t, cloud);
  const on = await stage(t, 'classic', { push: { url: `mqtt://127.0.0.1:${port}` } });
  const { component, nucleus, sensorPort } = on;
  await component.start();
  const { pid } = component;
  const client = await sensor(t, sensorPort);
  for (let outage = 1; outage <= 100; outage++) {
    await client.publishAsync('sensors/north/s1', reading(), { qos: 1 });
    await until(() => clients.length === outage);
    cut();
  }
  await until(
    () => cloud.readings === 100,
    () => component.output.slice(-20).join('\n'),
  );
  t.strictSame([...new Set(clients)], ['core-1-edgetally'], 'not the client id of the nucleus');
  t.equal(component.pid, pid, 'it never ended');
  t.strictSame(nucleus.states, ['RUNNING']);
  t.equal(await component.stop(), 0);
});

t.test('a deployment changes the configuration while the agent runs', async (t) => {
  const on = await stage(t, 'classic');
  const { component, nucleus, cloud, sensorPort } = on;
  nucleus.asks = true;
  nucleus.isOnline = false;
  await component.start();
  const { pid } = component;
  const client = await sensor(t, sensorPort);
  for (let i = 0; i < 50; i++) await client.publishAsync('sensors/north/s1', reading(), { qos: 1 });

  nucleus.ask({ accept: { routes: [{ topic: 'sensors/{group', window: '1s' }] } });
  await until(() => nucleus.verdicts.length === 1);
  t.match(nucleus.verdicts[0], { status: 'REJECTED', deploymentId: 'deployment-1', message: /accept\.routes/ });
  nucleus.ask({ logLevel: 'debug' });
  await until(() => nucleus.verdicts.length === 2);
  t.match(nucleus.verdicts[1], { status: 'ACCEPTED' });

  nucleus.deploy({ logLevel: 'chatty' }); // all the same
  await until(() => component.output.some((line) => line.includes('going on with the configuration before')));
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const occupied = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
  nucleus.deploy({ logLevel: 'info', accept: { sources: [{ type: 'broker', listeners: [{ listen: occupied }] }] } });
  await until(() => component.output.some((line) => line.includes(`cannot listen on ${occupied}`)));
  taken.close();
  await client.publishAsync('sensors/north/s1', reading(), { qos: 1 });

  const port = await freePort();
  const listener = { listen: `127.0.0.1:${port}` };
  nucleus.deploy({ gateway: 'renamed', accept: { sources: [{ type: 'broker', listeners: [listener] }] } });
  await renamed(on);
  const other = await sensor(t, port, 'other');
  await other.publishAsync('sensors/north/s1', reading(), { qos: 1 });
  nucleus.isOnline = true;
  await until(
    () => cloud.readings === 52,
    () => component.output.slice(-20).join('\n'),
  );
  t.equal(component.pid, pid, 'in the same process');
  t.match(await component.command('status'), /renamed/, 'what an operator asks finds the configuration that counts');
  t.equal(await component.stop(), 0);
});

t.test('a first configuration that is wrong ends it, and says why', async (t) => {
  const { component } = await stage(t, 'lite', { push: { url: 'greengras:' } });
  await t.rejects(component.start(), /ended with 78\n.*configuration of the component: push\.url: got "greengras:"/s);
});

t.test('a nucleus that restarts is found again, with what changed meanwhile', async (t) => {
  const on = await stage(t, 'lite');
  const { component, nucleus } = on;
  await component.start();
  await nucleus.stop();
  nucleus.configuration = merged(nucleus.configuration, { gateway: 'renamed' });
  await nucleus.start();
  await renamed(on);
  t.equal(await component.stop(), 0);
});
