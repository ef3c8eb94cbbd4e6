/** What the policies of a gateway allow and deny, case by case, as the evaluator sees them; and that they fit. */
import t, { type Test } from 'tap';
import { MAX_POLICY_CHARACTERS, type PolicyDocument, policyCharacters } from './document.js';
import { type Context, evaluate } from './evaluator.js';
import { certificatesPolicy, claimPolicy, gatewayPolicy, httpsPolicy, type PolicyNames } from './gateway.js';

/** The longest of everything that is in an ARN. */
const names: PolicyNames = {
  arn: 'arn:aws-us-gov:iot:ap-southeast-2:123456789012',
  batchRule: 'edgetally_suffix123456_batch',
  provisioningTemplate: 'edgetally-suffix123456',
};
const policies = {
  gateway: gatewayPolicy(names),
  https: httpsPolicy(names),
  certificates: certificatesPolicy(names),
  claim: claimPolicy(names),
};
const enrolled = [policies.gateway, policies.https, policies.certificates];

const thing = (name: string, attributes: readonly string[] = []): Context => ({
  'iot:ClientId': name,
  'iot:Connection.Thing.ThingName': name,
  'iot:Connection.Thing.IsAttached': 'true',
  'iot:Certificate.Subject.CommonName': name,
  'iot:ConnectAttributes': attributes,
});
const overHttps = (name: string): Context => ({ 'iot:Certificate.Subject.CommonName': name });

type Case = readonly [what: string, action: 'Connect' | 'Publish' | 'RetainPublish' | 'Subscribe' | 'Receive', string];

const RESOURCE = {
  Connect: 'client',
  Publish: 'topic',
  RetainPublish: 'topic',
  Subscribe: 'topicfilter',
  Receive: 'topic',
};

function decide(documents: readonly PolicyDocument[], context: Context, [, action, name]: Case): string {
  return evaluate(documents, names.arn, {
    action: `iot:${action}`,
    resource: `${RESOURCE[action]}/${name}`,
    context,
  });
}

function check(t: Test, documents: readonly PolicyDocument[], context: Context, allowed: Case[], denied: Case[]) {
  for (const one of allowed) t.equal(decide(documents, context, one), 'allowed', `${one[1]} ${one[2]}: ${one[0]}`);
  for (const one of denied) t.equal(decide(documents, context, one), 'denied', `${one[1]} ${one[2]}: ${one[0]}`);
}

const BATCH_RULE = '$aws/rules/edgetally_suffix123456_batch';
const CSR = '$aws/certificates/create-from-csr/json';
const PROVISION = '$aws/provisioning-templates/edgetally-suffix123456/provision/json';

