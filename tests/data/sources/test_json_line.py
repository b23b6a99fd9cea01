import json
import math
import time

import pytest

from apm_exp.data.sources.json_line import parse_object
from apm_exp.data.sources.rows import BadRow


def test_an_object_is_read_with_its_escapes():
    line = '{"text": "é \\ud83d\\ude00 \\u00e9", "rows": [1, 2.5, null]}\r\n'.encode()
    assert parse_object(line) == {"text": "é 😀 é", "rows": [1, 2.5, None]}


def test_nan_and_infinity_reach_the_check_of_rewards():
    content = parse_object(b'{"a": NaN, "b": -Infinity, "c": 1e999}')
    assert math.isnan(content["a"])
    assert (content["b"], content["c"]) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": "\xff"}\n', "invalid UTF-8: byte 0xff at position 8"),
        (b'{"a": "\\ud83d"}\n', "invalid UTF-8: \\ud83d is half of a surrogate pair"),
        (b'{"\\uDE00": [{"b": 1}]}\n', "invalid UTF-8: \\ude00 is half of a surrogate pair"),
        (b'{"a": 1,}\n', "invalid JSON: Expecting property name enclosed in double quotes at column 9"),
        (b"\x00\x00\x00\n", "invalid JSON: Expecting value at column 1"),
        (b'{"a": 1} {"a": 2}\n', "invalid JSON: Extra data at column 10"),
        (
            b'{"a": "cut he',
            "invalid JSON: Unterminated string starting at at column 7 (the file ends in the middle of this line)",
        ),
        (b'["a"]\n', "wrong type: the line is a JSON list, not an object"),
        (b'{"a": 1, "b": 2, "a": 1}\n', "duplicate key: 'a' is given twice"),
        (b'{"turns": [{"role": "user", "role": "user"}]}\n', "duplicate key: 'role' is given twice"),
        (b"[" * 100_000, "invalid JSON: nested too deeply"),
    ],
)
def test_a_line_that_is_no_clean_object_is_a_bad_row(line, problem):
    with pytest.raises(BadRow) as caught:
        parse_object(line)
    assert str(caught.value) == problem


def test_an_endless_integer_is_a_bad_row():
    with pytest.raises(BadRow, match="invalid JSON"):
        parse_object(b'{"a": ' + b"1" * 5000 + b"}")


def test_half_surrogates_in_an_escaped_backslash_are_text():
    text = "a path \\ud83d"
    assert parse_object(json.dumps({"a": text}).encode()) == {"a": text}


def test_a_doubled_key_among_many_is_found_in_one_pass():
    keys = ",".join(f'"k{number}":0' for number in range(50_000))
    started = time.perf_counter()
    with pytest.raises(BadRow, match="'k49999' is given twice"):
        parse_object(f'{{{keys},"k49999":1}}'.encode())
    assert time.perf_counter() - started < 5
