import gzip

import pytest

from apm_exp.data.sources.line_file import line_rows


def test_every_line_is_a_row_with_its_line_number_and_blank_lines_are_none(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": 2}')
    assert [(row.source, row.row, row.problem) for row in line_rows(file)] == [
        (f"{file}:1", {"a": 1}, None),
        (f"{file}:4", {"a": 2}, None),
    ]


def test_bad_lines_do_not_stop_the_good_ones(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": 1}\n{"a": "\xff"}\nnonsense\n{"a": 2}\n{"a": "cut')
    rows = list(line_rows(file))
    assert [row.row for row in rows] == [{"a": 1}, None, None, {"a": 2}, None]
    assert rows[1].problem == "invalid UTF-8: byte 0xff at position 8"
    assert rows[2].problem == "invalid JSON: Expecting value at column 1"
    assert rows[4].problem is not None
    assert rows[4].problem.endswith("(the file ends in the middle of this line)")


def test_a_gzipped_file_reads_like_the_plain_one(tmp_path):
    file = tmp_path / "ROWS.JSONL.GZ"
    file.write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert [row.row for row in line_rows(file)] == [{"a": 1}, {"a": 2}]


def _cut(content: bytes) -> bytes:
    return content[:-20]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [_cut, _flipped, lambda content: b"this is not gzip"])
def test_a_damaged_gzip_is_one_line_that_names_file_and_line(tmp_path, damage):
    file = tmp_path / "rows.jsonl.gz"
    lines = b"".join(b'{"a": %d}\n' % number for number in range(5000))
    file.write_bytes(damage(gzip.compress(lines)))
    with pytest.raises(ValueError, match=rf"^dataset\.path={file}: cannot be read after line \d+: .+") as caught:
        list(line_rows(file))
    assert "\n" not in str(caught.value)


def test_a_file_name_that_is_not_utf8_is_escaped(tmp_path):
    file = tmp_path / b"caf\xe9.jsonl".decode("utf-8", "surrogateescape")
    file.write_text("{}\n")
    assert [row.source for row in line_rows(file)] == [f"{tmp_path}/caf\\udce9.jsonl:1"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '{"a": 1}\n'.encode("utf-16"),
            "is UTF-16 text, not lines of JSON in UTF-8; convert it: iconv -f UTF-16 -t UTF-8",
        ),
        ('{"a": 1}\n'.encode("utf-16-be"), "is UTF-16 text, not lines of JSON in UTF-8; convert it: iconv"),
        ('{"a": 1}\n'.encode("utf-16-le"), "is UTF-16 text, not lines of JSON in UTF-8; convert it: iconv"),
        ('{"a": 1}\n'.encode("utf-32"), "is UTF-32 text, not lines of JSON in UTF-8; convert it: iconv -f UTF-32"),
        (gzip.compress(b'{"a": 1}', mtime=0), "is gzip, not lines of JSON in UTF-8; call it .jsonl.gz"),
        (b"PAR1abcd", "is Parquet, not lines of JSON in UTF-8; call it .parquet"),
        (b"\x28\xb5\x2f\xfd\x04", "is Zstandard, bzip2 or xz, not lines of JSON in UTF-8; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, not lines of JSON in UTF-8; fetch"),
        (b"<!DOCTYPE html>\n", "is a page of the web, not lines of JSON in UTF-8; download the file itself"),
        (
            b'[\n  {"a": 1},\n  {"a": 2}\n]\n',
            "is one JSON array, not lines of JSON; write one object a line: jq",
        ),
        (b'\xef\xbb\xbf[{"a": 1}]', "is one JSON array, not lines of JSON; write one object a line: jq"),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_file_of_another_kind_is_named(tmp_path, content, problem, compress):
    file = tmp_path / ("rows.jsonl" if compress is bytes else "rows.jsonl.gz")
    file.write_bytes(compress(content))
    with pytest.raises(ValueError, match=rf"^dataset\.path={file}: ") as caught:
        list(line_rows(file))
    assert str(caught.value).startswith(f"dataset.path={file}: {problem}")


def test_an_empty_file_has_no_rows(tmp_path):
    (tmp_path / "rows.jsonl").touch()
    assert list(line_rows(tmp_path / "rows.jsonl")) == []
