"""Every kept pair with every score of its own, against a join of everything in memory."""

import json
import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from apm_exp.core.errors import UsageError
from apm_exp.core.messages import MESSAGES, stored
from apm_exp.report.export import by_rank, parquet_shards
from apm_exp.report.export import kept_pairs as module
from apm_exp.report.export.finished_run import FinishedRun, StepRecord
from apm_exp.report.export.kept_pairs import held_out_pairs, kept_pairs, score_columns
from apm_exp.report.export.messages import message_columns
from apm_exp.report.export.parquet_shards import write_shards
from tests.splits import ranks

PAIRS = 57
PARTS = ("prompt", "chosen", "rejected")
MAP = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": 1.0, "rescale": True}


def own(number):
    """The other columns of a source row, of each type; some rows lack some."""
    columns = {"topic": f"topic {number}", "id": number, "share": number / 2, "tags": ["a"], "chosen_len": 5, "rank": 1}
    return columns if number % 3 else {"topic": None}


def turn(role, text):
    return [{"role": role, "content": text}]


@pytest.fixture(params=[True, False], ids=["rewards", "no rewards"])
def run(request, tmp_path):
    """57 pairs, some held out, some without log-probs; of the others some are kept. Some metric column is `chosen`."""
    draw = random.Random(3)
    names = [f"p{number:02}" for number in range(PAIRS)]
    split = {name: draw.choice(["train", "train", "train", "held_out"]) for name in names}
    scored = [name for name in names if draw.random() < 0.9]
    train = [name for name in scored if split[name] == "train"]
    texts = {part: [turn("user", f"{part} {name}") for name in names] for part in PARTS}
    texts = {part: pa.array(column, MESSAGES) for part, column in texts.items()}
    tables = {
        "pairs": {
            "pair_id": names,
            **texts,
            "tools": pa.nulls(PAIRS, pa.string()),
            "holdout_rank": ranks([*split.values()]),
            "source": [f"/secret/folder/rows.jsonl:{number + 1}" for number in range(PAIRS)],
            "own": [json.dumps(own(number)) for number in range(PAIRS)],
        },
        "logps": {
            "pair_id": scored,
            "chosen_logp": [-float(name[1:]) for name in scored],
            "rejected_logp": [-2.0 * float(name[1:]) for name in scored],
            "chosen_len": [2] * len(scored),
            "rejected_len": [4] * len(scored),
            "holdout_rank": ranks([split[name] for name in scored]),
        },
        "selection": {
            "pair_id": train,
            "explicit_margin": pa.array([1.5 if request.param else None] * len(train), pa.float64()),
            "implicit_margin": [0.0] * len(train),
            "chosen": np.arange(len(train)),
            "value": np.arange(len(train)) / 4,
            "kept": [draw.random() < 0.5 for name in train],
        },
    }
    known = {"chosen_reward": np.arange(PAIRS) + 1.5, "rejected_reward": np.arange(PAIRS) * 1.0}
    rewards = known if request.param else {name: pa.nulls(PAIRS, pa.float64()) for name in known}
    tables["rewards"] = {"pair_id": names, **rewards}
    return FinishedRun("run", {}, "", written(tmp_path, tables, rewarded=request.param))


def written(folder, tables, *, rewarded, at=""):
    """Step records of these tables; the selection was given the others."""
    steps = {}
    for kind, columns in tables.items():
        name = f"{kind}.{at}" if at else kind
        (folder / name).mkdir()
        pq.write_table(pa.table(columns), folder / name / f"{kind}.parquet", row_group_size=5)
        counts = {"pairs": PAIRS, "prompts": 1} | ({} if rewarded else {"unrewarded": PAIRS})
        steps[name] = StepRecord(folder / name, f"key of {name}", counts, {"sampled": None}, {})
    given = {name.partition(".")[0]: {"artifact": step.key} for name, step in steps.items()}
    selection = f"selection.{at}" if at else "selection"
    steps[selection] = replace(
        steps[selection], inputs=given | {"margin": "chosen_minus_rejected", "metric": MAP, "holdout": 0.0}
    )
    return steps


def table_of(run, name):
    return pq.read_table(run.steps[name].path / f"{name.partition('.')[0]}.parquet")


def joined(run, rows, *, rewarded):
    """Pandas-like: the rows, with those of the same pair_id of the other tables."""
    rows = rows.join(table_of(run, "logps").drop_columns("holdout_rank"), "pair_id")
    if rewarded:
        rows = rows.join(table_of(run, "rewards"), "pair_id")
    return rows.sort_by("pair_id").to_pylist()


