"""The small real tables that the fuzzer starts from, in every format that intake is given.

All are made here, but for the files of the test fixtures, so that a seed needs no download. Their
contents are fixed: a case depends on its number alone.
"""

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
LARGEST_FIXTURE = 60_000

Rows = list[list[str]]


@dataclass(frozen=True)
class Seed:
    """One file before anything happened to it."""

    name: str
    content: bytes

    @property
    def extension(self) -> str:
        """What the name ends with, both parts of ``.csv.gz``."""
        return "".join(Path(self.name).suffixes[-2:])


@dataclass(frozen=True)
class SeedPool:
    """All seeds, those apart that cost a child process each."""

    quick: tuple[Seed, ...]
    workbooks: tuple[Seed, ...]

    def draw(self, rng: Random) -> Seed:
        """One seed; workbooks are rare because each starts a process."""
        return rng.choice(self.workbooks if rng.random() < 0.03 else self.quick)


def seed_pool() -> SeedPool:
    """Make every seed."""
    quick = [*_texts(), *_encoded(), *_packed(), *_json(), *_parquet(), *_fixtures("*.csv")]
    workbooks = [*_workbooks(), *_fixtures("*.xls*"), *_fixtures("*.ods")]
    return SeedPool(tuple(quick), tuple(workbooks))


# Tables


def _measurements(rows: int = 24) -> Rows:
    rng = Random(1)
    header = ["day", "site", "temperature", "count", "ok"]
    body = (
        [
            f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}",
            rng.choice(["north", "south", "harbour"]),
            f"{20 + 5 * rng.random():.2f}",
            str(rng.randrange(1_000)),
            rng.choice(["true", "false"]),
        ]
        for row in range(rows)
    )
    return [header, *body]


def _invoices() -> Rows:
    table = [["Nr.", "Kunde", "Betrag", "Fällig am", "PLZ", "Anteil"]]
    for row in range(18):
        amount = f"{row * 317 % 5000:,}".replace(",", ".")
        table.append(
            [
                f"{row:05d}",
                f"Müller & Söhne {row}",
                f"{amount},{row % 100:02d} €",
                f"{1 + row % 28:02d}.{1 + row % 12:02d}.2023",
                f"0{1000 + row}",
                f"{row % 100},5 %",
            ]
        )
    return [*table, ["Summe", "", "31.415,00 €", "", "", ""]]


def _quoted() -> Rows:
    table = [["id", "note", "when", "mail"]]
    for row in range(15):
        note = ["plain", 'she said "no"', "two\nlines", "a, b; c", "", " tab\there "][row % 6]
        stamp = f"2022-03-{1 + row % 28:02d}T{row:02d}:30:00+02:00"
        table.append([str(row), note, stamp, f"user{row}@example.org"])
    return table


def _wide() -> Rows:
    names = [f"c{number}" for number in range(60)]
    return [names, *([str(row * number % 97) for number in range(60)] for row in range(6))]


def _delimited(rows: Rows, delimiter: str, end: str = "\n", quote: str = '"') -> str:
    def cell(text: str) -> str:
        if any(mark in text for mark in (delimiter, quote, "\n", "\r")):
            return quote + text.replace(quote, quote * 2) + quote
        return text

    return "".join(delimiter.join(map(cell, row)) + end for row in rows)


# Seeds


