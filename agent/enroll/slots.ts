/**
 * The certificates of this gateway on disk: two slots, and which of them is used.
 *
 *   identity/state.json          which slot is trusted (`current`), which one is tried (`trial`), and what became of the last ones
 *   identity/<slot>/key.pem      made here, never leaves; 0600, like everything here
 *   identity/<slot>/grant.json   a certificate that is not provisioned yet, and the token for that
 *   identity/<slot>/cert.pem     one that is
 *
 * Each file is written whole or not at all, in that order, and means what it says whatever else is missing: whoever comes after a
 * crash goes on with the last file that is there. A trusted slot is not written to. A state that cannot be read is made up
 * of what is in the slots.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { EdgetallyError } from '../../shared/errors.js';
import { ownAsDirectory, syncDirectory, writeAtomic } from './atomic-file.js';

export type Slot = 'a' | 'b';
const SLOTS: readonly Slot[] = ['a', 'b'];

const slotField = z.enum(['a', 'b']).nullable();
const stateSchema = z.object({
  v: z.literal(1),
  current: slotField,
  trial: slotField,
  /** When the trusted certificate was confirmed by a receipt, by the wall clock. */
  confirmedMs: z.number().nullable(),
  confirmed: z.number(),
  rolledBack: z.number(),
});
export type SlotState = Readonly<z.infer<typeof stateSchema>>;

const grantSchema = z.object({ certificatePem: z.string(), token: z.string() });
export type Grant = Readonly<z.infer<typeof grantSchema>>;

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says of itself. */
export interface CertificateFacts {
  /** As AWS counts them: the SHA-256 of the certificate. */
  readonly id: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const NEW: SlotState = { v: 1, current: null, trial: null, confirmedMs: null, confirmed: 0, rolledBack: 0 };

export class Slots {
  readonly directory: string;

  /** Makes nothing. */
  constructor(data: string) {
    this.directory = join(data, 'identity');
  }

  make(): void {
    for (const path of [this.directory, ...SLOTS.map((slot) => join(this.directory, slot))]) {
      if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) ownAsDirectory(path);
    }
    syncDirectory(this.directory);
    const { current, trial } = this.state;
    for (const slot of [current, trial]) if (slot !== null) this.forgetGrant(slot); // a crash came before that
  }

  get state(): SlotState {
    const text = this.#read('state.json');
    const parsed = stateSchema.safeParse(text === undefined ? undefined : jsonOf(text));
    return parsed.success ? parsed.data : this.#guess();
  }

  set state(state: SlotState) {
    writeAtomic(join(this.directory, 'state.json'), `${JSON.stringify(state)}\n`);
  }

  /** A slot that is neither trusted nor tried. */
  get free(): Slot {
    const { current, trial } = this.state;
    return SLOTS.find((slot) => slot !== current && slot !== trial) ?? (current === 'a' ? 'b' : 'a');
  }

  /** Paths, where what they hold can be used. */
  pair(slot: Slot | null): KeyPair | undefined {
    if (slot === null || this.facts(slot) === undefined) return undefined;
    return { cert: this.#path(slot, 'cert.pem'), key: this.#path(slot, 'key.pem') };
  }

  /** Undefined where there is no certificate, or none that belongs to the key. */
  facts(slot: Slot): CertificateFacts | undefined {
    const pem = this.#read(slot, 'cert.pem');
    return pem === undefined ? undefined : this.matching(slot, pem);
  }

  /** Undefined also where it is damaged. */
  key(slot: Slot): string | undefined {
    const pem = this.#read(slot, 'key.pem');
    try {
      createPrivateKey(pem ?? '');
      return pem;
    } catch {
      return undefined;
    }
  }

  writeKey(slot: Slot, key: string): void {
    writeAtomic(this.#path(slot, 'key.pem'), key);
  }

  grant(slot: Slot): Grant | undefined {
    const parsed = grantSchema.safeParse(jsonOf(this.#read(slot, 'grant.json') ?? ''));
    return parsed.success && this.matching(slot, parsed.data.certificatePem) !== undefined ? parsed.data : undefined;
  }

  writeGrant(slot: Slot, grant: Grant): void {
    writeAtomic(this.#path(slot, 'grant.json'), `${JSON.stringify(grant)}\n`);
  }

  /** The certificate is provisioned: from now on it is on trial. */
  settle(slot: Slot, { certificatePem }: Grant): void {
    const { state } = this; // before there is a certificate that a lost state would be guessed from
    writeAtomic(this.#path(slot, 'cert.pem'), certificatePem);
    this.state = { ...state, trial: slot };
    this.forgetGrant(slot);
  }

  forgetGrant(slot: Slot): void {
    rmSync(this.#path(slot, 'grant.json'), { force: true });
    syncDirectory(join(this.directory, slot));
  }

  /** The certificate first: a key alone is begun with anew. */
  clear(slot: Slot): void {
    for (const file of ['cert.pem', 'grant.json', 'key.pem']) rmSync(this.#path(slot, file), { force: true });
    syncDirectory(join(this.directory, slot));
  }

  /** What the certificate says, where it belongs to the key of the slot. */
  matching(slot: Slot, pem: string): CertificateFacts | undefined {
    const key = this.key(slot);
    if (key === undefined) return undefined;
    try {
      const certificate = new X509Certificate(pem);
      if (!certificate.checkPrivateKey(createPrivateKey(key))) return undefined;
      return factsOf(certificate);
    } catch {
      return undefined;
    }
  }

  /** Of a lost state: the newer certificate is tried where there are two. */
  #guess(): SlotState {
    const found = SLOTS.flatMap((slot) => {
      const facts = this.grant(slot) === undefined ? this.facts(slot) : undefined;
      return facts === undefined ? [] : [{ slot, facts }];
    }).sort((one, other) => one.facts.notBeforeMs - other.facts.notBeforeMs);
    return { ...NEW, current: found[0]?.slot ?? null, trial: found[1]?.slot ?? null };
  }

  #path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  #read(...parts: string[]): string | undefined {
    try {
      return readFileSync(this.#path(...parts), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new EdgetallyError('certificate-unreadable', (error as Error).message, { cause: error });
    }
  }
}

export function factsOf(certificate: X509Certificate): CertificateFacts {
  return {
    id: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
