"""The explorer's part of the page: the data for its script, and the text around it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.report import figure
from apm_exp.report.run.explorer.command import command_base, own_keep
from apm_exp.report.run.explorer.planes import packed, packed_flags
from apm_exp.report.run.explorer.ranked import Ranked, ranked
from apm_exp.report.run.explorer.texts import LONGEST, listed
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.selection.metrics.uniform import uniform

SCRIPTS = ("decode", "rank", "draw", "list", "explore")


def script() -> str:
    """Return the explorer's script; its parts share one scope."""
    folder = Path(__file__).parent
    return "(() => {\n" + "".join((folder / f"{name}.js").read_text() for name in SCRIPTS) + "})();\n"


def explorer(
    scored: ScoredPairs, pairs: Path, config: Mapping[str, Any], chosen: float | None, command: str
) -> dict[str, Any]:
    """Return the template's values. chosen: the alpha that a rule has chosen, if one has."""
    metric = config["metric"]
    view = ranked(scored, _alpha(config, chosen), rescale=metric.get("rescale") is not False)
    texts = listed(view, scored.pair_id_P, pairs)
    difference_S = (scored.chosen_len_P - scored.rejected_len_P)[view.rows_S].astype(int)
    planes = {
        "explicit": packed(view.explicit.codes_P) if view.explicit else "",
        "implicit": packed(view.implicit.codes_P),
        "uniform": packed(_uniform_ranks(scored, view, config["seed"])),
        "lengths": packed(difference_S, _width(difference_S)),
        "kept": packed_flags(scored.kept_P[view.rows_S]),
    }
    return {
        "planes": planes,
        "settings": _settings(scored, view, config, command) | {"lengthBytes": _width(difference_S)},
        "texts": texts,
        "listed": len(texts),
        "longest": LONGEST,
        "embedded": len(view.rows_S),
        "pairs": len(scored.value_P),
        "errors": view.errors,
        "own": view.own,
        "rewards": view.explicit is not None,
        "constant": [name for name, sigma in zip(("explicit", "implicit"), view.sigmas, strict=True) if sigma == 0],
        "tied": len(view.value_S) > 1 and float(np.ptp(view.value_S)) == 0,
        "seed": config["seed"],
    }


def _settings(scored: ScoredPairs, view: Ranked, config: Mapping[str, Any], command: str) -> dict[str, Any]:
    explicit_P = scored.chosen_len_P - scored.rejected_len_P if scored.explicit_P is None else scored.explicit_P
    rescaled = config["metric"].get("rescale") is not False
    return {
        "rewards": view.explicit is not None,
        "units": [view.explicit.unit if view.explicit else 0.0, view.implicit.unit],
        "sigmas": view.sigmas,
        "rescaled": rescaled,
        "exact": view.exact,
        "alpha": view.alpha,
        "pairs": len(scored.value_P),
        "kept": view.kept,
        "own": view.own,
        "seed": config["seed"],
        "limits": [figure.limits(explicit_P), figure.limits(scored.implicit_P)],
        "command": command,
        "base": command_base(command),
        "keep": own_keep(config["keep"], int(scored.kept_P.sum()), len(scored.kept_P)),
    }


def _alpha(config: Mapping[str, Any], chosen: float | None) -> float:
    """Return the alpha to start with: the one of the run's selection, else the top-level setting, else 1."""
    known = (chosen, config["metric"].get("alpha"), config.get("alpha"))
    return float(next((alpha for alpha in known if isinstance(alpha, int | float)), 1.0))


def _width(difference_S: np.ndarray) -> int:
    """Return how many bytes the length differences need."""
    return 2 if np.max(np.abs(difference_S)) < 2**15 else 3


def _uniform_ranks(scored: ScoredPairs, view: Ranked, seed: int) -> np.ndarray:
    """Return the place of each embedded pair in the order of metric=uniform with the run's seed."""
    chance = PairScores(scored.pair_id_P[view.rows_S], None, np.zeros(len(view.rows_S)))
    order = np.argsort(-uniform(chance, seed=seed)["value"], kind="stable")
    rank_S = np.empty(len(order), np.int32)
    rank_S[order] = np.arange(len(order))
    return rank_S
