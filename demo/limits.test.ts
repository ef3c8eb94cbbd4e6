import fc from 'fast-check';
import t from 'tap';
import { type Frame, FrameSplitter, PACKET, readConnect, readPublish, readSubscribeQos } from './frames.js';
import { ConnectionLimits, ConnectRate, IOT_CORE_LIMITS } from './limits.js';
import { permissionsOf } from './policy.js';

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function packet(type: number, flags: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const header = [(type << 4) | flags];
  let length = body.length;
  do {
    header.push((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    length >>= 7;
  } while (length > 0);
  return Buffer.concat([Buffer.from(header), body]);
}

function id(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function publish(topic: string, payloadBytes: number, packetId = 0): Buffer {
  const parts = packetId > 0 ? [text(topic), id(packetId)] : [text(topic)];
  return packet(PACKET.publish, packetId > 0 ? 2 : 0, ...parts, Buffer.alloc(payloadBytes));
}

function connect(clientId: string, level = 4): Buffer {
  const properties = level === 5 ? Buffer.from([3, 0x21, 0, 9]) : Buffer.alloc(0);
  return packet(PACKET.connect, 0, text('MQTT'), Buffer.from([level, 2, 0, 30]), properties, text(clientId));
}

function frameOf(bytes: Buffer): Frame {
  const [frame] = new FrameSplitter(1e6).push(bytes);
  if (frame === undefined) throw new Error('not a whole packet');
  return frame;
}

function connection(changes: Partial<typeof IOT_CORE_LIMITS> = {}): ConnectionLimits {
  return new ConnectionLimits({ ...IOT_CORE_LIMITS, ...changes }, new ConnectRate(1000));
}

t.test('packets come out whole, wherever the stream was cut', async (t) => {
  const sizes = fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 6 });
  const cuts = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(sizes, cuts, (sizes, cuts) => {
      const packets = sizes.map((size, index) => publish('a/b', size, index + 1));
      const stream = Buffer.concat(packets);
      const splitter = new FrameSplitter(1e6);
      const found: Buffer[] = [];
      for (let start = 0, cut = 0; start < stream.length; cut++) {
        const end = start + (cuts[cut % cuts.length] ?? 1);
        found.push(...splitter.push(stream.subarray(start, end)).map((frame) => Buffer.from(frame.bytes)));
        start = end;
      }
      return found.length === packets.length && found.every((bytes, index) => bytes.equals(packets[index] ?? stream));
    }),
  );
  const large = new FrameSplitter(100);
  t.same(large.push(publish('a', 200)), []);
  t.equal(large.broken, 'too-large');
  const broken = new FrameSplitter(100);
  t.same(broken.push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 1])), []);
  t.equal(broken.broken, 'malformed');
  t.same(broken.push(publish('a', 1)), []);
});

t.test('fields are read, and bytes that are no packet are not', async (t) => {
  t.same(readPublish(frameOf(publish('zone/ä', 5, 300))), {
    topic: 'zone/ä',
    topicBytes: 7,
    qos: 1,
    packetId: 300,
    payloadBytes: 5,
  });
  t.same(readConnect(frameOf(connect('pi-1'))), { level: 4, clientId: 'pi-1' });
  t.same(readConnect(frameOf(connect('pi-1', 5))), { level: 5, clientId: 'pi-1' });
  const subscribe = packet(PACKET.subscribe, 2, id(1), text('a/#'), Buffer.from([1]), text('b'), Buffer.from([2]));
  t.same(readSubscribeQos(frameOf(subscribe)), [1, 2]);
  const anyBytes = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(anyBytes, fc.nat(15), fc.nat(15), (bytes, type, flags) => {
      const frame = frameOf(packet(type, flags, Buffer.from(bytes)));
      const limits = connection();
      limits.judgeIn(frame, 0);
      limits.judgeOut(frame, 0);
    }),
  );
});

t.test('what is too large or goes nowhere ends the connection', async (t) => {
  const judge = (bytes: Buffer): unknown => connection().judgeIn(frameOf(bytes), 0);
  t.same(judge(publish('a/b', 128 * 1024)), { action: 'pass' });
  t.same(judge(publish('a/b', 128 * 1024 + 1)), { action: 'close', refusal: 'payload-too-large' });
  t.same(judge(publish('a'.repeat(256), 1)), { action: 'pass' });
  t.same(judge(publish('a'.repeat(257), 1)), { action: 'close', refusal: 'topic-too-long' });
  t.same(judge(publish('a/b/c/d/e/f/g/h', 1)), { action: 'pass' });
  t.same(judge(publish('a/b/c/d/e/f/g/h/i', 1)), { action: 'close', refusal: 'topic-too-deep' });
});

