"""alpha=auto at the surface: one run, its record, its page, and what is said where it cannot be meant."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from apm_exp.core.types import PairScores
from apm_exp.jobs.checks.check import warn_unused_alpha_rule
from apm_exp.jobs.checks.settings import check_config
from apm_exp.jobs.request import Request
from apm_exp.pipeline.nodes import alpha_words
from apm_exp.report import describe
from apm_exp.report.run.overlap import choices
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.selection.alpha_rules.choose import with_chosen_number
from apm_exp.selection.metrics.preflight import needs_rewards
from tests.command import SMALL, apm_exp, folders
from tests.offline_run import read_offline_run
from tests.report.finished_run import CONFIG, EXPLICIT, MAP
from tests.test_configs import compose

BALANCED = {"_target_": "apm_exp.selection.alpha_rules.balanced.balanced"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which a number and auto have run, and what was said."""
    root = tmp_path_factory.mktemp("auto")
    result = apm_exp(root, "-m", *SMALL[:2], "evals=held_out_pairs", "alpha=0.25,auto")
    assert result.returncode == 0, result.stderr
    return root, result.stderr


def rows(selected: Path) -> dict[str, Any]:
    return pq.read_table(selected / "selection.parquet").to_pydict()


def test_the_number_is_said_recorded_and_what_was_used(ran: tuple[Path, str]) -> None:
    root, said = ran
    number, auto = folders(root, "selection")
    assert (number.name[:12], auto.name[:18]) == ("map-alpha0.2", "map-alpha_balanced")
    alpha = json.loads((auto / "done").read_text())["counts"]["alpha"]
    assert "alpha" not in json.loads((number / "done").read_text())["counts"]
    assert f"alpha=auto: the rule balanced chose {alpha:g} from" in said
    found = rows(auto)
    sizes = np.abs(found["implicit_margin"])
    assert found["implicit_term"] == pytest.approx(alpha * sizes / np.std(sizes))
    assert len(folders(root, "logps")) == 1


def test_it_is_what_the_rule_chooses_from_the_training_pairs(ran: tuple[Path, str]) -> None:
    auto = folders(ran[0], "selection")[1]
    found = rows(auto)
    scores = PairScores(*(np.array(found[name]) for name in ("pair_id", "explicit_margin", "implicit_margin")))
    metric = MAP | {"alpha": BALANCED, "rescale": True}
    alpha = json.loads((auto / "done").read_text())["counts"]["alpha"]
    assert with_chosen_number(metric, scores, CONFIG["keep"])["alpha"] == alpha


def test_the_page_and_wandb_have_the_number(ran: tuple[Path, str]) -> None:
    run = (ran[0] / "outputs" / "runs" / "latest").resolve()
    alpha = json.loads((run / "result.json").read_text())["alpha"]
    assert 0 < alpha < 100
    sent = read_offline_run(run)
    assert sent.summary["selection/alpha"] == sent.config["alpha"] == alpha
    page = (run / "report" / "report.html").read_text()
    assert f"map (alpha {alpha:g} by balanced) with dpo" in page
    assert "map (this run)" in re.sub(r"<[^>]+>", "", page)


@pytest.mark.parametrize("alpha", ["foo", "balanced", "Auto"])
def test_another_word_names_the_forms(alpha: str) -> None:
    with pytest.raises(ValueError, match=rf"^alpha={alpha}: input should be a number of at least 0, or auto$"):
        check_config(compose(f"alpha={alpha}"))


@pytest.mark.parametrize(("alpha", "typed"), [(-1, "-1"), (float("inf"), "inf"), (True, "true")])
def test_numbers_are_checked_as_ever(alpha: object, typed: str) -> None:
    with pytest.raises(ValueError, match=rf"^alpha={typed}: input should be [^|]*$"):
        check_config(compose() | {"alpha": alpha})


def test_auto_is_a_setting_like_a_number() -> None:
    config = compose("alpha=auto", "alpha_rule=agreement")
    check_config(config)
    assert config["compare"]["map"] == config["metric"]
    assert needs_rewards(config["metric"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["compare=null"], r"^compare=null: must be metrics by name; use compare={} for none$"),
        (["tokens=simpo_2024", "tokens.max_length=20"], r"^tokens.max_prompt_length=1800: leaves no token .*=20$"),
    ],
)
def test_values_that_are_wrong_together(changes: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config(compose(*changes))


def test_the_rule_is_in_the_folders_name() -> None:
    assert alpha_words({"alpha": "auto", "alpha_rule": BALANCED, "metric": {"alpha": "auto"}}) == "alpha_balanced"


@pytest.mark.parametrize(
    ("alpha", "swept", "warned"),
    [(1.0, {}, True), ("auto", {}, False), (1.0, {"alpha": "1"}, False), (1.0, {"alpha_rule": "agreement"}, False)],
)
def test_a_rule_that_nobody_asks_is_a_warning(
    alpha: object, swept: dict[str, str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = ["alpha_rule=agreement"]
    request = Request("run", {"alpha": alpha}, {"alpha_rule": "agreement"}, overrides, "", 0.0, swept=swept)
    with caplog.at_level(logging.WARNING):
        warn_unused_alpha_rule(request)
    remark = "alpha_rule=agreement: alpha=1.0 is a number, so no rule is used; use alpha=auto"
    assert caplog.messages == ([remark] if warned else [])


def test_the_overlap_of_another_metric_asks_the_rule_too() -> None:
    generator = np.random.default_rng(0)
    explicit_P, implicit_P = generator.normal(size=(2, 50))
    ids = np.array([f"p{row:02}" for row in range(50)])
    lengths, kept_P = np.ones(50), np.abs(explicit_P) >= np.sort(np.abs(explicit_P))[-20]
    scored = ScoredPairs(ids, explicit_P, implicit_P, np.abs(explicit_P), kept_P, lengths, lengths)
    compare = {"map": MAP | {"alpha": "auto", "rescale": True}, "explicit": EXPLICIT}
    first, own = choices(scored, compare, EXPLICIT, CONFIG["keep"], BALANCED)
    metric = with_chosen_number(compare["map"] | {"alpha": BALANCED}, scored.as_scores(), CONFIG["keep"])
    assert own.own
    assert first.problem is None
    with_the_number = choices(scored, {"map": metric}, EXPLICIT, CONFIG["keep"])[-1]
    assert np.array_equal(first.kept_P, with_the_number.kept_P)


def test_the_number_and_its_rule_in_words() -> None:
    config = CONFIG | {"metric": MAP | {"alpha": "auto"}, "alpha_rule": BALANCED}
    assert describe.title(describe.with_alpha_in_words(config, 0.5)).startswith("map (alpha 0.5 by balanced) with dpo")
    assert describe.with_alpha_in_words(CONFIG, None) == CONFIG
