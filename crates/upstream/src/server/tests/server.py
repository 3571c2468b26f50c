"""An MCP server over standard input and output, with the faults that tests ask for by tool name."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

if "FAIL_UNTIL" in os.environ:
    # Fails at start until it was started so often.
    with open(os.environ["STARTS"]) as starts:
        if len(starts.readlines()) < int(os.environ["FAIL_UNTIL"]):
            with open(os.environ["STARTS"], "a") as starts:
                starts.write("failed\n")
            sys.exit(7)
if "STARTS" in os.environ:
    with open(os.environ["STARTS"], "a") as starts:
        starts.write("started\n")

life = None
if "LIFE" in os.environ:
    # The test sees this connection end when the process, and all that it started, has ended.
    life = socket.create_connection(("127.0.0.1", int(os.environ["LIFE"])))
    os.set_inheritable(life.fileno(), True)
greeted = []


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(request, value):
    text = value if isinstance(value, str) else json.dumps(value)
    result = {"content": [{"type": "text", "text": text}]}
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def progress(request, step):
    token = request["params"]["_meta"]["progressToken"]
    params = {"progressToken": token, "progress": step}
    send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def call(request):
    tool = request["params"]["name"]
    if tool == "env":
        answer(request, {"env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd()})
    elif tool == "pid":
        answer(request, str(os.getpid()))
    elif tool == "greeted":
        answer(request, greeted)
    elif tool == "exit":
        sys.exit(3)
    elif tool == "answer and exit":
        answer(request, "last words")
        sys.exit(0)
    elif tool == "close output":
        os.close(1)
        while True:
            time.sleep(60)
    elif tool == "hang":
        pass
    elif tool == "big":
        sys.stdout.write('{"jsonrpc":"2.0","id":%d,"result":"' % request["id"] + "x" * 100_000 + '"}\n')
        answer({"id": request["id"]}, "after the big line")
    elif tool == "garbage":
        sys.stdout.write("Listening on port 3000\n\n{\"jsonrpc\":\n\x1b[31mred\n")
        sys.stdout.buffer.write(b"")
        sys.stdout.flush()
        os.write(1, b"\xff\xfe\n")
        answer(request, "after garbage")
    elif tool == "twice":
        answer(request, "first")
        answer(request, "second")
        answer({"id": 999}, "for nobody")
        answer({"id": str(request["id"])}, "for a string")
    elif tool == "progress":
        progress(request, 1)
        progress(request, 2)
        answer(request, "done")
    elif tool == "ask":
        send({"jsonrpc": "2.0", "id": "s1", "method": "roots/list"})
        reply = json.loads(sys.stdin.readline())
        answer(request, reply)
    elif tool == "noise":
        sys.stderr.write("x" * 1_000_000 + "\n" + "\x1b[2J line\n" * 10_000)
        sys.stderr.flush()
        answer(request, "after noise")
    elif tool == "grandchild":
        subprocess.Popen(["sleep", "1000"], close_fds=False)
        answer(request, "started")
    elif tool == "daemon":
        # Leaves the process group, the session and the family, with everything open.
        script = "import os, time\nos.fork() and os._exit(0)\nos.setsid()\nos.fork() and os._exit(0)\ntime.sleep(1000)"
        subprocess.run([sys.executable, "-c", script], close_fds=False)
        answer(request, "started")
    elif tool == "endless":
        for _ in range(1024):
            sys.stdout.write("x" * 65536)
        sys.stdout.write("\n")
        answer(request, "after the endless line")
    elif tool == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        answer(request, "stubborn")
        while True:
            time.sleep(60)
    else:
        answer(request, tool)


for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method in ("initialize", "notifications/initialized", "notifications/cancelled"):
        greeted.append(method)
    if method == "initialize":
        if "SLOW_SECOND" in os.environ:
            with open(os.environ["STARTS"]) as starts:
                if len(starts.readlines()) == 2:
                    continue
        version = message["params"]["protocolVersion"]
        result = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "py", "version": "1"}}
        send({"jsonrpc": "2.0", "id": message["id"], "result": result})
    elif method == "tools/call":
        call(message)
    elif "id" in message and method:
        answer(message, method)
