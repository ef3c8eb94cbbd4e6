/** The archive in an S3 bucket. The time of arrival is in an object's metadata. */
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { ArchivedObject, ArchiveReader, ArchiveWriter } from './archive.js';

const RECEIVED = 'received-ms';

/** `prefix`: '' or one that ends with a slash. */
export class S3Archive implements ArchiveReader, ArchiveWriter {
  readonly #client = new S3Client();
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(bucket: string, prefix = '') {
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  async put({ key, bytes, receivedMs }: ArchivedObject): Promise<void> {
    const Metadata = { [RECEIVED]: String(receivedMs) };
    await this.#client.send(new PutObjectCommand({ ...this.#place(key), Body: bytes, Metadata }));
  }

  async *keys(): AsyncGenerator<readonly string[]> {
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#client.send(
        new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#prefix, ContinuationToken }),
      );
      yield (page.Contents ?? []).map(({ Key = '' }) => Key.slice(this.#prefix.length));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }

  async get(key: string): Promise<ArchivedObject> {
    const { Body, Metadata, LastModified } = await this.#client.send(new GetObjectCommand(this.#place(key)));
    const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
    // An object that was copied here by other means may have lost its metadata.
    const received = Number(Metadata?.[RECEIVED] ?? LastModified?.getTime());
    return { key, bytes, receivedMs: Number.isSafeInteger(received) ? received : 0 };
  }

  close(): void {
    this.#client.destroy();
  }

  #place(key: string) {
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }
}
