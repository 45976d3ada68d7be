"""Workbooks other than XLSX, workbooks of several sheets, and what is refused about them."""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import duckdb
import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.ole_directory import ole_names
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import TextTable
from nika_pipelines.intake.take_in import inspect, take_in
from nika_pipelines.settings import Settings

MESSYTABLES = Path(__file__).resolve().parents[2] / "fixtures" / "messytables"
WORKBOOKS = MESSYTABLES.with_name("workbooks")
Rows = list[list[object]]
SALES: Rows = [["shop", "amount"], *([f"s{n}", n * 1.5] for n in range(20))]


def ods(path: Path, sheets: dict[str, Rows], prolog: str = "", **extra: bytes) -> Path:
    """Write a small ODS by hand."""
    tables = "".join(
        f"<table:table table:name={quoteattr(name)}>"
        + "".join(
            f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows
        )
        + "</table:table>"
        for name, rows in sheets.items()
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<office:document-content '
        'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0">'
        f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    parts = {
        "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": content.encode(),
        "META-INF/manifest.xml": b"<manifest/>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in (parts | extra).items():
            archive.writestr(name, part)
    return path


def _ods_cell(value: object) -> str:
    if isinstance(value, str):
        text = f"<text:p>{escape(value)}</text:p>"
        return f'<table:table-cell office:value-type="string">{text}</table:table-cell>'
    return f'<table:table-cell office:value-type="float" office:value="{value}"/>'


def xlsb(path: Path, sheets: dict[str, Rows], **extra: bytes) -> Path:
    """Write a small XLSB by hand: [MS-XLSB] 2.1.4 records, texts and numbers in their cells."""
    book = b"".join(
        _record(156, struct.pack("<II", 0, n) + _wide(f"r{n}") + _wide(name))
        for n, name in enumerate(sheets, 1)
    )
    relations = "".join(
        f'<Relationship Id="r{n}" Type="worksheet" Target="worksheets/sheet{n}.bin"/>'
        for n in range(1, len(sheets) + 1)
    )
    parts = {
        "[Content_Types].xml": b"<Types/>",
        "xl/workbook.bin": _record(131) + _record(143) + book + _record(144) + _record(132),
        "xl/_rels/workbook.bin.rels": (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f"{relations}</Relationships>"
        ).encode(),
    }
    for n, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/sheet{n}.bin"] = b"".join(_sheet_records(rows))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in (parts | extra).items():
            archive.writestr(name, part)
    return path


def _sheet_records(rows: Rows) -> Iterator[bytes]:
    yield _record(129)
    yield _record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1))
    yield _record(145)
    for number, row in enumerate(rows):
        yield _record(0, struct.pack("<I", number) + bytes(13))
        for column, value in enumerate(row):
            place = struct.pack("<II", column, 0)
            if isinstance(value, str):
                yield _record(6, place + _wide(value))
            else:
                yield _record(5, place + struct.pack("<d", value))
    yield _record(146)
    yield _record(130)


def _record(kind: int, payload: bytes = b"") -> bytes:
    name = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, length = len(payload), b""
    while size >= 128:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return name + length + bytes([size]) + payload


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def read(
    source: Path, tmp_path: Path, name: str = "", said: ReadingOptions = NOTHING_SAID, **limits: int
) -> TextTable:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    settings = Settings(**limits)  # type: ignore[arg-type]
    return read_text_table(source, name or source.name, out, settings, options=said)


def refusal_of(source: Path, tmp_path: Path, name: str = "", **options: object) -> UploadRejected:
    with pytest.raises(UploadRejected) as refusal:
        read(source, tmp_path, name, **options)  # type: ignore[arg-type]
    assert list((tmp_path / "out").iterdir()) == []
    return refusal.value


def rows_of(path: Path) -> list[tuple[object, ...]]:
    return duckdb.execute(f"FROM '{path}'").fetchall()


