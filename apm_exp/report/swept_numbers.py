"""Which of the swept settings are numbers."""

from apm_exp.compare.arms import Arm


def numeric_settings(arms: list[Arm]) -> list[str]:
    """The swept settings whose values are numbers, at least two of them."""
    keys = dict.fromkeys(key for arm in arms for key in arm.settings)
    found = []
    for key in keys:
        values = {number(value) for arm in arms for value in arm.settings.get(key, ())}
        if None not in values and len(values) > 1:
            found.append(key)
    return found


def number(text: str) -> float | None:
    """A setting's value as a number, or None."""
    try:
        return float(text)
    except ValueError:
        return None
