// The client of the official client scenarios, on the official TypeScript SDK.
//
//   [GATEWAY='["mcp-proxy","run","--upstream","{url}"]'] node client.mjs URL
//
// The suite starts it with the scenario's server as URL, and the scenario in MCP_CONFORMANCE_*. With GATEWAY it starts
// that command, which listens on the port in MCP_SERVER_LISTEN_PORT, and talks to the server through it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');

const MODERN = '2026-07-28';
const START_MS = 20_000;
const PAUSE_MS = 20;

/** What a scenario wants done, where that is not to call every tool once. */
const SCENARIOS = {
  initialize: () => {},
  'json-schema-ref-no-deref': () => {},
  'json-schema-2020-12-preservation': async (client, tools) => {
    const schema = tools.find(tool => tool.inputSchema.$schema).inputSchema;
    await call(client, tools.find(tool => !tool.inputSchema.$schema), { schema });
  },
  'http-standard-headers': async (client, tools) => {
    await callAll(client, tools);
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const { name, arguments: wanted } of (await client.listPrompts()).prompts) {
      await client.getPrompt({ name, arguments: Object.fromEntries((wanted ?? []).map(arg => [arg.name, 'any'])) });
    }
  }
};

const SAMPLES = { string: 'any', number: 1.5, integer: 1, boolean: true, array: [], object: {} };

/** Calls a tool. Some scenarios refuse calls on purpose, and judge only what was sent. */
async function call(client, { name, inputSchema }, given) {
  const properties = Object.entries(inputSchema?.properties ?? {});
  const any = () => Object.fromEntries(properties.map(([key, { type }]) => [key, SAMPLES[type] ?? null]));
  try {
    await client.callTool({ name, arguments: given ?? any() });
  } catch (error) {
    console.error(`${name}: ${error.message}`);
  }
}

async function callAll(client, tools) {
  for (const tool of tools) await call(client, tool);
}

async function play(url) {
  const client = new Client(
    { name: 'conformance', version: '1.0.0' },
    {
      capabilities: { elicitation: { form: { applyDefaults: true } }, roots: {}, sampling: {} },
      versionNegotiation: { mode: revision === MODERN ? { pin: MODERN } : 'legacy' }
    }
  );
  // An empty answer lets the SDK fill in the defaults of the form.
  client.setRequestHandler('elicitation/create', ({ params }) => ({
    action: 'accept',
    content: params.requestedSchema?.required?.includes('confirmed') ? { confirmed: true } : {}
  }));
  client.setRequestHandler('sampling/createMessage', () => ({
    role: 'assistant',
    model: 'none',
    content: { type: 'text', text: 'any' }
  }));
  client.setRequestHandler('roots/list', () => ({ roots: [] }));
  await client.connect(new StreamableHTTPClientTransport(url));
  const { tools } = await client.listTools();
  for (const { name, arguments: given } of context.toolCalls ?? []) await call(client, { name }, given);
  if (!context.toolCalls) await (SCENARIOS[scenario] ?? callAll)(client, tools);
  await client.close();
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

async function listens(port) {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A gateway in front of `url`: its own address, and how to end it. */
async function gateway(command, url) {
  const [program, ...args] = JSON.parse(command).map(word => word.replaceAll('{url}', url));
  const port = await freePort();
  const env = { ...process.env, MCP_SERVER_LISTEN_PORT: String(port) };
  const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = once(child, 'exit');
  const late = Date.now() + START_MS;
  while (!(await listens(port))) {
    if (child.exitCode !== null || Date.now() > late) throw new Error('the gateway does not listen');
    await pause(PAUSE_MS);
  }
  const stop = async () => {
    child.kill();
    await ended;
  };
  return { url: `http://localhost:${port}/mcp`, stop };
}

const server = process.argv.at(-1);
const between = process.env.GATEWAY ? await gateway(process.env.GATEWAY, server) : { url: server, stop: () => {} };
try {
  await play(new URL(between.url));
} finally {
  await between.stop();
}
