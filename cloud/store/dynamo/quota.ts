/**
 * What one gateway may put into the table. Names are counted in the logs of names, rows in the books; of processes that
 * commit for one gateway at the same moment each may let one batch more through.
 */
import type { Quota, Refusal } from '../quota.js';
import type { BatchChange } from '../store.js';
import { type Books, rowsOf } from './books.js';
import type { DynamoDictionary } from './dictionary.js';

/** Why a batch is one too many; undefined where it may be put. */
export async function refusalOf(
  batch: BatchChange,
  books: Books,
  dictionary: DynamoDictionary,
  quota: Quota,
): Promise<Refusal | undefined> {
  return (
    rowsRefusal(batch, books, quota) ??
    (await devicesRefusal(batch, dictionary, quota)) ??
    (await metricsRefusal(batch, dictionary, quota))
  );
}

function rowsRefusal({ receivedMs }: BatchChange, books: Books, { rowsPerDay }: Quota): Refusal | undefined {
  const rows = rowsOf(books, receivedMs);
  if (rows < rowsPerDay) return undefined;
  const detail = `the gateway has put ${rows} rows into the database today, its limit is ${rowsPerDay} (quota.rowsPerDay)`;
  return { reason: 'quota', detail };
}

async function devicesRefusal(
  { gateway, windows, ledger, losses }: BatchChange,
  dictionary: DynamoDictionary,
  quota: Quota,
): Promise<Refusal | undefined> {
  const devices = dictionary.devices(gateway);
  const unknown = () => {
    const names = new Set<string>();
    for (const { group, device } of [...windows, ...ledger, ...losses]) {
      if (group === undefined || device === undefined || devices.find(group, device) !== undefined) continue;
      names.add(`${group}\0${device}`);
    }
    return names.size;
  };
  if (unknown() === 0) return undefined;
  await devices.log.refresh();
  const more = unknown();
  if (more === 0 || devices.log.size + more <= quota.devices) return undefined;
  const detail = `${more} new devices beside ${devices.log.size}, the limit of a gateway is ${quota.devices} (quota.devices)`;
  return { reason: 'quota-names', detail };
}

async function metricsRefusal(
  { gateway, windows }: BatchChange,
  dictionary: DynamoDictionary,
  quota: Quota,
): Promise<Refusal | undefined> {
  const unknown = () => {
    const names = windows.flatMap(({ metrics }) => [...metrics.keys()]);
    return new Set(names.filter((name) => !dictionary.hasMetric(name))).size;
  };
  if (unknown() === 0) return undefined;
  await dictionary.refreshMetrics();
  const more = unknown();
  const named = dictionary.metricsNamedBy(gateway);
  if (more === 0 || named + more <= quota.metrics) return undefined;
  const limit = `the limit of a gateway is ${quota.metrics} (quota.metrics)`;
  return { reason: 'quota-names', detail: `${more} new metrics beside the ${named} it named first, ${limit}` };
}
