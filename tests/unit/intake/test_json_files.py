"""JSON: records, lines and columns become tables; what is broken is named with its place."""

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nika_pipelines.intake import json_columns, json_scan
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import TextTable
from nika_pipelines.intake.take_in import inspect, take_in
from nika_pipelines.settings import Settings

RECORDS = [
    {"id": "007", "n": 1, "note": 'a "quoted", [bracket] {brace}\\'},
    {"id": "008", "n": None, "more": [1, {"x": "y"}]},
    {"note": "é\n€", "id": "009", "n": 2.5, "flag": True},
]
CELLS = [
    ("007", "1", 'a "quoted", [bracket] {brace}\\', None, None),
    ("008", None, None, '[1,{"x":"y"}]', None),
    ("009", "2.5", "é\n€", None, "true"),
]


def read(
    folder: Path, content: bytes | str, name: str = "a.json", **limits: object
) -> tuple[TextTable, list[tuple[Any, ...]]]:
    source = folder / "upload"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    out = folder / "out"
    out.mkdir(exist_ok=True)
    table = read_text_table(source, name, out, Settings(**limits))  # type: ignore[arg-type]
    assert table.balance.closes
    assert sorted(path.name for path in out.iterdir()) == ["rejects.parquet", "text.parquet"]
    rows = duckdb.execute(f"FROM '{table.parquet}'").fetchall()
    assert len(rows) == table.balance.accepted
    return table, rows


def refusal_of(
    folder: Path, content: bytes | str, name: str = "a.json", **limits: object
) -> UploadRejected:
    with pytest.raises(UploadRejected) as refusal:
        read(folder, content, name, **limits)
    assert list((folder / "out").iterdir()) == []
    return refusal.value


def rejects(table: TextTable) -> list[tuple[Any, ...]]:
    query = f"SELECT line, code, reason, raw FROM '{table.rejects_parquet}'"
    return duckdb.execute(query).fetchall()


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_records_is_a_table(indent: int | None, tmp_path: Path) -> None:
    table, rows = read(tmp_path, json.dumps(RECORDS, indent=indent))

    assert table.names == ["id", "n", "note", "more", "flag"]
    assert rows == [(*cells, n) for n, cells in enumerate(CELLS, 1)]
    assert (table.encoding, table.dialect.delimiter) == (None, None)
    assert (table.header_rows, table.preamble_rows) == (0, 0)


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "A.JSONL"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_records_are_a_table(name: str, end: str, tmp_path: Path) -> None:
    lines = [json.dumps(record, ensure_ascii=False) for record in RECORDS]
    table, rows = read(tmp_path, end.join([lines[0], "", lines[1], "  ", lines[2]]), name)

    assert rows == [(*cells, line) for line, cells in zip((1, 3, 5), CELLS, strict=True)]
    assert (table.balance.physical_lines, table.balance.blank) == (5, 2)


def test_an_object_of_columns_is_a_table(tmp_path: Path) -> None:
    columns = {"id": ["007", "8,9"], "n": [1, None], "nested": [[1, 2], {"a": "],["}]}
    _, rows = read(tmp_path, json.dumps(columns, indent=1))
    assert rows == [("007", "1", "[1,2]", 1), ("8,9", None, '{"a":"],["}', 2)]


def test_the_one_array_of_records_in_an_object_is_the_table(tmp_path: Path) -> None:
    content = json.dumps({"status": "ok", "data": RECORDS, "page": [1, 2]}, indent=3)
    table, rows = read(tmp_path, content)

    assert [row[:-1] for row in rows] == CELLS
    (warning,) = table.warnings
    assert "'data'" in warning.message
    assert "'status', 'page'" in warning.message


