import t from 'tap';
import { type Heard, proposeRoutes } from './propose.js';

function heard(topic: string, payload: unknown): Heard {
  return { topic, payload: Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)) };
}

const routes = (messages: readonly Heard[]) => proposeRoutes(messages).map(({ route }) => route);

t.test('kinds of devices that are known, beside what they say of themselves', async (t) => {
  const messages = [
    heard('zigbee2mqtt/bridge/state', { state: 'online' }),
    heard('zigbee2mqtt/kitchen', { temperature: 21.5, humidity: 48, linkquality: 90 }),
    heard('zigbee2mqtt/cellar', { temperature: 12, battery: 80 }),
    heard('tele/plug-1/SENSOR', { Time: '2026-11-21T08:00:00', ENERGY: { Power: 12 } }),
    heard('tele/plug-1/LWT', 'Online'),
    heard('$SYS/broker/uptime', '12 seconds'),
  ];
  t.strictSame(routes(messages), [{ shape: 'zigbee2mqtt' }, { shape: 'tasmota' }]);
  t.match(proposeRoutes(messages)[0], {
    messages: 2,
    readings: 2,
    devices: 2,
    metrics: ['battery', 'humidity', 'linkquality', 'temperature'],
  });
});

t.test('JSON: device, group and time by the names of fields, or by the levels of the topic that differ', async (t) => {
  t.strictSame(
    routes([
      heard('traffic/north', { sensor_id: 'S1', zone_id: 'north', timestamp: '2026-11-21T08:15:00Z', speed: 35.5 }),
      heard('traffic/south', { sensor_id: 'S2', zone_id: 'south', timestamp: '2026-11-21T08:15:00Z', speed: 31 }),
    ]),
    [{ topic: 'traffic/+', device: 'sensor_id', group: 'zone_id', time: 'timestamp' }],
  );
  t.strictSame(
    routes([
      heard('plant/hall-1/press/telemetry', { temp: 40, ts: 1795248000 }),
      heard('plant/hall-2/oven/telemetry', { temp: 200, ts: 1795248000 }),
    ]),
    [{ topic: 'plant/{group}/{device}/telemetry', time: 'ts' }],
  );
  t.strictSame(routes([heard('garden', { moisture: 3 })]), [{ topic: '{device}' }], 'one topic alone is a device');
});

t.test('bare numbers are named by their topics', async (t) => {
  t.strictSame(
    routes([
      heard('home/kitchen/window/temperature', '18.25'),
      heard('home/cellar/door/temperature', '12'),
      heard('home/cellar/door/humidity', '70'),
    ]),
    [{ shape: 'number', topic: 'home/{group}/{device}/{metric}' }],
  );
  const [alone] = proposeRoutes([heard('rain', '3.5')]);
  t.match(alone, { readings: 1, devices: 1, metrics: ['value'] });
});

t.test('what gives no readings is not proposed', async (t) => {
  t.strictSame(routes([heard('chat/a', 'hello'), heard('chat/b', '{"text": "hi"}'), heard('x', '[1]')]), []);
  t.strictSame(routes([]), []);
});
