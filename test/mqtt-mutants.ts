/** MQTT that is almost right: packets of every kind, both directions, and what can go wrong with their bytes. */
import { generate, type Packet } from 'mqtt-packet';
import type { Dice } from './dice.js';

export type MqttVersion = 4 | 5;

const TOPICS = [
  'fuzz/a',
  'fuzz/b/c',
  'fuzz/é',
  '/',
  'fuzz//',
  '$SYS/x',
  '$share/g/fuzz/a',
  `fuzz/${'x'.repeat(300)}`,
  'a/b/c/d/e/f/g/h/i/j',
];
const FILTERS = [...TOPICS, '#', '+/+', '$SYS/#', 'fuzz/#', '+'];
const QOS = [0, 1, 2] as const;

/** Valid; of any kind, also of those that only the other side may send. */
export function anyPacket(dice: Dice, protocolVersion: MqttVersion): Buffer {
  return generate(packetOf(dice, protocolVersion), { protocolVersion });
}

export function connectBytes(dice: Dice, protocolVersion: MqttVersion, keepalive = dice.below(4)): Buffer {
  return generate(connectOf(dice, protocolVersion, keepalive), { protocolVersion });
}

function packetOf(dice: Dice, version: MqttVersion): Packet {
  const messageId = 1 + dice.below(3);
  const topic = dice.pick(TOPICS);
  const qos = dice.pick(QOS);
  const makers: (() => Packet)[] = [
    () => connectOf(dice, version, dice.below(4)),
    () => ({ cmd: 'connack', sessionPresent: dice.chance(0.5), ...code(version, dice.below(6)) }),
    ...Array.from({ length: 5 }, () => () => publishOf(dice, topic, messageId)),
    () => ({ cmd: 'puback', messageId }),
    () => ({ cmd: 'pubrec', messageId }),
    () => ({ cmd: 'pubrel', messageId }),
    () => ({ cmd: 'pubcomp', messageId }),
    () => ({ cmd: 'subscribe', messageId, subscriptions: [{ topic: dice.pick(FILTERS), qos }] }),
    () => ({ cmd: 'suback', messageId, granted: [dice.pick([0, 1, 2, 128])] }),
    () => ({ cmd: 'unsubscribe', messageId, unsubscriptions: [dice.pick(FILTERS)] }),
    () => ({ cmd: 'unsuback', messageId, granted: version === 5 ? [0] : [] }),
    () => ({ cmd: 'pingreq' }),
    () => ({ cmd: 'pingresp' }),
    () => ({ cmd: 'disconnect', ...(version === 5 && { reasonCode: dice.pick([0, 131, 151]) }) }),
    ...(version === 5 ? [(): Packet => ({ cmd: 'auth', reasonCode: dice.pick([0, 24, 25]) })] : []),
  ];
  return dice.pick(makers)();
}

function publishOf(dice: Dice, topic: string, messageId: number): Packet {
  const qos = dice.pick(QOS);
  const payload = Buffer.alloc(dice.pick([0, 1, 30, 30, 4000]), dice.below(256));
  return { cmd: 'publish', topic, payload, qos, dup: qos > 0 && dice.chance(0.2), retain: dice.chance(0.1), messageId };
}

function connectOf(dice: Dice, version: MqttVersion, keepalive: number): Packet {
  const clientId = `fuzz-${dice.below(30)}`;
  const will = { topic: 'fuzz/will', payload: Buffer.from('gone'), qos: dice.pick(QOS), retain: dice.chance(0.1) };
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clean: dice.chance(0.7),
    clientId,
    keepalive,
    ...(dice.chance(0.3) && { will }),
    ...(dice.chance(0.2) && { username: 'u', password: Buffer.from('p') }),
  };
}

function code(version: MqttVersion, value: number) {
  return version === 5 ? { reasonCode: value === 0 ? 0 : 128 + value } : { returnCode: value };
}

type Mutation = (bytes: Buffer, dice: Dice) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  (bytes, dice) => flipped(bytes, dice, 1),
  (bytes, dice) => flipped(bytes, dice, 1 + dice.below(16)),
  (bytes, dice) => bytes.subarray(0, dice.below(bytes.length)),
  (bytes, dice) => withLength(bytes, Buffer.from([dice.below(128)])),
  (bytes) => withLength(bytes, Buffer.from([0xff, 0xff, 0xff, 0x7f])),
  (bytes) => withLength(bytes, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])),
  (bytes, dice) => withLength(bytes, Buffer.from([0x80 | dice.below(128), 0x80, 0x80, dice.below(4)])),
  (bytes, dice) =>
    Buffer.concat([bytes, Buffer.from(Array.from({ length: 1 + dice.below(40) }, () => dice.below(256)))]),
  (bytes, dice) => Buffer.concat([bytes.subarray(dice.below(bytes.length)), bytes]),
  (bytes, dice) => {
    const at = dice.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + dice.below(3)), bytes.subarray(at)]);
  },
];

/** Something is wrong with it. */
export function mutant(dice: Dice, bytes: Buffer): Buffer {
  return dice.pick(MUTATIONS)(bytes, dice);
}

export function flipped(bytes: Buffer, dice: Dice, bits: number): Buffer {
  const copy = Buffer.from(bytes);
  for (let i = 0; i < bits && copy.length > 0; i++) copy[dice.below(copy.length)]! ^= 1 << dice.below(8);
  return copy;
}

/** Another remaining length (MQTT 3.1.1 §2.2.3) than the packet has. */
function withLength(bytes: Buffer, length: Buffer): Buffer {
  let end = 1;
  while (end < Math.min(bytes.length, 5) && bytes[end]! >= 0x80) end++;
  return Buffer.concat([bytes.subarray(0, 1), length, bytes.subarray(end + 1)]);
}
