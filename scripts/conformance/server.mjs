// A server that passes every scored scenario of the official suites, on the official TypeScript SDK.
//
//   PORT=… [ERA=both|legacy|modern] node server.mjs
//
// /mcp speaks 2026-07-28 (`modern`) and 2025-03-26 to 2025-11-25 with sessions (`legacy`), /sse speaks HTTP+SSE (`legacy`).
// Loopback only. What it serves is in tools.mjs, documents.mjs and tasks.mjs.

import { randomBytes, randomUUID } from 'node:crypto';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import {
  NodeStreamableHTTPServerTransport,
  localhostHostValidation,
  localhostOriginValidation,
  toNodeHandler,
  toWebRequest
} from '@modelcontextprotocol/node';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import {
  ProtocolError,
  Server,
  createMcpHandler,
  createRequestStateCodec,
  isLegacyRequest
} from '@modelcontextprotocol/server';
import * as documents from './documents.mjs';
import * as tasks from './tasks.mjs';
import { tools as makeTools } from './tools.mjs';

const PORT = Number(process.env.PORT);
const ERA = process.env.ERA ?? 'both';
const LISTS = ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'server/discover'];
const CACHE = { ttlMs: 60_000, cacheScope: 'public' };
const RETRY_MS = 500;
const INVALID_PARAMS = -32602;
const SESSION_NOT_FOUND = -32001;
const HEADER_MISMATCH = -32020;

const states = createRequestStateCodec({ key: randomBytes(32), ttlSeconds: 300 });
const open = new Set();
const tools = { ...makeTools({ states, announce }), ...tasks.tools };

function announce(kind) {
  modern.notify[`${kind}Changed`]();
  for (const server of open) {
    server.notification({ method: `notifications/${kind}/list_changed` }).catch(error => console.error(error));
  }
}

function find(table, name, kind) {
  if (!Object.hasOwn(table, name)) throw new ProtocolError(INVALID_PARAMS, `Unknown ${kind}: ${name}`);
  return table[name];
}

function makeServer({ era }) {
  const changes = { listChanged: true };
  const server = new Server(
    { name: 'conformance', version: '1.0.0' },
    {
      capabilities: {
        tools: changes,
        prompts: changes,
        resources: { ...changes, subscribe: true },
        completions: {},
        logging: {},
        ...(era === 'modern' && { extensions: { [tasks.EXTENSION]: {} } })
      },
      cacheHints: { ...Object.fromEntries(LISTS.map(method => [method, CACHE])), 'resources/read': CACHE },
      requestState: { verify: states.verify }
    }
  );
  const handlers = {
    'tools/list': () => ({
      tools: Object.entries(tools).map(([name, [description, inputSchema]]) => ({ name, description, inputSchema }))
    }),
    'tools/call': ({ params }, ctx) => {
      const can = ctx.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? server.getClientCapabilities();
      return find(tools, params.name, 'tool')[2](params.arguments ?? {}, ctx, can);
    },
    'resources/list': () => ({ resources: documents.resources() }),
    'resources/templates/list': () => ({ resourceTemplates: documents.templates }),
    'resources/read': ({ params }) => ({ contents: documents.read(params.uri) }),
    'prompts/list': () => ({
      prompts: Object.entries(documents.prompts).map(([name, [description, args]]) => ({
        name,
        description,
        arguments: args.map(arg => ({ name: arg, required: true }))
      }))
    }),
    'prompts/get': ({ params }, ctx) => find(documents.prompts, params.name, 'prompt')[2](params.arguments ?? {}, ctx),
    'completion/complete': () => ({ completion: { values: ['paris', 'park', 'party'], total: 3, hasMore: false } })
  };
  if (era === 'legacy') {
    handlers['resources/subscribe'] = () => ({});
    handlers['resources/unsubscribe'] = () => ({});
    open.add(server);
    server.onclose = () => open.delete(server);
  }
  for (const [method, handler] of Object.entries(handlers)) server.setRequestHandler(method, handler);
  return server;
}

/** The events of one session, so that a client can come back with `Last-Event-ID`. */
class Events {
  #sent = [];

  async storeEvent(streamId, message) {
    const id = `${streamId}:${this.#sent.length}`;
    this.#sent.push({ id, streamId, message });
    return id;
  }

  async getStreamIdForEventId(id) {
    return this.#sent.find(event => event.id === id)?.streamId;
  }