t.test('over 100 publishes a second, both directions counted, are discarded', async (t) => {
  const limits = connection();
  const bytes = frameOf(publish('a', 1));
  for (let sent = 0; sent < 60; sent++) t.same(limits.judgeIn(bytes, sent), { action: 'pass' });
  for (let sent = 0; sent < 40; sent++) t.same(limits.judgeOut(bytes, 60 + sent), { action: 'pass' });
  t.same(limits.judgeIn(bytes, 500), { action: 'discard', refusal: 'publish-rate' });
  t.same(limits.judgeOut(bytes, 999), { action: 'discard', refusal: 'publish-rate' });
  t.same(limits.judgeIn(bytes, 1000), { action: 'pass' }, 'a second after the first one');
  t.same(limits.judgeIn(bytes, 1000), { action: 'discard', refusal: 'publish-rate' });
  t.same(connection().judgeIn(bytes, 500), { action: 'pass' }, 'another connection has its own');
});

t.test('100 packets in flight, each direction, until their PUBACKs', async (t) => {
  for (const direction of ['in', 'out'] as const) {
    const limits = connection({ publishesPerSecond: 1000 });
    const judge = direction === 'in' ? limits.judgeIn.bind(limits) : limits.judgeOut.bind(limits);
    const answer = direction === 'in' ? limits.judgeOut.bind(limits) : limits.judgeIn.bind(limits);
    for (let sent = 1; sent <= 100; sent++) judge(frameOf(publish('a', 1, sent)), 0);
    t.same(judge(frameOf(publish('a', 1, 101)), 0), { action: 'discard', refusal: `in-flight-${direction}` });
    t.same(judge(frameOf(publish('a', 1, 7)), 0), { action: 'pass' }, 'the same packet again');
    t.same(judge(frameOf(publish('a', 1)), 0), { action: 'pass' }, 'QoS 0 is not in flight');
    answer(frameOf(packet(PACKET.puback, 0, id(7))), 0);
    t.same(judge(frameOf(publish('a', 1, 101)), 0), { action: 'pass' });
  }
});

t.test('QoS 2 gets no answer, MQTT 5 gets the broker’s, a hasty CONNECT is closed', async (t) => {
  const limits = connection();
  const qos2 = packet(PACKET.publish, 4, text('a'), id(1));
  t.same(limits.judgeIn(frameOf(qos2), 0), { action: 'discard', refusal: 'qos-2' });
  const subscribe = packet(PACKET.subscribe, 2, id(1), text('a'), Buffer.from([2]));
  t.same(limits.judgeIn(frameOf(subscribe), 0), { action: 'discard', refusal: 'qos-2' });
  t.same(limits.judgeIn(frameOf(connect('pi', 5)), 0), { action: 'pass', refusal: 'protocol-version' });
  t.same(limits.judgeIn(frameOf(connect('pi')), 10), { action: 'pass' });
  t.same(limits.judgeIn(frameOf(connect('pi')), 1000), { action: 'close', refusal: 'connect-rate' });
  t.same(limits.judgeIn(frameOf(connect('other')), 1000), { action: 'pass' });
  t.same(limits.judgeIn(frameOf(connect('pi')), 1010), { action: 'pass' });
});

t.test('policies', async (t) => {
  for (const [name, clientId, allowed] of [
    ['pi-1', 'pi-1', true],
    ['pi-1', 'pi-1:push', false],
    ['cloud', 'cloud-2', true],
    ['cloud', 'clouds', false],
    ['pi-1', 'pi-10', false],
    ['pi-1', 'pi-2', false],
    ['pi-1', '', false],
    ['', '', false],
  ] as const) {
    t.equal(permissionsOf(name).mayConnect(clientId), allowed, `${name} as ${clientId}`);
  }
  for (const [name, topic, isRetained, allowed] of [
    ['pi-1', 'edgetally/v1/pi-1/up/batch', false, true],
    ['pi-1', 'edgetally/v1/pi-1/up/batch', true, false],
    ['pi-1', 'edgetally/v1/pi-1/up/status', true, true],
    ['pi-1', 'edgetally/v1/pi-2/up/batch', false, false],
    ['pi-1', 'edgetally/v1/pi-1/down/receipt', false, false],
    ['pi-1', 'edgetally/v1/pi-1/up/batch/more', false, false],
    ['pi-1', 'elsewhere', false, false],
    ['cloud', 'edgetally/v1/pi-1/down/receipt', false, true],
    ['cloud', 'edgetally/v1/pi-1/up/batch', false, false],
  ] as const) {
    t.equal(permissionsOf(name).mayPublish(topic, isRetained), allowed, `${name} to ${topic}`);
  }
  for (const [name, filter, allowed] of [
    ['pi-1', 'edgetally/v1/pi-1/down/receipt', true],
    ['pi-1', 'edgetally/v1/pi-1/down/#', true],
    ['pi-1', 'edgetally/v1/+/down/receipt', false],
    ['pi-1', 'edgetally/v1/pi-2/down/receipt', false],
    ['pi-1', 'edgetally/v1/pi-1/up/batch', false],
    ['pi-1', '#', false],
    ['cloud', 'edgetally/v1/+/up/+', true],
    ['cloud', 'edgetally/v1/pi-1/up/batch', true],
    ['cloud', 'edgetally/v1/+/down/receipt', false],
    ['cloud', 'edgetally/#', false],
  ] as const) {
    t.equal(permissionsOf(name).maySubscribe(filter), allowed, `${name} from ${filter}`);
  }
});