def _texts() -> Iterator[Seed]:
    plain = _measurements()
    for number, (delimiter, end, quote) in enumerate(
        [
            (",", "\n", '"'),
            (";", "\r\n", '"'),
            ("\t", "\n", '"'),
            ("|", "\r", '"'),
            ("||", "\n", '"'),
            (",", "\n", "'"),
            ("\x1f", "\n", '"'),
        ]
    ):
        for name, rows in (("measurements", plain), ("quoted", _quoted())):
            text = _delimited(rows, delimiter, end, quote)
            yield Seed(f"{name}_{number}.csv", text.encode())
    first = _delimited(plain, ",")
    yield Seed("measurements.tsv", _delimited(plain, "\t").encode())
    yield Seed("measurements.txt", _delimited(plain, ";").encode())
    yield Seed("wide.csv", _delimited(_wide(), ",").encode())
    yield Seed("no_header.csv", _delimited(plain[1:], ",").encode())
    yield Seed("sep_line.csv", ("sep=;\r\n" + _delimited(plain, ";", "\r\n")).encode())
    yield Seed("preamble.csv", ("Report of the plant\n\nMade 2024-05-01\n" + first).encode())
    yield Seed("repeated_header.csv", (first + first).encode())
    yield Seed("long.csv", _delimited(_measurements(2_000), ",").encode())
    yield Seed("one_column.csv", "".join(f"{row[2]}\n" for row in plain).encode())
    yield Seed("one_row.csv", b"a,b\n1,2\n")
    yield Seed("header_only.csv", b"a,b,c\n")
    yield Seed("blank_lines.csv", first.replace("\n", "\n\n").encode())


def _encoded() -> Iterator[Seed]:
    german = _delimited(_invoices(), ";")
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-32", "cp850"):
        yield Seed(f"invoices_{encoding}.csv", german.encode(encoding, "replace"))
    words = {
        "koi8-r": "город,улица,дом\nМосква,Тверская,1\nКазань,Баумана,22\n",
        "cp1251": "товар;цена\nхлеб;45,50\nмолоко;89,90\n",
        "shift_jis": "都市,人口\n東京,13960000\n大阪,8838000\n",
        "gb18030": "城市,人口\n北京,21540000\n上海,24870000\n",
        "euc_kr": "도시,인구\n서울,9776000\n부산,3429000\n",
        "cp1253": "πόλη,τιμή\nΑθήνα,12\nΠάτρα,7\n",
        "cp1256": "مدينة,عدد\nالقاهرة,9\nدمشق,2\n",
    }
    for encoding, text in words.items():
        head, _, body = text.partition("\n")
        yield Seed(f"words_{encoding}.csv", f"{head}\n{body * 12}".encode(encoding))
    mixed = german.encode() + german.encode("cp1252")
    yield Seed("invoices_mixed.csv", mixed)