def test_an_old_workbook_is_read(tmp_path: Path) -> None:
    table = read(MESSYTABLES / "simple.xls", tmp_path)

    assert table.names == ["date", "temperature", "place"]
    assert rows_of(table.parquet)[1] == ("2011-01-02", "-1", "Galway", 3)
    assert (table.balance.accepted, table.balance.closes) == (6, True)
    assert table.dialect.delimiter is table.encoding is None


def test_an_open_document_is_read(tmp_path: Path) -> None:
    table = read(MESSYTABLES / "simple.ods", tmp_path)

    assert table.names == ["Name", "Age", "When"]
    assert rows_of(table.parquet)[0] == ("Bob", "20", "2010-10-10", 2)
    assert table.balance.accepted == 3


def test_a_binary_workbook_is_read(tmp_path: Path) -> None:
    table = read(xlsb(tmp_path / "a.xlsb", {"S": SALES}), tmp_path)

    assert table.names == ["shop", "amount"]
    assert rows_of(table.parquet)[:2] == [("s0", "0", 2), ("s1", "1.5", 3)]
    assert table.dialect.sheet == "S"


@pytest.mark.parametrize("write", [ods, xlsb])
def test_the_sheet_with_the_most_filled_cells_is_the_table(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    # One far cell makes the first sheet the widest and longest, but not the fullest.
    far: Rows = [["a", "b"], *([""] * 40 for _ in range(60)), [*[""] * 39, "far"]]
    source = write(tmp_path / f"a.{write.__name__}", {"Wide": far, "Sales": SALES, "Other": far})

    table = read(source, tmp_path)

    assert table.dialect.sheet == "Sales"
    assert [one["name"] for one in table.other_tables] == ["Wide", "Other"]


def test_a_named_sheet_is_the_table(tmp_path: Path) -> None:
    small: Rows = [["k", "v"], ["x", 1], ["y", 2]]
    source = ods(tmp_path / "a.ods", {"Sales": SALES, "Small": small})

    table = read(source, tmp_path, said=ReadingOptions(sheet="Small"))

    assert (table.names, table.balance.accepted) == (["k", "v"], 2)
    assert [(one["name"], one["rows"]) for one in table.other_tables] == [("Sales", 20)]


def test_a_sheet_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    source = ods(tmp_path / "a.ods", {"Sales": SALES, "Small": SALES[:3]})
    refusal = refusal_of(source, tmp_path, said=ReadingOptions(sheet="sales\0"))
    assert refusal.code == "CONTRACT_BROKEN"
    assert "'Sales', 'Small'" in refusal.message


def test_a_named_sheet_without_cells_is_empty(tmp_path: Path) -> None:
    source = ods(tmp_path / "a.ods", {"Sales": SALES, "Nothing": [["", ""]]})
    refusal = refusal_of(source, tmp_path, said=ReadingOptions(sheet="Nothing"))
    assert refusal.code == "EMPTY_FILE"


def test_every_other_sheet_with_a_cell_is_kept_as_text(tmp_path: Path) -> None:
    sheets: dict[str, Rows] = {
        "Sales": SALES,
        "../../etc/pass wd": [["code", "from"], ["007", 3], ["x", 4.5], ["y", 5]],
        "Nothing": [["", ""]],
        "Note": [["checked by", "Ms. Weir"]],
        "../../ETC/pass wd": [["lone"]],
    }
    table = read(ods(tmp_path / "a.ods", sheets), tmp_path)

    out = tmp_path / "out"
    assert [(one["name"], one["rows"], one["columns"]) for one in table.other_tables] == [
        ("../../etc/pass wd", 3, 2),
        ("Note", 1, 2),
        ("../../ETC/pass wd", 1, 1),
    ]
    kept = [out / one["parquet"] for one in table.other_tables]
    assert len(set(kept)) == 3
    assert all(path.parent == out / "other_tables" and path.is_file() for path in kept)
    assert rows_of(kept[0])[0] == ("007", "3")
    assert duckdb.execute(f"DESCRIBE FROM '{kept[0]}'").fetchall()[0][:2] == ("code", "VARCHAR")
    assert rows_of(kept[1]) == [("checked by", "Ms. Weir")]


def test_too_many_sheets_are_listed_but_not_all_kept(tmp_path: Path) -> None:
    sheets: dict[str, Rows] = {f"S{n}": SALES[: 3 + n // 30] for n in range(60)}
    table = read(ods(tmp_path / "a.ods", sheets), tmp_path)

    assert len(table.other_tables) == 59
    assert sum(one["parquet"] is None for one in table.other_tables) == 10
    assert len(list((tmp_path / "out" / "other_tables").iterdir())) == 49
    assert table.dialect.sheet == "S30"


def test_other_sheets_go_into_the_lake_and_the_report(tmp_path: Path) -> None:
    source = ods(tmp_path / "a.ods", {"Sales": SALES, "Small": SALES[:5]})
    lake = tmp_path / "lake"
    lake.mkdir()

    report = take_in(source, "a.ods", lake, Settings(), None, "a")

    assert sorted(path.name for path in lake.rglob("*") if path.is_file()) == [
        "01_Small.parquet",
        "intake.json",
        "rejects.parquet",
        "table.parquet",
    ]
    assert report.n_rows == 20
    assert [(one.name, one.type) for one in report.columns] == [
        ("shop", "text"),
        ("amount", "float"),
    ]
    assert report.other_tables[0]["parquet"] == "other_tables/01_Small.parquet"


def test_inspect_hands_out_the_other_sheets_too(tmp_path: Path) -> None:
    source = ods(tmp_path / "a.ods", {"Sales": SALES, "Small": SALES[:5]})
    for _ in range(2):
        assert inspect(source, "a.ods", tmp_path, Settings())
    assert len(rows_of(tmp_path / "other_tables" / "01_Small.parquet")) == 4
    assert (tmp_path / "table.csv").read_text().startswith("shop,amount\ns0,0\n")


def test_a_document_type_in_an_open_document_is_refused(tmp_path: Path) -> None:
    prolog = '<!DOCTYPE x [<!ENTITY a "aaaa">]>'
    assert refusal_of(ods(tmp_path / "a.ods", {"S": SALES}, prolog), tmp_path).code == "XML_ENTITY"


@pytest.mark.parametrize("part", ["Basic/Standard/Module1.xml", "Scripts/python/run.py"])
def test_macros_of_an_open_document_are_refused(part: str, tmp_path: Path) -> None:
    source = ods(tmp_path / "a.ods", {"S": SALES}, **{part: b"<x/>"})
    assert refusal_of(source, tmp_path).code == "MACRO_PRESENT"


def test_an_empty_macro_library_of_an_open_document_is_harmless(tmp_path: Path) -> None:
    parts = {"Basic/script-lc.xml": b"<x/>", "Basic/Standard/script-lb.xml": b"<x/>"}
    assert read(ods(tmp_path / "a.ods", {"S": SALES}, **parts), tmp_path).balance.accepted == 20


def test_macros_of_a_binary_workbook_are_refused(tmp_path: Path) -> None:
    source = xlsb(tmp_path / "a.xlsb", {"S": SALES}, **{"xl/vbaProject.bin": b"x"})
    assert refusal_of(source, tmp_path).code == "MACRO_PRESENT"


def test_macros_of_an_old_workbook_are_refused(tmp_path: Path) -> None:
    content = (MESSYTABLES / "simple.xls").read_bytes()
    # The directory entry of a summary becomes that of a macro storage.
    old = "\x05SummaryInformation".encode("utf-16-le")
    new = "_VBA_PROJECT_CUR".encode("utf-16-le")
    place = content.index(old)
    entry = bytearray(content[place : place + 66])
    entry[: len(old)] = new.ljust(len(old), b"\0")
    entry[64:66] = (len(new) + 2).to_bytes(2, "little")
    source = tmp_path / "a.xls"
    source.write_bytes(content[:place] + bytes(entry) + content[place + 66 :])

    assert "_VBA_PROJECT_CUR" in ole_names(source)
    assert refusal_of(source, tmp_path).code == "MACRO_PRESENT"


def test_an_encrypted_old_workbook_is_refused_as_protected(tmp_path: Path) -> None:
    refusal = refusal_of(MESSYTABLES / "encrypted_no_password.xls", tmp_path)
    assert refusal.code == "UNSUPPORTED_FORMAT"
    assert "password" in refusal.message


def test_an_encrypted_open_document_is_refused_as_protected(tmp_path: Path) -> None:
    manifest = b"<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>"
    parts = {"META-INF/manifest.xml": manifest, "content.xml": bytes(range(256)) * 400}
    refusal = refusal_of(ods(tmp_path / "a.ods", {"S": SALES}, **parts), tmp_path)
    assert refusal.code == "UNSUPPORTED_FORMAT"
    assert "password" in refusal.message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["simple.xls", "simple.ods"])
def test_a_cut_off_workbook_is_damaged(name: str, share: float, tmp_path: Path) -> None:
    content = (MESSYTABLES / name).read_bytes()
    source = tmp_path / name
    source.write_bytes(content[: int(len(content) * share)])
    refusal = refusal_of(source, tmp_path)
    assert refusal.code in ("UNSUPPORTED_FORMAT", "EMPTY_FILE")
    assert refusal.code == "UNSUPPORTED_FORMAT" or name == "simple.xls"


@pytest.mark.parametrize(
    "content, name",
    [
        (b"<html><table><tr><td>a</td></tr></table></html>", "a.xls"),
        (b"a\tb\n1\t2\n", "a.xls"),
        (WORKBOOKS / "ok.xlsx", "a.xls"),
        (WORKBOOKS / "ok.xlsx", "a.ods"),
        (WORKBOOKS / "ok.xlsx", "a.xlsb"),
        (WORKBOOKS / "ok.xlsx", "a.csv"),
        (MESSYTABLES / "simple.xls", "a.xlsx"),
        (MESSYTABLES / "simple.xls", "a.ods"),
        (MESSYTABLES / "simple.xls", "a.csv"),
        (MESSYTABLES / "simple.ods", "a.xlsx"),
    ],
)
def test_another_kind_of_workbook_than_the_name_says_is_a_mismatch(
    content: bytes | Path, name: str, tmp_path: Path
) -> None:
    source = tmp_path / "upload"
    source.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    assert refusal_of(source, tmp_path, name).code == "MAGIC_MISMATCH"


def test_a_workbook_is_read_whatever_its_file_is_called(tmp_path: Path) -> None:
    # The archive stores uploads under their hash, without an extension.
    for name in ("simple.xls", "simple.ods"):
        source = tmp_path / "0f3a"
        source.write_bytes((MESSYTABLES / name).read_bytes())
        assert read(source, tmp_path, name).balance.accepted > 2


def test_sheets_that_unpack_to_too_much_text_are_refused(tmp_path: Path) -> None:
    long: Rows = [["a", "b"], *(["x" * 500, n] for n in range(300))]
    source = ods(tmp_path / "a.ods", {"One": long, "Two": long})
    assert source.stat().st_size < 100_000
    assert refusal_of(source, tmp_path, max_file_bytes=250_000).code == "TOO_LARGE"


def test_repeated_cells_without_end_are_stopped(tmp_path: Path) -> None:
    endless = ods(tmp_path / "a.ods", {"S": [["a", "b"], ["x", 1]]})
    with zipfile.ZipFile(endless) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["content.xml"] = parts["content.xml"].replace(
        b'<table:table-row><table:table-cell office:value-type="string"><text:p>x',
        b'<table:table-row table:number-rows-repeated="1048570"><table:table-cell '
        b'table:number-columns-repeated="16000" office:value-type="string"><text:p>x',
    )
    with zipfile.ZipFile(endless, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    refusal = refusal_of(endless, tmp_path, spreadsheet_memory_mb=256, spreadsheet_seconds=10)
    assert refusal.code in ("TOO_LARGE", "TIMEOUT", "UNSUPPORTED_FORMAT")
