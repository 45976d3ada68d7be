"""Make the sample files in `data/samples/` that are our own: two messy tables and a broken file.

The same bytes every time: seeded numbers, nothing compressed, no dates of today. The messy tables
show what exports look like in practice; `data/samples/README.md` lists what is wrong with each.
"""

import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"

Cell = str | int | float | date | None

_EXCEL_DAY_ZERO = date(1899, 12, 30)
_ZIP_TIME = (2024, 1, 1, 0, 0, 0)


def main() -> int:
    """Write every sample file of our own."""
    for name, content in samples().items():
        (SAMPLES / name).write_bytes(content)
        print(f"data/samples/{name}: {len(content)} bytes")
    return 0


def samples() -> dict[str, bytes]:
    """The content of each file by its name."""
    return {
        "messy_sales.csv": messy_sales(),
        "messy_workbook.xlsx": messy_workbook(),
        "broken_export.csv": broken_export(),
    }


# messy_sales.csv


def messy_sales() -> bytes:
    """A month of a shop's sales as a German accounting program exports it, in Windows-1252."""
    draw = Random(20240301)
    records = [_sale(draw, number) for number in range(480)]
    lines = [
        "Auswertung Filialumsätze März 2024",
        "Erstellt am 02.04.2024 durch Büro Köln",
        "",
        "Datum;Filiale;Artikel;Menge;Einzelpreis;Umsatz in €;Zahlungsart",
        *(";".join(fields) for fields in _spoil(records)),
    ]
    for position in (420, 230, 90):
        lines.insert(position, "")
    pieces = sum(int(fields[3]) for fields in records)
    euros = sum(_from_german(fields[5]) for fields in records)
    lines.append(f"Summe;;;{pieces};;{_german(euros)};")
    return ("\r\n".join(lines) + "\r\n").encode("cp1252")


_ARTICLES = (
    ("Müsliriegel", 1.29),
    ('"Kaffee; ganze Bohne 500 g"', 7.49),
    ("Grüner Tee", 3.95),
    ("Käse, gerieben", 2.79),
    ("Süßkartoffeln 1 kg", 2.99),
)


