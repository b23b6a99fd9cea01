import logging
from dataclasses import replace
from pathlib import Path

import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import FileDigests
from apm_exp.jobs.checks.settings import check_config
from apm_exp.jobs.inverted import inverted_share, refuse_inverted
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.unroll import unroll
from apm_exp.report.run.page import _mostly_inverted
from tests.test_configs import compose


def made(inverted: int, pairs: int = 100, unrewarded: int = 0, *, reused: bool = False) -> Artifact:
    counts = {"pairs": pairs, "responses": 2 * pairs, "inverted": inverted, "tied": 0}
    more = {"unrewarded": unrewarded} if unrewarded else {}
    return Artifact("rewards", Path("rewards"), "key", counts | more, 0.0, reused=reused)


OFFLINE = {"_target_": "apm_exp.pipeline.recipes.offline.offline"}
REWARD_EVAL = {"_target_": "apm_exp.pipeline.recipes.reward_eval.reward_eval"}
CONFIG = {"pipeline": OFFLINE, "reward": {"allow_inverted": False}}
ALLOWED = {"pipeline": OFFLINE, "reward": {"allow_inverted": True}}


def test_most_labels_inverted_stops_unless_that_is_meant():
    with pytest.raises(ValueError, match="=") as caught:
        refuse_inverted(CONFIG, made(51))
    assert str(caught.value) == (
        "reward.allow_inverted=false: in 51 pairs (51% of those with rewards) the rejected response has the higher "
        "reward; exchange chosen and rejected, or take other rewards; reward.allow_inverted=true continues"
    )
    with pytest.raises(ValueError, match="60%"):  # 6 of the 10 that have rewards
        refuse_inverted(CONFIG, made(6, unrewarded=90, reused=True))
    refuse_inverted(ALLOWED, made(51))
    refuse_inverted(CONFIG | {"pipeline": REWARD_EVAL}, made(51))  # that is what this pipeline measures
    refuse_inverted(CONFIG, made(50))
    with pytest.raises(ValueError, match=r"^reward\.allow_inverted=false"):  # an own reward source has no such line
        refuse_inverted({"pipeline": OFFLINE, "reward": {}}, made(51))


def test_more_than_a_twentieth_is_a_warning_when_it_is_counted(caplog):
    with caplog.at_level(logging.WARNING):
        for one in (made(5), made(0), made(6, reused=True), replace(made(0), counts={"pairs": 3})):
            refuse_inverted(CONFIG, one)
        assert not caplog.records
        refuse_inverted(CONFIG, made(6))
    assert "in 6 pairs (6% of those with rewards) the rejected response has the higher reward" in caplog.text


def test_a_step_without_the_count_has_none_inverted():
    assert inverted_share(Artifact("pairs", Path("pairs"), "key", {"pairs": 10}, 0.0)) == 0
    assert inverted_share(made(0, pairs=0)) == 0
    assert _mostly_inverted({"pairs": 10, "inverted": 5}) is None
    assert _mostly_inverted({"pairs": 10, "unrewarded": 6, "inverted": 3}) == 0.75


def test_whether_they_may_be_inverted_makes_no_other_rewards():
    choices = Choices("model", "dataset", "metric", "loss", "trainer")
    given = compose("reward.allow_inverted=true"), compose()
    for config in given:
        check_config(config)
    first, second = (unroll(config, choices, FileDigests(Path("none"))) for config in given)
    assert {name: step.key for name, step in first.items()} == {name: step.key for name, step in second.items()}
