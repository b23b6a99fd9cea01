"""Check that the responses that are scored are those that were sampled: both log-probs agree within rounding."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.rounding import SHORT, TOLERANCE
from apm_exp.core.types import Policy

logger = logging.getLogger(__name__)
_FAR = 10  # times the tolerance; single responses may be that far off, as with another expert of a mixture


def check_scored_as_sampled(pairs: Path, scored: pa.Table, as_sampled: Sequence[str], policy: Policy) -> None:
    """Compare the scored log-probs of the pairs `as_sampled` with those from sampling by the same weights.

    The two are rounded differently, since sampling computes one token at a time, with a cache and padding. Raises
    ValueError if the mean difference, in nats per token, is larger than rounding explains; warns of single responses
    that differ by much more.
    """
    if not as_sampled:
        return
    difference_2P, names = _differences(pairs, scored, pa.array(as_sampled, pa.string()), policy.sampler)
    if not difference_2P.size:
        return
    allowed, mean, worst = TOLERANCE[policy.rounding], difference_2P.mean(), int(difference_2P.argmax())
    most = f"most for the pair {names[worst % len(names)].as_py()}, by {difference_2P[worst]:.2g}"
    if not mean <= allowed:
        raise ValueError(
            f"generate: the scored log-probs of the sampled responses differ from the sampler's by {mean:.2g} nats per "
            f"token on average ({most}; rounding explains {allowed:g}), so the policy or the tokens are not the same; "
            "rebuild the responses with rebuild=generations"
        )
    if far := int((difference_2P > _FAR * allowed).sum()):
        logger.warning(
            "the scored log-probs of %d of %d sampled responses differ from the sampler's by more than %g nats per "
            "token, %s",
            *(far, difference_2P.size, _FAR * allowed, most),
        )


def _differences(
    pairs: Path, scored: pa.Table, as_sampled: pa.Array, sampler: str
) -> tuple[np.ndarray, pa.ChunkedArray]:
    """Return the differences, in nats per token, of the chosen and then of the rejected responses, and their pair_ids.

    Only the responses that `sampler` sampled are compared.
    """
    columns = ["pair_id", "sampler", "sampled_chosen_logp", "sampled_rejected_logp"]
    table = pq.read_table(pairs, columns=columns)
    mine = pc.and_(pc.equal(table["sampler"], sampler), pc.is_in(table["pair_id"], value_set=as_sampled))
    table = table.filter(pc.and_(mine, pc.is_valid(table["sampled_chosen_logp"]))).sort_by("pair_id")
    scored = scored.filter(pc.is_in(scored["pair_id"], value_set=table["pair_id"].combine_chunks()))
    assert scored["pair_id"].equals(table["pair_id"]), "a pair that was sampled has no log-probs, or has them twice"
    each = []
    for name in ("chosen", "rejected"):
        difference_P = np.abs(scored[f"{name}_logp"].to_numpy() - table[f"sampled_{name}_logp"].to_numpy())
        each.append(difference_P / np.maximum(scored[f"{name}_len"].to_numpy(), SHORT))
    return np.concatenate(each), table["pair_id"]
