/** Attributes of items, made and read. What is read was written here, so a wrong type is a fault of ours and throws. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Key } from './keys.js';
import type { Item } from './requests.js';

export function keyed({ pk, sk }: Key): Item {
  return { pk: { S: pk }, sk: { S: sk } };
}

export function number(value: number): AttributeValue {
  return { N: String(value) };
}

export function bytes(value: Uint8Array): AttributeValue {
  return { B: value };
}

/** JSON, packed: a unit of capacity is a KB, begun or not. */
export function packed(value: unknown): AttributeValue {
  return { B: deflateRawSync(JSON.stringify(value), { level: 9 }) };
}

export function numberOf(item: Item, name: string): number {
  return Number(required(item, name).N);
}

export function bytesOf(item: Item, name: string): Uint8Array {
  return required(item, name).B!;
}

export function textOf(item: Item, name: string): string {
  return required(item, name).S!;
}

export function unpacked(item: Item, name: string): unknown {
  return JSON.parse(Buffer.from(inflateRawSync(bytesOf(item, name))).toString());
}

function required(item: Item, name: string): AttributeValue {
  const value = item[name];
  if (value === undefined) throw new TypeError(`an item without ${name}: ${JSON.stringify([item.pk, item.sk])}`);
  return value;
}
