"""Which rows of ShareGPT and Alpaca form are read, and what is said of those that are not pairs."""

from typing import Any

import pytest

from apm_exp.core.messages import text_of
from apm_exp.data.sources.pairs import pair_of
from apm_exp.data.sources.recognition import with_columns
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.sources.schemas import Recognizer


def turn(role: str, text: str) -> dict[str, str]:
    return {"from": role, "value": text}


def read(row: dict[str, Any]) -> Any:
    recognizer = Recognizer("dataset.path=a.jsonl", None, None)
    ((source, columns),) = with_columns([SourceRow("a.jsonl:1", row, None)], recognizer)
    assert source.row is not None
    assert columns is not None
    return pair_of(source.row, columns)


ASKED = [turn("human", "hi")]


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": ASKED, "chosen": turn("gpt", "a"), "rejected": turn("gpt", "b")},
        {"conversations": ASKED, "chosen": [turn("gpt", "a")], "rejected": [turn("gpt", "b")]},
        {"conversations": ASKED, "chosen": "a", "rejected": "b"},
        {"chosen": [*ASKED, turn("gpt", "a")], "rejected": [*ASKED, turn("gpt", "b")]},
        {"instruction": "hi", "input": "", "chosen": "a", "rejected": "b"},
    ],
)
def test_pairs_in_the_forms_of_sharegpt_and_alpaca_are_read(row: dict[str, Any]) -> None:
    pair = read(row)
    assert (text_of(pair.prompt[0]), text_of(pair.chosen), text_of(pair.rejected)) == ("hi", "a", "b")


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        (
            {"conversations": [*ASKED, turn("gpt", "a")]},
            "the rows have a prompt or a conversation, and no pair of resp",
        ),
        (
            {"instruction": "hi", "input": "x", "output": "a"},
            "the rows have one response each, as for supervised fine-",
        ),
        (
            {"prompt": "p", "completion": "c", "label": True},
            "KTO's rows have one response each; write a good and a bad",
        ),
        ({"instruction": "q", "completions": [{"response": "a"}]}, "write the best and the worst of completions as "),
        ({"prompt": "q", "response_0": "a", "response_1": "b"}, "write the better one as chosen and the other as rej"),
        ({"prompt": "p", "accepted": "a", "rejected": "b"}, "rename accepted to chosen; expected "),
        (
            {"prompt": "p", "response_w": "a", "response_l": "b"},
            "rename response_w to chosen and response_l to rejected",
        ),
        ({"prompt": "p", "chosen": "a"}, "expected SimPO's on-policy schema"),
    ],
)
def test_rows_that_are_no_pairs_are_refused_with_the_way_to_make_some(row: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=r"^dataset\.path=a\.jsonl: found the columns ") as caught:
        read(row)
    assert f"; {remedy}" in str(caught.value)
