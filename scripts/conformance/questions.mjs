// The tools of the multi-round-trip scenarios.

import { acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { BOOLEAN, STRING, completion, form, isText, object, reply, says } from './content.mjs';

/** A confirmation whose state must come back as it was given. */
async function confirm(ctx, states, step) {
  const accepted = acceptedContent(ctx.mcpReq.inputResponses, 'confirm');
  if (accepted && ctx.mcpReq.requestState()?.step === step) return says('state-ok');
  return inputRequired({
    inputRequests: { confirm: form('Please confirm', { ok: BOOLEAN }) },
    requestState: await states.mint({ step })
  });
}

/** The tools: name to description, input schema and handler. `states` seals request states. */
export function questions(states) {
  return {
    test_input_required_result_elicitation: [
      'Asks for a name',
      object(),
      (_, ctx) => {
        const name = acceptedContent(ctx.mcpReq.inputResponses, 'user_name')?.name;
        if (isText(name)) return says(`Hello, ${name}!`);
        return inputRequired({ inputRequests: { user_name: form('What is your name?', { name: STRING }) } });
      }
    ],
    test_input_required_result_sampling: [
      'Asks a model',
      object(),
      (_, ctx) => {
        const answer = reply(ctx, 'capital_question');
        if (isText(answer?.content?.text)) return says(answer.content.text);
        return inputRequired({ inputRequests: { capital_question: completion('What is the capital of France?') } });
      }
    ],
    test_input_required_result_list_roots: [
      'Asks for roots',
      object(),
      (_, ctx) => {
        const roots = reply(ctx, 'client_roots')?.roots;
        if (Array.isArray(roots)) return says(roots.map(root => root.uri).join(' '));
        return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
      }
    ],
    test_input_required_result_request_state: ['Keeps state', object(), (_, ctx) => confirm(ctx, states, 'kept')],
    test_input_required_result_tampered_state: ['Guards state', object(), (_, ctx) => confirm(ctx, states, 'guarded')],
    test_input_required_result_multiple_inputs: [
      'Asks three things at once',
      object(),
      async (_, ctx) => {
        const keys = ['user_name', 'greeting', 'client_roots'];
        if (keys.every(key => reply(ctx, key)) && ctx.mcpReq.requestState()) return says('all three came');
        const [name, greeting, roots] = [
          form('What is your name?', { name: STRING }),
          completion('Generate a greeting', 50),
          inputRequired.listRoots()
        ];
        return inputRequired({
          inputRequests: { user_name: name, greeting, client_roots: roots },
          requestState: await states.mint({ step: 'three' })
        });
      }
    ],
    test_input_required_result_multi_round: [
      'Asks twice',
      object(),
      async (_, ctx) => {
        const state = ctx.mcpReq.requestState();
        const name = acceptedContent(ctx.mcpReq.inputResponses, 'step1')?.name;
        const color = acceptedContent(ctx.mcpReq.inputResponses, 'step2')?.color;
        if (state?.name && isText(color)) return says(`${state.name} likes ${color}`);
        if (state && isText(name)) {
          const next = form('Step 2: What is your favorite color?', { color: STRING });
          return inputRequired({ inputRequests: { step2: next }, requestState: await states.mint({ name }) });
        }
        const first = form('Step 1: What is your name?', { name: STRING });
        return inputRequired({ inputRequests: { step1: first }, requestState: await states.mint({}) });
      }
    ],
    test_input_required_result_capabilities: [
      'Asks only for what the client can do',
      object(),
      (_, ctx, can) => {
        const inputRequests = {
          ...(can.elicitation && !reply(ctx, 'who') && { who: form('Who are you?', { name: STRING }) }),
          ...(can.sampling && !reply(ctx, 'what') && { what: completion('Say anything') })
        };
        return Object.keys(inputRequests).length ? inputRequired({ inputRequests }) : says('nothing left to ask');
      }
    ]
  };
}
