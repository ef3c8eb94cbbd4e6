/**
 * Requests to one table, and what they cost. Reads are strongly consistent. Throws what failures.ts makes of an error.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AttributeValue,
  BatchGetItemCommand,
  type BatchGetItemCommandOutput,
  ConditionalCheckFailedException,
  type ConsumedCapacity,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb';
import pMap from 'p-map';
import { explain } from './failures.js';
import type { Key } from './keys.js';

export type Item = Record<string, AttributeValue>;

/** What is written: of each its own line on the bill. */
export type ItemKind = 'window' | 'books' | 'roll-up' | 'account' | 'names' | 'status' | 'quarantine';

export interface Condition {
  readonly expression: string;
  readonly values?: Item;
}

/** Capacity units since the start of the process. Those of refused puts are worked out: DynamoDB does not tell them. */
export interface Capacity {
  readonly writes: Readonly<Record<ItemKind, number>>;
  readonly reads: number;
}

/** Requests at a time, of one piece of work. */
export const CONCURRENCY = 32;
const MAX_KEYS = 100;
const MAX_REST_MS = 50;
const UNIT_BYTES = 1024;

export const ABSENT: Condition = { expression: 'attribute_not_exists(pk)' };

/** One table, as the store sees it. */
export interface Requests {
  readonly capacity: Capacity;
  /** False where the condition does not hold. */
  put(kind: ItemKind, item: Item, condition?: Condition): Promise<boolean>;
  delete(kind: ItemKind, key: Key, condition?: Condition): Promise<boolean>;
  get(key: Key): Promise<Item | undefined>;
  /** Those that are there, in no order. */
  getMany(keys: readonly Key[]): Promise<Item[]>;
  /** Pages of items with `from` ≤ sk ≤ `to`, in their order. */
  query(pk: string, from: string, to: string): AsyncIterable<Item[]>;
  /** Somebody else was first: wait a moment before the next attempt, longer each time. */
  rest(attempt: number): Promise<void>;
  close(): void;
}

/** All pages as one. */
export async function queryAll(requests: Requests, pk: string, from: string, to: string): Promise<Item[]> {
  const all: Item[] = [];
  for await (const page of requests.query(pk, from, to)) all.push(...page);
  return all;
}

export class DynamoRequests implements Requests {
  readonly #client: DynamoDBClient;
  readonly #table: string;
  readonly #writes = { window: 0, books: 0, 'roll-up': 0, account: 0, names: 0, status: 0, quarantine: 0 };
  #reads = 0;

  constructor(client: DynamoDBClient, table: string) {
    this.#client = client;
    this.#table = table;
  }

  get capacity(): Capacity {
    return { writes: { ...this.#writes }, reads: this.#reads };
  }

  async put(kind: ItemKind, item: Item, condition?: Condition): Promise<boolean> {
    const command = new PutItemCommand({
      TableName: this.#table,
      Item: item,
      ...conditional(condition),
      ReturnConsumedCapacity: 'TOTAL',
    });
    return this.#write(kind, sizeOf(item), () => this.#client.send(command));
  }

  async delete(kind: ItemKind, { pk, sk }: Key, condition?: Condition): Promise<boolean> {
    const command = new DeleteItemCommand({
      TableName: this.#table,
      Key: { pk: { S: pk }, sk: { S: sk } },
      ...conditional(condition),
      ReturnConsumedCapacity: 'TOTAL',
    });
    return this.#write(kind, 0, () => this.#client.send(command));
  }

  async get({ pk, sk }: Key): Promise<Item | undefined> {
    const command = new GetItemCommand({
      TableName: this.#table,
      Key: { pk: { S: pk }, sk: { S: sk } },
      ConsistentRead: true,
      ReturnConsumedCapacity: 'TOTAL',
    });
    const { Item: item, ConsumedCapacity: consumed } = await this.#ask(() => this.#client.send(command));
    this.#read(consumed);
    return item;
  }

  async getMany(keys: readonly Key[]): Promise<Item[]> {
    const hundreds: Key[][] = [];
    for (let i = 0; i < keys.length; i += MAX_KEYS) hundreds.push(keys.slice(i, i + MAX_KEYS));
    return (await pMap(hundreds, (some) => this.#getHundred(some), { concurrency: CONCURRENCY })).flat();
  }

  async *query(pk: string, from: string, to: string): AsyncGenerator<Item[]> {
    let start: Item | undefined;
    do {
      const command = new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
        ExpressionAttributeValues: { ':pk': { S: pk }, ':from': { S: from }, ':to': { S: to } },
        ConsistentRead: true,
        ReturnConsumedCapacity: 'TOTAL',
        ExclusiveStartKey: start,
      });
      const {
        Items: items = [],
        LastEvaluatedKey: last,
        ConsumedCapacity: consumed,
      } = await this.#ask(() => this.#client.send(command));
      this.#read(consumed);
      if (items.length > 0) yield items;
      start = last;
    } while (start !== undefined);
  }

  async rest(attempt: number): Promise<void> {
    await sleep(Math.random() * Math.min(MAX_REST_MS, 2 ** attempt));
  }

  close(): void {
    this.#client.destroy();
  }

  async #getHundred(keys: readonly Key[]): Promise<Item[]> {
    const found: Item[] = [];
    let wanted: Record<string, AttributeValue>[] | undefined = keys.map(({ pk, sk }) => ({
      pk: { S: pk },
      sk: { S: sk },
    }));
    while (wanted !== undefined && wanted.length > 0) {
      const command: BatchGetItemCommand = new BatchGetItemCommand({
        RequestItems: { [this.#table]: { Keys: wanted, ConsistentRead: true } },
        ReturnConsumedCapacity: 'TOTAL',
      });
      const answer: BatchGetItemCommandOutput = await this.#ask(() => this.#client.send(command));
      for (const consumed of answer.ConsumedCapacity ?? []) this.#read(consumed);
      found.push(...(answer.Responses?.[this.#table] ?? []));
      wanted = answer.UnprocessedKeys?.[this.#table]?.Keys;
    }
    return found;
  }

  async #write(
    kind: ItemKind,
    bytes: number,
    send: () => Promise<{ ConsumedCapacity?: ConsumedCapacity | undefined }>,
  ): Promise<boolean> {
    try {
      const { ConsumedCapacity: consumed } = await this.#ask(send);
      this.#writes[kind] += consumed?.CapacityUnits ?? 0;
      return true;
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
      this.#writes[kind] += Math.max(1, Math.ceil(bytes / UNIT_BYTES));
      return false;
    }
  }

  async #ask<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw error instanceof ConditionalCheckFailedException ? error : explain(error, this.#table);
    }
  }

  #read(consumed: ConsumedCapacity | undefined): void {
    this.#reads += consumed?.CapacityUnits ?? 0;
  }
}

function conditional(condition: Condition | undefined) {
  if (condition === undefined) return {};
  const { expression, values } = condition;
  return { ConditionExpression: expression, ...(values && { ExpressionAttributeValues: values }) };
}

/** Of the kinds of attributes that are in use here. */
function sizeOf(item: Item): number {
  let bytes = 0;
  for (const [name, { S = '', N = '', B }] of Object.entries(item)) {
    bytes += name.length + Buffer.byteLength(S) + Math.ceil(N.length / 2) + (B?.length ?? 0) + (N === '' ? 0 : 1);
  }
  return bytes;
}