t.test('a gateway speaks and hears on its own topics, and nowhere else', async (t) => {
  check(
    t,
    enrolled,
    thing('pi-1'),
    [
      ['as itself', 'Connect', 'pi-1'],
      ['its batches', 'Publish', 'edgetally/v1/pi-1/up/batch'],
      ['its batches by Basic Ingest', 'Publish', `${BATCH_RULE}/edgetally/v1/pi-1/up/batch`],
      ['its status', 'Publish', 'edgetally/v1/pi-1/up/status'],
      ['its status by Basic Ingest', 'Publish', `${BATCH_RULE}/edgetally/v1/pi-1/up/status`],
      ['its status is retained', 'RetainPublish', 'edgetally/v1/pi-1/up/status'],
      ['its events', 'Publish', 'edgetally/v1/pi-1/up/event'],
      ['its receipts', 'Subscribe', 'edgetally/v1/pi-1/down/receipt'],
      ['all of its own, one level', 'Subscribe', 'edgetally/v1/pi-1/down/+'],
      ['all of its own', 'Subscribe', 'edgetally/v1/pi-1/down/#'],
      ['its receipts', 'Receive', 'edgetally/v1/pi-1/down/receipt'],
      ['its commands', 'Receive', 'edgetally/v1/pi-1/down/command'],
      ['its next certificate', 'Publish', CSR],
      ['its next certificate', 'Publish', PROVISION],
      ['the answer', 'Subscribe', `${CSR}/accepted`],
      ['the answer', 'Receive', `${CSR}/rejected`],
      ['the answer', 'Subscribe', `${PROVISION}/rejected`],
      ['the answer', 'Receive', `${PROVISION}/accepted`],
    ],
    [
      ['as another', 'Connect', 'pi-2'],
      ['as one whose name begins like its own', 'Connect', 'pi-12'],
      ['as itself with a suffix', 'Connect', 'pi-1-b'],
      ['as the beginning of itself', 'Connect', 'pi'],
      ['as nobody', 'Connect', ''],
      ['as everybody', 'Connect', '*'],
      ['as a claim', 'Connect', 'edgetally-claim-pi-1'],
      ["another's batches", 'Publish', 'edgetally/v1/pi-2/up/batch'],
      ["another's batches by Basic Ingest", 'Publish', `${BATCH_RULE}/edgetally/v1/pi-2/up/batch`],
      ['a name that begins like its own', 'Publish', 'edgetally/v1/pi-12/up/batch'],
      ['another rule', 'Publish', '$aws/rules/another/edgetally/v1/pi-1/up/batch'],
      ['the rule, without a topic', 'Publish', BATCH_RULE],
      ['a kind that is none', 'Publish', 'edgetally/v1/pi-1/up/anything'],
      ['a level more', 'Publish', 'edgetally/v1/pi-1/up/batch/more'],
      ['a level less', 'Publish', 'edgetally/v1/pi-1/up'],
      ['another version', 'Publish', 'edgetally/v2/pi-1/up/batch'],
      ['receipts are for the cloud to send', 'Publish', 'edgetally/v1/pi-1/down/receipt'],
      ["another's receipts", 'Publish', 'edgetally/v1/pi-2/down/receipt'],
      ["another's status", 'Publish', 'edgetally/v1/pi-2/up/status'],
      ['a topic that is nobody’s', 'Publish', 'plant/a'],
      ['another template', 'Publish', '$aws/provisioning-templates/other/provision/json'],
      ['a key made by AWS', 'Publish', '$aws/certificates/create/json'],
      ['a shadow', 'Publish', '$aws/things/pi-1/shadow/update'],
      ['a retained batch', 'RetainPublish', 'edgetally/v1/pi-1/up/batch'],
      ['a retained event', 'RetainPublish', 'edgetally/v1/pi-1/up/event'],
      ["another's retained status", 'RetainPublish', 'edgetally/v1/pi-2/up/status'],
      ["another's status by Basic Ingest", 'Publish', `${BATCH_RULE}/edgetally/v1/pi-2/up/status`],
      ['Basic Ingest retains nothing', 'RetainPublish', `${BATCH_RULE}/edgetally/v1/pi-1/up/status`],
      ['everything', 'Subscribe', '#'],
      ['everything, level by level', 'Subscribe', '+/+/+/+/+'],
      ['everything of ours', 'Subscribe', 'edgetally/v1/#'],
      ['the receipts of all', 'Subscribe', 'edgetally/v1/+/down/receipt'],
      ['the receipts of all, shared', 'Subscribe', '$share/g/edgetally/v1/+/down/receipt'],
      ['everything of its own: up is not for it to read', 'Subscribe', 'edgetally/v1/pi-1/#'],
      ['its own batches', 'Subscribe', 'edgetally/v1/pi-1/up/batch'],
      ["another's receipts", 'Subscribe', 'edgetally/v1/pi-2/down/receipt'],
      ["another's receipts by a wildcard", 'Subscribe', 'edgetally/v1/pi-2/down/#'],
      ['presence of all', 'Subscribe', '$aws/events/presence/connected/+'],
      ['every answer of provisioning', 'Subscribe', '$aws/certificates/#'],
      ["another's receipts", 'Receive', 'edgetally/v1/pi-2/down/receipt'],
      ["another's batches", 'Receive', 'edgetally/v1/pi-2/up/batch'],
      ['its own batches', 'Receive', 'edgetally/v1/pi-1/up/batch'],
    ],
  );
});

t.test('how a gateway may connect', async (t) => {
  const connect: Case = ['', 'Connect', 'pi-1'];
  t.equal(decide(enrolled, thing('pi-1', ['LastWill']), connect), 'allowed', 'with a last will');
  t.equal(decide(enrolled, thing('pi-1', ['PersistentConnect']), connect), 'denied', 'with a persistent session');
  t.equal(decide(enrolled, thing('pi-1', ['LastWill', 'PersistentConnect']), connect), 'denied', 'with both');
  const detached = { ...thing('pi-1'), 'iot:Connection.Thing.IsAttached': 'false' };
  t.equal(decide(enrolled, detached, connect), 'denied', 'with a certificate that is not attached to the thing');
  const { 'iot:Connection.Thing.ThingName': _, ...noThing } = thing('pi-1');
  t.equal(decide(enrolled, noThing, connect), 'denied', 'with a certificate of no thing');
});

t.test('over HTTPS a gateway publishes batches by the name in its certificate', async (t) => {
  check(
    t,
    enrolled,
    overHttps('pi-1'),
    [
      ['its batches', 'Publish', 'edgetally/v1/pi-1/up/batch'],
      ['its batches by Basic Ingest', 'Publish', `${BATCH_RULE}/edgetally/v1/pi-1/up/batch`],
    ],
    [
      ["another's batches", 'Publish', 'edgetally/v1/pi-2/up/batch'],
      ["another's batches by Basic Ingest", 'Publish', `${BATCH_RULE}/edgetally/v1/pi-2/up/batch`],
      ['a status', 'Publish', 'edgetally/v1/pi-1/up/status'],
      ['a retained batch', 'RetainPublish', 'edgetally/v1/pi-1/up/batch'],
      ['a name of nothing', 'Publish', 'edgetally/v1//up/batch'],
    ],
  );
  t.equal(
    decide(enrolled, {}, ['no name', 'Publish', 'edgetally/v1//up/batch']),
    'denied',
    'a certificate without name',
  );
  t.equal(
    decide([policies.gateway], overHttps('pi-1'), ['', 'Publish', 'edgetally/v1/pi-1/up/batch']),
    'denied',
    'not by the policy for MQTT: there is no thing',
  );
  t.equal(
    decide(enrolled, overHttps('*'), ['', 'Publish', 'edgetally/v1/pi-1/up/batch']),
    'denied',
    'a wildcard as name is a name like others',
  );
});

