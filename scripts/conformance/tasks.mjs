// The tasks extension of 2026-07-28, which the SDK leaves to its users: the tools of the suite's extension scenarios.
//
// It answers whole requests, before the SDK sees them, and only those of clients that declare the extension; to others
// `slow_compute` is an ordinary tool that is done at once, and the rest of them is out of reach.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { MissingRequiredClientCapabilityError } from '@modelcontextprotocol/server';

export const EXTENSION = 'io.modelcontextprotocol/tasks';

const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const NEEDED = { requiredCapabilities: { extensions: { [EXTENSION]: {} } } };
const METHODS = ['tasks/get', 'tasks/update', 'tasks/cancel'];
const HEADER_MISMATCH = -32020;
const MISSING_CAPABILITY = -32021;
const INVALID_PARAMS = -32602;
const TTL_MS = 300_000;
const POLL_MS = 50;

const tasks = new Map();

function says(text, isError = false) {
  return { content: [{ type: 'text', text }], isError };
}

function question(message) {
  const requestedSchema = { type: 'object', properties: { name: { type: 'string' }, confirm: { type: 'boolean' } } };
  return { method: 'elicitation/create', params: { mode: 'form', message, requestedSchema } };
}

/** A piece of work that outlives the request that began it. */
class Task {
  #id = randomUUID();
  #created = new Date().toISOString();
  #changed = this.#created;
  #state = { status: 'working' };
  #aborted = new AbortController();
  #asked = {};
  #answers = {};
  #answered = () => {};

  constructor(work) {
    tasks.set(this.#id, this);
    work(this)
      .then(result => this.#become({ status: 'completed', result }))
      .catch(error => this.#become({ status: 'failed', error: { code: -32603, message: error.message } }));
  }

  get signal() {
    return this.#aborted.signal;
  }

  get handle() {
    return {
      taskId: this.#id,
      status: this.#state.status,
      createdAt: this.#created,
      lastUpdatedAt: this.#changed,
      ttlMs: TTL_MS,
      pollIntervalMs: POLL_MS
    };
  }

  get detail() {
    const asks = this.#state.status === 'input_required' ? { inputRequests: this.#asked } : {};
    return { ...this.handle, ...this.#state, ...asks };
  }

  /** Asks the client, and waits until every question is answered. */
  async ask(questions) {
    this.#asked = questions;
    this.#become({ status: 'input_required' });
    await new Promise(resolve => {
      this.#answered = resolve;
    });
    return this.#answers;
  }

  update(answers) {
    for (const key of Object.keys(answers).filter(key => Object.hasOwn(this.#asked, key))) {
      this.#answers[key] = answers[key];
      delete this.#asked[key];
    }
    if (this.#state.status !== 'input_required' || Object.keys(this.#asked).length > 0) return;
    this.#become({ status: 'working' });
    this.#answered();
  }

  cancel() {
    this.#become({ status: 'cancelled' });
    this.#aborted.abort();
  }

  #become(state) {
    // What has ended stays as it ended.
    if (!['working', 'input_required'].includes(this.#state.status)) return;
    this.#state = state;
    this.#changed = new Date().toISOString();
  }
}

async function compute({ seconds = 0 }, signal) {
  await pause(1000 * seconds, undefined, { signal });
  return says(`computed for ${seconds} s`);
}

function outOfReach() {
  throw new MissingRequiredClientCapabilityError(NEEDED);
}

const NONE = { type: 'object', properties: {} };
const NAME = { type: 'object', properties: { name: { type: 'string' } } };
const SECONDS = { type: 'object', properties: { seconds: { type: 'number' }, label: { type: 'string' } } };
const FILE = { type: 'object', properties: { filename: { type: 'string' } } };

/** The tools as clients without the extension have them: name to description, input schema and handler. */
export const tools = {
  greet: ['Greets at once', NAME, ({ name }) => says(`Hello, ${name}!`)],
  // Nobody can poll for it, so nobody waits.
  slow_compute: ['Takes its time', SECONDS, () => compute({})],
  failing_job: ['Fails', NONE, outOfReach],
  protocol_error_job: ['Breaks down', NONE, outOfReach],
  confirm_delete: ['Asks first', FILE, outOfReach],
  multi_input: ['Asks two things', NONE, outOfReach],
  test_tool_with_task: ['Asks before it becomes a task', NONE, outOfReach]
};

/** What a task of each tool does. */
const WORK = {
  slow_compute: args => task => compute(args, task.signal),
  failing_job: () => async () => says('it did not work', true),
  protocol_error_job: () => async () => {
    throw new Error('it broke down');
  },
  confirm_delete: ({ filename }) => async task => {
    const { confirm } = await task.ask({ confirm: question(`Delete ${filename}?`) });
    return says(confirm.action === 'accept' ? `deleted ${filename}` : 'kept');
  },
  multi_input: () => async task => {
    const answers = await task.ask({ first: question('The first?'), second: question('The second?') });
    return says(JSON.stringify(answers));
  },
  test_tool_with_task: (_, { user_name }) => async () => says(`done for ${user_name.content?.name}`)
};

function begin({ name, arguments: args = {}, inputResponses = {} }) {
  if (name === 'test_tool_with_task' && !inputResponses.user_name) {
    return { resultType: 'input_required', inputRequests: { user_name: question('Who is it for?') } };
  }
  return { resultType: 'task', ...new Task(WORK[name](args, inputResponses)).handle };
}

/** The status and the answer to a request that is about tasks; `undefined` for any other. */
export function answer(headers, { id, method, params = {} }) {
  const declared = params._meta?.[CAPABILITIES]?.extensions?.[EXTENSION];
  const isTask = METHODS.includes(method);
  if (!isTask && !(declared && method === 'tools/call' && Object.hasOwn(WORK, params.name))) return undefined;
  const refuse = (status, code, message, data) => [status, { jsonrpc: '2.0', id, error: { code, message, data } }];
  if (headers['mcp-method'] !== method || headers['mcp-name'] !== (params.taskId ?? params.name)) {
    return refuse(400, HEADER_MISMATCH, 'The headers are not what the body says');
  }
  if (!declared) return refuse(400, MISSING_CAPABILITY, 'The client does not declare the extension', NEEDED);
  const result = value => [200, { jsonrpc: '2.0', id, result: value }];
  if (!isTask) return result(begin(params));
  const task = tasks.get(params.taskId);
  if (!task) return refuse(200, INVALID_PARAMS, 'No such task');
  if (method === 'tasks/get') return result({ resultType: 'complete', ...task.detail });
  if (method === 'tasks/update') task.update(params.inputResponses ?? {});
  else task.cancel();
  return result({ resultType: 'complete' });
}
