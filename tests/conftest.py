"""What the tests of several modules share: a tiny random policy with a tokenizer, and a handful of tokenized pairs."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow as pa
import pytest

from apm_exp.core.types import Policy, TokenizedPair

hypothesis.settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("no deadline")

# What takes longest, first, so that no process is left with one of them at the end. Places and names of test files.
LONG = (
    *(
        "test_kill",
        "test_readme",
        "training/test_ranks",
        "cluster/test_jobs",
        "test_main_job",
        "launchers/test_launchers",
        "cluster/test_ranks",
    ),
    *("report/export/test_export", "models/test_score_table", "test_alpha_auto"),
    *(
        "training/test_every_loss",
        "test_bad_command",
        "jobs/plan/memory/test_memory",
        "jobs/clean/test_clean",
        "training/test_deepspeed",
    ),
)

WORDS = (
    *("name", "a", "fruit", "colour", "town", "that", "is", "red", "green", "old", "small", "apple", "pear", "plum"),
    *("rome", "oslo", "bern", "yes", "no", "it", "the", "of", "and", "one", "two", "three", "four", "five", "large"),
    *("never", "always", "sort", "copy", "last", "first"),
)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of LONG first, in that order; the others stay in theirs."""
    here = Path(__file__).parent
    place = {here / f"{name}.py": index for index, name in enumerate(LONG)}
    assert all(path.is_file() for path in place), "LONG names a file that is not there"
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With -n: a file to a process at a time, since its tests share what they build, in the order above."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """A random Llama of 2 layers x 32 on a word tokenizer with a chat template, saved as a Hugging Face folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer

    folder = tmp_path_factory.mktemp("tiny_policy")
    tokenizer = word_tokenizer(WORDS, 128)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Policy(Path(folder), "tiny", "float32", "auto", False)


@pytest.fixture
def offline_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The Hub's cache holds owner/model, and there is no network; the folder of its only snapshot."""
    import huggingface_hub.constants

    from apm_exp.models import pretrained

    def no_network(*_: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--owner--model"
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "snapshots" / COMMIT / "config.json").write_text("{}")
    (folder / "snapshots" / COMMIT / "model.safetensors").touch()
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    pretrained._snapshot.cache_clear()
    yield folder / "snapshots" / COMMIT
    pretrained._snapshot.cache_clear()


@pytest.fixture(scope="session")
def tiny_pairs() -> list[TokenizedPair]:
    """12 pairs of random tokens of `tiny_policy`: prompts of 1 to 9 tokens, answers of 1 to 12."""
    draw = random.Random(1)

    def ids(count: int) -> list[int]:
        return [draw.randrange(4, 40) for _ in range(count)]

    drawn = ((draw.randint(2, 9), draw.randint(2, 12), draw.randint(2, 12)) for _ in range(10))
    lengths = [(1, 1, 12), (9, 12, 1), *drawn]
    return [TokenizedPair(ids(prompt), ids(chosen), ids(rejected)) for prompt, chosen, rejected in lengths]


@pytest.fixture(scope="session")
def scored(tiny_policy: Policy, tiny_pairs: list[TokenizedPair]) -> pa.Table:
    """The rows of logps.parquet of `tiny_pairs` under `tiny_policy`, all of them for training."""
    from apm_exp.models.load import load_model
    from apm_exp.models.score_pairs import score_pairs
    from tests.training.cases import logps_table

    names = [f"p{index:02d}" for index in range(len(tiny_pairs))]
    values = {index: logps for index, *logps in score_pairs(load_model(tiny_policy, "cpu"), tiny_pairs, names, 1000)}
    return logps_table(tiny_pairs, [values[index] for index in range(len(tiny_pairs))], ["train"] * len(tiny_pairs))