def test_a_flat_object_is_one_record(tmp_path: Path) -> None:
    _, rows = read(tmp_path, '{\n "name": "x",\n "age": 3\n}\n')
    assert rows == [("x", "3", 1)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_json_in_another_unicode_encoding_is_read(encoding: str, tmp_path: Path) -> None:
    _, rows = read(tmp_path, json.dumps(RECORDS, ensure_ascii=False).encode(encoding))
    assert [row[:-1] for row in rows] == CELLS


def test_packed_lines_are_read(tmp_path: Path) -> None:
    lines = "\n".join(map(json.dumps, RECORDS)).encode()
    _, rows = read(tmp_path, gzip.compress(lines), "a.jsonl.gz")
    assert [row[:-1] for row in rows] == CELLS


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    _, rows = read(
        tmp_path,
        '[{"big": 123456789012345678901234567890, "small": -9223372036854775808, "huge": 1e400, '
        '"nan": NaN, "half": 0.5}]',
    )
    assert rows[0][:3] == ("123456789012345678901234567890", "-9223372036854775808", "1e400")
    assert rows[0][4] == "0.5"


def test_awkward_keys_become_columns_of_their_own(tmp_path: Path) -> None:
    record = {"a/b~c": 1, "": 2, "A": 3, "a": 4, '$."x"': 5, "*": 6, "it's": 7, "/": 8, "0": 9}
    table, rows = read(tmp_path, json.dumps([record]))

    assert rows == [("1", "2", "3", "4", "5", "6", "7", "8", "9", 1)]
    assert table.source_names == list(record)
    assert len({name.casefold() for name in table.names}) == len(record)
    assert table.warnings[0].code == "RENAMED_COLUMNS"


def test_an_escaped_nul_in_a_text_is_left_out(tmp_path: Path) -> None:
    _, rows = read(tmp_path, '[{"a": "x\\u0000y"}]')
    assert rows == [("xy", 1)]


def test_bad_lines_are_rejected_one_by_one(tmp_path: Path) -> None:
    good = [f'{{"a": {n}}}' for n in range(40)]
    bad = ['{"a": 1', "[1, 2]", '{"a": 1, "a": 2}', '"text"', '{"a": "' + "x" * 300 + '"}']
    lines = good[:20] + bad + good[20:]
    table, rows = read(tmp_path, "\n".join(lines), "a.jsonl", max_field_bytes=200)

    assert len(rows) == 40
    found = rejects(table)
    assert [(line, code) for line, code, _, _ in found] == [
        (21, "CAST"),
        (22, "CAST"),
        (23, "CAST"),
        (24, "CAST"),
        (25, "FIELD_TOO_LONG"),
    ]
    assert found[0][2:] == ("not valid JSON", '{"a": 1')
    assert "no record" in found[1][2]
    assert "twice" in found[2][2]


def test_bad_lines_leave_the_order_of_a_long_file_alone(tmp_path: Path) -> None:
    lines = (f'{{"n": {n}}}' if n % 10 else "bad" for n in range(1, 300_001))
    _, rows = read(tmp_path, "\n".join(lines), "a.jsonl")
    assert [int(n) for n, _ in rows] == [n for n in range(1, 300_001) if n % 10]
    assert all(int(n) == line for n, line in rows)


def test_a_wide_table_keeps_its_columns_side_by_side(tmp_path: Path) -> None:
    records = [{f"k{c}": r * 1_000 + c for c in range(450)} for r in range(1_200)]
    table, rows = read(tmp_path, json.dumps(records))
    assert table.names == [f"k{c}" for c in range(450)]
    assert rows[1_199] == (*(str(1_199_000 + c) for c in range(450)), 1_200)


def test_mostly_bad_lines_are_refused(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, '{"a": 1}\n' * 10 + "broken\n" * 10, "a.jsonl")
    assert refusal.code == "RAGGED"
    assert refusal.details["line"] == 11


@pytest.mark.parametrize(
    "content, line, column",
    [
        ('[\n {"a": 1},\n {"a": },\n {"a": 3}\n]', 3, 8),
        ('[{"a": 1}, {"a": 1 "b": 2}]', 1, 20),
        ('[{"a": 1}, {"a": 2', 1, 19),
        ('[{"a": 1}, {"a": "2]}', 1, 22),
        ('[\n{"a": 1}]\n [{"a": 2}]\n', 3, 2),
        ('[{"a": 1}]]', 1, 11),
        ('[{"é": 1}, {"é" 2}]', 1, 17),
        ('[{"a": 1},]', 1, 11),
        ('{"data": [{"a": 1},\n{"a": tru}]}', 2, 7),
        ('{"a": [1, 2], b: [3, 4]}', 1, 14),
        ('{"a" [1, 2]}', 1, 1),
    ],
)
def test_a_broken_document_is_refused_with_line_and_column(
    content: str, line: int, column: int, tmp_path: Path
) -> None:
    refusal = refusal_of(tmp_path, content)
    assert refusal.code == "UNSUPPORTED_FORMAT"
    assert (refusal.details["line"], refusal.details["column"]) == (line, column), refusal.message


@pytest.mark.parametrize(
    "content, code",
    [
        ("[]", "NO_DATA_ROWS"),
        ("{}", "NO_DATA_ROWS"),
        ("[{}]", "NO_DATA_ROWS"),
        ('{"data": []}', "NO_DATA_ROWS"),
        ("  \n ", "EMPTY_FILE"),
        ("[1, 2, 3]", "UNSUPPORTED_FORMAT"),
        ("[[1, 2], [3, 4]]", "UNSUPPORTED_FORMAT"),
        ('{"a": {"b": 1}, "c": 2}', "UNSUPPORTED_FORMAT"),
        ('{"a": [{"x": 1}], "b": [{"y": 2}]}', "MULTIPLE_TABLES"),
        ('{"a": [1, 2], "b": [1]}', "RAGGED"),
        ("a,b\n1,2\n", "MAGIC_MISMATCH"),
        ('"text"', "MAGIC_MISMATCH"),
        ("<html></html>", "MAGIC_MISMATCH"),
        ("\x89PNG\r\n\x1a\n", "MAGIC_MISMATCH"),
    ],
)
def test_what_is_no_table_is_refused(content: str, code: str, tmp_path: Path) -> None:
    assert refusal_of(tmp_path, content.encode("latin-1")).code == code


def test_json_under_the_name_of_a_text_is_a_mismatch(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, json.dumps(RECORDS), "a.csv").code == "MAGIC_MISMATCH"


def test_limits_hold(tmp_path: Path) -> None:
    many = json.dumps([{"a": n} for n in range(100)])
    assert refusal_of(tmp_path, many, max_rows=99).code == "TOO_MANY_ROWS"
    wide = json.dumps([{f"k{n}": n} for n in range(50)])
    assert refusal_of(tmp_path, wide, max_columns=49).code == "TOO_MANY_COLUMNS"
    long = json.dumps([{"a": 1}, {"a": "x" * 3_000}, {"a": 1}])
    assert refusal_of(tmp_path, long, max_line_bytes=2_000).code == "LINE_TOO_LONG"
    lines = '{"a": 1}\n{"a": "' + "x" * 3_000 + '"}\n{"a": 1}\n'
    assert refusal_of(tmp_path, lines, "a.jsonl", max_line_bytes=2_000).code == "LINE_TOO_LONG"
    members = json.dumps({f"k{n}": 1 for n in range(50)})
    assert refusal_of(tmp_path, members, max_columns=49).code == "UNSUPPORTED_FORMAT"


def test_a_large_document_of_columns_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_columns, "MOST_BYTES", 20)
    assert refusal_of(tmp_path, '{"a": [1, 2, 3, 4, 5, 6]}').code == "TOO_LARGE"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_one_endless_text_is_refused_in_bounded_memory(name: str, tmp_path: Path) -> None:
    content = '[{"a": "' if name == "a.json" else '{"a": "'
    assert refusal_of(tmp_path, content + "x" * 30_000_000, name).code in (
        "LINE_TOO_LONG",
        "UNSUPPORTED_FORMAT",
    )


