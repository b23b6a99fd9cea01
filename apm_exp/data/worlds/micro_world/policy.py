"""The micro world's starting policy: a tiny Llama trained on demonstrations with mistakes."""

import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from apm_exp.core.ranges import LearningRate, NotNegative
from apm_exp.data.worlds.micro_world.demonstrations import demonstration
from apm_exp.data.worlds.micro_world.instructions import VOCABULARY
from apm_exp.data.worlds.micro_world.splits import draw_tasks
from apm_exp.models.small_llama import llama_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from apm_exp.models.supervised import Demonstration

logger = logging.getLogger(__name__)
_LONGEST = 256  # the model's context length; a task with its response has at most 38 tokens
_PROMPT, _ANSWER = "PROMPT", "ANSWER"  # placeholders in the conversation that is rendered once

Count = Annotated[int, Field(ge=1)]


def check(*, hidden: int, heads: int, learning_rate: float, weight_decay: float) -> None:
    """Raise ValueError if the head size is odd, as rotary embeddings need an even one, or if the decay takes all of a
    weight in one optimizer step.
    """
    if learning_rate * weight_decay >= 1:
        problem = f"times model.learning_rate={learning_rate:g} it takes all of a weight in one optimizer step"
        raise ValueError(f"model.weight_decay={weight_decay:g}: {problem}; give less than {1 / learning_rate:g}")
    if hidden % (2 * heads):
        raise ValueError(f"model.hidden={hidden}: not a multiple of 2 * model.heads={2 * heads}; set a multiple")


def sft_policy(
    out: Path,
    *,
    hidden: Count,
    layers: Count,
    heads: Count,
    feed_forward: Count,
    steps: Count,
    batch: Count,
    learning_rate: LearningRate,
    beta2: Annotated[float, Field(gt=0, lt=1)],
    weight_decay: NotNegative,
    warmup: Annotated[float, Field(ge=0, le=1)],
    seed: int,
) -> None:
    """Train the policy on steps * batch demonstrations and write it to `out` as a Hugging Face folder.

    Float32 on the CPU; deterministic for the same seed on the same machine. Raises ValueError if the sizes do not fit
    together.
    """
    import torch
    from transformers import LlamaForCausalLM

    from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer
    from apm_exp.models.quiet import quiet
    from apm_exp.models.supervised import fine_tune

    check(hidden=hidden, heads=heads, learning_rate=learning_rate, weight_decay=weight_decay)
    tokenizer = word_tokenizer(VOCABULARY, _LONGEST)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"hidden": hidden, "layers": layers, "heads": heads, "intermediate": feed_forward}
        model = LlamaForCausalLM(llama_config(tokenizer, **sizes, positions=_LONGEST))
    model.set_attn_implementation("eager")  # faster than SDPA for 20 tokens on a CPU; it is not saved
    loss = fine_tune(
        model,
        demonstrations(tokenizer, steps * batch, seed),
        batch=batch,
        learning_rate=learning_rate,
        beta2=beta2,
        weight_decay=weight_decay,
        warmup=warmup,
    )
    logger.info("starting policy: %.3f nats per token on its last demonstrations", loss)
    with quiet():
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)


def tokenizer() -> "PreTrainedTokenizerBase":
    """Return the tokenizer that the policy will have."""
    from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer

    return word_tokenizer(VOCABULARY, _LONGEST)


def context() -> int:
    """Return how many tokens the policy will take."""
    return _LONGEST


def demonstrations(tokenizer: "PreTrainedTokenizerBase", count: int, seed: int) -> "list[Demonstration]":
    """Return `count` demonstrations in the chat template; their prompts are not used for anything else."""
    from apm_exp.data.worlds.micro_world.word_tokenizer import ANSWER
    from apm_exp.models.supervised import Demonstration

    stream = random.Random(f"demonstrated answers {seed}")
    frame = _frame(tokenizer)
    texts = [
        frame.replace(_PROMPT, task.prompt).replace(_ANSWER, demonstration(task, stream))
        for task in draw_tasks("demonstrations", count, seed)
    ]
    header = tokenizer.get_vocab()[ANSWER]
    rows: list[list[int]] = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return [Demonstration(ids, ids.index(header) + 1) for ids in rows]


def _frame(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return a conversation with placeholders, rendered once, as 50,000 demonstrations differ only in their words."""
    turns = [{"role": "user", "content": _PROMPT}, {"role": "assistant", "content": _ANSWER}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))
