import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.data.sources.parquet_file import _refuse_duplicates, _rows_at_once, parquet_rows


def test_rows_come_in_order_with_their_number_over_batches(tmp_path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": list(range(600)), "b": [["x"]] * 600}), file, row_group_size=100)
    rows = list(parquet_rows(file))
    assert [row.row for row in rows] == [{"a": number, "b": ["x"]} for number in range(600)]
    assert rows[599].source == f"{file}:600"
    assert rows[599].file == str(file)


def test_text_that_is_not_utf8_is_one_bad_row(tmp_path):
    file = tmp_path / "rows.parquet"
    offsets, content = pa.py_buffer(b"\x00\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0"), pa.py_buffer(b"a\xffb")
    texts = pa.StringArray.from_buffers(3, offsets, content)
    pq.write_table(pa.table({"a": texts}), file)
    rows = list(parquet_rows(file))
    assert [row.row for row in rows] == [{"a": "a"}, None, {"a": "b"}]
    assert rows[1].problem == "invalid UTF-8: invalid start byte at position 1"


def test_a_damaged_file_is_one_line(tmp_path):
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=rf"^dataset\.path={file}: cannot be read after row 0: .+$"):
        list(parquet_rows(file))


@pytest.mark.parametrize(
    "column",
    [
        pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"]),
        pa.array([300_000_000_000], pa.timestamp("s")),  # after the year 9999
    ],
)
def test_values_without_a_form_in_python_are_one_line_that_names_the_file(tmp_path, column):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"prompt": ["q"], "odd": column}), file)
    with pytest.raises(ValueError, match=rf"^dataset\.path={file}: cannot be read after row 0: .+$"):
        list(parquet_rows(file))


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), file)
    with pytest.raises(ValueError, match="has the column 'a' twice; rename one"):
        list(parquet_rows(file))


def test_of_wide_rows_few_become_objects_at_a_time():
    assert [_rows_at_once(columns) for columns in (0, 5, 16_384, 65_536, 10**6)] == [256, 256, 256, 64, 32]


def test_a_doubled_name_among_many_is_found_in_one_pass():
    names = [f"c{number}" for number in range(50_000)]
    started = time.perf_counter()
    _refuse_duplicates("rows.parquet", names)
    with pytest.raises(ValueError, match="has the column 'c7' twice"):
        _refuse_duplicates("rows.parquet", [*names, "c7", "c9"])
    assert time.perf_counter() - started < 5  # the square of it takes a minute