@pytest.mark.parametrize("depth", [1_000, 200_000])
def test_deep_nesting_is_kept_as_text_or_refused(depth: int, tmp_path: Path) -> None:
    deep = "[" * depth + "]" * depth
    _, rows = read(tmp_path, f'[{{"a": {deep}, "b": 1}}]')
    assert rows[0][0] == deep
    assert refusal_of(tmp_path, deep).code == "UNSUPPORTED_FORMAT"
    assert refusal_of(tmp_path, "[" * depth).code == "UNSUPPORTED_FORMAT"


def test_a_table_of_json_is_typed_end_to_end(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": f"{n:03}", "day": f"2024-01-{n:02}", "v": n / 4, "on": n % 2 == 0})
        for n in range(1, 29)
    ]
    source = tmp_path / "upload"
    source.write_text("\n".join([*lines, "{", ""]))
    lake = tmp_path / "lake"
    lake.mkdir()

    report = take_in(source, "a.jsonl", lake, Settings(), None, "a")

    types = {column.name: column.type for column in report.columns}
    assert types == {"id": "text", "day": "date", "v": "float", "on": "boolean"}
    assert (report.n_rows, report.rejects_by_code) == (28, {"CAST": 1})
    assert report.balance.closes
    assert inspect(source, "a.jsonl", tmp_path, Settings())
    found = json.loads((tmp_path / "intake.json").read_text())
    assert found["encoding"] is found["delimiter"] is None
    assert (tmp_path / "table.csv").read_text().splitlines()[:2] == [
        "id,day,v,on",
        "001,2024-01-01,0.25,false",
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=30, deadline=None)
@given(
    records=st.lists(st.dictionaries(st.sampled_from('abcde\\"'), VALUES, min_size=1), min_size=1),
    indent=st.sampled_from([None, 1]),
    block=st.integers(1, 40),
    wrapped=st.booleans(),
)
def test_records_survive_whatever_the_blocks_cut(
    records: list[dict[str, Any]], indent: int | None, block: int, wrapped: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("json")
    document: Any = {"n": 1, "rows": records, "z": "[{"} if wrapped else records
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_scan, "BLOCK_BYTES", block)
        table, rows = read(folder, json.dumps(document, indent=indent))
    for record, row in zip(records, rows, strict=True):
        for key, cell in zip(table.source_names, row, strict=False):
            value = record.get(key)
            if isinstance(value, str):
                assert cell == value.replace("\0", "")
            else:
                assert (value is None and cell is None) or json.loads(cell) == value
