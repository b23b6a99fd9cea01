"""The requests of a step to an endpoint and their price: for plans, which send none."""

from dataclasses import dataclass

from apm_exp.data.endpoint.endpoint import Endpoint


@dataclass(frozen=True)
class Bill:
    """The requests of a step. input_tokens: about so many in all. output_tokens: at most so many in all."""

    endpoint: Endpoint
    requests: int
    input_tokens: float
    output_tokens: int

    @property
    def cost(self) -> float | None:
        """Return the cost if each reply has the maximum number of tokens; None if the prices are unknown."""
        if self.endpoint.input_price is None:
            return None
        return self.endpoint.cost(round(self.input_tokens), self.output_tokens)


def bill_line(bill: Bill) -> str:
    """Return a bill as a line of a plan."""
    endpoint = bill.endpoint
    asked = f"at most {bill.requests:,} requests to {endpoint.model} at {endpoint.url}"
    tokens = f"at most {bill.output_tokens:,} output tokens and about {round(bill.input_tokens):,} input tokens"
    if bill.cost is None or endpoint.input_price is None:
        remedy = f"give {endpoint.place}.input_price and {endpoint.place}.output_price to plan the cost"
        remedy += "" if endpoint.is_loopback else ", without which a run does not begin"
        return f"{asked}: {tokens}; the prices are unknown: {remedy}"
    outputs, inputs = endpoint.cost(0, bill.output_tokens), endpoint.cost(round(bill.input_tokens), 0)
    cost = f"at most {outputs:,.2f} and about {inputs:,.2f}, {bill.cost:,.2f} together"
    ceiling = "" if endpoint.max_cost is None else f"; it stops at max_cost={endpoint.max_cost:g}"
    return f"{asked}: {tokens}, which cost {cost}{ceiling}"
