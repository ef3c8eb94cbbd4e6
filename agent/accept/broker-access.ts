/**
 * Who may come in to the built-in broker and what they may publish and subscribe to. Passwords are kept as scrypt hashes
 * (or, where the configuration has them in the clear, compared in constant time). No I/O but the password files.
 */
import { createHmac, randomBytes, scrypt as scryptCallback, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { EdgetallyError } from '../../shared/errors.js';
import { type BrokerSourceOptions, isOneTopicLevel } from './source-options.js';
import { covers } from './topic-filter.js';

const scrypt = promisify<string, Buffer, number, { N: number; r: number; p: number }, Buffer>(scryptCallback);
/** 16 MiB and about 50 ms on a Raspberry Pi 4. */
const COST = { N: 16_384, r: 8, p: 1 };
/** A hash in a configuration must not be able to take the machine down. */
const MAX_COST = { N: 131_072, r: 16, p: 4 };

/** What someone who was let in may do: topic filters, with the name already filled in. */
export interface Rights {
  /** Undefined for an anonymous client. */
  readonly name: string | undefined;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

interface Known {
  readonly name: string;
  readonly secret: string | undefined;
  readonly rights: Rights;
}

export class Access {
  readonly #options: Pick<BrokerSourceOptions, 'publish' | 'subscribe'>;
  readonly #users: ReadonlyMap<string, Known>;
  /** Right passwords, as hashes under a key of this process, so that a reconnect costs no scrypt. */
  readonly #proven = new Map<string, Buffer>();
  readonly #processKey = randomBytes(32);

  private constructor(options: BrokerSourceOptions, users: readonly Known[]) {
    this.#options = options;
    this.#users = new Map(users.map((user) => [user.name, user]));
  }

  /** Reads the password files. */
  static async open(options: BrokerSourceOptions): Promise<Access> {
    const users = options.users.map(async (user): Promise<Known> => {
      const { name, password, passwordHash, passwordFile } = user;
      const secret = passwordFile === undefined ? (passwordHash ?? password) : await readSecret(passwordFile, name);
      if (secret !== undefined && isHash(secret)) parseHash(secret);
      const rights = rightsOf(name, user.publish ?? options.publish, user.subscribe ?? options.subscribe);
      return { name, secret, rights };
    });
    return new Access(options, await Promise.all(users));
  }

  /** Who a client is, by what it shows; undefined if it may not come in. */
  async admit(
    client: { readonly anonymous: boolean; readonly certified: Rights | undefined },
    username: string | undefined,
    password: Uint8Array | undefined,
  ): Promise<Rights | undefined> {
    if (client.certified !== undefined) return client.certified;
    // With no user configured, a name is as good as none: sensors often send one that cannot be switched off.
    const named = username !== undefined && this.#users.size > 0;
    if (named) return this.#byPassword(username, password ?? new Uint8Array());
    return client.anonymous ? rightsOf(undefined, this.#options.publish, this.#options.subscribe) : undefined;
  }

  /** By the common name of a certificate that the listener's CA issued; undefined if it is no usable name. */
  byCertificate(commonName: unknown): Rights | undefined {
    if (typeof commonName !== 'string' || !isOneTopicLevel(commonName)) return undefined;
    const { publish, subscribe } = this.#options;
    return this.#users.get(commonName)?.rights ?? rightsOf(commonName, publish, subscribe);
  }

  async #byPassword(name: string, password: Uint8Array): Promise<Rights | undefined> {
    const user = this.#users.get(name);
    if (user?.secret === undefined) return undefined;
    const proof = createHmac('sha256', this.#processKey).update(password).digest();
    const before = this.#proven.get(name);
    if (before !== undefined && timingSafeEqual(before, proof)) return user.rights;
    if (!(await verifyPassword(password, user.secret))) return undefined;
    this.#proven.set(name, proof);
    return user.rights;
  }
}

/** `scrypt:N:r:p:salt:hash`, fit for `passwordHash` and for a password file. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await scrypt(password.normalize('NFC'), salt, 32, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), hash.toString('base64url')].join(':');
}

/** `secret` is a hash as hashPassword writes it, or the password itself. */
export async function verifyPassword(password: Uint8Array, secret: string): Promise<boolean> {
  const given = Buffer.from(password).toString('utf8').normalize('NFC');
  if (isHash(secret)) {
    const { cost, salt, hash } = parseHash(secret);
    return timingSafeEqual(await scrypt(given, salt, hash.length, cost), hash);
  }
  const key = randomBytes(32);
  const digest = (text: string) => createHmac('sha256', key).update(text).digest();
  return timingSafeEqual(digest(given), digest(secret.normalize('NFC')));
}

/** A topic is a filter without wildcards. Those with a leading $ match no leading wildcard (MQTT 3.1.1 §4.7.2). */
export function mayPublish(rights: Rights, topic: string): boolean {
  return rights.publish.some((filter) => covers(filter, topic));
}

/** May these rights subscribe to a filter, that is: is every topic it can match one they may see? */
export function maySubscribe(rights: Rights, filter: string): boolean {
  return rights.subscribe.some((allowed) => covers(allowed, filter));
}

function rightsOf(name: string | undefined, publish: readonly string[], subscribe: readonly string[]): Rights {
  return {
    name,
    publish: publish.flatMap((one) => fill(one, name)),
    subscribe: subscribe.flatMap((one) => fill(one, name)),
  };
}

/** A filter for {user} is none for someone without a name. */
function fill(filter: string, name: string | undefined): string[] {
  if (!filter.includes('{user}')) return [filter];
  return name === undefined ? [] : [filter.replaceAll('{user}', () => name)];
}

async function readSecret(path: string, name: string): Promise<string> {
  let secret: string;
  try {
    secret = (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new EdgetallyError('config-unreadable', `password file ${path} of user ${name}: cannot be read`, { cause });
  }
  if (secret === '') throw new EdgetallyError('config-invalid', `password file ${path} of user ${name} is empty`);
  return secret;
}

function isHash(secret: string): boolean {
  return secret.startsWith('scrypt:');
}

function parseHash(secret: string) {
  const [, N, r, p, salt = '', hash = ''] = secret.split(':');
  const cost = { N: Number(N), r: Number(r), p: Number(p) };
  const sound = (['N', 'r', 'p'] as const).every((key) => cost[key] >= 1 && cost[key] <= MAX_COST[key]);
  const bytes = { salt: Buffer.from(salt, 'base64url'), hash: Buffer.from(hash, 'base64url') };
  if (!sound || (cost.N & (cost.N - 1)) !== 0 || bytes.salt.length < 8 || bytes.hash.length < 16) {
    throw new EdgetallyError('config-invalid', 'a password hash is not one that hashPassword wrote', {
      hint: 'Make it anew.',
    });
  }
  return { cost: { ...cost, maxmem: 512 * 2 ** 20 }, ...bytes };
}
