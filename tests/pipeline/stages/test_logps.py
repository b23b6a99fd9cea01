import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import read_jsonl
from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.pipeline.stages import logps as stage
from apm_exp.pipeline.stages.logps import logps
from tests.splits import ranks
from tests.training.cases import runtime

TOKENS = {"_target_": "apm_exp.models.tokens.per_response.per_response", "max_length": 64, "max_prompt_length": 32}
ROWS = {  # pair_id -> prompt, chosen, rejected, split
    "c": ("name a fruit", "apple", "old town", "train"),
    "a": ("name a red fruit that is small", "the apple", "plum and pear", "held_out"),
    "b": ("sort two one", "one two", "two one", "train"),
}


def an_artifact(folder, rows=ROWS):
    columns = {
        "pair_id": list(rows),
        "prompt": [[{"role": "user", "content": prompt}] for prompt, *_ in rows.values()],
        "tools": pa.nulls(len(rows), pa.string()),
        "chosen": [[{"role": "assistant", "content": text}] for _, text, *_ in rows.values()],
        "rejected": [[{"role": "assistant", "content": text}] for _, _, text, _ in rows.values()],
        "holdout_rank": pa.array(ranks([split for *_, split in rows.values()]), pa.int32()),
        "source": [f"pairs.jsonl:{line}" for line in range(1, len(rows) + 1)],
    }
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    return Artifact(kind="pairs", path=folder, key="k", counts={}, seconds=0.0)


@pytest.fixture
def given(tmp_path, tiny_policy):
    pairs = an_artifact(tmp_path / "pairs")
    inputs = {"pairs": pairs, "policy": tiny_policy, "tokens": TOKENS, "on_bad_row": "refuse", "runtime": runtime()}
    return {"out": tmp_path, **inputs}


def test_scores_every_pair_of_both_splits_in_order_of_pair_id(given, tiny_policy):
    counts = logps(**given)
    table = pq.read_table(given["out"] / "logps.parquet")
    assert table.schema.equals(stage.SCHEMA)
    assert table["pair_id"].to_pylist() == ["a", "b", "c"]
    assert table["holdout_rank"].to_pylist() == [-1, 0, 0]
    assert read_jsonl(given["out"] / "refused.jsonl") == []
    model, tokenizer = load_model(tiny_policy, "cpu"), load_tokenizer(tiny_policy)
    for row in table.to_pylist():
        prompt, chosen, _, _ = ROWS[row["pair_id"]]
        assert tokenizer.decode(row["prompt_ids"]).split() == ["<bos>", *prompt.split(), "<sep>"]
        assert tokenizer.decode(row["chosen_ids"]).split() == [*chosen.split(), "<eos>"]
        assert row["chosen_len"] == len(row["chosen_ids"])
        ids = torch.tensor([row["prompt_ids"] + row["rejected_ids"]])
        logp = model(ids).logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[-row["rejected_len"] :].sum()
        assert abs(logp.item() - row["rejected_logp"]) < 1e-5
    parts = [row[name] for row in table.to_pylist() for name in ("prompt_ids", "chosen_ids", "rejected_ids")]
    none_cut = {"cut_prompts": 0, "cut_responses": 0}
    assert counts == {"pairs": 3, "refused": 0, "tokens": sum(map(len, parts)), **none_cut}


def test_a_template_that_writes_the_prompt_otherwise_before_a_response_is_told_of_once(given, tiny_policy, caplog):
    template = load_tokenizer(tiny_policy).chat_template.replace(
        "if add_generation_prompt %}", "if add_generation_prompt %}apple "
    )
    logps(**given | {"policy": replace(tiny_policy, chat_template=template)})
    assert [
        one.count("for 3 of 3 pairs it does not render the prompt as for generation") for one in caplog.messages
    ] == [1]
    assert "<bos>name a red fruit that is smallapple <sep>the apple" in caplog.text
    assert "but the template writes '<bos>name a red fruit that is small<sep>the apple" in caplog.text


