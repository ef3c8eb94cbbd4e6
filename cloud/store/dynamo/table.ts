/**
 * The cloud's database as one DynamoDB table, written by any number of processes at once.
 *
 * Constraints. A write costs by the KB that was begun, a condition that does not hold costs the same; a transaction costs
 * double; a partition takes 1,000 writes a second; reads through an index lag behind. So: one item a device-window with all
 * its metrics; whatever else changes with a batch is packed into one item of its gateway; no transactions, no counters that
 * are added to, no index. Every read that decides something is strongly consistent.
 *
 * Layout (pk | sk)
 *
 *   device#G#R#D     | window#START#LENGTH#PART#EPOCH   a window: the highest revision
 *                    | hour#START, day#START, month#START   its roll-ups
 *   group#G#R        | hour#START, day#START, month#START   those of a group; everything is the sum of its groups
 *   gateway#G        | books        all that changes with a batch: see books.ts
 *                    | day#START#EPOCH   ledger and losses of a day that left the books
 *                    | epoch#EPOCH, session#EPOCH#SESSION   what the books no longer hold of them
 *                    | marks#VERSION   marks that had no room in the books
 *                    | names#FIRST  its devices, in the order in which they were named: a log, only added to
 *                    | status       the last status, and the fullest one of its epoch
 *                    | quarantine   which rejected messages are kept
 *   rejected#G#DIGEST | part#N      one rejected message, cut where it does not fit an item
 *   gateways#SHARD   | gateway#G    every gateway: a sparse index, in the table itself and so never behind
 *   metrics          | names#FIRST  names of metrics, a log like that of devices
 *
 * What makes it right without transactions
 * - A window is put if it is absent or of a lower revision: order and repetition do not matter.
 * - An item that several processes change (books, day, epoch, status, quarantine) carries a version: it is read, changed and
 *   put on condition that the version is still the same; else all over again. What moves out of the books is put in its new
 *   place first and merged there by maximum, so that doing it twice, or half, changes nothing.
 * - The order of a commit is names, windows, books. The books hold the marks of what became stale, and that the batch
 *   arrived; so whoever sees the batch in the books sees its marks, and its windows. A receipt follows after that. Where a
 *   process dies in between, the batch comes again, finds its windows there, and marks all the same.
 * - The mark is the version of the books in which it was set: it grows, and is never used twice. A keeper reads the books,
 *   then windows; puts the roll-up with that mark on condition that the stored one's is lower; then takes the mark out of
 *   the books on condition that it is still the same. A window that came in between has set a higher mark before its receipt.
 * - A report reads the books of a gateway once, before all else of it, and takes as stale what is marked there. What is not
 *   marked holds at least all that had a receipt by then, and whatever it is replaced by later holds no less.
 *
 * What expires: see expiry.ts.
 */
import type { CreateTableCommandInput } from '@aws-sdk/client-dynamodb';

/** Seconds since 1970; DynamoDB deletes the item some days after. */
export const TTL_ATTRIBUTE = 'expires';

/** All that a table needs beside its name; time to live is to be switched on for TTL_ATTRIBUTE. */
export const TABLE = {
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'S' },
  ],
  BillingMode: 'PAY_PER_REQUEST',
} as const satisfies Omit<CreateTableCommandInput, 'TableName'>;
