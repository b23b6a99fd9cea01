"""What the explorer embeds: read back as its script does, it gives the run's selection."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apm_exp.report.run.explorer import ranked as module
from apm_exp.report.run.explorer import texts as texts_module
from apm_exp.report.run.explorer.command import command_base, own_keep
from apm_exp.report.run.explorer.planes import fixed_point, packed, packed_flags
from apm_exp.report.run.explorer.ranked import ranked
from apm_exp.report.run.explorer.section import explorer
from apm_exp.report.run.explorer.texts import listed, preferred
from apm_exp.report.run.scored_pairs import ScoredPairs
from tests.report.finished_run import COMMAND, CONFIG, IMPLICIT, names, write_pairs


def scored_pairs(explicit: np.ndarray | None, implicit: np.ndarray, keep: int, alpha: float = 1.0) -> ScoredPairs:
    """The `keep` pairs with the highest |explicit| - alpha |implicit| are kept; ties go to the smaller pair_id."""
    value = -np.abs(implicit) if explicit is None else np.abs(explicit) - alpha * np.abs(implicit)
    kept = np.zeros(len(value), bool)
    kept[np.argsort(-value, kind="stable")[:keep]] = True
    lengths = np.arange(len(value), dtype=float)
    return ScoredPairs(np.array(names(len(value))), explicit, implicit, value, kept, lengths, lengths[::-1])


def integers(text: str, width: int) -> np.ndarray:
    raw = base64.b64decode(text)
    return np.array([int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)])


def kept_on_the_page(view: dict[str, Any]) -> set[int]:
    """What the script keeps at first, from what the page has in it."""
    settings, planes = view["settings"], view["planes"]
    explicit, implicit = (
        integers(planes[name], 3) * unit for name, unit in zip(("explicit", "implicit"), settings["units"], strict=True)
    )
    for row, first, second in settings["exact"]:
        explicit[row], implicit[row] = first, second
    value = np.abs(explicit / settings["sigmas"][0]) - settings["alpha"] * np.abs(implicit / settings["sigmas"][1])
    return set(np.argsort(-value, kind="stable")[: settings["kept"]].tolist())


def view_of(scored: ScoredPairs, root: Path, **config: Any) -> dict[str, Any]:
    texts = ["text"] * len(scored.value_P)
    pairs = write_pairs(root, texts, texts, texts).path
    settings = {**CONFIG, "metric": {**CONFIG["metric"], "alpha": 1.0, "rescale": False}, **config}
    return explorer(scored, pairs, settings, None, COMMAND)


def test_rounded_numbers_are_near_and_zeros_and_equal_ones_stay() -> None:
    values = np.array([0.0, 3.7, -3.7, 0.1, 0.1, 1e-9, -250.0])
    rounded = fixed_point(values)
    assert np.max(np.abs(rounded.decoded_P - values)) <= 250 / (2**23 - 1) / 2
    assert rounded.decoded_P[0] == 0
    assert rounded.decoded_P[3] == rounded.decoded_P[4]
    assert fixed_point(np.zeros(3)).decoded_P.tolist() == [0, 0, 0]
    assert integers(packed(rounded.codes_P), 3).tolist() == rounded.codes_P.tolist()
    assert integers(packed(np.array([-300, 299]), 2), 2).tolist() == [-300, 299]
    assert packed_flags(np.array([1, 0, 0, 0, 0, 0, 0, 0, 1], bool)) == base64.b64encode(b"\x01\x01").decode()


@pytest.mark.parametrize("seed", range(5))
def test_rounding_does_not_change_what_is_kept_at_the_runs_alpha(tmp_path: Path, seed: int) -> None:
    stream = np.random.default_rng(seed)
    explicit, implicit = stream.normal(size=400), stream.normal(size=400)
    # A hundred pairs around the cut that the rounded margins, in steps of 1000 / 2**23, cannot tell apart.
    explicit[:100] = 1 + np.abs(implicit[:100]) + stream.uniform(-1e-6, 1e-6, 100)
    explicit[399] = 1000.0
    above = int((np.abs(explicit) - np.abs(implicit) > 1 + 1e-5).sum())
    scored = scored_pairs(explicit, implicit, above + 50)
    view = view_of(scored, tmp_path)
    assert view["own"]
    assert 0 < len(view["settings"]["exact"]) <= 110
    assert kept_on_the_page(view) == set(np.flatnonzero(scored.kept_P).tolist())


def test_ordinary_margins_need_no_exact_ones(tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    scored = scored_pairs(stream.normal(size=300), stream.normal(size=300), 120)
    view = view_of(scored, tmp_path)
    assert view["settings"]["exact"] == []
    assert kept_on_the_page(view) == set(np.flatnonzero(scored.kept_P).tolist())
    assert max(view["errors"]) < 1e-6


def test_more_pairs_than_are_embedded_are_sampled_and_their_choice_is_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 100)
    stream = np.random.default_rng(1)
    scored = scored_pairs(stream.normal(size=1000), stream.normal(size=1000), 400)
    view = view_of(scored, tmp_path)
    rows = module.embedded_rows(1000)
    assert (view["embedded"], view["pairs"], len(rows)) == (100, 1000, 100)
    assert view["own"]
    assert kept_on_the_page(view) == set(np.flatnonzero(scored.kept_P[rows]).tolist())


@pytest.mark.parametrize("with_rewards", [True, False])
def test_one_pair_and_constant_margins(tmp_path: Path, with_rewards: bool) -> None:
    for pairs, keep in ((1, 1), (6, 2)):
        explicit = np.full(pairs, 0.1) if with_rewards else None
        scored = scored_pairs(explicit, np.full(pairs, 0.3), keep)
        metric = CONFIG["metric"] if with_rewards else IMPLICIT
        view = view_of(scored, tmp_path / str(pairs), metric=metric | {"rescale": True})
        assert view["own"]
        assert view["rewards"] == with_rewards
        assert "implicit" in view["constant"]
        assert view["tied"] == (pairs > 1)


def test_another_metric_or_rule_is_not_called_the_explorers(tmp_path: Path) -> None:
    scored = scored_pairs(np.arange(10.0), np.ones(10), 4)
    assert not view_of(replace(scored, kept_P=scored.kept_P[::-1]), tmp_path)["own"]


def test_the_command_has_the_runs_settings_but_those_of_the_sliders() -> None:
    command = "python -m apm_exp dataset=jsonl 'dataset.path=my pairs.jsonl' metric=m1 +metric.rescale=false alpha=2"
    more = " keep=top_k keep.k=3 seed=4 rebuild=selection alpha_rule=balanced until=selection"
    base = "python -m apm_exp dataset=jsonl 'dataset.path=my pairs.jsonl' seed=4 alpha_rule=balanced until=selection"
    assert command_base(command + more) == base
    assert own_keep({"fraction": 0.29}, 29, 100) == "keep=top_fraction keep.fraction=0.29"
    assert own_keep({"minimum": 0.0}, 7, 100) == "keep=top_k keep.k=7"


def test_the_listed_texts_begin_at_the_cut_and_fit_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = scored_pairs(np.arange(50.0, 0, -1), np.zeros(50), 20)
    view = ranked(scored, 1.0, rescale=False)
    assert {*preferred(view)[:3].tolist()} > {19, 20}  # without implicit margins every alpha has the same cut
    assert sorted(preferred(view)) == list(range(50))
    texts = [f"{number} <script>" + "x" * 200 + "\x1b" for number in range(50)]
    pairs = write_pairs(tmp_path, texts, texts, texts).path
    rows = listed(view, scored.pair_id_P, pairs)
    assert len(rows) == 50
    assert rows[0][:3] == [19, "pair-00019", "my/pairs.jsonl:20"]
    assert rows[0][3].startswith("19 <script>xxx")
    assert rows[0][3].endswith("… (52 more characters)")
    monkeypatch.setattr(texts_module, "_MOST_BYTES", 3 * len(repr(rows[0])))
    assert 1 < len(listed(view, scored.pair_id_P, pairs)) < 5
