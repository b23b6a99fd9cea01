"""The table of a plan with the remaining work of each iteration, as upper bounds."""

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table

from apm_exp.core.console import plain_table
from apm_exp.core.step_names import evaluation_of, is_rewriting, iteration_in, iteration_of, kind_of
from apm_exp.data.generate.most_new_tokens import most_of
from apm_exp.jobs.plan.cost import bills
from apm_exp.jobs.plan.plan import Plan

_COST = "cost"
_COLUMNS = ("rewrites", "prompts", "responses", "rewarded", "scored pairs", "trained pairs", "judged", "tokens", _COST)
Amounts = Mapping[str, list[float | None]]


def iterations_table(plan: Plan) -> Table | None:
    """Return a row for each iteration, one for what several share, and the totals; None if there is no iteration.

    rewrites: responses that rewrite prompts. responses: to the prompts. rewarded: of these, each one forward of a
    reward model. judged: responses of evaluations, which are sampled too. tokens: of all sampled responses. cost: of
    the requests to endpoints.
    """
    last = max((iteration_of(name) or 0 for name in plan.steps), default=0)
    if not last:
        return None
    rows = [(name, iteration_in(name, plan.steps, last)) for name in plan.missing]
    of_all = _amounts(plan, plan.missing)
    columns = [column for column in _COLUMNS if column in of_all]
    table = plain_table("iteration", *columns)
    for iteration in range(last + 1):
        amounts = _amounts(plan, [name for name, at in rows if at == iteration])
        table.add_row("shared" if iteration == 0 else str(iteration), *(_cell(column, amounts) for column in columns))
    table.add_row("all", *(_cell(column, of_all) for column in columns))
    return table


def _amounts(plan: Plan, names: Iterable[str]) -> Amounts:
    """Return the amounts of steps by columns; None is an unknown amount."""
    amounts: dict[str, list[float | None]] = {}
    for name in names:
        for column, amount in _amounts_of(plan, name):
            amounts.setdefault(column, []).append(amount)
    return amounts


def _amounts_of(plan: Plan, name: str) -> Iterator[tuple[str, float | None]]:
    counts, kind, evaluated = plan.known[name], kind_of(name), evaluation_of(name, plan.steps) is not None
    if kind == "generations":
        responses, most = counts.get("responses"), most_of(plan.steps[name].inputs["generate"])
        yield "tokens", None if responses is None or most is None else responses * most
        if is_rewriting(name):
            yield "rewrites", counts.get("responses")
        elif not evaluated:
            yield "prompts", counts.get("prompts")
            yield "responses", counts.get("responses")
    elif kind == "rewards" and plan.steps[name].inputs["responses"].kind == "generations":
        yield "judged" if evaluated else "rewarded", counts.get("responses")
    elif kind in ("logps", "policy"):
        yield "scored pairs" if kind == "logps" else "trained pairs", counts.get("pairs")
    for bill in bills(plan, name):
        yield _COST, bill.cost


def _cell(column: str, amounts: Amounts) -> str:
    """Return a sum in words; nothing if there is no such work."""
    each = amounts.get(column, [])
    known = [amount for amount in each if amount is not None]
    if len(known) < len(each):
        return "unknown"
    return "" if not each else f"{sum(known):,.2f}" if column == _COST else f"{sum(known):,}"
