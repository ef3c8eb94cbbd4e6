/** Asks whoever sits there, or a pipe that has the answers, one a line. An empty line takes what is proposed. */
import { createInterface } from 'node:readline';
import { EdgetallyError } from '../../shared/errors.js';

export interface Questions {
  /** Throws where the input ends before the answer. */
  ask(question: string, proposed: string): Promise<string>;
  close(): void;
}

export const NO_QUESTIONS: Questions = { ask: async (_, proposed) => proposed, close: () => undefined };

export function questions(input: NodeJS.ReadableStream, output: NodeJS.WritableStream): Questions {
  const reader = createInterface({ input, output });
  const answers = reader[Symbol.asyncIterator](); // from now on: lines of a pipe come before they are asked for
  return {
    ask: async (question, proposed) => {
      reader.setPrompt(`${question} [${proposed}] `);
      reader.prompt();
      const answer = await answers.next();
      if (answer.done !== true) return answer.value.trim() || proposed;
      const hint = 'Answer it, or say --yes to take what is proposed.';
      throw new EdgetallyError('usage', `the input ended before "${question}" was answered`, { hint });
    },
    close: () => reader.close(),
  };
}
