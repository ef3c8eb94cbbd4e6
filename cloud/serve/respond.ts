/**
 * From a request to a response, whatever server is around it: `GET /report?from=7d&format=csv`. Total: what is wrong with a
 * request is said in the response, with what, where, and what to do.
 *
 * Never: who may ask. That is decided before.
 */
import { EdgetallyError } from '../../shared/errors.js';
import type { SnapshotStore } from '../store/store.js';
import { type AnswerFormat, QUESTIONS, type Question } from './questions.js';

export interface Request {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** As it was sent, without the question mark. */
  readonly query: string;
}

export interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const TYPES: Readonly<Record<AnswerFormat, string>> = {
  csv: 'text/csv; charset=utf-8',
  json: 'application/json; charset=utf-8',
};
/** Of all headers together servers take some 8 KB. */
const MAX_NOTES = 4000;
const NO_STORE = { 'cache-control': 'no-store' };

export async function respond(store: SnapshotStore, request: Request, nowMs: number): Promise<Response> {
  const question = questionOf(request.path);
  if (question === undefined) {
    return problem(404, `there is nothing at ${request.path}`, `Ask for one of ${pathsText()}.`);
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return problem(405, `${request.method} is not possible here`, 'Use GET: nothing can be changed.', {
      allow: 'GET, HEAD',
    });
  }
  try {
    const given = readParameters(request.query, question);
    const format = formatOf(given.format);
    const { text, notes } = await question.answer({ store, given, format, nowMs });
    return { status: 200, headers: { ...NO_STORE, 'content-type': TYPES[format], ...notesHeader(notes) }, body: text };
  } catch (error) {
    if (!(error instanceof EdgetallyError) || error.code !== 'usage') throw error;
    return problem(400, withoutDashes(error.message), withoutDashes(error.hint));
  }
}

export function problem(status: number, message: string, hint: string, headers: object = {}): Response {
  const body = `${JSON.stringify({ error: { message, hint } })}\n`;
  return { status, headers: { ...NO_STORE, 'content-type': TYPES.json, ...headers }, body };
}

function questionOf(path: string): Question | undefined {
  const name = path.replace(/^\/|\/$/g, '');
  return Object.hasOwn(QUESTIONS, name) ? QUESTIONS[name] : undefined;
}

function pathsText(): string {
  return Object.keys(QUESTIONS)
    .map((name) => `/${name}`)
    .join(', ');
}

function readParameters(query: string, { parameters }: Question): Record<string, string | undefined> {
  const known = [...parameters, 'format'];
  const given: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.includes(name)) {
      throw new EdgetallyError('usage', `there is no parameter ${JSON.stringify(name)} here`, {
        hint: `Give some of ${known.join(', ')}.`,
      });
    }
    if (Object.hasOwn(given, name)) {
      throw new EdgetallyError('usage', `${name} is given twice`, { hint: 'Give each parameter once.' });
    }
    given[name] = value;
  }
  return given;
}

function formatOf(text = 'json'): AnswerFormat {
  if (text === 'csv' || text === 'json') return text;
  throw new EdgetallyError('usage', `format: there is none called ${JSON.stringify(text)}`, {
    hint: 'Give csv or json.',
  });
}

/** A list as JSON, in ASCII as a header has to be; whole notes only. */
function notesHeader(notes: readonly string[]): Record<string, string> {
  const fitting = [...notes];
  const encode = () =>
    JSON.stringify(fitting).replaceAll(
      /[\u007f-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  while (fitting.length > 0 && encode().length > MAX_NOTES) fitting.pop();
  return fitting.length === 0 ? {} : { 'edgetally-notes': encode() };
}

/** Messages speak of the options of commands; a parameter has the same name. */
function withoutDashes(text: string): string {
  return text.replaceAll(/(?<![\w-])--(?=[a-z])/g, '');
}
