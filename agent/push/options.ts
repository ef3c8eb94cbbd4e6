/** Options of the uplink: where batches go, as whom, and how fast at most. Defaults stay inside IoT Core's limits. */
import { z } from 'zod';
import { byteSize, duration } from '../../shared/config.js';

const fallbackSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether batches go by HTTPS while MQTT does not get through.'),
  url: z
    .string()
    .regex(/^https:\/\/[^/]+\/?$/, 'expected https://host[:port]')
    .optional()
    .describe(
      'Where batches are posted, at /topics/<topic>, with the certificate of `push`. On an AWS IoT endpoint it is the same host ' +
        'by itself, port 443; elsewhere there is no fallback without it.',
    ),
  alpn: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe('Protocol to ask for in its TLS handshake; x-amzn-http-ca by itself on port 443 of an AWS IoT endpoint.'),
  after: duration
    .default(120_000)
    .describe('MQTT has not been up for this long, and failed three times: then HTTPS is tried.'),
  retry: duration
    .default(600_000)
    .describe('Longest wait between two attempts with MQTT while HTTPS works. As soon as MQTT is up, HTTPS ends.'),
  patience: duration
    .default(21_600_000)
    .describe(
      'HTTPS brings no receipts, so a batch that was taken waits this long for one before it is sent again; the second time ' +
        'twice as long, and so on. Once MQTT is back it is sent again at once, and gets its receipt.',
    ),
  windowsPerSecond: z.coerce
    .number()
    .positive()
    .default(20)
    .describe('Windows of the backlog a second by HTTPS, where the cloud cannot say how many it can take.'),
  receiptsUrl: z
    .string()
    .regex(/^https:\/\/.+/, 'expected https://host/path')
    .optional()
    .describe(
      'Where receipts may be asked for while HTTPS is used: answers a GET, with the query gateway, epoch and session, with a ' +
        'receipt as on the receipt topic (200), or with nothing new (204).',
    ),
  receiptsInterval: duration.default(60_000).describe('How often receipts are asked for there.'),
});

export const pushSchema = z.strictObject({
  url: z
    .string()
    .regex(/^(mqtts?:\/\/.+|greengrass-ipc:)$/, 'expected mqtt://host[:port], mqtts://host[:port] or greengrass-ipc:')
    .describe(
      'The broker the cloud side listens on, such as mqtts://abc-ats.iot.eu-central-1.amazonaws.com:8883; greengrass-ipc: for that ' +
        'of a Greengrass nucleus.',
    ),
  alpn: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe(
      'Protocol to ask for in the TLS handshake (ALPN), for brokers that serve several on one port. On port 443 of an AWS IoT ' +
        'endpoint it is x-amzn-mqtt-ca by itself.',
    ),
  clientId: z.string().min(1).max(128).optional().describe('MQTT client id; the gateway’s name where none is given.'),
  ca: z.string().optional().describe('PEM file of the CA that signed the broker’s certificate.'),
  cert: z.string().optional().describe('PEM file of this gateway’s certificate.'),
  key: z.string().optional().describe('PEM file of the private key of that certificate.'),
  username: z.string().optional().describe('User name, for brokers without client certificates.'),
  password: z.string().optional().describe('Password; better set by EDGETALLY_PUSH_PASSWORD.'),
  fallback: fallbackSchema.prefault({}).describe('HTTPS in place of MQTT, for networks that block MQTT.'),
  basicIngestRule: z
    .string()
    .regex(/^[A-Za-z0-9_]+$/)
    .optional()
    .describe(
      'AWS only: publish batches, and the status while it stays online, by Basic Ingest to this rule, which saves the messaging charge.',
    ),
  maxBatchBytes: byteSize.default(96 * 1024).describe('Largest batch. IoT Core takes 128 KB.'),
  maxInFlight: z.coerce.number().int().min(1).max(100).default(20).describe('Batches without a receipt at one time.'),
  maxPublishesPerSecond: z.coerce
    .number()
    .positive()
    .default(50)
    .describe('IoT Core silently discards above 100 a second, both directions counted.'),
  maxBytesPerSecond: byteSize.default(400 * 1024).describe('IoT Core delays above 512 KB a second.'),
  connectTimeout: duration.default(20_000).describe('A connection that is not up by then is given up and tried again.'),
  receiptTimeout: duration
    .default(30_000)
    .describe(
      'A batch without a receipt by then is sent again; later, where the cloud asks for patience in its receipts.',
    ),
  drainJitter: duration
    .default(10_000)
    .describe(
      'A new link waits a random while up to this before it begins with the backlog, unless a receipt came before: a whole ' +
        'fleet may have come back at once. Live windows do not wait.',
    ),
  watchdog: duration
    .default(120_000)
    .describe(
      'A link that is up and brings no receipt for this long, though one is owed, is replaced by a new one; after twice, four ' +
        'times … as long again.',
    ),
  exitAfter: duration
    .default(3_600_000)
    .describe(
      'Where all that does not help for this long, the agent exits with code 75, so that its supervisor starts it anew. Only ' +
        'time with the link up counts, so it never exits for a cloud that cannot be reached. 0: never.',
    ),
  minBackoff: duration.default(1_000).describe('First ceiling of the random wait between connection attempts.'),
  maxBackoff: duration.default(60_000).describe('Last ceiling of the random wait between connection attempts.'),
  statusInterval: duration
    .optional()
    .describe(
      'How often the status is renewed: every minute where nothing is said, every 5 minutes with `basicIngestRule`, where each is a write to a table.',
    ),
});

export type PushOptions = z.infer<typeof pushSchema>;

const STATUS_MS = 60_000;
const STATUS_BY_RULE_MS = 300_000;

export function statusIntervalMs({ statusInterval, basicIngestRule }: PushOptions): number {
  return statusInterval ?? (basicIngestRule === undefined ? STATUS_MS : STATUS_BY_RULE_MS);
}
