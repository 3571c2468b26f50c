// One official TypeScript SDK client against one MCP endpoint.
//
//   node client.mjs v1|v2 http|sse URL                     the tour: every feature that a gateway must carry
//   node client.mjs v1|v2 http|sse URL TOOL ARGUMENTS      one tool call
//
// v1 = @modelcontextprotocol/sdk, v2 = @modelcontextprotocol/client in its legacy mode (it sends `initialize`).
// Prints one line of JSON. Exit codes: 0 answered, 1 answered with a JSON-RPC error, 2 could not ask.

const TIMEOUT_MS = 60_000;

async function connect(sdk, transport, url) {
  const module = await load(sdk);
  const Transport = transport === 'http' ? module.StreamableHTTPClientTransport : module.SSEClientTransport;
  const options = sdk === 'v2' ? { versionNegotiation: { mode: 'legacy' } } : {};
  const client = new module.Client({ name: `real-client-${sdk}`, version: '1.0.0' }, options);
  const wire = new Transport(new URL(url));
  await client.connect(wire);
  return { client, wire };
}

async function load(sdk) {
  if (sdk === 'v2') return import('@modelcontextprotocol/client');
  const [core, http, sse] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    import('@modelcontextprotocol/sdk/client/sse.js')
  ]);
  return { ...core, ...http, ...sse };
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

async function main([sdk, transport, url, tool, args]) {
  if (!/^v[12]$/.test(sdk ?? '') || !/^(http|sse)$/.test(transport ?? '') || !url || (tool && !args)) {
    console.error('usage: client.mjs v1|v2 http|sse URL [TOOL ARGUMENTS]');
    return 2;
  }
  const { client, wire } = await connect(sdk, transport, url);
  try {
    const answer = tool
      ? await client.callTool({ name: tool, arguments: JSON.parse(args) })
      : await tour(client);
    console.log(JSON.stringify(answer));
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
