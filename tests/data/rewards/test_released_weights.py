"""Golden values of the released checkpoints, from their model cards; skipped if the weights are not on this machine."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
import torch

from apm_exp.data.rewards.armorm import armorm
from apm_exp.data.rewards.armorm_gate import GATE, gate_ids
from apm_exp.data.rewards.classifier import classifier
from apm_exp.data.rewards.compared_texts import Lengths, Texts, compared_ids, special_tokens
from apm_exp.models.armorm import ArmoRM, gate_place, keep_head_exact
from apm_exp.models.load import load_weights, tokenizer_from
from apm_exp.models.pairrm import PairRM, compare_pairs
from apm_exp.models.pretrained import config_here, is_here
from tests.micro_world_policy import RUNTIME

pytestmark = pytest.mark.weights
ARMORM, PAIRRM = "RLHFlow/ArmoRM-Llama3-8B-v0.1", "llm-blender/PairRM-hf"
SKYWORK = "Skywork/Skywork-Reward-V2-Llama-3.1-8B"
COMPLEXITY, VERBOSITY, FOLLOWING = 14, 4, 6  # of the 19 objectives


def folder_of(name: str) -> Path:
    """The folder of a checkpoint in the Hub's cache; skips the test if it is not there."""
    if not is_here(path=name, revision=None):
        pytest.skip(f"the weights of {name} are not cached: hf download {name}")
    folder = config_here(path=name, revision=None)
    assert folder is not None
    return folder


def rewards(source: Any, folder: Path, prompt: str, responses: list[str]) -> list[float]:
    table = pa.Table.from_pylist([{"prompt": [{"role": "user", "content": prompt}], "responses": responses}])
    settings = {"revision": None, "dtype": "bfloat16", "batch_size": 2, "max_length": 4096}
    with TemporaryDirectory() as scored:
        [row] = source(table, RUNTIME, Path(scored), path=str(folder), **settings)
    return list(row)


@torch.inference_mode()
def test_armorm() -> None:
    folder = folder_of(ARMORM)
    tokenizer, prompt = tokenizer_from(folder, ARMORM, False), 'What are some synonyms for the word "beautiful"?'
    gate = gate_ids(tokenizer, ARMORM)
    assert gate == [128009, 128006, 78191, 128007, 271], GATE
    response = "Nicely, Beautifully, Handsome, Stunning, Wonderful, Gorgeous, Pretty, Stunning, Elegant"
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    model: Any = keep_head_exact(load_weights(ArmoRM, folder, ARMORM, dtype=torch.bfloat16))  # type: ignore[arg-type]
    hidden = model.model(torch.tensor([ids])).last_hidden_state[0].float()
    values = model.regression_layer(hidden[-1])
    assert (values[:5] * 5 - 0.5).tolist() == pytest.approx([2.78125, 2.859375, 3.484375, 1.3847656, 1.296875], abs=0.1)
    coefficients = model.gating(hidden[gate_place(ids, gate)][None])[0] @ model.reward_transform_matrix.T
    assert coefficients.abs().topk(3).indices.tolist() == [COMPLEXITY, VERBOSITY, FOLLOWING]
    assert coefficients[[COMPLEXITY, VERBOSITY, FOLLOWING]].tolist() == pytest.approx([0.199, -0.109, 0.0786], abs=5e-3)
    assert rewards(armorm, folder, prompt, [response]) == pytest.approx([float(coefficients @ values)], abs=5e-3)


@torch.inference_mode()
def test_pairrm() -> None:
    folder = folder_of(PAIRRM)
    tokenizer = tokenizer_from(folder, PAIRRM, False)
    model: Any = load_weights(PairRM, folder, PAIRRM, dtype=torch.float32)  # type: ignore[arg-type]
    ids = []
    for source, first, second in (("hello!", "hi!", "f**k off!"), ("I love you!", "I hate you!", "I love you, too!")):
        texts = Texts(source, [first, second])
        part, [one, two] = compared_ids(tokenizer, special_tokens(tokenizer), texts, Lengths(1224, 2048))
        ids.append([*part.ids, *one[0].ids, *two[1].ids])
    assert compare_pairs(model, ids).tolist() == pytest.approx([1.90, -1.25], abs=0.01)


def test_skywork() -> None:
    prompt = (
        "Jane has 12 apples. She gives 4 apples to her friend Mark, then buys 1 more apple, and finally splits all her "
        "apples equally among herself and her 2 siblings. How many apples does each person get?"
    )
    begin = (
        "1. Jane starts with 12 apples and gives 4 to Mark. 12 - 4 = 8. Jane now has 8 apples.\n2. Jane buys 1 more "
    )
    begin += "apple. 8 + 1 = 9. Jane now has 9 apples.\n3. Jane splits the 9 apples equally among "
    right = "herself and her 2 siblings (3 people in total). 9 ÷ 3 = 3 apples each. Each person gets 3 apples."
    wrong = "her 2 siblings (2 people in total). 9 ÷ 2 = 4.5 apples each. Each person gets 4 apples."
    got = rewards(_classifier, folder_of(SKYWORK), prompt, [begin + right, begin + wrong])
    assert got == pytest.approx([23.0, 3.59375], abs=0.5)


def _classifier(*given: Any, **settings: Any) -> Any:
    return classifier(*given, trust_remote_code=False, **settings)
