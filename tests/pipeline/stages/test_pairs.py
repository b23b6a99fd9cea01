import gzip
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.pipeline.stages.pairs import pairs
from tests.data.sources.sources import file_node, trl_row, write_lines


def read(out):
    return pq.read_table(out / "pairs.parquet").to_pylist()


def test_several_files_of_several_kinds_become_one_sorted_table(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    write_lines(tmp_path / "a.jsonl", [trl_row(3), trl_row(1)])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps(trl_row(2)).encode()))
    pq.write_table(pa.Table.from_pylist([trl_row(0)]), tmp_path / "c.parquet")
    node = file_node([tmp_path / "*.jsonl*", tmp_path / "c.parquet"])
    counts = pairs(out, dataset=node, sampled=None, on_bad_row="refuse")
    assert counts == {"rows": 4, "pairs": 4, "prompts": 4, "refused": 0}
    assert [pair["pair_id"] for pair in read(out)] == ["row-0", "row-1", "row-2", "row-3"]
    assert read(out)[0]["source"] == f"{tmp_path}/c.parquet:1"


def test_a_hostile_file_loses_only_its_bad_lines(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    good = [json.dumps(trl_row(number)).encode() for number in range(2)]
    nan = json.dumps(trl_row(2, chosen_reward=float("nan"))).encode()
    lines = [good[0], b"\xff\xfe", b'{"id": "x", "chosen": "', nan, b"null", good[0], good[1], good[1][:40]]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))
    counts = pairs(out, dataset=file_node(tmp_path / "rows.jsonl"), sampled=None, on_bad_row="refuse")
    assert (counts["pairs"], counts["refused"]) == (2, 6)
    refused = [json.loads(line) for line in (out / "refused.jsonl").read_text().splitlines()]
    assert [(refusal["source"].rpartition(":")[2], refusal["reason"]) for refusal in refused] == [
        ("2", "invalid UTF-8"),
        ("3", "invalid JSON"),
        ("4", "non-finite reward"),
        ("5", "wrong type"),
        ("6", "duplicate id"),
        ("8", "invalid JSON"),
    ]


def test_the_same_rows_give_the_same_bytes_over_an_attempt_that_was_killed(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [trl_row(number) for number in range(20)])
    contents = []
    for name in ("one", "other"):
        out = tmp_path / name
        out.mkdir()
        (out / "pairs.parquet").write_bytes(b"left by a killed attempt")
        pairs(out, dataset=file_node(path), sampled=None, on_bad_row="refuse")
        contents.append((out / "pairs.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_a_missing_setting_is_named(tmp_path):
    node = file_node(tmp_path / "rows.jsonl")
    del node["seed"]
    with pytest.raises(ValueError, match=r"^dataset\.seed is missing: give dataset\.seed=VALUE$"):
        pairs(tmp_path, dataset=node, sampled=None, on_bad_row="refuse")


def test_stage_and_datasets_load_no_heavy_library():
    code = (
        "import sys; import apm_exp.pipeline.stages.pairs, apm_exp.data.sources.preflight, apm_exp.data.sources.hub; "
        "print([m for m in ('torch', 'transformers', 'datasets', 'trl') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
