"""The comparison of all arms with the baseline arm on one score: sentences, a figure and a table."""

from typing import Any

from apm_exp.report.compare.arms import Arm
from apm_exp.report.compare.equal_numbers import unequal_numbers
from apm_exp.report.compare.paired import Difference
from apm_exp.report.scores import is_share, items_of
from apm_exp.report.sweep.arms_figure import Row, arms_figure
from apm_exp.report.sweep.scores import ArmScores
from apm_exp.report.sweep.sentence import caveat, half_width, in_units, p_words, sentence, summary, verdict

Context = dict[str, Any]


def comparison(number: int, arms: list[Arm], baseline: int, one: ArmScores) -> Context:
    """Return the template's context for one score; `problem` is set if nothing can be compared."""
    compared = one.compared
    made: Context = {"title": one.words, "headline": one.headline, "problem": compared.problem, "rows": [], "svg": None}
    made["caveat"] = caveat(compared.differences)
    made |= {"unit": "points" if is_share(one.unit) else one.unit or "", "item_words": compared.items, "missing": []}
    if not compared.differences:
        return made
    made["rows"] = [_row(arms, baseline, one, difference) for difference in compared.differences]
    labels = [row["label"] for row in made["rows"]]
    made["summary"] = summary(compared.differences, labels, arms[baseline].label)
    without = set(range(len(arms))) - {baseline} - {difference.arm for difference in compared.differences}
    made["missing"] = [arms[arm].label for arm in sorted(without)]
    if one.headline:
        rows = [Row(arms[d.arm].label, d.value, d.interval) for d in compared.differences]
        unit = f" ({made['unit']})" if made["unit"] else ""
        axis = f"difference in {one.words}{unit}"
        made["svg"] = arms_figure(f"difference-{number}", axis, one.unit, rows, 0.0)
    return made


def _row(arms: list[Arm], baseline: int, one: ArmScores, difference: Difference) -> Context:
    arm, other = arms[difference.arm], arms[baseline]
    error = half_width(difference.interval) / 2
    interval = " to ".join(in_units(bound, error, one.unit) for bound in difference.interval)
    return {
        "label": arm.label,
        "sentence": sentence(difference, arm.label, other.label, one.unit, one.compared.items),
        "verdict": verdict(difference, arm.label, other.label, one.unit),
        "unequal": unequal_numbers(arm, other),
        "noise": difference.noise,
        "sort": difference.value,
        "same": difference.same,
        "value": "0" if difference.same else in_units(difference.value, error, one.unit),
        "common": items_of(difference.items, difference.prompts),
        "interval": None if difference.same else interval,
        "prompts": difference.prompts,
        "seeds": difference.seeds,
        "p": p_words(difference.p).removeprefix("p ").removeprefix("= "),
        "p_holm": p_words(difference.p_holm).removeprefix("p ").removeprefix("= "),
    }
