// The resources and prompts that the scored scenarios of the official suites ask for.

import { ProtocolError, acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { PIXEL, STRING, embedded, form, image, isText, text } from './content.mjs';

const INVALID_PARAMS = -32602;

const RESOURCES = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: PIXEL },
  'test://watched-resource': { mimeType: 'text/plain', text: 'Nothing has happened yet.' }
};

export const templates = [
  { name: 'by id', uriTemplate: 'test://template/{id}/data', description: 'Any id', mimeType: 'application/json' }
];

/** The entries of `resources/list`. */
export function resources() {
  return Object.entries(RESOURCES).map(([uri, { mimeType }]) => {
    const name = uri.slice('test://'.length);
    return { uri, name, description: `The resource ${name}`, mimeType };
  });
}

/** The contents of a resource, or the error of one that there is not. */
export function read(uri) {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id) {
    const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
    return [{ uri, mimeType: 'application/json', text: data }];
  }
  if (!Object.hasOwn(RESOURCES, uri)) throw new ProtocolError(INVALID_PARAMS, 'Resource not found', { uri });
  return [{ uri, ...RESOURCES[uri] }];
}

function spoken(...content) {
  return { messages: content.map(c => ({ role: 'user', content: typeof c === 'string' ? text(c) : c })) };
}

/** The prompts: name to description, names of the arguments and handler. */
export const prompts = {
  test_simple_prompt: ['Says something', [], () => spoken('This is a simple prompt for testing.')],
  test_prompt_with_arguments: [
    'Says its arguments',
    ['arg1', 'arg2'],
    ({ arg1, arg2 }) => spoken(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)
  ],
  test_prompt_with_embedded_resource: [
    'Brings a resource',
    ['resourceUri'],
    ({ resourceUri }) =>
      spoken(
        embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
        'Please process the embedded resource above.'
      )
  ],
  test_prompt_with_image: ['Shows a picture', [], () => spoken(image(), 'Please analyze the image above.')],
  test_input_required_result_prompt: [
    'Asks before it speaks',
    [],
    (_, ctx) => {
      const context = acceptedContent(ctx.mcpReq.inputResponses, 'user_context')?.context;
      if (isText(context)) return spoken(`In the context of ${context}.`);
      const question = form('What context should the prompt use?', { context: STRING });
      return inputRequired({ inputRequests: { user_context: question } });
    }
  ]
};
