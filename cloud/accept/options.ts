/** Options of the connection to the broker. */
import { z } from 'zod';
import { duration } from '../../shared/config.js';

export const mqttSchema = z.strictObject({
  url: z
    .string()
    .regex(/^(mqtt|mqtts):\/\/.+/, 'expected mqtt://host[:port] or mqtts://host[:port]')
    .describe('The broker that the gateways send to, such as mqtts://broker.example:8883.'),
  ca: z.string().optional().describe('PEM file of the CA that signed the broker’s certificate.'),
  cert: z.string().optional().describe('PEM file of the certificate of the cloud side.'),
  key: z.string().optional().describe('PEM file of the private key of that certificate.'),
  username: z.string().optional().describe('User name, for brokers without client certificates.'),
  password: z.string().optional().describe('Password; better set by EDGETALLY_CLOUD_MQTT_PASSWORD.'),
  clientId: z
    .string()
    .min(1)
    .max(128)
    .default('edgetally-cloud')
    .describe(
      'MQTT client id. The broker keeps batches under it while this program is away: give each process its own.',
    ),
  protocol: z
    .enum(['auto', '5', '3.1.1'])
    .default('auto')
    .describe('MQTT version; auto begins with 5 and goes on with 3.1.1 where the broker does not have it.'),
  shareGroup: z
    .string()
    .regex(/^[^/+#]+$/, 'expected a name without /, + and #')
    .optional()
    .describe(
      'Share the batches with other processes that name this group ($share). Needs MQTT 5, or protocol: 3.1.1 written here ' +
        'and a broker that has it all the same (Mosquitto, IoT Core); else every process gets every batch, which does no harm.',
    ),
  sessionExpiry: duration
    .default(86_400_000)
    .describe('How long the broker keeps batches while this program is away (MQTT 5; the broker may grant less).'),
  connectTimeout: duration.default(20_000).describe('A connection that is not up by then is given up and tried again.'),
  minBackoff: duration.default(1_000).describe('Shortest wait between connection attempts.'),
  maxBackoff: duration.default(60_000).describe('Last ceiling of the random wait between connection attempts.'),
});

export type MqttOptions = z.infer<typeof mqttSchema>;
