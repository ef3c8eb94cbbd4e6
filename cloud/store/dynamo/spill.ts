/**
 * What the books of a gateway no longer hold, in items of its own: sessions, epochs, accounts of days, marks. It is put in its
 * new place before it leaves the books, and merged there by maximum: a process that dies in between, or is overtaken, has
 * changed nothing. What comes back into use is read into the books again, but for accounts: these add up wherever they are.
 */
import { randomBytes } from 'node:crypto';
import type { BatchIdentity } from '../../../shared/batch.js';
import type { Status } from '../../../shared/status.js';
import { type SequenceSet, tallySequences } from '../sequences.js';
import { type Account, mergeAccounts } from './accounts.js';
import { keyed, number, packed, unpacked } from './attributes.js';
import { type Books, type EpochBooks, newSession, type SessionBooks } from './books.js';
import { daySk, gatewayPk, sessionSk } from './keys.js';
import type { MarkRow } from './marks.js';
import type { Requests } from './requests.js';
import { amend, putVersioned, readVersioned } from './versioned.js';

const MAX_EPOCHS = 2;
const MAX_SESSIONS = 2;
/** Of today, and of another day that a backlog is about. */
const MAX_ACCOUNTS = 2;
/** An entry takes some 15 bytes. */
const MAX_MARKS = 48;
const KEPT_MARKS = 16;

/** What an item keeps of an epoch; `status` is the one with the fullest books. */
export interface EpochItem {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly status?: Status;
  readonly statusMs?: number;
}

export interface SessionItem {
  readonly epoch: string;
  readonly session: number;
  readonly sequences: SequenceSet;
}

export class Spill {
  readonly #requests: Requests;

  constructor(requests: Requests) {
    this.#requests = requests;
  }

  /** Sees to it that a session of an epoch is in the books. */
  async recall(pk: string, books: Books, { epoch, session }: BatchIdentity, receivedMs: number): Promise<void> {
    let ofEpoch = books.epochs.find((one) => one.epoch === epoch);
    if (ofEpoch === undefined) {
      const { value } = await readVersioned<EpochItem>(this.#requests, { pk, sk: `epoch#${epoch}` });
      ofEpoch = { epoch, firstMs: value?.firstMs ?? receivedMs, lastMs: value?.lastMs ?? 0, sessions: [] };
      books.epochs.unshift(ofEpoch);
    }
    if (ofEpoch.sessions.some((one) => one.session === session)) return;
    const item = await this.#requests.get({ pk, sk: sessionSk(epoch, session) });
    const { sequences } = item === undefined ? newSession(session) : (unpacked(item, 'd') as SessionItem);
    ofEpoch.sessions.unshift({ session, sequences });
  }

  /** Moves out what is too much. */
  async spill(gateway: string, books: Books, version: number): Promise<void> {
    const pk = gatewayPk(gateway);
    for (const gone of books.epochs.splice(MAX_EPOCHS)) await this.#putEpoch(pk, gone);
    for (const { epoch, sessions } of books.epochs) {
      for (const gone of sessions.splice(MAX_SESSIONS)) await this.#putSession(pk, epoch, gone);
    }
    for (const gone of books.accounts.splice(MAX_ACCOUNTS)) await this.#putAccount(pk, gone);
    if (books.marks.length > MAX_MARKS) await this.#putMarks(pk, books, version);
  }

  async #putEpoch(pk: string, { epoch, firstMs, lastMs, sessions }: EpochBooks): Promise<void> {
    await amend<EpochItem>(this.#requests, 'account', { pk, sk: `epoch#${epoch}` }, (before) => ({
      ...before,
      firstMs: Math.min(firstMs, before?.firstMs ?? firstMs),
      lastMs: Math.max(lastMs, before?.lastMs ?? lastMs),
    }));
    for (const gone of sessions) await this.#putSession(pk, epoch, gone);
  }

  /** A session only grows, and the one of whom more arrived is the later. */
  async #putSession(pk: string, epoch: string, { session, sequences }: SessionBooks): Promise<void> {
    const a = number(tallySequences(sequences).arrived);
    const item: SessionItem = { epoch, session, sequences };
    await this.#requests.put(
      'account',
      { ...keyed({ pk, sk: sessionSk(epoch, session) }), a, d: packed(item) },
      { expression: 'attribute_not_exists(pk) OR a < :a', values: { ':a': a } },
    );
  }

  async #putAccount(pk: string, account: Account): Promise<void> {
    const key = { pk, sk: daySk(account.dayMs, account.epoch) };
    await amend<Account>(this.#requests, 'account', key, (before) =>
      before === undefined ? account : mergeAccounts(before, account),
    );
  }

  /** The name is never used again: what a process that was overtaken leaves behind is not listed, and means nothing. */
  async #putMarks(pk: string, books: Books, version: number): Promise<void> {
    const sk = `marks#${version}-${randomBytes(6).toString('hex')}`;
    const newestFirst = [...books.marks].sort((a, b) => b[2] - a[2]);
    await putVersioned<readonly MarkRow[]>(this.#requests, 'books', { pk, sk }, 1, newestFirst.slice(KEPT_MARKS));
    books.marks = newestFirst.slice(0, KEPT_MARKS);
    books.spilledMarks.push(sk);
  }
}