def test_a_row_that_the_template_cannot_render_is_refused_alone(given, tiny_policy):
    template = (
        "{{ 1 / (messages[0].content | length - 12) }}"  # of "name a fruit" and "sort two one" it is a division by 0
    )
    template += load_tokenizer(tiny_policy).chat_template
    assert logps(**given | {"policy": replace(tiny_policy, chat_template=template)})["pairs"] == 1
    assert {row["detail"] for row in read_jsonl(given["out"] / "refused.jsonl")} == {
        "ZeroDivisionError: division by zero"
    }


def test_what_is_cut_is_counted_and_shown(given, caplog):
    rows = {
        **ROWS,
        "long": ("no " * 70, "yes " * 70, "no yes " * 70, "train"),
        "half": ("no", "yes " * 70, "no", "train"),
    }
    given["pairs"] = an_artifact(given["out"] / "pairs", rows)
    counts = logps(**given | {"tokens": TOKENS | {"max_length": 40, "max_prompt_length": 20}})
    assert (counts["pairs"], counts["cut_prompts"], counts["cut_responses"]) == (5, 1, 3)
    assert "1 of 5 prompts and 3 of 10 responses are longer than tokens.max_length=40 " in caplog.text


def test_what_tokens_refuse_is_listed_counted_and_shown(given, caplog):
    rows = {**ROWS, "long": ("no " * 70, "yes " * 70, "yes " * 70, "train")}
    given["pairs"] = an_artifact(given["out"] / "pairs", rows)
    given["tokens"] = {**TOKENS, "max_prompt_length": 64}
    with caplog.at_level(logging.WARNING):
        counts = logps(**given)
    (refused,) = read_jsonl(given["out"] / "refused.jsonl")
    assert (refused["source"], refused["pair_id"]) == ("pairs.jsonl:4", "long")
    assert refused["reason"]
    assert refused["detail"]
    assert (counts["pairs"], counts["refused"]) == (3, 1)
    assert "1 of 4 pairs were refused" in caplog.text


def test_on_bad_row_error_stops_before_scoring(given, monkeypatch):
    given["pairs"] = an_artifact(given["out"] / "pairs", {**ROWS, "same": ("no", "yes", "yes", "train")})
    monkeypatch.setattr(stage, "score_table", lambda *_: pytest.fail("scored"))
    with pytest.raises(ValueError, match=r"^dataset.on_bad_row=error: 1 of 4 .*pairs.jsonl:4: same: .*refuse leaves"):
        logps(**{**given, "on_bad_row": "error"})


def test_all_refused_is_an_error(given):
    given["pairs"] = an_artifact(given["out"] / "pairs", {"same": ("no", "yes", "yes", "train")})
    with pytest.raises(ValueError, match=r"^tokens: all 1 pairs were refused, the first: pairs.jsonl:1: same: "):
        logps(**given)


def test_a_token_outside_the_embedding_is_an_error(given, tiny_policy):
    folder = given["out"] / "small"
    shutil.copytree(tiny_policy.folder, folder)
    model = load_model(tiny_policy, "cpu")
    model.resize_token_embeddings(12)
    model.save_pretrained(folder)
    given["policy"] = replace(tiny_policy, folder=folder)
    with pytest.raises(ValueError, match=r"^model.path: the pair a has the token \d+, but .* has 12 rows"):
        logps(**given)


def test_import_is_light():
    code = (
        "import sys, apm_exp.pipeline.stages.logps, apm_exp.pipeline.stages.train, apm_exp.training.train_policy as _; "
    )
    code += "assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pairs_longer_than_the_models_context_are_refused_with_the_number(given, tiny_policy):
    """Two rows of 2 + 5 and of 2 + 9 tokens, with their ends, of a model that takes 8; both splits."""
    folder = given["out"] / "short"
    shutil.copytree(tiny_policy.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8}))
    counts = logps(**given | {"policy": replace(tiny_policy, folder=folder)})
    refused = read_jsonl(given["out"] / "refused.jsonl")
    assert (counts["pairs"], counts["refused"]) == (2, 1)
    assert (refused[0]["pair_id"], refused[0]["reason"]) == ("a", "longer than the model's context")
    assert refused[0]["detail"] == (
        "13 tokens; the model's limit is 8; tokens.max_length=8 truncates such pairs instead"
    )
