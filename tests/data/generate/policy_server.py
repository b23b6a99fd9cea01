"""A server in the test's process with a real model behind vLLM's interface: what it samples has true log-probs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from apm_exp.core.types import Policy
from apm_exp.models.load import load_model

LOCK = threading.Lock()


@contextmanager
def serving_model(policy: Policy, named_as: Policy) -> Iterator[str]:
    """The address of a server with the weights of a policy, which says that it serves the folder of `named_as`."""
    model = load_model(policy, "cpu")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send({"object": "list", "data": [{"id": "m", "root": str(named_as.folder)}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with LOCK:
                ids, logps = sample(model, body)
            stopped = ids[-1] in body["stop_token_ids"]
            choice = {"index": 0, "text": "", "finish_reason": "stop" if stopped else "length", "token_ids": ids}
            choice |= {"prompt_token_ids": body["prompt"], "logprobs": {"token_logprobs": logps}}
            usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids), "total_tokens": 0}
            self.send({"object": "text_completion", "model": "m", "choices": [choice], "usage": usage})

        def send(self, content: Any) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@torch.inference_mode()
def sample(model: Any, body: Any) -> tuple[list[int], list[float]]:
    """A response drawn at the request's temperature, with the log-prob of each token at temperature 1."""
    generator, ids, logps = torch.Generator().manual_seed(body["seed"]), list(body["prompt"]), []
    while len(logps) < body["max_tokens"] and (not logps or ids[-1] not in body["stop_token_ids"]):
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1].float()
        token = int(torch.multinomial((logits / body["temperature"]).softmax(-1), 1, generator=generator))
        logps.append(float(logits.log_softmax(-1)[token]))
        ids.append(token)
    return ids[len(body["prompt"]) :], logps
