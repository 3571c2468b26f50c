"""The official Python SDK client (mcp 1.x) against one MCP endpoint.

    client.py http|sse URL                     the tour: every feature that a gateway must carry
    client.py http|sse URL TOOL ARGUMENTS      one tool call

Prints one line of JSON, the same fields as client.mjs. Exit codes: 0 answered, 1 answered with a JSON-RPC error, 2 could not ask.
"""

import asyncio
import contextlib
import json
import sys

from mcp import ClientSession, McpError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

TIMEOUT_S = 60


@contextlib.asynccontextmanager
async def connect(transport, url):
    wire = streamable_http_client(url) if transport == "http" else sse_client(url)
    async with wire as streams, ClientSession(streams[0], streams[1]) as client:
        yield client, await client.initialize()


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


# List and call come twice: a second list after a call is what breaks peers that mix up sessions.
async def tour(client, hello):
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
        "server": plain(hello.serverInfo),
        "rounds": rounds,
        "resources": plain(resources)["resources"],
        "contents": read["contents"],
        "prompts": plain(prompts)["prompts"],
        "messages": got["messages"],
    }


async def ask(transport, url, call):
    async with connect(transport, url) as (client, hello):
        try:
            if call:
                return plain(await client.call_tool(call[0], json.loads(call[1]))), 0
            return await tour(client, hello), 0
        except McpError as e:
            return {"error": plain(e.error)}, 1


def main(args):
    if len(args) not in (2, 4) or args[0] not in ("http", "sse"):
        print("usage: client.py http|sse URL [TOOL ARGUMENTS]", file=sys.stderr)
        return 2
    try:
        answer, code = asyncio.run(asyncio.wait_for(ask(args[0], args[1], args[2:]), TIMEOUT_S))
    except Exception as e:
        while isinstance(e, BaseExceptionGroup):
            e = e.exceptions[0]
        print(f"{type(e).__name__}: {e}", file=sys.stderr)
        return 2
    print(json.dumps(answer))
    return code


sys.exit(main(sys.argv[1:]))