def _packed() -> Iterator[Seed]:
    text = _delimited(_measurements(), ",").encode()
    yield Seed("measurements.csv.gz", gzip.compress(text, mtime=0))
    yield Seed("two_members.csv.gz", gzip.compress(text, mtime=0) * 2)
    yield Seed("measurements.tsv.gz", gzip.compress(text.replace(b",", b"\t"), mtime=0))
    yield Seed("bomb.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 200_000, mtime=0))
    yield Seed("measurements.csv.zst", zstd(text))
    yield Seed("invoices.csv.zst", zstd(_delimited(_invoices(), ";").encode("cp1252")))
    yield Seed("measurements.csv.bz2", bz2.compress(text))


def zstd(content: bytes) -> bytes:
    """The content as one frame of Zstandard."""
    import pyarrow as pa

    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


def _json() -> Iterator[Seed]:
    header, *rows = _measurements()
    records: list[dict[str, Any]] = [dict(zip(header, row, strict=True)) for row in rows]
    for number, record in enumerate(records):
        record["temperature"] = float(record["temperature"])
        if number % 5 == 0:
            record["extra"] = {"tags": ["a", None, number], "deep": {"x": number}}
    columns = {name: [record.get(name) for record in records] for name in header}
    yield Seed("records.json", json.dumps(records).encode())
    yield Seed("records_indented.json", json.dumps(records, indent=2).encode())
    yield Seed("columns.json", json.dumps(columns).encode())
    yield Seed("wrapped.json", json.dumps({"data": records, "total": len(records)}).encode())
    yield Seed("arrays.json", json.dumps([header, *rows]).encode())
    yield Seed("scalar.json", b"42")
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    yield Seed("records.jsonl", lines.encode())
    yield Seed("records.ndjson", lines.replace("\n", "\r\n").encode())
    yield Seed("records.jsonl.gz", gzip.compress(lines.encode(), mtime=0))


def _parquet() -> Iterator[Seed]:
    import datetime as dt
    from decimal import Decimal

    import pyarrow as pa
    from pyarrow import parquet

    rows = 40
    first = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    plain: dict[str, list[Any]] = {
        "id": list(range(rows)),
        "name": [f"n{row % 7}" for row in range(rows)],
        "value": [row / 3 if row % 9 else None for row in range(rows)],
        "ok": [row % 2 == 0 for row in range(rows)],
        "at": [first + dt.timedelta(hours=row) for row in range(rows)],
    }
    odd: dict[str, list[Any]] = {
        "list": [[row, None] for row in range(rows)],
        "struct": [{"a": row, "b": str(row)} for row in range(rows)],
        "price": [Decimal(row) / 8 for row in range(rows)],
        "blob": [bytes([row]) for row in range(rows)],
        "clock": [dt.time(row % 24, 1) for row in range(rows)],
    }
    for name, table in (("plain", plain), ("odd", odd)):
        for codec in ("none", "zstd"):
            stream = io.BytesIO()
            parquet.write_table(pa.table(table), stream, compression=codec)
            yield Seed(f"{name}_{codec}.parquet", stream.getvalue())


def _fixtures(pattern: str) -> Iterator[Seed]:
    for path in sorted(FIXTURES.rglob(pattern)):
        if path.stat().st_size <= LARGEST_FIXTURE:
            yield Seed(path.name, path.read_bytes())


# Workbooks, as little of them as readers ask for


def _workbooks() -> Iterator[Seed]:
    sheets = {"Sheet1": _measurements(), "Übersicht": _invoices()}
    yield Seed("two_sheets.xlsx", _xlsx(sheets))
    yield Seed("one_sheet.xlsx", _xlsx({"only": _quoted()}))
    yield Seed("measurements.ods", _ods(_measurements()))


def _xlsx(sheets: dict[str, Rows]) -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbers = range(1, len(sheets) + 1)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kind}.worksheet+xml"/>'
            for n in numbers
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        + "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>'
            for n, name in zip(numbers, sheets, strict=True)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        + "".join(
            f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in numbers
        )
        + "</Relationships>",
    }
    for number, rows in zip(numbers, sheets.values(), strict=True):
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{_sheet_rows(rows)}</sheetData></worksheet>'
        )
    return zipped({name: text.encode() for name, text in parts.items()})


def _sheet_rows(rows: Rows) -> str:
    from xml.sax.saxutils import escape

    return "".join(
        f'<row r="{number}">'
        + "".join(
            f'<c t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
            for cell in row
        )
        + "</row>"
        for number, row in enumerate(rows, 1)
    )


def _ods(rows: Rows) -> bytes:
    from xml.sax.saxutils import escape

    name = "urn:oasis:names:tc:opendocument:xmlns"
    body = "".join(
        "<table:table-row>"
        + "".join(
            '<table:table-cell office:value-type="string">'
            f"<text:p>{escape(cell)}</text:p></table:table-cell>"
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    content = (
        f'<office:document-content xmlns:office="{name}:office:1.0" xmlns:table="{name}:table:1.0" '
        f'xmlns:text="{name}:text:1.0"><office:body><office:spreadsheet>'
        f'<table:table table:name="one">{body}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
        "</manifest:manifest>"
    )
    return zipped(
        {
            "mimetype": kind.encode(),
            "content.xml": content.encode(),
            "META-INF/manifest.xml": manifest.encode(),
        }
    )


def zipped(parts: dict[str, bytes]) -> bytes:
    """An archive of these parts, with the same bytes every time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content)
    return stream.getvalue()
