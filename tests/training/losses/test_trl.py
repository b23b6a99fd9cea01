"""Where TRL has an objective, ours gives the same mean loss and gradient on random log-probs."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from trl import DPOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from apm_exp.core.types import PairLogps
from apm_exp.training.losses.history import History
from apm_exp.training.objective import bind_loss
from tests.training.losses.nodes import node

LENGTHS = torch.tensor([3, 1, 7, 4, 2, 5]), torch.tensor([2, 6, 1, 4, 3, 8])  # chosen and rejected
LONGEST = 8
SAME_IN_DPO = {  # our loss and what it sets: TRL's name and settings
    "dpo": ("sigmoid", {"beta": 0.3}),
    "robust": ("robust", {"beta": 0.3, "label_smoothing": 0.2}),
    "hinge": ("hinge", {"beta": 0.3}),
    "ipo": ("ipo", {"beta": 0.3}),
    "exo": ("exo_pair", {"beta": 0.3, "label_smoothing": 0.1}),
    "nca": ("nca_pair", {"beta": 0.3}),
    "bco": ("bco_pair", {"beta": 0.3}),
    "sppo_hard": ("sppo_hard", {"beta": 0.3}),
    "aot": ("aot", {"beta": 0.3, "label_smoothing": 0.1}),
    "aot_unpaired": ("aot_unpaired", {"beta": 0.3, "label_smoothing": 0.1}),
    "apo_zero": ("apo_zero", {"beta": 0.3}),
    "apo_down": ("apo_down", {"beta": 0.3}),
    "discopop": ("discopop", {"beta": 0.3, "temperature": 0.5}),
}


@pytest.fixture
def tokens() -> Tensor:
    """Log-probs of each token [chosen then rejected, LONGEST]; those after a response's end belong to nobody."""
    drawn = torch.rand(12, LONGEST, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (-3 * drawn).requires_grad_()


@pytest.fixture
def reference() -> Tensor:
    """The reference's summed log-probs, [2, 6]."""
    return -10 * torch.rand(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def completion_mask() -> Tensor:
    """TRL's mask over a prompt of one token and the responses."""
    lengths = torch.cat(LENGTHS)
    return (torch.arange(LONGEST + 1) >= 1) & (torch.arange(LONGEST + 1) <= lengths[:, None])


def pairs_of(tokens: Tensor, reference: Tensor) -> PairLogps:
    chosen_B, rejected_B = (tokens * completion_mask()[:, 1:]).sum(1).chunk(2)
    return PairLogps(chosen_B, rejected_B, *reference, *LENGTHS)


def ours(tokens: Tensor, reference: Tensor, name: str, **settings: Any) -> tuple[float, Tensor]:
    loss = bind_loss(node(name, **settings), History())(pairs_of(tokens, reference)).mean()
    return loss.item(), torch.autograd.grad(loss, tokens)[0]


def assert_same(one: tuple[float, Tensor], other: tuple[float, Tensor]) -> None:
    assert one[0] == pytest.approx(other[0], abs=1e-6)
    assert one[1].abs().sum() > 0
    torch.testing.assert_close(one[1], other[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SAME_IN_DPO)
def test_equals_trls_dpo_trainer(name, tokens, reference):
    trl_name, settings = SAME_IN_DPO[name]
    extra = {"reward_shift": False} if name == "bco" else {}
    loss = _trl_dpo(trl_name, settings, tokens, reference)
    theirs = loss.item(), torch.autograd.grad(loss, tokens)[0]
    assert_same(ours(tokens, reference, name, **settings, **extra), theirs)


def _trl_dpo(loss_type: str, settings: dict[str, Any], tokens: Tensor, reference: Tensor) -> Tensor:
    trainer = object.__new__(DPOTrainer)  # _compute_loss without the models and the data that a whole trainer wants
    mask, nothing = completion_mask(), torch.zeros(12, LONGEST)
    shown = {"entropy": nothing, "mean_logits": nothing, "is_top1": nothing.bool()}

    class Model(torch.nn.Module):
        def forward(self, **inputs: Any) -> SimpleNamespace:
            return SimpleNamespace(log_probs=tokens * completion_mask()[:, 1:], **shown)  # 0 where nobody's

    trainer.model = Model()
    trainer.accelerator = SimpleNamespace(device="cpu", gather=_same, gather_for_metrics=_same)
    trainer.beta, trainer.label_smoothing = settings["beta"], settings.get("label_smoothing", 0.0)
    trainer.args = SimpleNamespace(discopop_tau=settings.get("temperature"))
    trainer.loss_types, trainer.loss_weights, trainer.f_divergence_type = [loss_type], [1.0], "reverse_kl"
    trainer.ld_alpha, trainer.precompute_ref_logps = None, True
    trainer.use_weighting = trainer.aux_loss_enabled = False
    trainer._metrics, trainer._total_train_tokens, trainer._tp_size = {"train": defaultdict(list)}, 0, 1
    ids = torch.zeros(12, LONGEST + 1, dtype=torch.long)
    inputs = {"input_ids": ids, "attention_mask": mask.long(), "completion_mask": mask.long()}
    inputs |= {"ref_chosen_logps": reference[0], "ref_rejected_logps": reference[1]}
    return trainer._compute_loss(trainer.model, inputs, return_outputs=False)


def _same(tensor: Tensor) -> Tensor:
    return tensor


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("form", ["logistic", "hinge"])
def test_simpo_equals_trls_cpo_trainer(form, label_smoothing, tokens, reference):
    """TRL has SimPO's hinge without the target margin."""
    if form == "hinge" and label_smoothing:
        pytest.skip("the hinge has no label smoothing")
    gamma = 0.0 if form == "hinge" else 0.6
    settings = {"beta": 2.0, "gamma_beta_ratio": gamma / 2.0, "form": form, "label_smoothing": label_smoothing}
    kind = {"logistic": "simpo", "hinge": "hinge"}[form]
    trainer = _trl_cpo(kind, beta=2.0, simpo_gamma=gamma, label_smoothing=label_smoothing)
    assert_same(ours(tokens, reference, "simpo", **settings), _trl_contrast(trainer, tokens, average=True))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_cpos_contrast_equals_trls(label_smoothing, tokens, reference):
    settings = {"beta": 0.3, "sft_weight": 0.0, "label_smoothing": label_smoothing}
    trainer = _trl_cpo("sigmoid", beta=0.3, label_smoothing=label_smoothing)
    assert_same(ours(tokens, reference, "cpo", **settings), _trl_contrast(trainer, tokens, average=False))


def _trl_cpo(loss_type: str, **settings: Any) -> CPOTrainer:
    trainer = object.__new__(CPOTrainer)
    trainer.accelerator, trainer.loss_type, trainer.alpha = SimpleNamespace(device="cpu"), loss_type, 0.0
    for name, value in settings.items():
        setattr(trainer, name, value)
    return trainer


def _trl_contrast(trainer: CPOTrainer, tokens: Tensor, *, average: bool) -> tuple[float, Tensor]:
    pairs = pairs_of(tokens, torch.zeros(2, 6))
    divisors = LENGTHS if average else (1, 1)
    losses, _, _ = trainer.cpo_loss(pairs.chosen_logp_B / divisors[0], pairs.rejected_logp_B / divisors[1])
    return losses.mean().item(), torch.autograd.grad(losses.mean(), tokens)[0]


def test_orpos_odds_ratio_equals_trls(tokens, reference):
    trainer = object.__new__(ORPOTrainer)
    trainer.beta, trainer.accelerator = 0.3, SimpleNamespace(device="cpu")
    pairs = pairs_of(tokens, reference)
    chosen_B, rejected_B = pairs.chosen_logp_B / LENGTHS[0], pairs.rejected_logp_B / LENGTHS[1]
    theirs = -chosen_B.mean() - trainer.odds_ratio_loss(chosen_B, rejected_B)[0].mean()
    loss, gradient = ours(tokens, reference, "orpo", beta=0.3)
    assert loss == pytest.approx(theirs.item(), abs=1e-6)
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs, tokens)[0], rtol=0, atol=1e-6)