t.test('a claim certificate can do nothing but ask for a certificate', async (t) => {
  const context: Context = { 'iot:ClientId': 'edgetally-claim-pi-1' };
  check(
    t,
    [policies.claim],
    context,
    [
      ['as a claim', 'Connect', 'edgetally-claim-pi-1'],
      ['', 'Publish', CSR],
      ['', 'Publish', PROVISION],
      ['', 'Subscribe', `${CSR}/accepted`],
      ['', 'Receive', `${PROVISION}/rejected`],
    ],
    [
      ['as a gateway: it would throw that one out', 'Connect', 'pi-1'],
      ['batches', 'Publish', 'edgetally/v1/pi-1/up/batch'],
      ['batches in its own name', 'Publish', 'edgetally/v1/edgetally-claim-pi-1/up/batch'],
      ['receipts', 'Subscribe', 'edgetally/v1/pi-1/down/receipt'],
      ['everything', 'Subscribe', '#'],
      ['another template', 'Publish', '$aws/provisioning-templates/other/provision/json'],
      ['a key made by AWS', 'Publish', '$aws/certificates/create/json'],
    ],
  );
});

t.test('each policy fits into what AWS allows, in the longest partition and region', async (t) => {
  for (const [name, policy] of Object.entries(policies)) {
    const characters = policyCharacters(policy);
    t.ok(characters <= MAX_POLICY_CHARACTERS, `${name}: ${characters}`);
  }
});

t.test('the evaluator itself', async (t) => {
  const arn = 'arn:aws:iot:eu-central-1:123456789012';
  const variable = (name: string) => `\${${name}}`;
  const policy = (Resource: string, extra: object = {}): PolicyDocument => ({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: `${arn}:${Resource}`, ...extra }],
  });
  const publish = (documents: PolicyDocument[], topic: string, context: Context = {}) =>
    evaluate(documents, arn, { action: 'iot:Publish', resource: `topic/${topic}`, context });
  t.equal(publish([policy('topic/a/*')], 'a/b/c/d'), 'allowed', '* crosses levels');
  t.equal(publish([policy('topic/a/?')], 'a/b'), 'allowed', '? is one character');
  t.equal(publish([policy('topic/a/?')], 'a/bc'), 'denied', '? is not two');
  t.equal(publish([policy('topic/a/+')], 'a/b'), 'denied', '+ is a plus');
  t.equal(publish([policy('topic/a/#')], 'a/b'), 'denied', '# is a hash');
  t.equal(publish([policy('topic/a.b')], 'axb'), 'denied', 'a dot is a dot');
  t.equal(publish([policy('topic/a')], 'a/b'), 'denied', 'a topic is no prefix');
  t.equal(publish([policy(`topic/${variable('*')}`)], 'anything'), 'denied', 'an escaped asterisk is one');
  t.equal(publish([policy(`topic/${variable('x')}`)], 'a*', { x: 'a*' }), 'allowed', 'a value is literal');
  t.equal(publish([policy(`topic/${variable('x')}`)], 'ab', { x: 'a*' }), 'denied', 'a value is no pattern');
  t.equal(publish([policy(`topic/${variable('x')}`)], ''), 'denied', 'no value matches nothing');
  t.equal(publish([policy(`topic/${variable('x')}`)], 'a', { x: ['a', 'b'] }), 'allowed', 'the first of several');
  t.equal(publish([policy(`topic/${variable('x')}`)], 'b', { x: ['a', 'b'] }), 'denied', 'not the second');
  t.equal(publish([policy('topic/*'), policy('topic/a', { Effect: 'Deny' })], 'a'), 'explicitly-denied', 'a deny wins');
  t.equal(publish([policy('topic/*', { Action: 'iot:Receive' })], 'a'), 'denied', 'another action');
  t.equal(publish([], 'a'), 'denied', 'without a policy');
  const when = (Condition: object) => [policy('topic/*', { Condition })];
  t.equal(publish(when({ StringEquals: { x: ['a', 'b'] } }), 't', { x: 'b' }), 'allowed');
  t.equal(publish(when({ StringEquals: { x: 'a' } }), 't'), 'denied', 'a key that is not there');
  t.equal(publish(when({ 'ForAnyValue:StringEquals': { x: 'a' } }), 't', { x: [] }), 'denied', 'any of none');
  t.equal(
    publish(when({ Bool: { x: 'true' }, StringEquals: { y: 'a' } }), 't', { x: 'true' }),
    'denied',
    'all must hold',
  );
  t.throws(() => publish(when({ StringLike: { x: 'a' } }), 't'), /does not know/, 'it does not guess');
});
