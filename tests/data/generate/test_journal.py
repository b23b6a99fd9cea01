from array import array

from apm_exp.core.types import Refusal
from apm_exp.data.generate.journal import read_journal, record
from apm_exp.data.generate.samples import Response, Samples, by_prompt

TOKENS = Response("a \u2028 b", True, 2, -1.25, array("i", [5, 6]), array("i", [7, 2]))
TEXT = Response("a", False, 1)
DRAWN = [(3, 0, TOKENS), (0, 1, TEXT), (1, 0, Refusal("prompt too long", "9 tokens"))]


def test_what_was_recorded_is_read_again(tmp_path):
    folder = tmp_path / "sampled"
    assert read_journal(folder) == {}
    assert list(record(DRAWN, folder)) == DRAWN
    known = read_journal(folder)
    assert known == {(index, number): one for index, number, one in DRAWN}
    assert [type(known[3, 0].prompt_ids), type(known[3, 0].ids)] == [array, array]


def test_responses_are_put_together_by_prompt_and_number():
    other = Response("c", True, 3, -2.0, array("i", [5, 6]), array("i", [8, 9, 2]))
    refused = [(1, number, Refusal("prompt too long", "9 tokens")) for number in range(2)]
    assert by_prompt([(3, 1, TOKENS), (0, 4, TEXT), *refused, (3, 0, other), (0, 2, TEXT)]) == {
        0: Samples(["a", "a"], [False, False], [1, 1]),
        1: Refusal("prompt too long", "9 tokens"),
        3: Samples(
            ["c", "a \u2028 b"], [True, True], [3, 2], [-2.0, -1.25], array("i", [5, 6]), [other.ids, TOKENS.ids]
        ),
    }
