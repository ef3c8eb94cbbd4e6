import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { parseConfig } from '../shared/config.js';
import { cloudSchema, ENV_PREFIX, readConfig } from './config.js';

const EXAMPLE = fileURLToPath(new URL('../../cloud/edgetally-cloud.example.yaml', import.meta.url));

test('the example is a configuration, and what is commented out in it is the default', (t) => {
  const text = readFileSync(EXAMPLE, 'utf8');
  const plain = parseConfig(cloudSchema, text, {}, ENV_PREFIX);
  t.ok(plain.ok, JSON.stringify(plain));
  // `# key: value` lines; prose has no colon after its first word.
  const given = text.replace(/^( *)# ([a-zA-Z]+: \S+)$/gm, '$1$2');
  t.not(given, text);
  const full = parseConfig(cloudSchema, given, {}, ENV_PREFIX);
  t.ok(full.ok, JSON.stringify(full));
  if (!plain.ok || !full.ok) return t.end();
  const { username, password, shareGroup, ...mqtt } = full.value.mqtt;
  t.same([username, password, shareGroup], ['cloud', 'secret', 'edgetally'], 'which have no default');
  t.same({ ...full.value, mqtt }, plain.value);
  t.same(Object.keys(cloudSchema.shape).sort(), Object.keys(full.value).sort(), 'every key is in the example');
  const keys = Object.keys(cloudSchema.shape.mqtt.shape).filter((key) => !new RegExp(`\\b${key}:`).test(text));
  t.same(keys, []);
  t.end();
});

test('a configuration with faults is refused with all of them, and the environment wins', (t) => {
  const dir = t.testdir({});
  const path = `${dir}/cloud.yaml`;
  writeFileSync(path, 'mqtt:\n  url: http://x\n  clientID: a\ndatabase: x.db\n');
  const env = { EDGETALLY_CLOUD_RECEIPT_DELAY: 'soon', EDGETALLY_CLOUD_CONFIG: path };
  t.throws(() => readConfig(path, env), { code: 'config-invalid', message: /2:8.*mqtts:(.|\n)*3:3(.|\n)*clientId/ });
  t.throws(() => readConfig(path, env), { message: /EDGETALLY_CLOUD_RECEIPT_DELAY/ });
  t.throws(() => readConfig(`${dir}/none.yaml`, {}), { code: 'config-unreadable' });
  writeFileSync(path, 'mqtt:\n  url: mqtt://x\n  protocol: 5\n');
  const config = readConfig(path, { EDGETALLY_CLOUD_MQTT_PASSWORD: 'x', EDGETALLY_CLOUD_RECEIPT_DELAY: '1s' });
  t.match(config, { mqtt: { protocol: '5', password: 'x', clientId: 'edgetally-cloud' }, receiptDelay: 1000 });
  t.end();
});
