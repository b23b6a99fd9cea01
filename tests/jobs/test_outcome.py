"""What the record of a run says of several selections together."""

from apm_exp.jobs.outcome import together


def test_the_counts_of_the_parts_of_a_training_are_added_up() -> None:
    first, second = {"pairs": 95, "kept": 38, "alpha": 0.5}, {"pairs": 94, "kept": 37, "alpha": 0.75}
    assert together([first, second]) == {"pairs": 189, "kept": 75, "alpha": 0.75}
    assert together([first]) == first
    assert together([]) == {}
