"""An MCP server of 2025-11-25 over standard input and output, or over one WebSocket at a time: peer.py stdio | peer.py PORT

The tool `steps` reports progress twice and then answers; every other tool says its name.
"""

import base64
import hashlib
import json
import socketserver
import struct
import sys

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("steps", "delete_file")]


def answer(message, send):
    if "id" not in message or "method" not in message:
        return
    params = message.get("params") or {}
    result = {}
    if message["method"] == "initialize":
        result = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "peer", "version": "1"},
        }
    elif message["method"] == "tools/list":
        result = {"tools": TOOLS}
    elif message["method"] == "tools/call":
        token = params.get("_meta", {}).get("progressToken")
        for step in (1, 2) if params["name"] == "steps" and token is not None else ():
            progress = {"progressToken": token, "progress": step, "total": 2}
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
        result = {"content": [{"type": "text", "text": "ran " + params["name"]}]}
    elif message["method"] != "ping":
        error = {"code": -32601, "message": "no such method"}
        return send({"jsonrpc": "2.0", "id": message["id"], "error": error})
    send({"jsonrpc": "2.0", "id": message["id"], "result": result})


class WebSocket(socketserver.StreamRequestHandler):
    """As much of RFC 6455 as whole text frames take."""

    def handle(self):
        head = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode().partition(":")
            head[name.lower()] = value.strip()
        if "sec-websocket-key" not in head:
            self.wfile.write(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
            return
        key = head["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.wfile.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        while first := self.rfile.read(2):
            size = first[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self.rfile.read(2))
            mask = self.rfile.read(4)
            payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(self.rfile.read(size)))
            kind = first[0] & 0x0F
            if kind == 8:
                return
            if kind == 9:
                self.frame(10, payload)
            if kind == 1:
                answer(json.loads(payload), lambda message: self.frame(1, json.dumps(message).encode()))

    def frame(self, kind, payload):
        size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
        self.wfile.write(bytes([0x80 | kind]) + size + payload)


def say(message):
    print(json.dumps(message), flush=True)


if sys.argv[1] == "stdio":
    for line in sys.stdin:
        answer(json.loads(line), say)
else:
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), WebSocket).serve_forever()
