// One official TypeScript SDK client against one MCP endpoint.
//
//   node client.mjs SDK TRANSPORT URL                     the tour: every feature that a gateway must carry
//   node client.mjs SDK TRANSPORT URL TOOL ARGUMENTS      lists the tools and calls one
//
// SDK: v1 = @modelcontextprotocol/sdk, v2 = @modelcontextprotocol/client in its legacy mode (it sends `initialize`),
// v2-modern = the same, probing for 2026-07-28. TRANSPORT: http, sse, or remote = stdio to mcp-remote, which speaks HTTP.
// Prints one line of JSON. Exit codes: 0 answered, 1 answered with a JSON-RPC error, 2 could not ask.

import { fileURLToPath } from 'node:url';

const TIMEOUT_MS = 60_000;
const USAGE = 'usage: client.mjs v1|v2|v2-modern http|sse|remote URL [TOOL ARGUMENTS]';

async function connect(sdk, transport, url) {
  const module = await load(sdk);
  const mode = sdk === 'v2-modern' ? 'auto' : 'legacy';
  const options = sdk === 'v1' ? {} : { versionNegotiation: { mode } };
  const client = new module.Client({ name: `real-client-${sdk}`, version: '1.0.0' }, options);
  const wire = open(module, transport, url);
  await client.connect(wire);
  // Version 1 keeps the revision in its HTTP transport, as the header it sends.
  const revision = client.getNegotiatedProtocolVersion?.() ?? wire.protocolVersion;
  return { client, wire, revision };
}

function open(module, transport, url) {
  if (transport === 'http') return new module.StreamableHTTPClientTransport(new URL(url));
  if (transport === 'sse') return new module.SSEClientTransport(new URL(url));
  const proxy = fileURLToPath(import.meta.resolve('mcp-remote/dist/proxy.js'));
  const args = [proxy, url, '--transport', 'http-only', '--silent'];
  return new module.StdioClientTransport({ command: process.execPath, args, env: process.env });
}

async function load(sdk) {
  const parts =
    sdk === 'v1'
      ? ['index', 'streamableHttp', 'sse'].map(name => `@modelcontextprotocol/sdk/client/${name}.js`)
      : ['@modelcontextprotocol/client', '@modelcontextprotocol/client/stdio'];
  return Object.assign({}, ...(await Promise.all(parts.map(part => import(part)))));
}

// List and call come twice: a second list after a call is what breaks peers that mix up sessions.
async function tour(client) {
  const rounds = [];
  for (const round of ['first', 'second']) {
    const { tools } = await client.listTools();
    const { content, isError } = await client.callTool({ name: 'echo', arguments: { message: `${round} call` } });
    rounds.push({ tools, content, isError: Boolean(isError) });
  }
  const { resources } = await client.listResources();
  const { contents } = await client.readResource({ uri: resources[0].uri });
  const { prompts } = await client.listPrompts();
  const plain = prompts.find(p => !p.arguments?.length);
  const { messages } = await client.getPrompt({ name: plain.name });
  return { server: client.getServerVersion(), rounds, resources, contents, prompts, messages };
}

async function call(client, revision, name, args) {
  const { tools } = await client.listTools();
  const { content } = await client.callTool({ name, arguments: JSON.parse(args) });
  return { revision, tools: tools.map(tool => tool.name), content };
}

async function main([sdk, transport, url, tool, args]) {
  if (!/^(v1|v2|v2-modern)$/.test(sdk ?? '') || !/^(http|sse|remote)$/.test(transport ?? '') || !url || (tool && !args)) {
    console.error(USAGE);
    return 2;
  }
  const { client, wire, revision } = await connect(sdk, transport, url);
  try {
    console.log(JSON.stringify(await (tool ? call(client, revision, tool, args) : tour(client))));
    return 0;
  } catch (e) {
    if (!Number.isInteger(e.code)) throw e;
    console.log(JSON.stringify({ error: { code: e.code, message: e.message, data: e.data } }));
    return 1;
  } finally {
    await wire.terminateSession?.();
    await client.close();
  }
}

setTimeout(() => {
  console.error(`no answer within ${TIMEOUT_MS} ms`);
  process.exit(2);
}, TIMEOUT_MS).unref();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (e) {
  console.error(`${e.name}: ${e.message}`);
  process.exitCode = 2;
}
