"""A program with the command line and the HTTP interface of `vllm serve`, without a model: for tests of its owner.

    fake_vllm.py serve FOLDER --port PORT ... [--fake WHAT] --record FILE

Responses are of tokens of the prompt, drawn by the request's seed, and end with a stop id or at max_tokens. WHAT: never
(healthy), broken (ends at once), die:N (at the Nth request), child (leaves a process in a session of its own that
ignores SIGTERM), strips (leaves the stop id out), texts (returns no ids), rewrites (reads other prompt tokens). The
record has a line a process and a line a request.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OPTIONS = {name: value for name, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True) if name.startswith("--")}
WHAT = OPTIONS.get("--fake", "")
LOCK = threading.Lock()
COUNT = [0]


def record(**line):
    with LOCK, open(OPTIONS["--record"], "a") as file:
        file.write(json.dumps(line) + "\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        pages = {
            "/health": {},
            "/version": {"version": "0.0.fake"},
            "/v1/models": {"object": "list", "data": [{"id": OPTIONS["--served-model-name"], "root": sys.argv[2]}]},
        }
        self.send(503 if self.path == "/health" and WHAT == "never" else 200, pages[self.path])

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with LOCK:
            COUNT[0] += 1
        if WHAT.startswith("die:") and COUNT[0] >= int(WHAT[4:]):
            print("CUDA error: an illegal memory access was encountered", flush=True)
            os._exit(3)
        choices = [choice(body, body["seed"] + number, number) for number in range(body["n"])]
        used = sum(len(each["all"]) for each in choices)
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": used, "total_tokens": 0}
        for each in choices:
            each.pop("all")
        record(asked=[body["prompt"], body["seed"]], body=body)
        reply = {"id": "x", "object": "text_completion", "created": 1, "model": body["model"], "usage": usage}
        self.send(200, reply | {"choices": choices})

    def send(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def choice(body, seed, index):
    draw, stops = random.Random(f"{seed} {body['prompt']}"), body["stop_token_ids"]
    others = [token for token in body["prompt"] if token not in stops]
    length = draw.randint(1, body["max_tokens"] + 2)
    ids = [draw.choice(others) for _ in range(min(length, body["max_tokens"]))]
    stopped = length < body["max_tokens"]
    every = [*ids, stops[-1]] if stopped else ids
    read = body["prompt"][1:] if WHAT == "rewrites" else body["prompt"]
    own = {"token_ids": ids if WHAT == "strips" else every, "prompt_token_ids": read} if WHAT != "texts" else {}
    reason = {"finish_reason": "stop", "stop_reason": stops[-1]} if stopped else {"finish_reason": "length"}
    return {"index": index, "text": " ".join(map(str, ids)), "logprobs": None, "all": every, **reason, **own}


if __name__ == "__main__":
    record(pid=os.getpid())
    print("starting", flush=True)
    if WHAT == "broken":
        sys.exit("ValueError: the model needs more memory than there is")
    if WHAT == "child":
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
        child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        record(pid=child.pid)
    server = Server((OPTIONS["--host"], int(OPTIONS["--port"])), Handler)
    server.serve_forever(poll_interval=0.01)
