"""The last line on the screen says which interval it gives."""

from apm_exp.headline import headline

WON = {"value": 0.68, "standard_error": 0.02, "n": 400, "interval": [0.6406, 0.7194], "unit": "share"}


def test_the_level_is_the_evaluations_own() -> None:
    evaluations = {"held_out_pairs": {}, "win_rate": {"win_rate": WON, "length": {}}}
    nodes = {"held_out_pairs": {"confidence": 0.5}, "win_rate": {"confidence": 0.9}}
    assert headline(evaluations, nodes) == "win rate 0.680 (90% interval 0.641 to 0.719, n 400)"


def test_an_evaluation_of_a_user_may_have_no_level() -> None:
    assert headline({"mine": {"won": WON}}, {"mine": {}}) == "won 0.680 (interval 0.641 to 0.719, n 400)"


def test_without_scores() -> None:
    assert headline({}, {}) == headline({"held_out_pairs": {}}, {}) == "done (no evaluation)"