def has_rewards(run):
    return "unrewarded" not in run.steps["rewards"].counts


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_the_kept_pairs_are_those_of_a_join_in_memory(run, monkeypatch, at_once):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    found = pa.concat_tables(kept_pairs(run)).to_pylist()
    selection = table_of(run, "selection")
    wanted = joined(run, selection.filter(selection["kept"]).drop_columns("kept"), rewarded=has_rewards(run))
    assert len(found) == len(wanted) > 10
    for row, scores in zip(found, wanted, strict=True):
        for part in PARTS:
            assert row.pop(part) == turn("user", f"{part} {row['pair_id']}")
        scores["metric_chosen"] = scores.pop("chosen")  # the text has that name
        if not has_rewards(run):
            del scores["explicit_margin"]
        number = int(row["pair_id"][1:])
        assert row.pop("source") == f"rows.jsonl:{number + 1}"
        theirs = dict.fromkeys(own(1)) | own(number)
        theirs["tags"] = theirs["tags"] and '["a"]'
        for taken in ("chosen_len", "rank"):
            theirs[f"own_{taken}"] = theirs.pop(taken)
        assert {name: row.pop(name) for name in theirs} == theirs
        place = sorted(selection["value"].to_pylist(), reverse=True).index(row["value"]) + 1
        assert row.pop("rank") == place
        assert row.pop("reason") == f"kept: rank {place} of {len(selection)} by map"
        assert row == scores
    assert score_columns(run) == ["metric_chosen", "value"]


def test_by_value_the_best_pair_is_first(run, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "AT_ONCE", 7)
    monkeypatch.setattr(by_rank, "RANKS_AT_ONCE", 5)
    found = pa.concat_tables(kept_pairs(run, tmp_path))
    assert found["rank"].to_pylist() == sorted(found["rank"].to_pylist())
    assert found["value"].to_pylist() == sorted(found["value"].to_pylist(), reverse=True)
    assert found.sort_by("pair_id").equals(pa.concat_tables(kept_pairs(run)))
    assert not list(tmp_path.glob(".by-rank-*"))


def test_held_out_pairs_have_the_margins_and_nothing_of_the_metric(run):
    logps = table_of(run, "logps")
    held = logps.filter(pc.less(logps["holdout_rank"], 0)).select(["pair_id"])
    wanted = joined(run, held, rewarded=has_rewards(run))
    held_out = pa.concat_tables(held_out_pairs(run))
    assert held_out.schema == next(kept_pairs(run)).schema
    for row, scores in zip(held_out.to_pylist(), wanted, strict=True):
        assert row["implicit_margin"] == scores["chosen_logp"] / 2 - scores["rejected_logp"] / 4
        assert row.get("explicit_margin") == (1.5 if has_rewards(run) else None)
        assert (row["value"], row["metric_chosen"], row["chosen_logp"]) == (None, None, scores["chosen_logp"])


def test_all_parts_of_the_last_training_are_written_with_the_part_of_each_pair(tmp_path):
    """Two parts, of which one has no rewards and a metric with another column; an earlier selection is left out."""
    steps = {}
    for at, (rewarded, own) in {"1": (True, "early"), "2": (True, "term"), "2-evolved": (False, "other")}.items():
        names, texts = [f"{at}-{number}" for number in range(4)], pa.array([turn("user", at)] * 4, MESSAGES)
        reward, split = pa.array([1.0 if rewarded else None] * 4, pa.float64()), ["train"] * 3 + ["held_out"]
        tables = {
            "pairs": {"pair_id": names, **dict.fromkeys(PARTS, texts), "tools": pa.nulls(4, pa.string())},
            "rewards": {"pair_id": names, "chosen_reward": reward, "rejected_reward": reward},
            "logps": {"pair_id": names, "chosen_logp": [-1.0] * 4, "rejected_logp": [-1.0] * 4},
            "selection": {
                "pair_id": names[:3],
                "explicit_margin": pa.array([0.0 if rewarded else None] * 3, pa.float64()),
            },
        }
        tables["pairs"] |= {"source": ["rows:1"] * 4, "own": pa.nulls(4, pa.string())}
        tables["pairs"]["holdout_rank"] = tables["logps"]["holdout_rank"] = ranks(split)
        tables["logps"] |= {"chosen_len": [2] * 4, "rejected_len": [4] * 4}
        tables["selection"] |= {"implicit_margin": [-0.25] * 3, own: [7, 8, 9], "value": [3.0, 2.0, 1.0]}
        tables["selection"]["kept"] = [True, False, True]
        steps |= written(tmp_path, tables, rewarded=rewarded, at=at)
    parts = [{"selection": {"artifact": f"key of selection.{at}"}} for at in ("2", "2-evolved")]
    steps["policy.2"] = StepRecord(tmp_path, "policy", {}, {"parts": parts}, {})
    run = FinishedRun("run", {}, "", steps)
    kept, held_out = (pa.concat_tables(rows(run)) for rows in (kept_pairs, held_out_pairs))
    assert kept.schema == held_out.schema
    assert score_columns(run) == ["term", "value", "other"]
    shown = ("part", "pair_id", "chosen_reward", "explicit_margin", "implicit_margin", "term", "other", "value")
    assert [tuple(row[name] for name in shown) for row in kept.to_pylist()] == [
        ("2", "2-0", 1.0, 0.0, -0.25, 7, None, 3.0),
        ("2", "2-2", 1.0, 0.0, -0.25, 9, None, 1.0),
        ("2-evolved", "2-evolved-0", None, None, -0.25, None, 7, 3.0),
        ("2-evolved", "2-evolved-2", None, None, -0.25, None, 9, 1.0),
    ]
    assert [tuple(row[name] for name in shown) for row in held_out.to_pylist()] == [
        ("2", "2-3", 1.0, 0.0, -0.25, None, None, None),
        ("2-evolved", "2-evolved-3", None, None, -0.25, None, None, None),
    ]


