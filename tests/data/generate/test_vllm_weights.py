"""The responses of a server are scored with the weights that it samples with, or the run stops."""

import shutil

import pyarrow.parquet as pq
import pytest

from apm_exp.core.types import Policy
from apm_exp.data.worlds.micro_world.policy import sft_policy
from apm_exp.pipeline.stages.logps import logps
from tests.data.generate.policy_server import serving_model
from tests.data.generate.test_vllm_sampler import SAMPLING, WORLD
from tests.micro_world_policy import RUNTIME, SMALL
from tests.pipeline.stages.generated import built, paired, responded

SHARES = {"_target_": "apm_exp.data.worlds.micro_world.noisy_reward.true_rewards"}
TOKENS = {
    "_target_": "apm_exp.models.tokens.per_response.per_response",
    **{"max_length": 64, "max_prompt_length": 40, "control_tokens": "refuse"},
}


def scored(folder, policy, url):
    """Pairs of the responses of a server, scored by the policy."""
    how = {"concurrency": 4, "timeout": 20.0, "endpoint": url, "key_variable": None}
    server = {"command": "vllm serve", "options": [], "port": None, "startup_timeout": 600.0, "seconds_to_end": 20.0}
    vllm = {"_target_": "apm_exp.data.generate.vllm_server.vllm_server"} | server
    target = "apm_exp.data.generate.vllm_sampler.sample_responses"
    responses = responded(folder, WORLD, policy, {"_target_": target} | SAMPLING | how | {"vllm": vllm})
    pairs = paired(folder, responses, SHARES)
    return responses, built(
        logps, folder, pairs=pairs, policy=policy, tokens=TOKENS, runtime=RUNTIME, on_bad_row="refuse"
    )


def test_the_policy_scores_the_tokens_that_the_server_has_sampled(micro_policy, tmp_path):
    with serving_model(micro_policy, micro_policy) as url:
        responses, made = scored(tmp_path, micro_policy, url)
    rows = pq.read_table(responses.path / "generations.parquet").to_pylist()
    assert all(logp < 0 for row in rows for logp in row["logps"])
    assert made.counts["as_sampled"] == made.counts["pairs"] > 5


def test_a_server_with_other_weights_than_the_policy_stops_the_run(micro_policy, tmp_path):
    sft_policy(tmp_path / "other", **SMALL | {"steps": 20, "seed": 5})
    other = Policy(tmp_path / "other", "other", "float32", "auto", False)
    with (
        serving_model(other, named_as=micro_policy) as url,
        pytest.raises(ValueError, match="the scored log-probs of the sampled responses differ from the sampler's by"),
    ):
        scored(tmp_path, micro_policy, url)


@pytest.mark.skipif(shutil.which("vllm") is None, reason="vllm is not in PATH")
def test_the_real_vllm_serves_a_policy_from_its_folder(tmp_path):
    sft_policy(tmp_path / "model", **SMALL | {"hidden": 128, "heads": 2})  # vLLM has no kernels for heads below 32
    policy = Policy(tmp_path / "model", "small", "float32", "auto", False)
    responses, made = scored(tmp_path, policy, None)
    assert responses.counts["responses"] == 30
    assert made.counts["as_sampled"] == made.counts["pairs"] > 0
    assert (responses.path / "served.json").exists()
