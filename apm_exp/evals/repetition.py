"""How much of a response says what it has said before."""

WORDS = 4  # of a run; three recur in sound prose ("one of the"), four hardly do


def repetition(text: str) -> float:
    """The share of a text's runs of four words that are not their first occurrence: 0 to 1 - 1 / runs.

    seq-rep-4 of Welleck et al. (2020), over words between spaces. 0 for a text of fewer than four words.
    """
    words = text.split()
    runs = [tuple(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
