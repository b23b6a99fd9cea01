"""The records that pass between stages and components. Shape letters: P pairs, B pairs in a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

if TYPE_CHECKING:
    import torch

    from apm_exp.core.pair_ids import PairIds


TEMPLATE_DATE = "2026-01-01"  # the current date as chat templates see it, unless model.template_date sets another


class Message(TypedDict):
    """One turn of a conversation, as it is passed to the chat template.

    content: None only if another field replaces it, such as tool_calls. Further fields (tool_calls, tool_call_id, name,
    reasoning_content, ...) are kept unchanged beside these two: messages.fields_of.
    """

    role: str
    content: str | None


Tools = list[dict[str, Any]]  # the functions that a row offers to the assistant, in the form that chat templates expect


class MissingRewards(ValueError):
    """An error because a metric or a loss needs explicit margins and the pairs have no rewards."""


@dataclass(frozen=True, eq=False)
class PairScores:
    """The input of a metric: one entry per pair, ordered by pair_id.

    pair_id_P: strings, possibly read from a file on access. rewards_margin_P: chosen minus rejected reward in reward
    units, or None if the pairs have no rewards. implicit_margin_P: signed difference of the length-normalized log-probs
    of the starting policy, nats per token.
    """

    pair_id_P: "np.ndarray | PairIds"
    rewards_margin_P: np.ndarray | None
    implicit_margin_P: np.ndarray

    @property
    def explicit_margin_P(self) -> np.ndarray:
        """Return the signed explicit margins in reward units; raises MissingRewards if there are none."""
        if self.rewards_margin_P is None:
            raise MissingRewards("this metric needs rewards, and the pairs have none")
        return self.rewards_margin_P


@dataclass(frozen=True, eq=False)
class PairLogps:
    """The input of a loss: one batch of pairs. Log-probs are sums over response tokens, in nats.

    The reference is the starting policy, whose log-probs come from the logps artifact. rewards_margin_B: chosen minus
    rejected reward in reward units, or None if the pairs have no rewards.
    """

    chosen_logp_B: "torch.Tensor"
    rejected_logp_B: "torch.Tensor"
    reference_chosen_logp_B: "torch.Tensor"
    reference_rejected_logp_B: "torch.Tensor"
    chosen_len_B: "torch.Tensor"
    rejected_len_B: "torch.Tensor"
    rewards_margin_B: "torch.Tensor | None" = None

    @property
    def explicit_margin_B(self) -> "torch.Tensor":
        """Return the signed explicit margins in reward units; raises MissingRewards if there are none."""
        if self.rewards_margin_B is None:
            raise MissingRewards("this loss needs rewards, and the pairs have none")
        return self.rewards_margin_B


@dataclass(frozen=True)
class TokenizedPair:
    """Token ids of one pair: the prompt once, and each response up to and including its end token.

    cut_prompt, cut_responses: whether the prompt, and how many of the responses, were truncated. differs: how the chat
    template's own rendering of prompt and response differs from the text of these tokens, if it does.
    """

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    cut_prompt: bool = field(default=False, compare=False)
    cut_responses: int = field(default=0, compare=False)
    differs: str = field(default="", compare=False)

    @property
    def responses(self) -> "tuple[list[int], list[int]]":
        """Return the chosen response, then the rejected one."""
        return self.chosen_ids, self.rejected_ids

    @property
    def length(self) -> int:
        """Return the number of tokens in one forward over the pair, in which the prompt occurs once."""
        return len(self.prompt_ids) + len(self.chosen_ids) + len(self.rejected_ids)


@dataclass(frozen=True)
class Refusal:
    """The reason why a pair is not used: a short reason that is counted, and the detail of this pair."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Policy:
    """A causal language model on disk and how to load it.

    The *starting policy* is the one from which training starts, also called SFT model or reference.

    folder: an ordinary Hugging Face folder. key: identifies its weights (digest, commit or artifact key). dtype:
    "float32", "bfloat16" or "float16". attention: auto, segments, flex, or transformers' attn_implementation (see
    models/loading.py). chat_template: the text of a Jinja template to use instead of the tokenizer's own, or None.
    chat_template_kwargs: variables that are passed to the template. template_date: the current date as the template
    sees it. tf32: whether float32 products are rounded (runtime.tf32 on CUDA). made_by: the step that makes the folder;
    None for existing weights. local: whether the folder is the user's own, with its digest as the key.
    """

    folder: Path
    key: str
    dtype: str
    attention: str
    trust_remote_code: bool
    chat_template: str | None = None
    chat_template_kwargs: Mapping[str, Any] | None = None
    template_date: str = TEMPLATE_DATE
    tf32: bool = False
    made_by: Any = field(default=None, compare=False)
    local: bool = False

    @property
    def rounding(self) -> str:
        """Return the precision to which log-probs are rounded: the dtype, or tf32."""
        return "tf32" if self.tf32 else self.dtype

    @property
    def sampler(self) -> str:
        """Return an identity of the sampler of a response: its weights and their precision."""
        return f"{self.key} {self.rounding}"
