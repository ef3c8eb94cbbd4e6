import { type Test, test } from 'tap';
import { testConformance } from '../conformance.js';
import { QUOTA } from '../conformance-tools.js';
import { openDynamoStore } from './store.js';
import { type TestTable, tableForTests } from './table-for-tests.js';

function open({ table, client }: TestTable) {
  return openDynamoStore({ table, client: client(), maxQuarantineBytes: 1000, quota: QUOTA });
}

test('conformance', async (t) => {
  testConformance(t, 'DynamoDB', async (t: Test) => {
    const table = await tableForTests(t);
    let store = open(table);
    t.teardown(() => store.close());
    return {
      store,
      isIsolated: false,
      sharesQuarantine: false,
      reopen: async () => {
        await store.close();
        store = open(table);
        return store;
      },
    };
  });
});
