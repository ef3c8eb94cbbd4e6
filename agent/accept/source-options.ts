/**
 * Options of the places readings come from: `broker` (built in, nothing else to install) and `mqtt` (a client of a
 * broker that is already there). The only place where their defaults are written.
 */
import { z } from 'zod';
import { byteSize, byteSizeBetween, durationBetween } from '../../shared/config.js';

const SECRET = { secret: true };

const filters = z.array(z.string().min(1).max(1024).refine(isTopicFilter, 'an MQTT topic filter such as sensors/+/#'));

const listenerTls = z
  .strictObject({
    cert: z.string().min(1).describe('PEM file of this broker’s certificate (with its intermediates).'),
    key: z.string().min(1).describe('PEM file of the private key of that certificate.'),
    ca: z.string().min(1).optional().describe('PEM file of the CA that signs the certificates of clients.'),
    clientCertificates: z
      .enum(['none', 'optional', 'required'])
      .default('none')
      .describe(
        'Whether a client shows a certificate. Its common name is then its user name, and no password is asked.',
      ),
  })
  .refine((tls) => tls.clientCertificates === 'none' || tls.ca !== undefined, {
    path: ['ca'],
    message: 'the CA of the clients: without it no client certificate can be checked',
  });

const listener = z.strictObject({
  listen: z
    .string()
    .default('127.0.0.1:1883')
    .refine((text) => parseAddress(text) !== undefined, 'host:port, such as 0.0.0.0:1883 or [::1]:8883')
    .describe('Address and port. 127.0.0.1 is this machine only; 0.0.0.0 is every network it is on.'),
  anonymous: z
    .boolean()
    .optional()
    .describe(
      'Let clients in without password and certificate. If not set: only where the address is this machine only.',
    ),
  tls: listenerTls.optional().describe('TLS; plain TCP without it.'),
});

const user = z
  .strictObject({
    name: z.string().refine(isOneTopicLevel, 'a name of at most 128 characters without / + #').describe('User name.'),
    password: z
      .string()
      .min(1)
      .optional()
      .meta(SECRET)
      .describe('Password as it is; fit for the environment, not for a file.'),
    passwordHash: z
      .string()
      .startsWith('scrypt:')
      .optional()
      .describe('What `edgetally-agent hash-password` prints for the password.'),
    passwordFile: z.string().min(1).optional().describe('File that holds the password, or its hash, in one line.'),
    publish: filters.optional().describe('What this user may publish; instead of `publish` of the source.'),
    subscribe: filters.optional().describe('What this user may subscribe to; instead of `subscribe` of the source.'),
  })
  .refine((given) => [given.password, given.passwordHash, given.passwordFile].filter((one) => one).length <= 1, {
    path: ['passwordHash'],
    message: 'only one of password, passwordHash, passwordFile (none: by certificate only)',
  });

const limits = z.strictObject({
  maxConnections: z.number().int().min(1).default(1000).describe('Clients at one time; more are turned away.'),
  maxPayload: byteSizeBetween(128, 256 * 2 ** 20)
    .default(256 * 1024)
    .describe('Largest packet. A client that sends a larger one is disconnected before it is read.'),
  maxMessagesPerSecond: z
    .number()
    .min(0)
    .default(0)
    .describe('Per client; faster ones are read more slowly, nothing is dropped. 0: no limit.'),
  connectTimeout: durationBetween(100, 300_000)
    .default(10_000)
    .describe('A connection that has not said who it is by then (TLS and MQTT CONNECT) is closed.'),
  maxKeepalive: durationBetween(1000, 65_535_000)
    .default(3_600_000)
    .describe('A client that is silent for 1.5 times this is closed, whatever keepalive it asked for.'),
  maxRetained: byteSize
    .default(16 * 2 ** 20)
    .describe('Memory for retained messages; what does not fit is relayed, but not retained.'),
});

export const brokerSourceSchema = z
  .strictObject({
    type: z.literal('broker').describe('A built-in MQTT 3.1.1 broker that sensors publish to.'),
    name: z.string().min(1).max(64).default('broker').describe('What logs and status call this source.'),
    listeners: z
      .array(listener)
      .min(1)
      .default([{ listen: '127.0.0.1:1883' }])
      .describe('Where it listens.'),
    users: z.array(user).default([]).describe('Clients that log in with a password, or by a certificate of that name.'),
    publish: filters
      .default(['#'])
      .describe('What a client may publish; {user} stands for its user name. Topics that begin with $ never are.'),
    subscribe: filters.default(['#']).describe('What a client may subscribe to; {user} stands for its user name.'),
    relay: z
      .boolean()
      .default(true)
      .describe(
        'Pass messages on to subscribers, such as a local dashboard, once they are on disk. No queue is kept for who is away or slow.',
      ),
    limits: limits.prefault({}).describe('What clients may cost.'),
  })
  .superRefine((source, context) => {
    for (const [index, each] of source.listeners.entries()) {
      const open =
        allowsAnonymous(each) || source.users.length > 0 || (each.tls?.clientCertificates ?? 'none') !== 'none';
      if (open) continue;
      context.addIssue({
        code: 'custom',
        path: ['listeners', index, 'anonymous'],
        message: 'a way in: users, tls.clientCertificates, or anonymous: true',
      });
    }
  });

