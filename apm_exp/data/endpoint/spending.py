"""The tokens and the cost of the requests of a step, as its counts and as a file."""

from pathlib import Path
from typing import Any

from apm_exp.core.files import write_json
from apm_exp.data.endpoint.endpoint import Endpoint
from apm_exp.data.endpoint.ledger import read_totals, spent

ASKED = "asked.json"


def spending_at(endpoint: Endpoint, ledger: Path, out: Path) -> dict[str, int | float]:
    """Return the counts of the tokens and the cost, and write them with the endpoint to asked.json in `out`.

    ledger: the folder of the step's ledger of requests.
    """
    totals = read_totals(ledger)
    counts: dict[str, int | float] = {"input_tokens": totals.input_tokens, "output_tokens": totals.output_tokens}
    if endpoint.input_price is not None:
        counts["cost"] = spent(totals, endpoint)
    asked: dict[str, Any] = {"url": endpoint.url, "model": endpoint.model, "model_of_the_server": sorted(totals.models)}
    asked |= {"prices": [endpoint.input_price, endpoint.output_price], "unanswered": totals.unanswered}
    write_json(asked | counts, out / ASKED)
    return counts
