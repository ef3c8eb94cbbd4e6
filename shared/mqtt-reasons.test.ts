import { test } from 'tap';
import { EdgetallyError } from './errors.js';
import { explainEnd, isAboutVersion, type MqttEnd, reasonCodeOf } from './mqtt-reasons.js';

const explain = (end: Partial<MqttEnd>, lostHint = 'Wait.') =>
  explainEnd(
    { error: undefined, reasonCode: undefined, wasUp: false, ...end },
    { address: 'b:1', clientId: 'me', lostHint },
  );

test('what a broker says, under both versions, is said plainly', (t) => {
  const table: [Partial<MqttEnd>, string, RegExp][] = [
    [{ reasonCode: 0x8e, wasUp: true }, 'session-taken-over', /another client has taken over our session at b:1/],
    [{ reasonCode: 1 }, 'link-refused', /does not speak this version/],
    [{ reasonCode: 0x84 }, 'link-refused', /does not speak this version/],
    [{ reasonCode: 2 }, 'link-unauthorized', /the client id is rejected/],
    [{ reasonCode: 133 }, 'link-unauthorized', /the client id is rejected/],
    [{ reasonCode: 4 }, 'link-unauthorized', /wrong user name or password/],
    [{ reasonCode: 134 }, 'link-unauthorized', /wrong user name or password/],
    [{ reasonCode: 5 }, 'link-unauthorized', /not authorized/],
    [{ reasonCode: 135 }, 'link-unauthorized', /not authorized/],
    [{ reasonCode: 3, error: new Error('Server unavailable') }, 'link-refused', /refused the connection \(Server unav/],
    [{ reasonCode: 0x8b, wasUp: true }, 'link-lost', /ended the connection \(reason code 0x8b\)/],
    [{ error: new Error('connack timeout') }, 'link-refused', /b:1: no answer/],
    [{ error: new Error('Keepalive timeout'), wasUp: true }, 'link-lost', /no answer to a ping/],
    [{ wasUp: true }, 'link-lost', /b:1 closed the connection/],
    [{ error: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }) }, 'link-refused', /nothing listens there/],
    [{}, 'link-lost', /b:1 closed the connection/],
  ];
  for (const [end, code, words] of table) {
    const told = explain(end);
    t.equal(told.code, code, `${JSON.stringify(end)}: ${told.message}`);
    t.match(told.message, words);
    t.not(told.hint, '');
  }
  t.equal(explain({ reasonCode: 0x8b, wasUp: true }).hint, 'Wait.');
  t.match(explain({ wasUp: true }).hint, /does another client use the id me\?/);
  const own = new EdgetallyError('link-unauthorized', 'no subscription');
  t.equal(explain({ error: own, wasUp: true }), own, 'what is said already stays as it is');
  t.end();
});

test('codes', (t) => {
  t.same([0, 1, 5, 0x84, undefined].map(isAboutVersion), [false, true, false, true, false]);
  t.equal(reasonCodeOf(Object.assign(new Error(), { code: 135 })), 135);
  for (const none of [undefined, null, new Error('x'), Object.assign(new Error(), { code: 'EPIPE' })]) {
    t.equal(reasonCodeOf(none), undefined);
  }
  t.end();
});
