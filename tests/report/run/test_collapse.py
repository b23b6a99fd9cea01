import pytest

from apm_exp.report.run.collapse import evaluation_signs, training_signs


def scores(**values: float) -> dict[str, dict[str, float]]:
    return {name: {"value": value} for name, value in values.items()}


def test_the_trainings_signs_have_their_steps():
    rows = [{"step": 3}, {"step": 4, "collapse": ["it is bad", "very"]}]
    assert training_signs(rows) == ["from optimizer step 4: it is bad", "from optimizer step 4: very"]


@pytest.mark.parametrize(
    ("records", "signs"),
    [
        (scores(repetition=0.25, starting_repetition=0.06, length=19.0, starting_length=10.0), []),
        (scores(length=5.1, starting_length=10.0, accuracy=0.0), []),
        (scores(repetition=0.9, length=99.0), []),  # nothing to compare with
        (
            scores(length=20.1, starting_length=10.0),
            ["e: the responses are 20.1 tokens long, the starting policy's 10.0"],
        ),
        (
            scores(length=4.9, starting_length=10.0),
            ["e: the responses are 4.9 tokens long, the starting policy's 10.0"],
        ),
        (
            scores(repetition=0.5, starting_repetition=0.06),
            ["e: 50% of the runs of four words are repeated, 6% in the starting policy's responses"],
        ),
    ],
)
def test_an_evaluations_signs(records, signs):
    assert evaluation_signs("e", records) == signs