export const mqttSourceSchema = z
  .strictObject({
    type: z.literal('mqtt').describe('A client of a broker that is already there (Mosquitto, zigbee2mqtt’s, EMQX).'),
    name: z.string().min(1).max(64).default('mqtt').describe('What logs and status call this source.'),
    url: z
      .string()
      .regex(/^mqtts?:\/\/[^/]+\/?$/, 'mqtt://host[:port] or mqtts://host[:port]')
      .describe('The broker.'),
    clientId: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe('Fixed name of the session; edgetally-<gateway>-<number of the source> if not set. Never used twice.'),
    username: z.string().min(1).optional().describe('User name.'),
    password: z.string().optional().meta(SECRET).describe('Password; fit for the environment, not for a file.'),
    passwordFile: z.string().min(1).optional().describe('File that holds the password in one line.'),
    ca: z.string().min(1).optional().describe('PEM file of the CA of the broker; the system’s CAs if not set.'),
    cert: z.string().min(1).optional().describe('PEM file of the client certificate.'),
    key: z.string().min(1).optional().describe('PEM file of the private key of that certificate.'),
    protocol: z
      .enum(['auto', '5', '3.1.1'])
      .default('auto')
      .describe('MQTT version; auto: 5, or 3.1.1 where the broker has no 5.'),
    subscribe: filters.min(1).optional().describe('Topic filters; those of the routes if not set.'),
    qos: z
      .union([z.literal(0), z.literal(1)])
      .default(1)
      .describe('1: the broker keeps each message until it is on disk here.'),
    retained: z
      .enum(['ignore', 'accept'])
      .default('ignore')
      .describe('Retained messages are old news, repeated at each new session; they are not counted unless accepted.'),
    sessionExpiry: durationBetween(0, 0xffff_fffe * 1000)
      .default(7 * 86_400_000)
      .describe(
        'How long the broker keeps messages while this gateway is away (MQTT 5; with 3.1.1 the broker decides).',
      ),
    keepalive: durationBetween(5000, 65_535_000)
      .default(30_000)
      .describe('A link silent for that long is tried by a ping.'),
    connectTimeout: durationBetween(100, 300_000).default(10_000).describe('A connection not up by then is given up.'),
    maxInFlight: z.number().int().min(1).max(65_535).default(1000).describe('Messages read but not yet on disk.'),
  })
  .refine((given) => (given.cert === undefined) === (given.key === undefined), {
    path: ['key'],
    message: 'cert and key together',
  })
  .refine((given) => given.password === undefined || given.passwordFile === undefined, {
    path: ['passwordFile'],
    message: 'only one of password and passwordFile',
  });

export const sourceSchema = z.discriminatedUnion('type', [brokerSourceSchema, mqttSourceSchema]);

export type BrokerSourceOptions = z.output<typeof brokerSourceSchema>;
export type MqttSourceOptions = z.output<typeof mqttSourceSchema>;
export type SourceOptions = z.output<typeof sourceSchema>;

/** `host:port` taken apart; IPv6 in brackets. Undefined if it is none. */
export function parseAddress(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** Who may come in without a name: unless told otherwise, only those on this machine. */
export function allowsAnonymous(options: { listen: string; anonymous?: boolean | undefined }): boolean {
  const host = parseAddress(options.listen)?.host ?? '';
  return options.anonymous ?? (host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host));
}

/** Names stand in for {user} in topic filters, so they must not reach over their level. */
export function isOneTopicLevel(text: string): boolean {
  return text !== '' && text.length <= 128 && !/[/+#\0]/.test(text);
}

/** MQTT 3.1.1 §4.7.1: # only as the last level, + only as a whole level. */
function isTopicFilter(text: string): boolean {
  if (text.includes('\0')) return false;
  const levels = text.split('/');
  return levels.every((level, at) => (level === '#' ? at === levels.length - 1 : level === '+' || !/[+#]/.test(level)));
}
