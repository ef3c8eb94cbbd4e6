/** Everything that can be asked of a store, as the bytes of the answers: two stores with the same content give the same. */
import { formatReport } from '../../cloud/report/formats.js';
import { formatLosses, listLosses } from '../../cloud/report/losses.js';
import { parseLosses, parseQuery, parseReconcile } from '../../cloud/report/query.js';
import { reconcile } from '../../cloud/report/reconcile.js';
import { formatReconciliation } from '../../cloud/report/reconcile-formats.js';
import { runReport } from '../../cloud/report/report.js';
import type { SnapshotStore } from '../../cloud/store/store.js';

const KEYS = ['device', 'gateway,group,device', 'hour', 'day', 'gateway,device,hour', 'all'];

/** By what was asked. */
export async function answersOf(
  store: SnapshotStore,
  gateways: readonly string[],
  nowMs: number,
): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  for (const groupBy of KEYS) {
    for (const tz of ['UTC', 'Europe/Berlin']) {
      const report = await runReport(store, parseQuery({ groupBy, tz }, nowMs));
      for (const format of ['csv', 'json'] as const) {
        answers.set(`report by ${groupBy} in ${tz} as ${format}`, formatReport(report, format));
      }
    }
  }
  const query = parseLosses({}, nowMs);
  const losses = await listLosses(store, query);
  for (const format of ['csv', 'json'] as const) {
    answers.set(`losses as ${format}`, formatLosses(losses, query, format));
    for (const gateway of gateways) {
      const result = await reconcile(store, parseReconcile({ gateway }, nowMs));
      answers.set(`reconcile ${gateway} as ${format}`, formatReconciliation(result, format));
    }
  }
  return answers;
}
