from pathlib import Path

import pytest

from apm_exp.report.export.finished_run import FinishedRun, StepRecord
from apm_exp.report.export.sources import reward_source

NODE = {"_target_": "apm_exp.data.rewards.classifier.classifier", "path": "owner/model", "revision": None}


@pytest.mark.parametrize("step", ["generations", "rewards"])
def test_a_reward_model_of_the_hub_is_named_with_the_commit_that_was_read(step: str) -> None:
    recorded = StepRecord(Path(), "k", {}, {"reward": {"_target_": "apm_exp.data.rewards.recorded.recorded"}}, {})
    read = StepRecord(Path(), "k", {}, {"reward": NODE | {"revision": "abc123"}}, {})
    run = FinishedRun("run", {"reward": NODE}, "", {"rewards": recorded} | {step: read})
    assert reward_source(run) == "classifier owner/model (revision abc123)"
