// The tools that the scored scenarios of the official suites ask for, each written once.
//
// A tool that needs the client (elicitation, sampling, roots) returns `inputRequired`. The SDK turns that into a result
// for a modern client and into a request for a legacy one, so a scenario of either era can be answered by a server of
// the other.

import { setTimeout as pause } from 'node:timers/promises';
import { MissingRequiredClientCapabilityError, inputRequired } from '@modelcontextprotocol/server';
import { BOOLEAN, INTEGER, SILENCE, STRING, completion, embedded, form, image, object, reply, says } from './content.mjs';
import { questions } from './questions.mjs';

const STEP_MS = 50;

/** Asks one question with a form and hands its whole answer on, refusals too. */
function ask(ctx, said, message, properties, required) {
  const answer = reply(ctx, 'answer');
  if (answer?.action === undefined) {
    return inputRequired({ inputRequests: { answer: form(message, properties, required) } });
  }
  return says(`${said}: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
}

/** Tells how far it is, if the client wants to know. */
async function progress(ctx) {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  for (const progress of [0, 50, 100]) {
    if (progress > 0) await pause(STEP_MS);
    if (progressToken === undefined) continue;
    await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
  }
  return says('all of it');
}

async function log(ctx, ...lines) {
  for (const [n, line] of lines.entries()) {
    if (n > 0) await pause(STEP_MS);
    await ctx.mcpReq.log('info', line);
  }
  return says(`logged ${lines.length}`);
}

const DEFAULTS = {
  name: { ...STRING, default: 'John Doe' },
  age: { ...INTEGER, default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { ...STRING, enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { ...BOOLEAN, default: true }
};

const OPTIONS = ['option1', 'option2', 'option3'];
const titled = ['First', 'Second', 'Third'].map((title, n) => ({ const: `value${n + 1}`, title: `${title} choice` }));
const ENUMS = {
  untitledSingle: { ...STRING, enum: OPTIONS },
  titledSingle: { ...STRING, oneOf: titled },
  legacyEnum: { ...STRING, enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
  untitledMulti: { type: 'array', items: { ...STRING, enum: OPTIONS } },
  titledMulti: { type: 'array', items: { anyOf: titled } }
};

/** Every keyword of JSON Schema 2020-12 that a gateway might be tempted to drop. */
const SCHEMA_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: STRING, city: STRING } } },
  properties: {
    name: STRING,
    address: { $ref: '#/$defs/address' },
    contactMethod: { ...STRING, enum: ['phone', 'email'] },
    phone: STRING,
    email: STRING
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false
};

/**
 * The tools: name to description, input schema and handler of arguments, context and the client's capabilities.
 *
 * `states` seals request states, `announce` tells every client that a list changed.
 */
export function tools({ states, announce }) {
  return {
    echo: ['Says it back', object({ message: STRING }), ({ message }) => says(`Echo: ${message}`)],
    test_simple_text: ['Text', object(), () => says('This is a simple text response for testing.')],
    test_image_content: ['A picture', object(), () => says(image())],
    test_audio_content: ['A sound', object(), () => says({ type: 'audio', data: SILENCE, mimeType: 'audio/wav' })],
    test_embedded_resource: [
      'A resource',
      object(),
      () => says(embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'))
    ],
    test_multiple_content_types: [
      'Text, picture and resource',
      object(),
      () =>
        says(
          'Multiple content types test:',
          image(),
          embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}')
        )
    ],
    test_error_handling: [
      'Fails',
      object(),
      () => ({ ...says('This tool intentionally returns an error for testing'), isError: true })
    ],
    test_tool_with_logging: [
      'Logs three lines',
      object(),
      (_, ctx) => log(ctx, 'Tool execution started', 'Tool processing data', 'Tool execution completed')
    ],
    test_logging_tool: ['Logs one line', object(), (_, ctx) => log(ctx, 'hello')],
    test_tool_with_progress: ['Reports 0, 50, 100', object(), (_, ctx) => progress(ctx)],
    test_reconnection: [
      'Closes its stream under the call',
      object(),
      async (_, ctx) => {
        ctx.http?.closeSSE?.();
        await pause(2 * STEP_MS);
        return says('Reconnection test completed successfully.');
      }
    ],
    test_sampling: [
      'Asks the model of the client',
      object({ prompt: STRING }),
      ({ prompt }, ctx) => {
        const answer = reply(ctx, 'answer');
        if (!answer) return inputRequired({ inputRequests: { answer: completion(prompt) } });
        return says(`LLM response: ${answer.content?.text ?? ''}`);
      }
    ],
    test_elicitation: [
      'Asks the user',
      object({ message: STRING }),
      ({ message }, ctx) => ask(ctx, 'User response', message, { username: STRING, email: STRING })
    ],
    test_elicitation_sep1034_defaults: [
      'Asks with defaults',
      object(),
      (_, ctx) => ask(ctx, 'Elicitation completed', 'Are these right?', DEFAULTS, [])
    ],
    test_elicitation_sep1330_enums: [
      'Asks to choose',
      object(),
      (_, ctx) => ask(ctx, 'Elicitation completed', 'Which of these?', ENUMS, [])
    ],
    test_streaming_elicitation: [
      'Asks on the stream of the call',
      object(),
      (_, ctx) => ask(ctx, 'User response', 'Shall I go on?', { ok: BOOLEAN })
    ],
    json_schema_2020_12_tool: ['Has a schema with everything', SCHEMA_2020_12, args => says(JSON.stringify(args))],
    test_header_params: [
      'Has arguments that travel as headers too',
      object({ region: { ...STRING, 'x-mcp-header': 'Region' }, limit: { ...INTEGER, 'x-mcp-header': 'Limit' } }, []),
      args => says(JSON.stringify(args))
    ],
    test_missing_capability: [
      'Cannot work without sampling',
      object(),
      (_, ctx, can) => {
        if (!can.sampling) throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
        return says('the client can sample');
      }
    ],
    ...Object.fromEntries(
      ['tool', 'prompt'].map(kind => [
        `test_trigger_${kind}_change`,
        [`Announces another list of ${kind}s`, object(), () => (announce(`${kind}s`), says('announced'))]
      ])
    ),
    ...questions(states)
  };
}