  async replayEventsAfter(id, { send }) {
    const seen = this.#sent.findIndex(event => event.id === id);
    if (seen < 0) throw new Error('no such event');
    const { streamId } = this.#sent[seen];
    // A priming event has no message.
    const missed = this.#sent.slice(seen + 1).filter(event => event.streamId === streamId && 'jsonrpc' in event.message);
    for (const event of missed) await send(event.id, event.message);
    return streamId;
  }
}

/** What is wrong with the `Mcp-Param-*` headers of a call: the SDK only looks at tools of its other server class. */
function wrongParameter(headers, body) {
  const schema = body.method === 'tools/call' ? tools[body.params?.name]?.[1] : undefined;
  for (const [argument, property] of Object.entries(schema?.properties ?? {})) {
    const header = property['x-mcp-header'];
    if (!header) continue;
    const said = decoded(headers[`mcp-param-${header.toLowerCase()}`]);
    const meant = body.params.arguments?.[argument] ?? undefined;
    const same = property.type === 'integer' && said !== undefined ? Number(said) === meant : said === meant;
    if (!same) return `Mcp-Param-${header} is not what the body says`;
  }
  return undefined;
}

/** A header value as text; `null`, which no argument equals, when it cannot be decoded. */
function decoded(value) {
  const coded = /^=\?base64\?(.*)\?=$/.exec(value ?? '')?.[1];
  if (coded === undefined) return value;
  const bytes = Buffer.from(coded, 'base64');
  return bytes.toString('base64') === coded ? bytes.toString() : null;
}

function reply(res, status, message) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(message));
}

function refuse(res, status, code, message, id = null) {
  reply(res, status, { jsonrpc: '2.0', id, error: { code, message } });
}

const modern = createMcpHandler(makeServer, { legacy: 'reject' });
const modernHandler = toNodeHandler(modern);
const sessions = new Map();
const streams = new Map();

async function serveMcp(req, res) {
  const body = req.method === 'POST' ? JSON.parse(await text(req)) : undefined;
  const legacy = ERA === 'legacy' || (ERA === 'both' && (await isLegacyRequest(await toWebRequest(req, body), body)));
  if (legacy) return serveSession(req, res, body);
  const wrong = body && wrongParameter(req.headers, body);
  if (wrong) return refuse(res, 400, HEADER_MISMATCH, wrong, body.id);
  const answer = body && tasks.answer(req.headers, body);
  return answer ? reply(res, ...answer) : modernHandler(req, res, body);
}

async function serveSession(req, res, body) {
  const id = req.headers['mcp-session-id'];
  if (id && !sessions.has(id)) return refuse(res, 404, SESSION_NOT_FOUND, 'Session not found', body?.id);
  if (id) return sessions.get(id).handleRequest(req, res, body);
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Events(),
    retryInterval: RETRY_MS,
    onsessioninitialized: session => void sessions.set(session, transport),
    onsessionclosed: session => void sessions.delete(session)
  });
  await makeServer({ era: 'legacy' }).connect(transport);
  return transport.handleRequest(req, res, body);
}

async function serveStream(req, res) {
  const transport = new SSEServerTransport('/messages', res);
  streams.set(transport.sessionId, transport);
  res.on('close', () => streams.delete(transport.sessionId));
  await makeServer({ era: 'legacy' }).connect(transport);
}

async function serveMessage(req, res, url) {
  const transport = streams.get(url.searchParams.get('sessionId'));
  return transport ? transport.handlePostMessage(req, res) : refuse(res, 404, SESSION_NOT_FOUND, 'Session not found');
}

const hostIsLocal = localhostHostValidation();
const originIsLocal = localhostOriginValidation();

async function serve(req, res) {
  if (!hostIsLocal(req, res) || !originIsLocal(req, res)) return undefined;
  const url = new URL(req.url, `http://localhost:${PORT}`);
  if (url.pathname === '/mcp') return serveMcp(req, res);
  if (ERA !== 'modern' && req.method === 'GET' && url.pathname === '/sse') return serveStream(req, res);
  if (ERA !== 'modern' && req.method === 'POST' && url.pathname === '/messages') return serveMessage(req, res, url);
  return res.writeHead(404).end();
}

http
  .createServer((req, res) => {
    serve(req, res).catch(error => {
      console.error(error);
      if (!res.headersSent) refuse(res, 500, -32603, 'Internal error');
    });
  })
  .listen(PORT, '127.0.0.1');
