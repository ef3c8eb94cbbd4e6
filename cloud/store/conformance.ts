/** What every store must do, run against each of them. */
import type { Test } from 'tap';
import { BOOK_CASES } from './conformance-books.js';
import { LEDGER_CASES } from './conformance-ledger.js';
import { QUOTA_CASES } from './conformance-quota.js';
import type { ConformanceDatabase } from './conformance-tools.js';
import { WINDOW_CASES } from './conformance-windows.js';

/** `open` makes an empty database, which goes with the test. */
export function testConformance(t: Test, name: string, open: (t: Test) => Promise<ConformanceDatabase>): void {
  for (const [title, body] of Object.entries({ ...WINDOW_CASES, ...BOOK_CASES, ...LEDGER_CASES, ...QUOTA_CASES })) {
    t.test(`${name}: ${title}`, async (t) => {
      await body(t, await open(t));
    });
  }
}
