"""What a score is of: the policies, the prompts or pairs, and the judge."""

from typing import Any

from apm_exp.report.evaluated import evaluated

HELD_OUT = {"_target_": "apm_exp.evals.held_out_prompts.held_out_prompts", "prompts": 400}
CLASSIFIER = {"_target_": "apm_exp.data.rewards.classifier.classifier", "path": "/models/my_rm"}
EVALS: dict[str, Any] = {
    "held_out_pairs": {"_target_": "apm_exp.evals.held_out_pairs.held_out_pairs", "confidence": 0.95},
    "own": {"_target_": "tests.report.test_evaluated.own_evaluation"},
    "reward_win_rate": {"prompts": HELD_OUT, "judge": CLASSIFIER},
    "by_the_runs_reward": {"prompts": HELD_OUT, "judge": None},
    "win_rate": {
        "prompts": {"_target_": "apm_exp.data.worlds.micro_world.prompts.evaluation_prompts", "prompts": 400},
        "judge": {"_target_": "apm_exp.data.worlds.micro_world.noisy_reward.true_rewards"},
    },
    "own_prompts": {
        "prompts": {"_target_": "apm_exp.data.sources.jsonl.jsonl", "path": "/data/questions.jsonl"},
        "judge": CLASSIFIER,
    },
}
CONFIG = {
    "model": {"_target_": "apm_exp.models.pretrained.pretrained", "path": "./sft"},
    "reward": {"_target_": "apm_exp.data.rewards.classifier.classifier", "path": "org/rm"},
    "evals": EVALS,
}
POLICIES = "policy against the starting policy (sft), "


def test_a_score_says_what_it_is_of() -> None:
    said = {name: evaluated(CONFIG, name).removeprefix(POLICIES) for name in EVALS if name != "own"}
    assert said == {
        "held_out_pairs": "on the held-out pairs, by which response has the higher log-prob per token, without a judge",
        "reward_win_rate": "on the held-out prompts of the run's pairs, judged by classifier (my_rm)",
        "by_the_runs_reward": "on the held-out prompts of the run's pairs, judged by classifier (org/rm)",
        "win_rate": "on tasks of micro_world, judged by true_rewards",
        "own_prompts": "on prompts of questions.jsonl, judged by classifier (my_rm)",
    }


def own_evaluation() -> None:
    """Stand for an evaluation of somebody's own, whose file says nothing."""


def test_an_evaluation_whose_file_says_nothing_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr("apm_exp.core.component._trusted_packages", {"tests"})
    assert evaluated(CONFIG, "own") == f"{POLICIES}by own_evaluation"
