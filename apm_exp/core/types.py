"""The records that pass between stages and components. Shape letters: P pairs, B pairs in a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

if TYPE_CHECKING:
    import torch

    from apm_exp.core.pair_ids import PairIds


TEMPLATE_DATE = "2026-01-01"  # what chat templates take for today unless model.template_date says otherwise


class Message(TypedDict):
    """One turn of a conversation, as the chat template gets it.

    content: None only beside another field that says something, such as tool_calls. Further fields (tool_calls,
    tool_call_id, name, reasoning_content, ...) stand beside these two as they came: messages.fields_of.
    """

    role: str
    content: str | None


Tools = list[dict[str, Any]]  # the functions that a row offers to the assistant, as its chat template takes them


class MissingRewards(ValueError):
    """A metric or a loss asked for explicit margins of pairs that have no rewards."""


@dataclass(frozen=True, eq=False)
class PairScores:
    """What a metric may look at: one entry a pair, ordered by pair_id.

    pair_id_P: strings, which may be read from a file only when they are looked at. rewards_margin_P: chosen minus
    rejected reward in reward units, or None where the pairs have no rewards. implicit_margin_P: signed difference
    of the length-normalised log-probs of the starting policy, nats per token.
    """

    pair_id_P: "np.ndarray | PairIds"
    rewards_margin_P: np.ndarray | None
    implicit_margin_P: np.ndarray

    @property
    def explicit_margin_P(self) -> np.ndarray:
        """The signed explicit margins, reward units; raises MissingRewards where there are none."""
        if self.rewards_margin_P is None:
            raise MissingRewards("this metric needs rewards and the pairs have none")
        return self.rewards_margin_P


@dataclass(frozen=True, eq=False)
class PairLogps:
    """What a loss may look at: one batch of pairs. Log-probs are sums over response tokens, in nats.

    The reference is the starting policy, whose log-probs come from the logps artifact. rewards_margin_B: chosen minus
    rejected reward in reward units, or None where the pairs have no rewards.
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
        """The signed explicit margins, reward units; raises MissingRewards where there are none."""
        if self.rewards_margin_B is None:
            raise MissingRewards("this loss needs rewards and the pairs have none")
        return self.rewards_margin_B


@dataclass(frozen=True)
class TokenisedPair:
    """Token ids of one pair: the prompt once, and each response up to and including its end token.

    cut_prompt, cut_responses: whether the prompt, and how many of the responses, were longer. differs: how the chat
    template's own rendering of prompt and response differs from these tokens' text, if it does.
    """

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    cut_prompt: bool = field(default=False, compare=False)
    cut_responses: int = field(default=0, compare=False)
    differs: str = field(default="", compare=False)

    @property
    def responses(self) -> "tuple[list[int], list[int]]":
        """The chosen one, then the rejected one."""
        return self.chosen_ids, self.rejected_ids

    @property
    def length(self) -> int:
        """The tokens that one forward over the pair takes: the prompt is there once."""
        return len(self.prompt_ids) + len(self.chosen_ids) + len(self.rejected_ids)


@dataclass(frozen=True)
class Refusal:
    """Why a pair is not used: a short reason that is counted, and the detail of this pair."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Policy:
    """A causal language model on disk and how to load it.

    folder: an ordinary Hugging Face folder. key: what identifies its weights (digest, commit or artifact key).
    dtype: "float32", "bfloat16" or "float16". attention: auto, segments, flex, or transformers'
    attn_implementation (see models/loading.py).
    chat_template: the text of a Jinja template to use instead of the tokenizer's own, or None.
    chat_template_kwargs: variables that the template is given. template_date: the day that it takes for today.
    tf32: whether float32 products are rounded (runtime.tf32 on CUDA). made_by: the step that makes the folder; None for
    given weights. local: whether the key is the digest of the folder, which is the user's own.
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
        """What log-probs are rounded to: the dtype, or tf32."""
        return "tf32" if self.tf32 else self.dtype

    @property
    def sampler(self) -> str:
        """What the log-probs of its responses depend on beside their tokens: the weights, and their rounding."""
        return f"{self.key} {self.rounding}"
