"""No text from data can pass for a line of ours, on the screen or in a log."""

import logging
import sys

import pytest

from apm_exp.core.console import configure_logging, plain_table, print_line, print_table
from apm_exp.core.errors import one_line, print_error
from apm_exp.core.escaped import escaped, escaped_lines

FORGED = "id\n\x1b[31merror: model.path=/: all is lost\x1b[0m\r\u2028\u202e"
SHOWN = r"id\n\x1b[31merror: model.path=/: all is lost\x1b[0m\r\u2028\u202e"


def test_control_characters_are_escaped_and_letters_are_not():
    assert escaped(FORGED) == SHOWN
    assert escaped("né 😀\t中 \\n") == "né 😀\t中 \\n"
    assert escaped("caf\udce9\x85\x7f") == r"caf\udce9\x85\x7f"


def test_later_lines_are_indented():
    assert escaped_lines("one\n\x07error: two\n") == "one\n    \\x07error: two"


@pytest.fixture
def logging_as_a_worker():
    root, ours, factory = logging.getLogger(), logging.getLogger("apm_exp"), logging.getLogRecordFactory()
    before = root.handlers[:], root.level, ours.level
    configure_logging()
    yield
    logging.captureWarnings(False)
    logging.setLogRecordFactory(factory)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_every_log_line_is_one_line(logging_as_a_worker, capsys):
    logging.getLogger().handlers[0].setStream(sys.stderr)
    logging.getLogger("apm_exp.data.sources").warning("%s: refused", FORGED)
    logging.getLogger("another_package").warning("first\nerror: %s", "second\x1b")
    assert capsys.readouterr().err == f"warning: {SHOWN}: refused\nwarning: first\n    error: second\\x1b\n"


def test_so_is_what_a_command_prints(capsys):
    print_error(FORGED)
    print_line(FORGED)
    shown = capsys.readouterr()
    assert (shown.err, shown.out) == (f"error: {SHOWN}\n", f"{SHOWN}\n")
    assert one_line(ValueError(FORGED)) == r"id \x1b[31merror: model.path=/: all is lost\x1b[0m \u202e"


def test_a_table_shows_its_cells_as_they_are(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    table = plain_table("run")
    table.add_row(f"[red]{FORGED}")
    print_table(FORGED, table)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [SHOWN, "run", f"[red]{SHOWN}"]
