import fc from 'fast-check';
import t from 'tap';
import { routesSchema } from './route-options.js';
import { routeSubscriptions } from './routes.js';
import { covers, matchTopic, parseTopicFilter, subscriptionsOf, type TopicFilter } from './topic-filter.js';

const filter = (text: string) => parseTopicFilter(text) as TopicFilter;
const match = (pattern: string, topic: string) => matchTopic(filter(pattern), topic.split('/'));

t.test('topics match as MQTT 3.1.1 §4.7 says', async (t) => {
  for (const [pattern, topic, values] of [
    ['sport/tennis/player1/#', 'sport/tennis/player1', []],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', []],
    ['sport/#', 'sport', []],
    ['#', 'a/b', []],
    ['+', 'finance', []],
    ['+', '/finance', undefined],
    ['/+', '/finance', []],
    ['+/+', '/finance', []],
    ['sport/+', 'sport', undefined],
    ['sport/+', 'sport/', []],
    ['#', '$SYS/x', undefined],
    ['+/x', '$SYS/x', undefined],
    ['{device}/x', '$SYS/x', undefined],
    ['$SYS/#', '$SYS/x', []],
    ['a/b', 'a/B', undefined],
    ['a/b', 'a/b/c', undefined],
    ['plant/{group}/+/{device}', 'plant/g/x/d', ['g', 'd']],
    ['z/{device#}', 'z/kitchen/lamp', ['kitchen/lamp']],
    ['z/{device#}', 'z', undefined],
  ] as const) {
    t.strictSame(match(pattern, topic), values, `${pattern} ${topic}`);
  }
  for (const bad of ['', 'a/#/b', 'a+', 'a/b#', '{a', 'a{b}', '{a}/{a}', '{a#}/b', '{1}', '{a b}', 'a\0']) {
    t.ok('expected' in parseTopicFilter(bad), bad);
  }
});

t.test('subscriptions: names become wildcards, what another one covers is left out', async (t) => {
  const routes = routesSchema.parse([{ topic: ['a/{device}/+', 'a/{device#}'] }, { topic: 'b/{device}', name: 'x' }]);
  t.strictSame(routeSubscriptions(routes), ['a/#', 'b/+']);
  t.strictSame(subscriptionsOf(['x/+', 'x/{n}', '$SYS/+', '#'].map(filter)), ['$SYS/+', '#']);
  t.notOk(covers('a/+', 'a/#'));
  t.ok(covers('a/#', 'a'));
});

t.test('a filter covers another only if it matches all that the other does', async () => {
  const level = fc.constantFrom('a', 'b', '+', '$s', '');
  const plain = fc.tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean());
  const pattern = plain
    .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'))
    .filter((text) => text !== '');
  const topic = fc.array(fc.constantFrom('a', 'b', 'c', '$s', ''), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(pattern, pattern, topic, (wide, narrow, levels) => {
      if (!covers(wide, narrow) || matchTopic(filter(narrow), levels) === undefined) return true;
      return matchTopic(filter(wide), levels) !== undefined;
    }),
    { numRuns: 2000 },
  );
});
