"""The official Python SDK client, mcp 1.x or 2.x, against one MCP endpoint.

    client.py ERA http|sse URL                     the tour: every feature that a gateway must carry
    client.py ERA http|sse URL TOOL ARGUMENTS      lists the tools and calls one

ERA is `legacy`, or with mcp 2.x `modern`, which probes for 2026-07-28. Prints one line of JSON, the same fields as
client.mjs. Exit codes: 0 answered, 1 answered with a JSON-RPC error, 2 could not ask.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import sys

from mcp.client.sse import sse_client

TIMEOUT_S = 60

if importlib.metadata.version("mcp").startswith("1."):
    from mcp import ClientSession, McpError
    from mcp.client.streamable_http import streamable_http_client

    @contextlib.asynccontextmanager
    async def connect(_era, transport, url):
        wire = streamable_http_client(url) if transport == "http" else sse_client(url)
        async with wire as streams, ClientSession(streams[0], streams[1]) as client:
            hello = await client.initialize()
            yield client, hello.serverInfo, hello.protocolVersion

else:
    from mcp import Client
    from mcp import MCPError as McpError

    @contextlib.asynccontextmanager
    async def connect(era, transport, url):
        wire = url if transport == "http" else sse_client(url)
        async with Client(wire, mode="auto" if era == "modern" else "legacy") as client:
            yield client, client.server_info, client.protocol_version


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


# List and call come twice: a second list after a call is what breaks peers that mix up sessions.
async def tour(client, server):
    rounds = []
    for name in ("first", "second"):
        listed = plain(await client.list_tools())
        called = plain(await client.call_tool("echo", {"message": f"{name} call"}))
        rounds.append({"tools": listed["tools"], "content": called["content"], "isError": called["isError"]})
    resources = await client.list_resources()
    read = plain(await client.read_resource(resources.resources[0].uri))
    prompts = await client.list_prompts()
    prompt = next(p for p in prompts.prompts if not p.arguments)
    got = plain(await client.get_prompt(prompt.name))
    return {
        "server": plain(server),
        "rounds": rounds,
        "resources": plain(resources)["resources"],
        "contents": read["contents"],
        "prompts": plain(prompts)["prompts"],
        "messages": got["messages"],
    }


async def call(client, revision, tool, arguments):
    listed = await client.list_tools()
    called = plain(await client.call_tool(tool, json.loads(arguments)))
    return {"revision": revision, "tools": [t.name for t in listed.tools], "content": called["content"]}


async def ask(era, transport, url, question):
    async with connect(era, transport, url) as (client, server, revision):
        try:
            return await (call(client, revision, *question) if question else tour(client, server)), 0
        except McpError as e:
            return {"error": plain(e.error)}, 1


def main(args):
    if len(args) not in (3, 5) or args[0] not in ("legacy", "modern") or args[1] not in ("http", "sse"):
        print("usage: client.py legacy|modern http|sse URL [TOOL ARGUMENTS]", file=sys.stderr)
        return 2
    try:
        answer, code = asyncio.run(asyncio.wait_for(ask(*args[:3], args[3:]), TIMEOUT_S))
    except Exception as e:
        while isinstance(e, BaseExceptionGroup):
            e = e.exceptions[0]
        print(f"{type(e).__name__}: {e}", file=sys.stderr)
        return 2
    print(json.dumps(answer))
    return code


sys.exit(main(sys.argv[1:]))
