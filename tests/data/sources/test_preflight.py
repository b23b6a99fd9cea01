import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.data.sources.preflight import preflight
from tests.data.sources.sources import SETTINGS, file_node, simpo_row, trl_row, write_lines


def test_it_tells_whether_the_rows_carry_rewards(tmp_path):
    plain = write_lines(tmp_path / "plain.jsonl", [trl_row(chosen_reward=..., rejected_reward=...)])
    scored = tmp_path / "scored.jsonl.gz"
    scored.write_bytes(gzip.compress(json.dumps(simpo_row()).encode()))
    table = tmp_path / "scored.parquet"
    pq.write_table(pa.Table.from_pylist([trl_row()]), table)
    assert [preflight(file_node(path)) for path in (plain, scored, table)] == [False, True, True]


def test_columns_that_the_user_names_are_rewards(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [trl_row(chosen_reward=..., rejected_reward=..., w=1, l=0)])
    assert preflight(file_node(path, chosen_reward="w", rejected_reward="l")) is True
    with pytest.raises(ValueError, match=r"^dataset\.chosen_reward=ww: no such column; did you mean 'w'\?$"):
        preflight(file_node(path, chosen_reward="ww", rejected_reward="l"))


def test_it_skips_rows_that_cannot_be_read_and_reads_little(tmp_path):
    path = tmp_path / "rows.jsonl"
    good = json.dumps(trl_row()).encode() + b"\n"
    path.write_bytes(b"nonsense\n" + good * 200)
    assert preflight(file_node(path)) is True


def test_of_other_sources_nothing_is_known_beforehand():
    node = {"_target_": "apm_exp.data.sources.hub.hub", "path": "owner/name", "split": "train", "subset": None}
    assert preflight({**node, "revision": None, **SETTINGS}) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no row that is a JSON object; give one JSON object a line"),
        (b"[1]\nnonsense\n", "has no row that is a JSON object; give one JSON object a line"),
        (b'{"text": "a"}\n', "found the columns text without chosen, rejected; expected SimPO's"),
    ],
)
def test_a_file_that_cannot_work_is_said_before_any_work(tmp_path, content, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^dataset\.path") as caught:
        preflight(file_node(path))
    assert str(caught.value).startswith(f"dataset.path={path}: {message}")


def test_files_that_differ_and_missing_ones_are_named(tmp_path):
    paths = [write_lines(tmp_path / "a.jsonl", [trl_row()]), write_lines(tmp_path / "b.jsonl", [simpo_row()])]
    with pytest.raises(ValueError, match=r"^dataset\.path=\[.*a\.jsonl,.*b\.jsonl\]: .*a\.jsonl and .* differ in"):
        preflight(file_node(paths))
    with pytest.raises(ValueError, match=r"missing\.jsonl: no such file"):
        preflight(file_node([*paths, tmp_path / "missing.jsonl"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"holdout": 1.0}, "dataset.holdout=1.0: input should be less than 1"),
        ({"holdout": -0.1}, "dataset.holdout=-0.1: input should be greater than or equal to 0"),
        ({"limit": 0}, "dataset.limit=0: input should be greater than or equal to 1"),
        ({"on_bad_row": "ignore"}, "dataset.on_bad_row=ignore: input should be 'refuse' or 'error'"),
        ({"split": "train"}, "dataset.split=train: no such setting; "),
    ],
)
def test_settings_are_checked(tmp_path, settings, message):
    path = write_lines(tmp_path / "rows.jsonl", [trl_row()])
    with pytest.raises(ValueError, match="dataset") as caught:
        preflight(file_node(path, **settings))
    assert str(caught.value).startswith(message)
