"""Sending to the Hub: private unless asked for, with the login of the environment, and one line where it fails."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import ClassVar

import huggingface_hub
import pytest
from huggingface_hub import HfApi

from apm_exp.report.export.push import check_can_push, push


class Hub:
    """What stands for HfApi: repositories that are there, and what was sent to them."""

    def __init__(self, public=()):
        self.private = dict.fromkeys(public, False)
        self.sent = []

    def create_repo(self, repo, *, repo_type, private, exist_ok):
        assert exist_ok
        self.private.setdefault((repo_type, repo), private)
        return f"https://hub/{repo_type}/{repo}"

    def repo_info(self, repo, *, repo_type):
        return SimpleNamespace(private=self.private[repo_type, repo])

    def upload_folder(self, *, repo_id, repo_type, folder_path, ignore_patterns, delete_patterns, commit_message):
        self.sent.append((repo_type, repo_id, folder_path, ignore_patterns, delete_patterns))


@pytest.fixture(autouse=True)
def _online(monkeypatch):
    """Whatever HF_HUB_OFFLINE says where the tests run: the server is theirs."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch):
    def use(**settings):
        hub = Hub(**settings)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
        return hub

    return use


def test_the_data_set_goes_out_private_with_the_models_card(hub, tmp_path):
    there = hub()
    assert push(tmp_path, "me/pairs", private=True, policy=False) == ["https://hub/dataset/me/pairs"]
    assert there.private == {("dataset", "me/pairs"): True}
    assert there.sent == [("dataset", "me/pairs", tmp_path, None, "data/*.parquet")]


def test_weights_go_to_a_model_of_the_same_name_and_not_into_the_data_set(hub, tmp_path):
    there = hub()
    assert len(push(tmp_path, "me/pairs", private=False, policy=True)) == 2
    assert there.private == {("dataset", "me/pairs"): False, ("model", "me/pairs"): False}
    assert [sent[:4] for sent in there.sent] == [
        ("dataset", "me/pairs", tmp_path, "policy/*"),
        ("model", "me/pairs", tmp_path / "policy", None),
    ]


def test_what_was_to_be_private_is_not_added_to_something_public(hub, tmp_path):
    there = hub(public=[("dataset", "me/pairs")])
    with pytest.raises(ValueError, match=r"me/pairs exists and is public; .*export\.private=false"):
        push(tmp_path, "me/pairs", private=True, policy=False)
    assert not there.sent
    push(tmp_path, "me/pairs", private=False, policy=False)
    assert there.sent


def test_a_hub_that_cannot_be_reached_is_one_line_that_says_what_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: HfApi("http://127.0.0.1:9", token="of a test"))
    with pytest.raises(ValueError, match=r"^export\.push=me/pairs: ConnectError.*is kept in .*upload it$") as error:
        push(tmp_path, "me/pairs", private=True, policy=False)
    assert "\n" not in str(error.value)


class Server(BaseHTTPRequestHandler):
    """The few answers that the Hub's real client asks for; what it sends is kept."""

    sent: ClassVar[dict] = {}

    def _answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if "/tree/" in self.path:
            old = {"type": "file", "path": "data/train-00004-of-00005.parquet", "size": 3, "oid": "b" * 40}
            return self._answer([old])
        return self._answer({"id": "me/pairs", "private": True, "sha": "b" * 40, "siblings": []})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.sent[self.path] = body
        address = f"{self.headers['Host']}/datasets/me/pairs"
        if "preupload" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            how = {"uploadMode": "regular", "shouldIgnore": False}
            return self._answer({"files": [{"path": name, **how} for name in names]})
        commit = {"commitUrl": f"http://{address}/commit/{'a' * 40}", "commitOid": "a" * 40, "success": True}
        return self._answer({"url": f"http://{address}", **commit})

    def log_message(self, *args):
        pass


def test_the_real_client_sends_every_file_and_takes_back_those_of_an_earlier_export(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "policy").mkdir()
    for name in ("README.md", "data/train-00000-of-00001.parquet", "policy/model.safetensors"):
        (tmp_path / name).write_text("---\nlicense: mit\n---\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: HfApi(url, token="of a test"))
    try:
        push(tmp_path, "me/pairs", private=True, policy=True)
    finally:
        server.shutdown()
        server.server_close()
    created = json.loads(Server.sent["/api/repos/create"])
    assert (created["type"], created["visibility"]) == ("model", "private")  # the second of the two
    lines = Server.sent["/api/datasets/me/pairs/commit/main"].splitlines()
    found = {(line["key"], line["value"]["path"]) for line in map(json.loads, lines) if "path" in line["value"]}
    assert found == {
        ("file", "README.md"),
        ("file", "data/train-00000-of-00001.parquet"),
        ("deletedFile", "data/train-00004-of-00005.parquet"),
    }
    assert b'"model.safetensors"' in Server.sent["/api/models/me/pairs/commit/main"]


def test_before_anything_is_written_the_name_the_network_and_the_login_are_checked(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"^export\.push=me/pairs: no login .*HF_TOKEN.*nothing was written$"):
        check_can_push("me/pairs")
    monkeypatch.setenv("HF_TOKEN", "of a test")
    check_can_push("me/pairs")
    for name in ("pairs", "a/b/c", "me/pa irs", "me/pairs.git"):
        with pytest.raises(ValueError, match=r"^export\.push=.*give owner/name$"):
            check_can_push(name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"^export\.push=me/pairs: HF_HUB_OFFLINE is set"):
        check_can_push("me/pairs")
