import pytest

from apm_exp.evals.repetition import repetition


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("no no no", 0.0),  # fewer than four words
        ("a b c d e f g", 0.0),
        ("no no no no no no", 2 / 3),  # three runs, of which one is new
        ("a b c d a b c d", 1 / 5),  # abcd bcda cdab dabc abcd
    ],
)
def test_runs_of_four_words_that_were_there_before(text, share):
    assert repetition(text) == pytest.approx(share)
