"""The description of a difference between two arms in one sentence."""

from apm_exp.report.compare.paired import LEVEL, Difference
from apm_exp.report.scores import decimals, is_share, minus


def in_units(value: float, error: float, unit: str | None, *, signed: bool = True) -> str:
    """Return a difference as text: shares in percentage points; two significant digits of the error."""
    return minus(_plain(value, error, unit, signed=signed))


def _plain(value: float, error: float, unit: str | None, *, signed: bool = True) -> str:
    scale = 100.0 if is_share(unit) else 1.0
    return f"{value * scale:{'+' if signed else ''},.{decimals(error * scale)}f}"


def unit_words(unit: str | None) -> str:
    """Return the unit of a difference with a leading space."""
    return " points" if is_share(unit) else f" {unit}" if unit else ""


def half_width(interval: tuple[float, float]) -> float:
    """Return half the width of an interval, about two standard errors for a 95% interval."""
    return (interval[1] - interval[0]) / 2


def sentence(difference: Difference, arm: str, baseline: str, unit: str | None, items: str) -> str:
    """Return whether and by how much the arm differs from the baseline arm, with the interval and the p-value."""
    if difference.same:
        few = f"{difference.items:,} {items} cannot show a small difference"
        return f"{arm}: no {items.removesuffix('s')}'s outcome differs from that of {baseline}; {few}."
    error = half_width(difference.interval) / 2

    def number(value: float, *, signed: bool = True) -> str:
        return in_units(value, error, unit, signed=signed)

    points = unit_words(unit)
    low, high = difference.interval
    seeds = ", one seed" if difference.seeds == 1 else f" and {difference.seeds} seeds"
    of = f" of {difference.prompts:,} prompts" if difference.prompts < difference.items else ""
    over = f"over {difference.items:,} {items}{of}{seeds}"
    chance = f"95% interval {number(low)} to {number(high)} {over}; {_corrected(difference)}"
    if difference.noise:
        return f"{arm}: {number(difference.value)}{points} against {baseline}, inside the noise ({chance})."
    direction = "above" if difference.value > 0 else "below"
    return f"{arm}: {number(abs(difference.value), signed=False)}{points} {direction} {baseline} ({chance})."


def verdict(difference: Difference, arm: str, baseline: str, unit: str | None) -> str:
    """Return the difference in one short line of plain characters, for the terminal and the head of the page."""
    seeds = f"{difference.seeds} seed{'' if difference.seeds == 1 else 's'}"
    if difference.same:
        return f"{arm} - {baseline}: no outcome differs; {seeds}"
    error = half_width(difference.interval) / 2
    value, low, high = (_plain(number, error, unit) for number in (difference.value, *difference.interval))
    sure = "inside the noise" if difference.noise else f"significant, {p_words(difference.p_holm)}"
    return f"{arm} - {baseline}: {value}{unit_words(unit)}, {low} to {high}, {sure}; {seeds}"


def _corrected(difference: Difference) -> str:
    """Return the corrected p-value, preceded by the uncorrected one if only the correction makes it insignificant."""
    if difference.noise and difference.p <= 1 - LEVEL:
        return f"{p_words(difference.p)}, but {p_words(difference.p_holm)} after the correction for all arms"
    return p_words(difference.p_holm)


def summary(differences: list[Difference], labels: list[str], baseline: str) -> str:
    """Return a summary: how many arms differ from the baseline, and which; how many do not; what one seed shows."""
    apart = [label for one, label in zip(differences, labels, strict=True) if not one.noise]
    inside = len(differences) - len(apart)
    differ = f"{len(apart)} of {len(labels)} arms differ from {baseline}: {'; '.join(apart)}."
    than = "random selection (uniform)" if baseline == "uniform" else baseline
    words = f"No arm is significantly better or worse than {than}." if not apart else differ
    words += f" {inside} {'is' if inside == 1 else 'are'} inside the noise." if apart and inside else ""
    return f"{words} {said}" if (said := caveat(differences)) else words


def caveat(differences: list[Difference]) -> str:
    """Return the remark that one seed does not show the variation between seeds, or ""."""
    if all(one.seeds > 1 for one in differences):
        return ""
    return "With one seed this is about these policies, not about the settings: another seed may reverse it."


def p_words(p: float) -> str:
    """Return a p-value as text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"
