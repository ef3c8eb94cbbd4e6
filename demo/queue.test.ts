import t from 'tap';
import { Dice } from '../test/dice.js';
import { Queue } from './queue.js';
import { basicIngestRule, ruleOutput, takes } from './rule.js';

const seed = new Dice(5, 0);
const queue = (more = {}) => {
  return new Queue({
    random: () => seed.below(1000) / 1000,
    visibilityMs: 100,
    maxReceives: 3,
    duplicateShare: 0,
    ...more,
  });
};
const bodies = (messages: readonly { body: string }[]) => messages.map(({ body }) => body).sort();

t.test(
  'a message is hidden while somebody has it, comes again where it was not deleted, and dies at last',
  async (t) => {
    const q = queue();
    q.send('a');
    const [first] = q.receive(10, 0);
    t.same(q.receive(10, 99), []);
    t.equal(q.receive(10, 100).length, 1);
    q.release(first!.id);
    t.equal(q.receive(10, 101).length, 1, 'at once where it was reported');
    t.same(q.receive(10, 1000), []);
    t.same(bodies(q.dead), ['a']);
    t.equal(q.size, 0);
  },
);

t.test('what was deleted is gone; order is nobody’s promise', async (t) => {
  const q = queue();
  const sent = Array.from({ length: 50 }, (_, i) => `m${String(i).padStart(2, '0')}`);
  for (const body of sent) q.send(body);
  const received = [...q.receive(20, 0), ...q.receive(50, 0)];
  t.not(received.map(({ body }) => body).join(), sent.join());
  t.same(bodies(received), sent);
  for (const { id } of received) q.delete(id);
  t.equal(q.size, 0);
});

t.test('some come twice for no reason', async (t) => {
  const q = queue({ duplicateShare: 1 });
  q.send('a');
  t.equal(q.receive(1, 0).length + q.receive(1, 0).length, 2);
});

t.test('a rule takes its topics, and what is published to its name', async (t) => {
  const rule = { name: 'edgetally_batch', kind: 'batch' } as const;
  const topic = 'edgetally/v1/pi-1/up/batch';
  t.ok(takes(rule, topic));
  t.notOk(takes(rule, 'edgetally/v1/pi-1/up/status'));
  t.notOk(takes(rule, 'edgetally/v1/pi-1/down/receipt'));
  t.ok(takes(rule, '$aws/rules/edgetally_batch/edgetally/v1/pi-1/up/status'));
  t.notOk(takes(rule, `$aws/rules/other/${topic}`));
  t.equal(basicIngestRule(topic), undefined);
  const message = { payload: Buffer.from([0, 255]), clientId: 'pi-1', principal: 'ab', timestampMs: 7 };
  const said = { payload: 'AP8=', topic, clientId: 'pi-1', principal: 'ab', timestamp: 7 };
  t.same(JSON.parse(ruleOutput({ ...message, topic })), said);
  t.same(JSON.parse(ruleOutput({ ...message, topic: `$aws/rules/edgetally_batch/${topic}` })), said);
});
