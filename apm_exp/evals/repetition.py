"""The share of repeated text in a response."""

WORDS = 4  # words per run; runs of three repeat in good prose ("one of the"), runs of four rarely do


def repetition(text: str) -> float:
    """Return the share of a text's runs of four words that occurred before: 0 to 1 - 1 / runs.

    This is seq-rep-4 of Welleck et al. (2020), with words separated by spaces. 0 for a text of fewer than four words.
    """
    words = text.split()
    runs = [tuple(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
