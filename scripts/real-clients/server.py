"""A server with one tool, which says what it is told, over Streamable HTTP on loopback.

    server.py sdk PORT                 the official SDK, mcp 1.x or 2.x, whichever is installed
    server.py fastmcp PORT             fastmcp, with sessions
    server.py fastmcp-stateless PORT   fastmcp, without
"""

import importlib.metadata
import sys

HOST = "127.0.0.1"


def echo(message: str) -> str:
    """Says it back."""
    return f"Echo: {message}"


def serve_sdk(port):
    if importlib.metadata.version("mcp").startswith("1."):
        from mcp.server.fastmcp import FastMCP

        server = FastMCP("echo", host=HOST, port=port)
        settings = {}
    else:
        from mcp.server.mcpserver import MCPServer

        server = MCPServer("echo")
        settings = {"host": HOST, "port": port}
    server.tool()(echo)
    server.run("streamable-http", **settings)


def serve_fastmcp(port, stateless):
    from fastmcp import FastMCP

    server = FastMCP("echo")
    server.tool(echo)
    server.run("http", show_banner=False, host=HOST, port=port, stateless_http=stateless)


def main(args):
    kind, port = args[0], int(args[1])
    if kind == "sdk":
        serve_sdk(port)
    else:
        serve_fastmcp(port, stateless=kind == "fastmcp-stateless")


main(sys.argv[1:])
