import { test } from 'tap';
import { NameLog } from './names.js';
import { DynamoRequests } from './requests.js';
import { tableForTests } from './table-for-tests.js';

test('whoever adds and reads at once, in one process or in several, all have the same ids', async (t) => {
  const { table, client } = await tableForTests(t);
  const logs = [1, 2, 3].map(() => {
    const requests = new DynamoRequests(client(), table);
    t.teardown(() => requests.close());
    return new NameLog<string>(requests, 'pk', (name) => name);
  });
  const some = (from: number) => Array.from({ length: 7 }, (_, i) => `name ${(from * 3 + i) % 40}`);
  await Promise.all(
    logs.flatMap((log, l) => Array.from({ length: 12 }, (_, i) => [log.add(some(i + l)), log.refresh()]).flat()),
  );
  for (const log of logs) await log.refresh();
  const [first] = logs;
  t.equal(first!.size, 40, 'each once');
  for (const log of logs) {
    t.same(log.entries, first!.entries);
    for (const [id, name] of log.entries.entries()) t.equal(log.find(name), id);
  }
});
