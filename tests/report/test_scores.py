"""Numbers in words: a value is rounded to what its standard error supports."""

from apm_exp.report.render import NONE, breakable, number, percent, seconds
from apm_exp.report.scores import decimals, headline_name, in_words, interval_level, results
from tests.report.finished_run import score


def test_a_standard_error_has_two_significant_digits() -> None:
    assert [decimals(error) for error in (0.0234, 0.234, 2.34, 23.4, 234.0)] == [3, 2, 1, 0, 0]
    assert decimals(0) == decimals(None) == 3


def test_a_share_is_read_as_per_cent() -> None:
    words = in_words("win_rate", score(0.675, 0.0234, 1400, "share"))
    assert (words.name, words.value, words.standard_error) == ("win rate", "67.5%", "2.3")
    assert (words.interval, words.n, words.unit) == ("62.9% to 72.1%", "1,400", "%")
    assert in_words("accuracy", score(0.5, 0.02, 1400, "share") | {"prompts": 350}).n == "1,400 of 350 prompts"


def test_other_units_stay_as_they_are() -> None:
    words = in_words("margin", score(-0.07312, 0.0031, 204, "nats per token"))
    assert (words.value, words.standard_error) == ("\N{MINUS SIGN}0.0731", "0.0031")
    assert words.unit == "nats per token"


def test_the_starting_policy_stands_beside_the_score_of_its_name() -> None:
    records = {
        "starting_accuracy": score(0.5, 0.02, 10, "share"),
        "accuracy": score(0.6, 0.02, 10, "share"),
        "margin": score(1, 0.1, 10, ""),
        "starting_temperature": score(2, 0.1, 10, ""),
    }
    found = [(result.score.name, result.starting and result.starting.value) for result in results("pairs", records)]
    assert found == [("accuracy", "50.0%"), ("margin", None), ("starting temperature", None)]
    assert headline_name(records) == "accuracy"
    assert results("empty", {}) == []


def test_held_out_accuracy_says_that_better_answers_may_still_lose() -> None:
    records = {"held_out_accuracy": score(0.79, 0.03, 200, "share"), "win_rate": score(0.68, 0.02, 400, "share")}
    ranked, wins = results("pairs", records)
    assert ranked.note.startswith("A better policy may still score lower here")
    assert wins.note == "50% is the starting policy against itself."


def test_the_level_of_intervals_is_that_of_the_evaluation() -> None:
    assert [interval_level(node) for node in ({"confidence": 0.95}, {"confidence": 0.999}, {})] == ["95%", "99.9%", ""]


def test_numbers_percent_and_durations() -> None:
    assert number(-1234.567, 1) == "\N{MINUS SIGN}1,234.6"
    assert number(0.5, 2, signed=True) == "+0.50"
    assert number(None) == percent(None) == seconds(None) == NONE
    assert percent(0.40016) == "40.0%"
    assert [seconds(value) for value in (3.21, 600, 9000)] == ["3.2 s", "10.0 min", "2.5 h"]


def test_names_break_behind_their_signs_only_and_stay_escaped() -> None:
    assert breakable("policy/map-0.5_a") == "policy/<wbr>map-<wbr>0.<wbr>5_<wbr>a"
    assert breakable("<b>") == "&lt;b&gt;"
