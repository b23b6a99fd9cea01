import logging
from array import array

from apm_exp.core.types import Refusal
from apm_exp.data.generate.journal import read_journal, record
from apm_exp.data.generate.samples import Samples

TOKENS = Samples(["a \u2028 b"], [True], [2], [-1.25], array("i", [5, 6]), [array("i", [7, 2])])
TEXTS = Samples(["a", "b"], [True, False], [1, 2])
SAMPLED = {3: TOKENS, 0: TEXTS, 1: Refusal("prompt too long", "9 tokens")}


def test_what_was_recorded_is_read_again(tmp_path):
    path = tmp_path / "sampled.jsonl"
    assert read_journal(path) == {}
    assert dict(record(SAMPLED.items(), path)) == SAMPLED
    assert read_journal(path) == SAMPLED


def test_from_a_damaged_line_on_it_is_truncated_and_says_so(tmp_path, caplog):
    path = tmp_path / "sampled.jsonl"
    list(record(SAMPLED.items(), path))
    lines = path.read_bytes().splitlines(keepends=True)
    changed = [lines[1].replace(*edit) for edit in ((b'"texts"', b'"textz"'), (b'"a"', b'"c"'), (b"false", b"true"))]
    for damaged in (lines[1][:9], *changed, lines[1].rstrip(b"\n"), b"\xff\n", b"[]\n", b"\n"):
        caplog.clear()
        path.write_bytes(lines[0] + damaged)
        with caplog.at_level(logging.WARNING):
            assert read_journal(path) == {3: TOKENS}
        assert "cannot be read after 1 prompts; the others are sampled again" in caplog.text
        assert path.read_bytes() == lines[0]
