"""A real HTTP server on 127.0.0.1 that answers like an OpenAI-compatible endpoint, and misbehaves on demand."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = Mapping[str, Any]
Fault = Callable[["Handler", Body], Any]  # what the server does instead of replying

MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}


class Server(ThreadingHTTPServer):
    """asked: attempts by their content; replied: good replies by content; lost: replies that never arrived as a whole.
    billed: the input and output tokens of every reply that was made; reported: of those that arrived with their usage.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, text: Callable[[Body], str], faults: Callable[[int, Body], Fault | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.text, self.faults = text, faults
        self.models: Callable[[Handler], None] = lambda handler: handler.send(200, MODELS)
        self.lock = threading.Lock()
        self.count = 0
        self.asked: Counter[str] = Counter()
        self.replied: Counter[str] = Counter()
        self.lost = 0
        self.billed, self.reported, self.bodies, self.keys = [0, 0], [0, 0], list[Body](), set[str | None]()
        self.at_once = self.most_at_once = 0

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that did not wait."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.models(self)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.count += 1
            number = server.count
            server.asked[content_of(body)] += 1
            server.bodies.append(body)
            server.keys.add(self.headers.get("Authorization"))
            server.at_once += 1
            server.most_at_once = max(server.at_once, server.most_at_once)
        try:
            (server.faults(number, body) or Handler.reply)(self, body)
        finally:
            with server.lock:
                server.at_once -= 1

    def reply(self, body: Body, **changes: Any) -> None:
        with self.server.lock:
            self.server.replied[content_of(body)] += 1
        self.send(200, self.completion(body) | changes)

    def completion(self, body: Body) -> dict[str, Any]:
        """The reply, which is billed."""
        text = self.server.text(body)
        used = prompt_tokens(body), len(text.split())
        with self.server.lock:
            for place, count in enumerate(used):
                self.server.billed[place] += count
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m-1",
            "choices": [choice],
            "usage": usage,
        }

    def send(
        self,
        status: int,
        content: Any,
        headers: Mapping[str, str] | None = None,
        whole: bool = True,
        content_type: str = "application/json",
    ) -> None:
        data = json.dumps(content).encode()
        if whole and "usage" in content and content["usage"]:
            with self.server.lock:
                self.server.reported[0] += content["usage"]["prompt_tokens"]
                self.server.reported[1] += content["usage"]["completion_tokens"]
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data if whole else data[: len(data) // 2])
        if not whole:
            self.wfile.flush()
            self.close_connection = True

    def error(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        content = {"error": {"message": message, "type": "error", "code": code, "param": None}}
        self.send(status, content, {name.replace("_", "-"): value for name, value in headers.items()})


def content_of(body: Body) -> str:
    """What tells one request from another: the prompt and the seed."""
    return json.dumps([body.get("messages", body.get("prompt")), body.get("seed")])


def prompt_tokens(body: Body) -> int:
    return sum(len(str(message["content"]).split()) for message in body["messages"])


def text_of(body: Body) -> str:
    """A text of one to seven words that depends on the seed."""
    return " ".join(f"w{body['seed'] % 97}" for _ in range(1 + body["seed"] % 7))


@contextmanager
def serving(
    text: Callable[[Body], str] = text_of, faults: Callable[[int, Body], Fault | None] = lambda number, body: None
) -> Iterator[Server]:
    """A server in a thread of its own. faults: what goes wrong with the nth request, if anything."""
    server = Server(text, faults)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
