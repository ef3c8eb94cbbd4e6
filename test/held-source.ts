/** A process to be killed: reads from a broker, says what it got, and never commits. `node held-source.js URL CLIENT_ID` */
import { pino } from 'pino';
import { MqttSource } from '../agent/accept/mqtt-client.js';
import { mqttSourceSchema } from '../agent/accept/source-options.js';
import { systemClocks } from '../agent/time/clock.js';

const [url, clientId] = process.argv.slice(2);
const source = new MqttSource(mqttSourceSchema.parse({ type: 'mqtt', url, clientId }), {
  accept: (message) => process.stdout.write(`${Buffer.from(message.payload)}\n`),
  gateway: 'gw',
  number: 1,
  filters: ['t/#'],
  clock: systemClocks(),
  log: pino({ level: 'silent' }),
});
await source.start();
