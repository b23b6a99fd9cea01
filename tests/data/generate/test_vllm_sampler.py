"""generate=vllm with a program that behaves as `vllm serve` does: ids in and out, and no process is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from apm_exp.data.generate.samples import Response
from apm_exp.data.generate.vllm_sampler import ready, sample_responses
from apm_exp.data.worlds.micro_world.splits import draw_tasks
from apm_exp.models.load import load_tokenizer
from tests.data.generate import fake_vllm
from tests.micro_world_policy import RUNTIME
from tests.pipeline.stages.generated import responded

FAKE = Path(fake_vllm.__file__ or "")
PROMPTS = [[{"role": "user", "content": task.prompt}] for task in draw_tasks("preferences", 10, 0)]
WORLD = {"_target_": "apm_exp.data.worlds.micro_world.prompts.prompts", "prompts": 10, "seed": 0}
SAMPLING = {"samples": 3, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 12, "seed": 3, "control_tokens": "refuse"}


@pytest.fixture
def record(tmp_path):
    """The file of the fake server; after the test no process that is in it is running."""
    file = tmp_path / "record.jsonl"
    yield file
    for pid in pids(file):
        assert not psutil.pid_exists(pid)


def lines(file, name):
    return (
        [line[name] for line in map(json.loads, file.read_text().splitlines()) if name in line] if file.exists() else []
    )


def pids(file):
    return lines(file, "pid")


def server(record, what="", **changes):
    """The settings of a fake server."""
    options = ["--record", str(record), *(["--fake", what] if what else [])]
    started = {"command": [sys.executable, "-S", str(FAKE), "serve"], "options": options, "port": None}
    own = {"startup_timeout": 20.0, "seconds_to_end": 0.5} | changes
    return {"_target_": "apm_exp.data.generate.vllm_server.vllm_server"} | started | own


def settings(record, what="", **changes):
    how = {"concurrency": 8, "timeout": 20.0, "endpoint": None, "key_variable": None}
    return SAMPLING | how | {"vllm": server(record, what, **changes)}


def drawn(policy, folder, record, what="", wanted=None, **changes):
    wanted = wanted or {index: range(3) for index in range(10)}
    each = sample_responses(policy, PROMPTS, RUNTIME, wanted, folder, **settings(record, what, **changes))
    return {(index, number): response for index, number, response in each}


def test_ids_go_in_and_come_out(micro_policy, tmp_path, record):
    responses = drawn(micro_policy, tmp_path / "sampled", record)
    assert sorted(responses) == [(index, number) for index in range(10) for number in range(3)]
    tokenizer = load_tokenizer(micro_policy)
    asked = {(tuple(prompt), seed) for prompt, seed in lines(record, "asked")}
    assert len(asked) == 30
    for (index, _), response in responses.items():
        text = tokenizer.apply_chat_template(PROMPTS[index], tokenize=False, add_generation_prompt=True)
        assert list(response.prompt_ids) == tokenizer(text, add_special_tokens=False)["input_ids"]
        ends = response.ids[-1] == tokenizer.eos_token_id
        assert (response.finished, response.length, response.logp) == (ends, len(response.ids), None)
        assert response.text == tokenizer.decode(response.ids[: len(response.ids) - ends])
        assert ends or len(response.ids) == 12
    assert {response.finished for response in responses.values()} == {True, False}
    served = json.loads((tmp_path / "sampled" / "served.json").read_text())
    assert served["version"] == "0.0.fake"
    assert served["command"][3:5] == ["serve", str(micro_policy.folder)]


def test_every_sampling_value_is_sent(micro_policy, tmp_path, record):
    drawn(micro_policy, tmp_path / "sampled", record, wanted={0: [0]})
    (body,) = lines(record, "body")
    eos = load_tokenizer(micro_policy).eos_token_id
    assert {name: value for name, value in body.items() if name not in ("prompt", "seed")} == {
        **{"model": "policy", "temperature": 0.7, "top_p": 0.9, "max_tokens": 12, "n": 1, "logprobs": 0},
        **{"presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0},
        **{"min_tokens": 0, "stop_token_ids": [eos], "ignore_eos": False, "skip_special_tokens": False},
        "return_token_ids": True,
    }


def test_a_response_depends_on_its_prompt_and_its_number_alone(micro_policy, tmp_path, record):
    every = drawn(micro_policy, tmp_path / "a", record)
    some = drawn(micro_policy, tmp_path / "b", record, wanted={7: [2], 4: [0, 1]})
    assert some == {place: every[place] for place in some}


def test_a_server_that_leaves_the_end_token_out_gives_the_same_responses(micro_policy, tmp_path, record):
    assert drawn(micro_policy, tmp_path / "a", record) == drawn(micro_policy, tmp_path / "b", record, "strips")


def test_a_server_without_ids_gives_texts(micro_policy, tmp_path, record):
    response = drawn(micro_policy, tmp_path / "sampled", record, "texts", wanted={0: [0]})[0, 0]
    assert isinstance(response, Response)
    assert (response.ids, response.prompt_ids) == (None, None)


def test_a_server_that_reads_other_tokens_than_it_was_sent_is_refused(micro_policy, tmp_path, record):
    with pytest.raises(
        ValueError, match=r"^generate\.endpoint: the server has read \d+ prompt tokens that are not the"
    ):
        drawn(micro_policy, tmp_path / "sampled", record, "rewrites")


def test_a_prompt_over_the_context_is_refused_unasked(micro_policy, tmp_path, record):
    long = [[{"role": "user", "content": "a " * 3000}], PROMPTS[0]]
    made = {
        index: response
        for index, _, response in sample_responses(
            micro_policy, long, RUNTIME, {0: [0], 1: [0]}, tmp_path / "sampled", **settings(record)
        )
    }
    assert made[0].reason == "prompt too long"
    assert made[1].ids
    assert len(lines(record, "asked")) == 1


def test_a_step_keeps_what_was_served_and_no_log(micro_policy, tmp_path, record):
    node = {"_target_": "apm_exp.data.generate.vllm_sampler.sample_responses", **settings(record)}
    made = responded(tmp_path, WORLD, micro_policy, node)
    table = pq.read_table(made.path / "generations.parquet")
    assert table["response_ids"].null_count == 0
    assert table["sampler"].to_pylist() == [micro_policy.sampler] * 10
    assert sorted(path.name for path in made.path.iterdir()) == ["generations.parquet", "refused.jsonl", "served.json"]


def test_a_child_that_the_server_leaves_in_another_session_ends_too(micro_policy, tmp_path, record):
    drawn(micro_policy, tmp_path / "sampled", record, "child")
    assert len(pids(record)) == 2


def test_a_server_that_dies_is_one_line_with_its_last_words_and_what_it_gave_is_kept(micro_policy, tmp_path, record):
    node = {"_target_": "apm_exp.data.generate.vllm_sampler.sample_responses"}
    with pytest.raises(
        ValueError, match=r"the server has ended with code 3; its last lines: starting \| CUDA error: an ill"
    ):
        responded(tmp_path, WORLD, micro_policy, node | settings(record, "die:20"))
    first = len(lines(record, "asked"))
    assert 10 < first < 20
    made = responded(tmp_path, WORLD, micro_policy, node | settings(record))
    assert made.counts["responses"] == 30
    again = len(lines(record, "asked")) - 30
    assert again <= 8  # replies that the server had made and not sent yet when it died


@pytest.mark.parametrize(
    ("what", "changes", "problem"),
    [
        (
            "never",
            {"startup_timeout": 0.7},
            r"\.startup_timeout=0\.7: the server is not healthy after so many .*starting",
        ),
        (
            "broken",
            {},
            r"\.command=.*: the server has ended with code 1; its last lines: starting \| ValueError: the mod",
        ),
    ],
)
def test_a_server_that_does_not_start_is_one_line_with_its_last_words(
    micro_policy, tmp_path, record, what, changes, problem
):
    with pytest.raises(ValueError, match=rf"^generate\.vllm{problem}") as error:
        drawn(micro_policy, tmp_path / "sampled", record, what, **changes)
    assert "\n" not in str(error.value)
    assert "(all: " in str(error.value)


def test_an_error_and_a_closed_generator_end_the_server(micro_policy, tmp_path, record):
    responses = sample_responses(
        micro_policy, PROMPTS, RUNTIME, {0: range(3)}, tmp_path / "sampled", **settings(record)
    )
    next(responses)
    assert all(map(psutil.pid_exists, pids(record)))
    responses.close()
    assert not any(map(psutil.pid_exists, pids(record)))


def test_a_running_server_that_is_not_there_is_known_before_any_work(record):
    with pytest.raises(ValueError, match=r"^generate\.endpoint=http://127\.0\.0\.1:9/v1: the server cannot be reached"):
        ready(endpoint="http://127.0.0.1:9/v1", key_variable=None, vllm=server(record))


def test_a_program_that_is_missing_and_a_port_that_is_taken_are_known_before_any_work(record):
    how = {"endpoint": None, "key_variable": None}
    with pytest.raises(
        ValueError, match=r"^generate\.vllm\.command=no-such-program: no such program; give the vllm of"
    ):
        ready(**how, vllm=server(record, command="no-such-program serve") | {"command": "no-such-program"})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ValueError, match=rf"^generate\.vllm\.port={port}: cannot be used \(Address already in use\)"
        ):
            ready(**how, vllm=server(record, port=port))


CHILD = """
import json, sys
from pathlib import Path
from apm_exp.core.types import Policy
from tests.data.generate.test_vllm_sampler import WORLD
from tests.pipeline.stages.generated import responded
node = {"_target_": "apm_exp.data.generate.vllm_sampler.sample_responses", **json.loads(sys.argv[3])}
responded(Path(sys.argv[1]), WORLD, Policy(Path(sys.argv[2]), "small", "float32", "auto", False), node)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a child in another session is found on Linux only")
def test_kill_9_of_the_owners_group_leaves_no_server_and_no_child(micro_policy, tmp_path, record):
    arguments = [str(tmp_path), str(micro_policy.folder), json.dumps(settings(record, "child"))]
    owner = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], start_new_session=True)
    deadline = time.monotonic() + 60
    while not lines(record, "asked"):
        assert owner.poll() is None or lines(record, "asked")
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert len(pids(record)) == 2
    os.killpg(owner.pid, signal.SIGKILL)
    owner.wait()
    while any(map(psutil.pid_exists, pids(record))):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_running_server_is_asked_if_it_serves_the_policys_folder(micro_policy, tmp_path, record):
    port = str(_free_port())
    named = ["--host", "127.0.0.1", "--port", port, "--served-model-name", "mine", "--record", str(record)]
    command = [sys.executable, "-S", str(FAKE), "serve", str(micro_policy.folder), *named]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not _answers(port):
            time.sleep(0.02)
        how = settings(record) | {"endpoint": f"http://127.0.0.1:{port}/v1"}
        ready(endpoint=how["endpoint"], key_variable=None, vllm=how["vllm"])
        wanted = {0: range(3)}
        made = list(sample_responses(micro_policy, PROMPTS, RUNTIME, wanted, tmp_path / "sampled", **how))
        assert len(made) == 3
        assert {body["model"] for body in lines(record, "body")} == {"mine"}
        other = tmp_path / "other"
        other.symlink_to(micro_policy.folder)
        assert list(sample_responses(replace(micro_policy, folder=other), PROMPTS, RUNTIME, wanted, tmp_path, **how))
        moved = tmp_path / "moved"
        moved.mkdir()
        for file in micro_policy.folder.iterdir():
            (moved / file.name).symlink_to(file)
        with pytest.raises(
            ValueError, match=rf"^generate\.endpoint=.*: it serves mine \(.*\), and not the policy, {moved}"
        ):
            list(sample_responses(replace(micro_policy, folder=moved), PROMPTS, RUNTIME, wanted, tmp_path, **how))
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0
