/** A delivery as 12 bytes, big-endian: sender (4), packet id (2), content (5), flags (1). */
import type { ByteReader, ByteWriter } from '../../shared/bytes.js';
import type { DeliveryRecord } from '../deliveries.js';

const KIB64 = 0x1_0000;

export function writeDelivery(writer: ByteWriter, { sender, packetId, content, flags }: DeliveryRecord): void {
  writer.uint32(sender);
  writer.uint32(packetId * KIB64 + Math.floor(content / 2 ** 24));
  writer.uint32((content % 2 ** 24) * 256 + flags);
}

export function readDelivery(reader: ByteReader): DeliveryRecord {
  const sender = reader.uint32();
  const middle = reader.uint32();
  const last = reader.uint32();
  return {
    sender,
    packetId: Math.floor(middle / KIB64),
    content: (middle % KIB64) * 2 ** 24 + Math.floor(last / 256),
    flags: last % 256,
  };
}
