"""FLR against a plain loop: `python -m tests.benchmarks.flr` prints a table and writes flr.json.

Both give the mean token log-prob of the 120 follow-ups that ship (10 positive and 10 negative in six dimensions) after
the same conversations, under the same random Llama (512 x 8), in turn. The loop is one forward for each follow-up, and
computes the logits of the follow-up alone (`logits_to_keep`). Ours is what `reward=flr` calls.
"""

import argparse
import statistics
from functools import partial

import torch
from omegaconf import OmegaConf

from apm_exp.core.conf import conf_folder
from apm_exp.data.rewards.flr_follow_ups import texts_of
from apm_exp.data.rewards.flr_scores import likelihoods
from tests.benchmarks.alternating import alternate
from tests.benchmarks.model_shape import SHAPES, random_llama, same_weights
from tests.benchmarks.table import Bar, print_bars, print_table, write_json

VOCABULARY_USED = 30000
Ids = list[list[int]]


def follow_up_ids() -> Ids:
    """The follow-ups that ship as tokens: one of its own for each word, or mark, as a tokenizer would give about."""
    texts = texts_of(OmegaConf.to_container(OmegaConf.load(conf_folder() / "reward/follow_ups/six_dimensions.yaml")))
    words: dict[str, int] = {}
    return [
        [words.setdefault(word, 5 + len(words)) for word in text.replace(".", " .").replace(",", " ,").split()]
        for text in texts
    ]


def conversations(count: int, tokens: int) -> Ids:
    """Random tokens."""
    stream = torch.Generator().manual_seed(0)
    return torch.randint(5, VOCABULARY_USED, (count, tokens), generator=stream).tolist()


@torch.inference_mode()
def plain_loop(model: torch.nn.Module, follow_ups: Ids, before: Ids) -> list[list[float]]:
    """The mean log-probs, one forward for each conversation and follow-up."""
    return [[_mean_logp(model, ids, own) for own in follow_ups] for ids in before]


def _mean_logp(model: torch.nn.Module, ids: list[int], own: list[int]) -> float:
    whole = torch.tensor([[*ids, *own]], device=model.device)
    logits = model(input_ids=whole, use_cache=False, logits_to_keep=len(own) + 1).logits[0, :-1].float()
    return float(logits.log_softmax(-1).gather(-1, whole[0, len(ids) :, None]).mean())


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=300, help="of a conversation (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    model = random_llama(SHAPES[options.shape], dtype, options.device)
    ups, before = follow_up_ids(), conversations(options.conversations, options.tokens)
    works = {"ours": partial(likelihoods, same_weights(model), ups, before)}
    works["plain loop"] = partial(plain_loop, same_weights(model), ups, before)
    ours, loop = (torch.tensor(work(), dtype=torch.float64) for work in works.values())
    timings = alternate(works, dict.fromkeys(works, dtype), options.repetitions, options.device)
    difference = float((ours - loop).abs().max())
    rows = {
        name: {
            "method": name,
            "seconds": statistics.median(timing.seconds),
            "least": min(timing.seconds),
            "most": max(timing.seconds),
            "times ours": statistics.median(timing.ratios(timings["ours"])),
        }
        for name, timing in timings.items()
    }
    print_table(f"{len(ups)} follow-ups after {len(before)} conversations of {options.tokens} tokens", [*rows.values()])
    bars = [
        Bar("FLR against a plain loop, times as fast", rows["plain loop"]["times ours"], 5.0, True),
        Bar("largest difference of a mean token log-prob, nats", difference, 1e-5, False),
    ]
    print_bars(bars)
    write_json("flr", vars(options), {"follow-ups": [*rows.values()]}, bars)


if __name__ == "__main__":
    main()
