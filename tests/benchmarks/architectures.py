"""Our log-probs against each architecture's plain forward: `python -m tests.benchmarks.architectures [TYPE ...]`.

One line for each type of transformers' causal language models, tiny and random, in float32 on the CPU: the form that
it takes and the largest difference of a response, nats a token; or why it is refused, or cannot be built small. Then
the counts, and the largest difference of all. Ends with 1 where one that is scored differs by more than 1e-4.
"""

import sys
import warnings
from collections import Counter

from apm_exp.core.errors import library_error
from tests.architectures import TYPES, Compared, compared, tiny

_MOST = 1e-4


def main(types: list[str]) -> int:
    """Print the table; returns the exit status."""
    warnings.simplefilter("ignore")
    found: dict[str, Compared] = {}
    for model_type in types:
        try:
            model = tiny(model_type)
        except Exception as error:
            print(f"{model_type:28} not built small: {library_error(error)[:90]}", flush=True)
            continue
        result = found[model_type] = compared(model)
        print(f"{model_type:28} {result.refusal or f'{result.form:7} {result.difference:.1e}'}", flush=True)
    counts = Counter("refused" if each.refusal else each.form for each in found.values())
    worst = max((each.difference, name) for name, each in found.items())
    print(f"{dict(counts)}, {len(types) - len(found)} not built; the largest difference is {worst[0]:.1e} ({worst[1]})")
    return int(worst[0] > _MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or TYPES))
