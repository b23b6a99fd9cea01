"""A difference in words, against words written by hand."""

from dataclasses import replace

from apm_exp.report.compare.paired import Difference
from apm_exp.report.scores import minus
from apm_exp.report.sweep.sentence import in_units, p_words, sentence, summary, verdict

ABOVE = Difference(1, 0.031, 400, 400, 1, (0.012, 0.05), p=0.002, p_holm=0.004)


def test_above_below_and_inside_the_noise() -> None:
    said = minus("map: 3.10 points above uniform (95% interval +1.20 to +5.00 over 400 prompts, one seed; p = 0.004).")
    assert sentence(ABOVE, "map", "uniform", "share", "prompts") == said
    below = replace(ABOVE, value=-1.5, interval=(-2.5, -0.5), seeds=3)
    said = minus(
        "map: 1.50 tokens below uniform (95% interval -2.50 to -0.50 over 400 prompts and 3 seeds; p = 0.004)."
    )
    assert sentence(below, "map", "uniform", "tokens", "prompts") == said
    inside = replace(ABOVE, value=0.004, interval=(-0.012, 0.02), p=0.31, p_holm=0.31)
    said = minus(
        "map: +0.40 points against uniform, inside the noise (95% interval -1.20 to +2.00 over 30 pairs, one seed;"
    )
    assert sentence(replace(inside, items=30, prompts=30), "map", "uniform", "share", "pairs") == f"{said} p = 0.31)."
    shared = sentence(replace(ABOVE, items=400, prompts=100, seeds=3), "map", "uniform", "share", "pairs")
    assert "over 400 pairs of 100 prompts and 3 seeds;" in shared
    corrected = sentence(replace(ABOVE, p=0.023, p_holm=0.094), "map", "uniform", "share", "prompts")
    assert corrected.endswith("one seed; p = 0.023, but p = 0.094 after the correction for all arms).")


def test_where_no_outcome_differs_there_is_no_interval() -> None:
    same = replace(ABOVE, value=0.0, items=20, interval=(0.0, 0.0), p=1.0, p_holm=1.0, same=True)
    said = "map: no pair's outcome differs from that of uniform; 20 pairs cannot show a small difference."
    assert sentence(same, "map", "uniform", "share", "pairs") == said


def test_the_summary_counts() -> None:
    noise = replace(ABOVE, p_holm=0.2, seeds=2)
    assert summary([noise, noise], ["a", "b"], "c") == "No arm is significantly better or worse than c."
    both = summary([ABOVE, noise, noise], ["a", "b", "d"], "c")
    assert both.startswith(
        "1 of 3 arms differ from c: a. 2 are inside the noise. With one seed this is about these policies,"
    )


def test_numbers_have_what_their_error_supports() -> None:
    assert in_units(-0.0312, 0.012, "share") == minus("-3.1")
    assert in_units(1234.5, 30.0, "tokens", signed=False) == "1,234"
    assert [p_words(p) for p in (0.0001, 0.0123, 0.5)] == ["p < 0.001", "p = 0.012", "p = 0.50"]


def test_the_verdict_is_one_short_line_of_plain_characters() -> None:
    inside = replace(ABOVE, value=0.003, interval=(-0.0083, 0.0143), seeds=3, p_holm=0.6)
    line = "map - uniform: +0.30 points, -0.83 to +1.43, inside the noise; 3 seeds"
    assert verdict(inside, "map", "uniform", "share") == line
    below = replace(ABOVE, value=-1.5, interval=(-2.5, -0.5))
    line = "map - uniform: -1.50 tokens, -2.50 to -0.50, significant, p = 0.004; 1 seed"
    assert verdict(below, "map", "uniform", "tokens") == line
    same = replace(ABOVE, value=0.0, same=True, seeds=2)
    assert verdict(same, "map", "uniform", "share") == "map - uniform: no outcome differs; 2 seeds"
