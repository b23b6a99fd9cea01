"""The cost of a plan: its requests to endpoints."""

from collections.abc import Iterable, Iterator

from apm_exp.core.told import ask
from apm_exp.data.endpoint.bill import Bill, bill_line
from apm_exp.jobs.plan.plan import Plan
from apm_exp.pipeline.nodes import own_nodes


def cost_lines(steps: Iterable[tuple[Plan, str]]) -> Iterator[str]:
    """Yield a line for each step that sends requests to an endpoint, and the sum of what several cost."""
    named = [(name, bill) for plan, name in steps for bill in bills(plan, name)]
    for name, bill in named:
        yield f"{name}: {bill_line(bill)}"
    costs = [bill.cost for _, bill in named if bill.cost is not None]
    if len(costs) > 1:
        unknown = f", and {len(named) - len(costs)} of unknown price" if len(named) > len(costs) else ""
        yield f"all endpoints together: at most about {sum(costs):,.2f}{unknown}"


def bills(plan: Plan, name: str) -> Iterator[Bill]:
    """Yield the bill of each component of a step whose module has a function `bill`, if the counts are known."""
    inputs, counts = plan.steps[name].inputs, plan.known[name]
    for place, node in own_nodes(inputs):
        if (bill := ask(place, node, "bill", counts, plan.pairs.mean)) is not None:
            yield bill
