/** Answers come from a person or a pipe; an end of the input is said. */
import { PassThrough, Writable } from 'node:stream';
import t from 'tap';
import { questions } from './ask.js';

function asked(answers: string) {
  const input = new PassThrough();
  input.end(answers);
  return questions(input, new Writable({ write: (_chunk, _encoding, done) => done() }));
}

t.test('lines of a pipe, one an answer, however late they are asked for', async (t) => {
  const { ask, close } = asked('pi\n\n - \n');
  await new Promise((resolve) => setImmediate(resolve)); // all of them are there
  t.equal(await ask('name', 'host'), 'pi');
  t.equal(await ask('broker', 'mqtt://localhost'), 'mqtt://localhost');
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(await ask('uplink', 'x'), '-');
  close();
});

t.test('an input that ends', async (t) => {
  const { ask, close } = asked('pi\n');
  t.equal(await ask('name', 'host'), 'pi');
  await t.rejects(ask('broker', 'x'), { message: 'the input ended before "broker" was answered', hint: /--yes/ });
  close();
});