def call(arguments):
    return {"type": "function", "function": {"name": "look", "arguments": arguments}}


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ([{"tool_calls": [call('{"at": 1}')]}, {}, {"tool_calls": [call("{}"), call("{}")]}], None),
        ([{"reasoning_content": "hm"}, {"name": "Ann", "weight": 0.5}, {}], None),
        (
            [{"tool_calls": [call({"at": 1})]}, {"tool_calls": [call({"city": "Oslo"})]}, {}],
            [{"tool_calls": [call('{"at": 1}')]}, {"tool_calls": [call('{"city": "Oslo"}')]}, {}],
        ),
        ([{"odd": {}}, {"odd": [1, "a"]}, {"odd": None}], [{"odd": "{}"}, {"odd": '[1, "a"]'}, {"odd": "null"}]),
    ],
    ids=["calls", "texts", "objects as arguments", "no type for all"],
)
def test_every_field_of_a_message_is_written_back(tmp_path, fields, written):
    messages = [{"role": "assistant", "content": None, **each} for each in fields]
    columns = {part: pa.array([stored([message]) for message in messages], MESSAGES) for part in PARTS}
    tools = pa.array(['[{"name": "look"}]', None, None])
    table = pa.table({**columns, "tools": tools, "own": pa.nulls(3, pa.string())})
    pq.write_table(table, tmp_path / "pairs.parquet")
    pq.write_table(message_columns([tmp_path / "pairs.parquet"]).of(table), tmp_path / "exported.parquet")
    exported = pq.read_table(tmp_path / "exported.parquet")
    names = sorted({name for each in fields for name in each})
    empty = {"role": "assistant", "content": None} | dict.fromkeys(names)
    for part in PARTS:
        assert exported[part].to_pylist() == [[empty | each] for each in written or fields]
    assert exported["tools"].to_pylist() == tools.to_pylist()


def test_shards_hold_every_row_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_shards, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(parquet_shards, "BYTES_PER_FILE", 1)  # a row group a file
    tables = (pa.table({"row": list(range(start, start + 3))}) for start in range(0, 21, 3))
    assert write_shards(tables, tmp_path, "train") == 21
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"train-{number:05}-of-00004.parquet" for number in range(4)]
    assert [pq.read_metadata(file).num_rows for file in files] == [6, 6, 6, 3]
    assert pa.concat_tables(map(pq.read_table, files))["row"].to_pylist() == list(range(21))
    assert write_shards(iter(()), tmp_path, "test") == 0
    assert sorted(tmp_path.iterdir()) == files


def test_pairs_of_an_earlier_version_are_refused_by_name(tmp_path):
    turns = pa.array([[{"role": "user", "content": "a"}]])
    pq.write_table(pa.table({"prompt": turns, "chosen": turns, "rejected": turns}), tmp_path / "pairs.parquet")
    with pytest.raises(UsageError, match=r"^run: \S+/pairs\.parquet was written by an earlier version"):
        message_columns([tmp_path / "pairs.parquet"])
