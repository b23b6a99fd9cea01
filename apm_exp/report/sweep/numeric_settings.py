"""The swept settings with numeric values, and the number of each arm."""

from apm_exp.report.compare.arms import Arm
from apm_exp.selection.alpha_rules.choose import AUTO


def numeric_settings(arms: list[Arm]) -> list[str]:
    """Return the swept settings with at least two numeric values; alpha may also be auto."""
    keys = dict.fromkeys(key for arm in arms for key in arm.settings)
    return [key for key in keys if _are_numbers({value for arm in arms for value in arm.settings.get(key, ())})]


def _are_numbers(values: set[str]) -> bool:
    numbers = [_number(value) for value in values if value != AUTO]
    return None not in numbers and len(numbers) > 1


def numbers_of(arm: Arm, key: str) -> tuple[float, ...]:
    """Return the arm's values of a setting; for alpha=auto the chosen number, if all seeds agree on it."""
    values = arm.settings.get(key, ())
    numbers = [_number(value) for value in values if value != AUTO]
    chosen = {job.get("alpha") for job in arm.by_seed.values()} if AUTO in values else set()
    numbers += chosen if len(chosen) == 1 else ()
    return tuple(number for number in numbers if number is not None)


def chosen_numbers(arms: list[Arm], key: str) -> list[float]:
    """Return the numbers chosen for alpha=auto."""
    return sorted({number for arm in arms if arm.settings.get(key) == (AUTO,) for number in numbers_of(arm, key)})


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
