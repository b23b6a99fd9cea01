"""Scoring a table: the same in one process and in two, and after a kill at any moment."""

import logging
import os
import signal

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from apm_exp.core.results_file import read_results
from apm_exp.models import score_pairs as scoring
from apm_exp.models import score_table
from apm_exp.models.score_table import SHARDS, TOKENIZED, StoredPairs, lengths_of, remaining
from apm_exp.models.tokens.token_table import TOKENS_SCHEMA
from tests.training.cases import runtime

ONE = runtime(tokens_per_batch=60)
score_one = scoring._score


@pytest.fixture
def out(tmp_path, tiny_pairs):
    rows = [{"pair_id": f"p{index:02d}", "holdout_rank": 0, **vars(pair)} for index, pair in enumerate(tiny_pairs)]
    pq.write_table(pa.Table.from_pylist(rows, TOKENS_SCHEMA), tmp_path / TOKENIZED)
    return tmp_path


def scored(out, policy, settings=ONE):
    return score_table.score_table(out, policy, settings)


def killed_share(out, **given):
    """score_share in ranks of which the second is killed in its third forward."""
    count = iter(range(2))

    def score(model, batch):
        if os.environ["RANK"] == "1" and next(count, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return score_one(model, batch)

    scoring._score = score
    return score_table.score_share(out, **given)


def interrupted(monkeypatch, after):
    """Make the forward fail after so many, as a kill would."""
    count = iter(range(after))

    def score(model, batch):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return score_one(model, batch)

    monkeypatch.setattr(scoring, "_score", score)


def forwards(monkeypatch):
    """The pairs of each forward from here on."""
    seen = []

    def score(model, batch):
        seen.append([pair for _, pair in batch])
        return score_one(model, batch)

    monkeypatch.setattr(scoring, "_score", score)
    return seen


def test_the_table_gives_the_pairs_and_their_lengths(out, tiny_pairs):
    table = pq.read_table(out / TOKENIZED)
    assert list(StoredPairs(table)) == tiny_pairs
    assert StoredPairs(table)[2:4] == tiny_pairs[2:4]
    assert lengths_of(table).tolist() == [pair.length for pair in tiny_pairs]


def test_a_killed_scoring_goes_on_and_ends_with_the_same_bits(out, tiny_policy, monkeypatch, caplog, tmp_path):
    seen = forwards(monkeypatch)
    whole = scored(out, tiny_policy)
    batches = list(seen)
    monkeypatch.setattr(score_table, "SHARDS", "other")
    interrupted(monkeypatch, after=2)
    with pytest.raises(KeyboardInterrupt):
        scored(out, tiny_policy)
    seen = forwards(monkeypatch)
    with caplog.at_level(logging.INFO, "apm_exp"):
        assert scored(out, tiny_policy) == whole
    assert seen == batches[2:]
    assert f"{sum(map(len, batches[:2]))} of 12 pairs were scored before" in caplog.text


def test_a_damaged_line_is_scored_again(out, tiny_policy, monkeypatch, caplog):
    whole = scored(out, tiny_policy)
    (path,) = (out / SHARDS).iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"-", b"+", 1) + b"".join(lines[2:])[:-9])
    seen = forwards(monkeypatch)
    assert scored(out, tiny_policy) == whole
    assert len(seen) == 2
    assert caplog.messages == [f"{path}: 2 damaged lines; their results are computed again"]


@pytest.mark.parametrize("change", [{"tokens_per_batch": 90}, {"tokens_per_batch": 45}])
def test_another_budget_scores_only_the_rest(out, tiny_policy, monkeypatch, change):
    interrupted(monkeypatch, after=2)
    with pytest.raises(KeyboardInterrupt):
        scored(out, tiny_policy)
    known = score_table._scores(out / SHARDS)
    seen = forwards(monkeypatch)
    found = scored(out, tiny_policy, {**ONE, **change})
    assert len(found) == 12
    assert sum(map(len, seen)) == 12 - len(known)
    assert known.items() <= found.items()


@given_by(
    st.lists(st.integers(1, 20), min_size=1, max_size=30),
    st.sets(st.integers(0, 29)),
    st.integers(20, 80),
    st.integers(1, 4),
)
def test_what_remains_is_every_pair_that_is_not_known_equally_often_for_each_rank(lengths, known, budget, processes):
    names = [f"{index:02d}" for index in range(len(lengths))]
    settings = runtime(processes=processes, tokens_per_batch=budget)
    batches = remaining(names, lengths, {f"{index:02d}" for index in known}, settings)
    assert {row for batch in batches for row in batch} == set(range(len(lengths))) - known
    assert len(batches) % processes == 0


def test_a_file_that_is_shown_late_is_waited_for(out, tiny_policy, monkeypatch):
    monkeypatch.setattr(score_table, "_SECONDS_BETWEEN_LOOKS", 0.01)
    whole = scored(out, tiny_policy)
    (first,) = (out / SHARDS).iterdir()
    hidden, looks = first.rename(out / "hidden"), iter(range(3))

    def read(folder, *, warn):
        if next(looks, None) is None and hidden.exists():
            hidden.rename(first)
        return read_results(folder, warn=warn)

    monkeypatch.setattr(score_table, "read_results", read)
    assert score_table._all_scores(out / SHARDS, list(whole)) == whole
    first.unlink()
    monkeypatch.setattr(score_table, "_SECONDS_TO_SHOW", 0.0)
    with pytest.raises(
        ValueError, match=r"^output_root: the scores of \d+ pairs were written but do not appear in .*/shards; "
    ):
        score_table._all_scores(out / SHARDS, list(whole))


def test_two_ranks_one_killed_and_started_again_score_as_one_process(out, tiny_policy, monkeypatch, capfd):
    two = runtime(tokens_per_batch=60, processes=2)
    before = set(psutil.Process().children())  # another test's, if any
    monkeypatch.setattr(score_table, "score_share", killed_share)
    with pytest.raises(ValueError, match=r"^rank 1 was killed \(SIGKILL; the system .*; re-run the same command"):
        scored(out, tiny_policy, two)
    assert set(psutil.Process().children()) <= before
    known = score_table._scores(out / SHARDS)
    monkeypatch.undo()
    found = scored(out, tiny_policy, two)
    assert 0 < len(known) < 12
    assert known.items() <= found.items()
    monkeypatch.setattr(score_table, "SHARDS", "one")
    alone = scored(out, tiny_policy)
    assert found.keys() == alone.keys()
    for name, pair in zip(sorted(alone), StoredPairs(pq.read_table(out / TOKENIZED)), strict=True):
        for place, response in enumerate((pair.chosen_ids, pair.rejected_ids)):
            assert abs(found[name][place] - alone[name][place]) / len(response) < 1e-5
    assert sorted(path.name for path in (out / "ranks").iterdir()) == ["0.log", "1.log", "launcher.log"]
    assert capfd.readouterr() == ("", "")