def _sale(draw: Random, number: int) -> list[str]:
    day = date(2024, 3, 1) + timedelta(days=number * 31 // 480)
    article, price = draw.choice(_ARTICLES)
    pieces = max(1, round(draw.gauss(40, 9)))
    shop = draw.choice(("Köln-Süd", "Düsseldorf", "Münster"))
    paid = draw.choice(("Karte", "bar", "Überweisung"))
    amount = pieces * price
    return [f"{day:%d.%m.%Y}", shop, article, str(pieces), _german(price), _german(amount), paid]


def _spoil(records: list[list[str]]) -> list[list[str]]:
    """Put in what goes wrong in practice: each line of it is in the samples' README."""
    rows = [list(fields) for fields in records]
    for row in (57, 301, 388):
        day, month, year = rows[row][0].split(".")
        rows[row][0] = f"{year}-{month}-{day}"
    rows[133][3] = "1200"
    for row in range(340, 362):
        rows[row][5] = ""
    rows[77] = rows[77][:4]
    rows[205] = rows[205][:5]
    rows[411] = [*rows[411], "Nachtrag", ""]
    rows.insert(265, list(rows[264]))
    rows.insert(266, list(rows[264]))
    return rows


def _german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def _from_german(text: str) -> float:
    return float(text.translate(str.maketrans(",", ".", ".")))


# messy_workbook.xlsx


def messy_workbook() -> bytes:
    """A plant's hand-kept production log: a title, notes, text numbers, a total row, two sheets."""
    log = [*_title_rows(), _HEADER, *_production(Random(20240115))]
    notes: list[list[Cell]] = [
        ["Line", "Responsible", "Since"],
        ["Line A", "M. Okafor", date(2021, 5, 3)],
        ["Line B", "S. Lindqvist", date(2022, 11, 14)],
        ["Line C", "J. Novák", date(2019, 2, 1)],
    ]
    return _workbook({"Production log": log, "Lines": notes})


_HEADER: list[Cell] = [
    *("Date", "Line", "Output (t)", "Energy [kWh]", "Cost", "Cost", "Yield", "Moisture", "Remark")
]


def _title_rows() -> list[list[Cell]]:
    return [
        ["Northfield plant: production log 2024"],
        ["kept by hand, one row for each line and day"],
        [],
    ]


def _production(draw: Random) -> Iterator[list[Cell]]:
    """Three lines a day for 90 days, with gaps, one impossible reading and a total."""
    days = [_day(draw, number) for number in range(270)]
    yield from days[:90]
    yield []
    yield from days[90:180]
    yield []
    yield from days[180:]
    yield ["Total", None, _total(days, 2), _total(days, 3)]


def _day(draw: Random, number: int) -> list[Cell]:
    output = round(draw.gauss(12.5, 1.1), 2)
    energy = round(output * draw.gauss(84, 3), 1)
    return [
        date(2024, 1, 15) + timedelta(days=number // 3),
        f"Line {'ABC'[number % 3]}",
        output if number % 61 else None,
        round(energy * 10, 1) if number == 147 else energy,
        f"€ {energy * 0.21 + 180:,.2f}",
        f"{output * 31.4:.2f}".replace(".", ","),
        f"{draw.gauss(96.4, 0.7):.1f} %",
        None if 60 <= number < 84 else round(draw.gauss(8.2, 0.4), 2),
        {12: "sensor changed", 147: "meter read twice?", 201: "half shift"}.get(number),
    ]


def _total(rows: list[list[Cell]], column: int) -> float:
    return round(sum(value for row in rows if isinstance(value := row[column], float)), 2)


def _workbook(sheets: dict[str, list[list[Cell]]]) -> bytes:
    """A workbook of the few parts that readers need."""
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
        for number, name in enumerate(sheets, start=1)
    )
    related = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" '
        f'Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    styles = f'<Relationship Id="rId0" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    parts = {
        "[Content_Types].xml": _content_types(len(sheets)),
        "_rels/.rels": _relationships(
            f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        ),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relationships(related + styles),
        "xl/styles.xml": _STYLES,
    }
    for number, rows in enumerate(sheets.values(), start=1):
        parts[f"xl/worksheets/sheet{number}.xml"] = _sheet(rows)
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, xml in parts.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.create_system = 3
            archive.writestr(entry, f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}')
    return stream.getvalue()


_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

# Style 1 is a date; everything else is general.
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}">'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
    '<borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'
    "</styleSheet>"
)


def _relationships(entries: str) -> str:
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{entries}</Relationships>'


def _content_types(sheets: int) -> str:
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" '
        f'ContentType="{_TYPE}.worksheet+xml"/>'
        for number in range(1, sheets + 1)
    )
    return (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
        f"{overrides}</Types>"
    )


def _sheet(rows: list[list[Cell]]) -> str:
    body = "".join(
        f'<row r="{number}">{_cells(row, number)}</row>'
        for number, row in enumerate(rows, start=1)
        if row
    )
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData></worksheet>'


def _cells(row: list[Cell], number: int) -> str:
    return "".join(
        _cell(value, f"{chr(ord('A') + column)}{number}")
        for column, value in enumerate(row)
        if value is not None
    )


def _cell(value: Cell, place: str) -> str:
    if isinstance(value, date):
        return f'<c r="{place}" s="1"><v>{(value - _EXCEL_DAY_ZERO).days}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


# broken_export.csv


def broken_export() -> bytes:
    """A picture that somebody saved under the name of a table: 32 by 32 pixels, a grey slope."""
    pixels = b"".join(bytes([0, *range(row, row + 32 * 4, 4)]) for row in range(32))
    header = struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, content)
        for kind, content in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(pixels, 0)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


if __name__ == "__main__":
    sys.exit(main())
