"""Workbooks: checked as archives, read by a child under limits, structured like text."""

import zipfile
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from nika_pipelines.intake import spreadsheet_child
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import LINE_COLUMN, TextTable
from nika_pipelines.settings import Settings

WORKBOOKS = Path(__file__).resolve().parents[2] / "fixtures" / "workbooks"
_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
_RELS = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}'
    "</Relationships>"
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def cell(value: object) -> str:
    if isinstance(value, datetime):
        days = (value - datetime(1899, 12, 30)).total_seconds() / 86_400
        return f'<c s="1"><v>{days}</v></c>'
    if isinstance(value, str):
        text = value.replace("&", "&amp;").replace("<", "&lt;")
        return (
            f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>' if text else "<c/>"
        )
    return f"<c><v>{value}</v></c>"


def workbook(path: Path, sheets: dict[str, list[list[object]]], **extra: bytes) -> Path:
    """Write a small XLSX by hand: inline strings, one date style."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        relation = (
            f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        )
        archive.writestr("_rels/.rels", _RELS.format(relation))
        entries = "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="s{n}"/>' for n, name in enumerate(sheets, 1)
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{entries}</sheets></workbook>',
        )
        relations = (
            "".join(
                f'<Relationship Id="s{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
                for n in range(1, len(sheets) + 1)
            )
            + f'<Relationship Id="st" Type="{_OFFICE}/styles" Target="styles.xml"/>'
        )
        archive.writestr("xl/_rels/workbook.xml.rels", _RELS.format(relations))
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs>'
            "</styleSheet>",
        )
        for n, rows in enumerate(sheets.values(), 1):
            data = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            archive.writestr(
                f"xl/worksheets/sheet{n}.xml",
                f'<worksheet xmlns="{_MAIN}"><sheetData>{data}</sheetData></worksheet>',
            )
        for name, content in extra.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return path


def read(
    source: Path, tmp_path: Path, options: ReadingOptions = NOTHING_SAID, **limits: object
) -> TextTable:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    settings = Settings(**limits)  # type: ignore[arg-type]
    return read_text_table(source, source.name, out, settings, options=options)


def code_of(source: Path, tmp_path: Path, **limits: object) -> str:
    with pytest.raises(UploadRejected) as refusal:
        read(source, tmp_path, **limits)
    return refusal.value.code


@pytest.mark.parametrize("name", ["ok.xlsx", "huge_dim.xlsx"])
def test_a_false_dimension_changes_nothing(name: str, tmp_path: Path) -> None:
    table = read(WORKBOOKS / name, tmp_path)

    assert table.names == ["a", "b"]
    assert table.balance.accepted == 1


@pytest.mark.parametrize("name", ["entity_bomb.xlsx", "xxe.xlsx"])
def test_entities_are_refused_unopened(name: str, tmp_path: Path) -> None:
    assert code_of(WORKBOOKS / name, tmp_path) == "XML_ENTITY"


def test_titles_above_the_table_dates_and_totals_are_understood(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["Sales report", "", ""],
        ["", "", ""],
        ["date", "shop", "amount"],
        [datetime(2024, 1, 5), "Nor\nth", 10.5],
        [datetime(2024, 1, 6, 13, 30), 'South, "East"', 7],
        [datetime(2024, 1, 7), "West", 3],
        ["Total", "", 20.5],
    ]
    source = workbook(tmp_path / "report.xlsx", {"Q1": rows, "Notes": [["see", "Q1"]]})

    table = read(source, tmp_path)

    found = duckdb.execute(f"FROM '{table.parquet}'").fetchall()
    assert found == [
        ("2024-01-05", "Nor\nth", "10.5", 4),
        ("2024-01-06 13:30:00", 'South, "East"', "7", 5),
        ("2024-01-07", "West", "3", 6),
    ]
    assert (table.preamble_rows, table.header_rows, table.footer_rows) == (2, 1, 1)
    assert table.footer == [["Total", None, "20.5"]]
    assert table.dialect.sheet == "Q1"
    assert table.other_tables == [
        {"name": "Notes", "rows": 1, "columns": 2, "parquet": "other_tables/01_Notes.parquet"}
    ]
    assert table.balance.closes
    assert table.balance.physical_lines == 7
    assert LINE_COLUMN not in table.names


def test_a_zip_bomb_is_refused_by_its_declared_sizes(tmp_path: Path) -> None:
    source = workbook(tmp_path / "b.xlsx", {"S": [["a"], [1]]}, xl__media__pad=b"0" * 30_000_000)
    assert code_of(source, tmp_path) == "ZIP_BOMB"


def test_too_many_parts_are_refused(tmp_path: Path) -> None:
    source = workbook(tmp_path / "b.xlsx", {"S": [["a"], [1]]})
    assert code_of(source, tmp_path, zip_max_entries=3) == "ZIP_BOMB"


def test_macros_are_refused(tmp_path: Path) -> None:
    source = workbook(tmp_path / "b.xlsm", {"S": [["a"], [1]]}, xl__vbaProject_dot_bin=b"x")
    assert code_of(source, tmp_path) == "MACRO_PRESENT"


def test_links_to_other_files_are_refused(tmp_path: Path) -> None:
    extra = {"xl__externalLinks__externalLink1_dot_xml": b"<externalLink/>"}
    source = workbook(tmp_path / "b.xlsx", {"S": [["a"], [1]]}, **extra)
    assert code_of(source, tmp_path) == "UNSUPPORTED_FORMAT"


def test_an_archive_that_is_no_workbook_is_a_mismatch(tmp_path: Path) -> None:
    source = tmp_path / "b.xlsx"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert code_of(source, tmp_path) == "MAGIC_MISMATCH"


def test_a_cut_off_workbook_is_named_damaged(tmp_path: Path) -> None:
    source = workbook(tmp_path / "b.xlsx", {"S": [["a", "b"], [1, 2]]})
    source.write_bytes(source.read_bytes()[:-200])
    assert code_of(source, tmp_path) == "UNSUPPORTED_FORMAT"


def test_a_workbook_without_cells_is_empty(tmp_path: Path) -> None:
    assert code_of(workbook(tmp_path / "b.xlsx", {"S": []}), tmp_path) == "EMPTY_FILE"


def test_a_child_that_runs_out_of_memory_makes_the_file_too_large(tmp_path: Path) -> None:
    rows: list[list[object]] = [[n, f"text {n}", n * 2] for n in range(60_000)]
    source = workbook(tmp_path / "b.xlsx", {"S": rows})
    assert code_of(source, tmp_path, spreadsheet_memory_mb=32) == "TOO_LARGE"


def test_a_child_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    source = workbook(tmp_path / "b.xlsx", {"S": [["a", "b"], [1, 2]]})
    assert code_of(source, tmp_path, spreadsheet_seconds=0.001) == "TIMEOUT"


def test_a_password_protected_workbook_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "b.xlsx"
    source.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600)
    assert code_of(source, tmp_path) == "UNSUPPORTED_FORMAT"


def with_formulas(path: Path, *cells: str) -> Path:
    """A workbook whose second column holds these cells, given as XML."""
    plain = workbook(path, {"Data": [["n", "twice"], *([n, "@"] for n in range(len(cells)))]})
    with zipfile.ZipFile(plain) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    for n, cell in enumerate(cells, 2):
        start = sheet.index('<c t="inlineStr"><is><t xml:space="preserve">@')
        end = sheet.index("</c>", start) + 4
        sheet = sheet[:start] + cell.replace("<c", f'<c r="B{n}"', 1) + sheet[end:]
    parts["xl/worksheets/sheet1.xml"] = sheet
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_formulas_without_a_stored_value_are_told(tmp_path: Path) -> None:
    source = with_formulas(
        tmp_path / "book.xlsx",
        "<c><f>A2*2</f></c>",
        "<c><f>A3*2</f><v></v></c>",
        '<c><f t="shared" si="0"/><v/></c>',
        "<c><f>A5*2</f><v>6</v></c>",
        '<c t="str"><f>""</f><v></v></c>',
        "<c><v>7</v></c>",
    )

    table = read_text_table(source, "book.xlsx", tmp_path, Settings())

    (warning,) = [one for one in table.warnings if one.code == "FORMAT_MISMATCH"]
    assert "3 formulas of sheet 'Data' (first in B2) have no stored value" in warning.message
    assert "save the workbook in Excel" in warning.message


def test_calculated_formulas_are_nothing_to_tell(tmp_path: Path) -> None:
    source = with_formulas(tmp_path / "book.xlsx", *["<c><f>A2*2</f><v>6</v></c>"] * 4)

    table = read_text_table(source, "book.xlsx", tmp_path, Settings())

    assert "FORMAT_MISMATCH" not in [warning.code for warning in table.warnings]


def test_only_the_beginning_of_a_long_sheet_is_searched_for_formulas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheet_child, "_PARSED_BYTES", 1_000)
    monkeypatch.setattr(spreadsheet_child, "_CHUNK_BYTES", 50)
    source = with_formulas(tmp_path / "book.xlsx", *["<c><f>A2</f></c>"] * 50)

    found = spreadsheet_child.lost_formulas(str(source), "Data")

    assert not found["formulas_complete"]
    assert 0 < found["lost_formulas"] < 50


MONTH = [["day", "amount"], *([f"2026-01-{day:02}", day] for day in range(1, 21))]


def unread(source: Path, tmp_path: Path, options: ReadingOptions = NOTHING_SAID) -> list[str]:
    """The warnings about sheets that are not the table."""
    table = read(source, tmp_path, options)
    assert {one["name"] for one in table.other_tables}
    return [one.message for one in table.warnings if "not judged" in one.message]


def test_sheets_with_the_same_columns_are_told_with_what_to_do(tmp_path: Path) -> None:
    sheets = {"Jan": MONTH, "Feb": MONTH[:19], "Mar": MONTH[:11]}

    (message,) = unread(workbook(tmp_path / "months.xlsx", sheets), tmp_path)

    assert message == (
        "Only sheet 'Jan' was read; 2 other sheets were not judged: 'Feb' (18 rows), 'Mar' (10 "
        "rows). They have the same columns: put them in one sheet, or one file each."
    )


def test_a_sheet_with_other_columns_can_be_named(tmp_path: Path) -> None:
    source = workbook(tmp_path / "a.xlsx", {"Jan": MONTH, "Rates": [["c", "r"], ["EUR", 1]]})

    (message,) = unread(source, tmp_path)

    assert "1 other sheet was not judged: 'Rates' (1 row)." in message
    assert "name it as `sheet` in the sidecar" in message
    assert unread(source, tmp_path, ReadingOptions(sheet="Rates")) == []


def test_a_note_on_another_sheet_is_nothing_to_warn_of(tmp_path: Path) -> None:
    source = workbook(tmp_path / "a.xlsx", {"Jan": MONTH, "Notes": [["checked"], ["by me"]]})

    assert unread(source, tmp_path) == []
