// The pieces that tools, resources and prompts are made of.

import { inputRequired } from '@modelcontextprotocol/server';

/** One white pixel, and no sound at all. */
export const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==';
export const SILENCE = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=';

export const STRING = { type: 'string' };
export const BOOLEAN = { type: 'boolean' };
export const INTEGER = { type: 'integer' };

export function object(properties = {}, required = Object.keys(properties)) {
  return { type: 'object', properties, ...(required.length && { required }) };
}

export function text(words) {
  return { type: 'text', text: words };
}

export function image() {
  return { type: 'image', data: PIXEL, mimeType: 'image/png' };
}

export function embedded(uri, mimeType, words) {
  return { type: 'resource', resource: { uri, mimeType, text: words } };
}

export function says(...content) {
  return { content: content.map(c => (typeof c === 'string' ? text(c) : c)) };
}

export function form(message, properties, required) {
  return inputRequired.elicit({ message, requestedSchema: object(properties, required) });
}

export function completion(question, maxTokens = 100) {
  return inputRequired.createMessage({ messages: [{ role: 'user', content: text(question) }], maxTokens });
}

/** What the client said to the question `key`, whatever kind it is. */
export function reply(ctx, key) {
  return ctx.mcpReq.inputResponses?.[key];
}

export function isText(value) {
  return typeof value === 'string';
}
