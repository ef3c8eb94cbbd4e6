/**
 * The list of serial numbers, in a DynamoDB table of its own that its owner fills:
 *
 *   serial   key
 *   gateway  name of the gateway with this serial number; the serial number itself where it is left out
 *   allowed  false bars it; true where it is left out
 *   once     true: one claim only; false where it is left out
 *
 * and in which every certificate is written down: `certificate` (id), `at` (ISO 8601), `by` (claim or certificate), `claims`
 * (how many). Deleting `claims` lets a gateway claim once more.
 */
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { Listed } from './admission.js';

export interface Issue {
  readonly serial: string;
  readonly certificate: string;
  readonly by: 'claim' | 'certificate';
  readonly atMs: number;
  /** A claim, and the only one that may be. */
  readonly isOnlyClaim: boolean;
}

export interface Serials {
  find(serial: string): Promise<Listed | undefined>;
  /** False where another claim came first. */
  note(issue: Issue): Promise<boolean>;
}

export function openSerials(table: string, client = new DynamoDBClient()): Serials {
  const keyOf = (serial: string) => ({ serial: { S: serial } });
  return {
    async find(serial) {
      const { Item } = await client.send(
        new GetItemCommand({ TableName: table, Key: keyOf(serial), ConsistentRead: true }),
      );
      if (Item === undefined) return undefined;
      return {
        gateway: Item.gateway?.S ?? serial,
        allowed: Item.allowed?.BOOL ?? true,
        once: Item.once?.BOOL ?? false,
        claimed: Item.claims !== undefined,
      };
    },
    async note({ serial, certificate, by, atMs, isOnlyClaim }) {
      // the item must still be there: a serial number that was just taken off the list must not come back as a note
      const conditions = ['attribute_exists(serial)', ...(isOnlyClaim ? ['attribute_not_exists(claims)'] : [])];
      const command = new UpdateItemCommand({
        TableName: table,
        Key: keyOf(serial),
        UpdateExpression: `SET certificate = :c, #at = :t, #by = :b${by === 'claim' ? ' ADD claims :one' : ''}`,
        ConditionExpression: conditions.join(' AND '),
        ExpressionAttributeNames: { '#at': 'at', '#by': 'by' },
        ExpressionAttributeValues: {
          ':c': { S: certificate },
          ':t': { S: new Date(atMs).toISOString() },
          ':b': { S: by },
          ...(by === 'claim' ? { ':one': { N: '1' } } : {}),
        },
      });
      try {
        await client.send(command);
        return true;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw error;
      }
    },
  };
}
