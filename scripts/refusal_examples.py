"""A tiny bad file for every code of intake, and what intake really says about it.

`docs/refused.md` prints these examples, and a test holds each to its code. They are made here so
that neither needs a file: every maker gives the bytes of one.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.settings import Settings

Kind = Literal["file", "row", "warning"]


@dataclass(frozen=True)
class Example:
    """A file that gives one code.

    Attributes:
        code: of the file, of one of its rows or a warning.
        kind: which of these.
        story: how such files come about, in one sentence.
        name: its name.
        content: its bytes.
        shown: how the documentation shows the bytes; the text itself when left out.
        limits: settings that are smaller here, so that the file can be tiny.
        before: an earlier file of the dataset, which wrote the contract.
        accept: whether that contract was accepted.
        rules: what a person then wrote into the contract, column by column.
    """

    code: str
    kind: Kind
    story: str
    name: str
    content: Callable[[], bytes]
    shown: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    before: str | None = None
    accept: bool = False
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def preview(self) -> str:
        """The first lines of the file, or what they are in words."""
        return self.shown if self.shown is not None else self.content().decode().rstrip("\n")


@dataclass(frozen=True)
class Answer:
    """What intake made of a file: a refusal, or an accepted file's rejected rows and warnings."""

    code: str | None
    message: str
    rejects: list[dict[str, Any]]
    warnings: list[dict[str, str]]


def intake_says(example: Example) -> Answer:
    """Run intake on an example."""
    from nika_pipelines.intake.take_in import take_in

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(data=folder, **example.limits)
        contract = folder / "contract.yaml"
        if example.before is not None:
            _take_in_before(example, folder, contract)
        source = folder / "source"
        source.write_bytes(example.content())
        out = folder / "out"
        out.mkdir()
        try:
            take_in(source, example.name, out, settings, contract, "sales")
        except UploadRejected as error:
            return Answer(error.code, error.message, [], [])
        document = json.loads((out / "intake.json").read_text())
        return Answer(None, "", document["rejects"], document["warnings"])


def _take_in_before(example: Example, folder: Path, contract: Path) -> None:
    """Take in the earlier file, then write down what a person decided about its contract."""
    import yaml

    from nika_pipelines.intake.contract_history import accept
    from nika_pipelines.intake.take_in import take_in

    first = folder / "first"
    first.mkdir()
    (folder / "before").write_text(str(example.before))
    take_in(folder / "before", "sales.csv", first, Settings(data=folder), contract, "sales")
    if example.rules:
        document = yaml.safe_load(contract.read_text())
        for column in document["columns"]:
            column.update(example.rules.get(column["name"], {}))
        contract.write_text(yaml.safe_dump(document, sort_keys=False))
    if example.accept:
        accept(contract)


# Makers


def _text(text: str) -> Callable[[], bytes]:
    return text.encode


def _zipped(**parts: bytes) -> Callable[[], bytes]:
    """A workbook's bytes; ``xl__workbook_xml`` is the part ``xl/workbook.xml``."""

    def make() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, content in {"[Content_Types]_xml": b"<Types/>", **parts}.items():
                path = part.replace("__", "/").replace("_xml", ".xml").replace("_bin", ".bin")
                archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()

    return make


def _sales(rows: int, first: int = 1) -> str:
    return "".join(f"2026-01-{n:02d},{n * 7 % 20 + 5}\n" for n in range(first, first + rows))


_HEADER = "day,amount\n"
_PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00"
_ORDERS = "order_id,amount\n" + "".join(f"A-{n:03d},{n % 9 + 1}\n" for n in range(1, 41))

FILE_EXAMPLES: tuple[Example, ...] = (
    Example(
        "EMPTY_FILE",
        "file",
        "The file has no content, or only blanks.",
        "sales.csv",
        _text(""),
        shown="(no bytes)",
    ),
    Example(
        "NO_DATA_ROWS",
        "file",
        "There is a header and nothing below it, often because a filter left nothing over.",
        "sales.csv",
        _text(_HEADER),
    ),
    Example(
        "NOT_TEXT",
        "file",
        "The bytes are no text: a program's own format with the extension of a table.",
        "sales.csv",
        lambda: bytes([3, 7, 200, 14, 250, 2, 90, 6]) * 40,
        shown="03 07 c8 0e fa 02 5a 06 ...",
    ),
    Example(
        "NUL_PADDING",
        "file",
        "A copy was cut off and the rest filled with zeros.",
        "sales.csv",
        lambda: (_HEADER + _sales(2)).encode() + bytes(4_096),
        shown="day,amount\n2026-01-01,12\n2026-01-02,19\n00 00 00 00 ... (4,096 zeros)",
    ),
    Example(
        "TOO_LARGE",
        "file",
        "The file has more bytes than `max_file_bytes`.",
        "sales.csv",
        _text(_HEADER + _sales(3)),
        limits={"max_file_bytes": 40},
    ),
    Example(
        "TOO_MANY_ROWS",
        "file",
        "The table has more rows than `max_rows`.",
        "sales.csv",
        _text(_HEADER + _sales(3)),
        limits={"max_rows": 2},
    ),
    Example(
        "TOO_MANY_COLUMNS",
        "file",
        "The table has more columns than `max_columns`, or the delimiter occurs inside the cells.",
        "sales.csv",
        _text("a,b,c,d\n1,2,3,4\n5,6,7,8\n"),
        limits={"max_columns": 3},
    ),
    Example(
        "FIELD_TOO_LONG",
        "file",
        "Many rows hold a cell longer than `max_field_bytes`.",
        "notes.csv",
        _text("day,note\n" + "".join(f"2026-01-0{n},{'very ' * 9}long\n" for n in range(1, 5))),
        limits={"max_field_bytes": 30},
    ),
    Example(
        "LINE_TOO_LONG",
        "file",
        "A record is longer than `max_line_bytes`: the line ends are missing or unusual.",
        "notes.csv",
        _text("day,note\n2026-01-01," + "very " * 20 + "long\n"),
        limits={"max_line_bytes": 60},
        shown="day,note\n2026-01-01,very very very very very ...",
    ),
    Example(
        "ZIP_BOMB",
        "file",
        "A workbook or packed file unpacks to far more than its own size.",
        "sales.xlsx",
        _zipped(xl__workbook_xml=b"<workbook/>", xl__sheet_xml=bytes(3_000_000)),
        shown="(a workbook of 3 kB with 3,000,000 zeros inside)",
    ),
    Example(
        "UNSUPPORTED_FORMAT",
        "file",
        "The extension is none that is taken.",
        "sales.docx",
        _zipped(word__document_xml=b"<document/>"),
        shown="(a text document)",
    ),
    Example(
        "MAGIC_MISMATCH",
        "file",
        "The content is another known format than the name says.",
        "sales.csv",
        lambda: _PNG + bytes(100),
        shown="89 50 4e 47 ... (a picture)",
    ),
    Example(
        "MACRO_PRESENT",
        "file",
        "The workbook carries a program.",
        "sales.xlsm",
        _zipped(xl__workbook_xml=b"<workbook/>", xl__vbaProject_bin=b"\x01"),
        shown="(a workbook with xl/vbaProject.bin)",
    ),
    Example(
        "XML_ENTITY",
        "file",
        "The workbook declares XML entities, which no spreadsheet program writes.",
        "sales.xlsx",
        _zipped(xl__workbook_xml=b'<!DOCTYPE w [<!ENTITY x "boom">]><workbook>&x;</workbook>'),
        shown='<!DOCTYPE w [<!ENTITY x "boom">]><workbook>&x;</workbook>',
    ),
    Example(
        "MIXED_ENCODING",
        "file",
        "Lines were glued together from files in different encodings, and cannot be told apart.",
        "cities.csv",
        lambda: "city,n\nKöln,1\nMünchen,2\n".encode() + b"M\xfcnster,3\nG\xf6ttingen,4\n",
        shown="city,n\nKöln,1\nMünchen,2\nM\\xfcnster,3\nG\\xf6ttingen,4",
    ),
    Example(
        "UNCLOSED_QUOTE",
        "file",
        "A quote opens and never closes, so that it would swallow the rest of the file.",
        "sales.csv",
        _text('day,note\n2026-01-01,"fine"\n2026-01-02,"open\n' + "2026-01-03,fine\n" * 6),
    ),
    Example(
        "MULTIPLE_TABLES",
        "file",
        "Two tables stand one below the other.",
        "sales.csv",
        _text(_HEADER + _sales(9) + "\nshop,city,staff\nA1,Kyiv,12\nB2,Lviv,7\nC3,Odesa,9\n"),
    ),
    Example(
        "RAGGED",
        "file",
        "Over a fifth of the rows have another number of cells than the header.",
        "sales.csv",
        _text(_HEADER + _sales(12) + "2026-01-20\n2026-01-21,5,7\n2026-01-22,1,2,3\n" * 5),
        shown=_HEADER + _sales(2) + "...\n2026-01-20\n2026-01-21,5,7\n2026-01-22,1,2,3\n...",
    ),
    Example(
        "CONTRACT_BROKEN",
        "file",
        "The columns are not those of the dataset's contract, or over a fifth of the rows break it.",
        "sales.csv",
        _text("day,total\n" + _sales(3)),
        before=_HEADER + _sales(20),
    ),
    Example(
        "TIMEOUT",
        "file",
        "Reading took longer than `file_timeout_seconds` and a second for every megabyte.",
        "sales.csv",
        _text(_HEADER + _sales(3)),
        limits={"file_timeout_seconds": 1e-6},
    ),
)

WITHOUT_EXAMPLE: Mapping[str, str] = MappingProxyType(
    {
        "PIXEL_BOMB": "Images only: no table is refused with this code.",
        "SVG_UNSAFE": "Images only: no table is refused with this code.",
        "UNSTABLE": "Somebody went on writing to the file for longer than `unstable_minutes`.",
        "INTERNAL": "The program failed, or its worker died on this file several times.",
    }
)
"""Codes that no tiny table can show, and why."""

ROW_EXAMPLES: tuple[Example, ...] = (
    Example(
        "SHORT_ROW",
        "row",
        "The row has fewer cells than the header.",
        "sales.csv",
        _text(_HEADER + _sales(9) + "2026-01-10\n"),
    ),
    Example(
        "LONG_ROW",
        "row",
        "The row has more cells than the header, mostly for want of quotes.",
        "sales.csv",
        _text(_HEADER + _sales(9) + "2026-01-10,1,5\n"),
    ),
    Example(
        "CAST",
        "row",
        "A cell does not fit the type that the rest of its column has.",
        "sales.csv",
        _text(_HEADER + _sales(28) + _sales(28) + "2026-01-29,twelve\n"),
        shown=_HEADER + _sales(2) + "...\n2026-01-29,twelve",
    ),
    Example(
        "DUPLICATE",
        "row",
        "An accepted contract says `unique`, and the value came before.",
        "orders.csv",
        _text(_ORDERS + "A-007,3\n"),
        shown="order_id,amount\nA-001,2\nA-002,3\n...\nA-007,3",
        before=_ORDERS,
        accept=True,
    ),
    Example(
        "CONTRACT",
        "row",
        "The row breaks another rule of an accepted contract.",
        "sales.csv",
        _text(_HEADER + _sales(20) + "2026-01-21,999\n"),
        shown=_HEADER + _sales(2) + "...\n2026-01-21,999",
        before=_HEADER + _sales(20),
        accept=True,
        rules={"amount": {"ge": 0, "le": 30}},
    ),
    Example(
        "FIELD_TOO_LONG",
        "row",
        "A cell is longer than `max_field_bytes`.",
        "notes.csv",
        _text("day,note\n" + "2026-01-01,short\n" * 9 + "2026-01-02," + "very " * 9 + "long\n"),
        limits={"max_field_bytes": 30},
    ),
    Example(
        "INVALID_ENCODING",
        "row",
        "The line holds bytes that are no text in any encoding of the file.",
        "cities.csv",
        lambda: (
            ("city,n\n" + "Köln,1\nMünchen,2\n" * 20).encode()
            + b"M\xfcnster,3\nG\xf6ttingen,4\nL\xfcbeck,5\nF\xfcrth,5\nM\x81\x8d\x8f\x90ster,3\n"
        ),
        shown="city,n\nKöln,1\n...\nF\\xfcrth,5\nM\\x81\\x8d\\x8f\\x90ster,3",
    ),
    Example(
        "UNCLOSED_QUOTE",
        "row",
        "A stray quote joins lines into one record that fits nowhere.",
        "sales.csv",
        _text(
            "day,note\n"
            + "2026-01-01,fine\n" * 20
            + '2026-01-02,"open\n2026-01-03,"shut"\n'
            + "2026-01-04,fine\n" * 20
        ),
        shown='day,note\n2026-01-01,fine\n...\n2026-01-02,"open\n2026-01-03,"shut"\n...',
    ),
)

WARNING_EXAMPLES: tuple[Example, ...] = (
    Example(
        "FORMULA_LIKE",
        "warning",
        "A text cell would be run as a formula by a spreadsheet program.",
        "notes.csv",
        _text('day,note\n2026-01-01,fine\n2026-01-02,"=HYPERLINK(A1)"\n2026-01-03,fine\n'),
    ),
    Example(
        "AMBIGUOUS_DATE",
        "warning",
        "Every date of a column can be read day first and month first.",
        "sales.csv",
        _text(_HEADER + "".join(f"0{n}/0{n % 5 + 1}/2026,{n}\n" for n in range(1, 10))),
    ),
    Example(
        "FORMAT_MISMATCH",
        "warning",
        "A few cells keep a column of numbers or dates text.",
        "sales.csv",
        _text(_HEADER + _sales(9) + "2026-01-10,twelve\n"),
    ),
    Example(
        "RENAMED_COLUMNS",
        "warning",
        "Columns share a name, or have none.",
        "sales.csv",
        _text("day,amount,amount,\n" + "".join(f"2026-01-0{n},{n},{n},x\n" for n in range(1, 6))),
    ),
    Example(
        "DIALECT_UNSURE",
        "warning",
        "Two delimiters fit the file almost equally well.",
        "sales.csv",
        _text("day;amount,city\n" + "".join(f"2026-01-0{n};{n},x{n}\n" for n in range(1, 9))),
    ),
    Example(
        "HEADER_UNSURE",
        "warning",
        "The first row could be a header or data.",
        "names.csv",
        _text("red,green\nblue,white\nblack,grey\npink,brown\n"),
    ),
    Example(
        "FOOTER_KEPT",
        "warning",
        "The last rows are totals or notes.",
        "sales.csv",
        _text(_HEADER + _sales(9) + "Total,126\n"),
    ),
    Example(
        "NEW_VALUES",
        "warning",
        "A later file of the dataset holds values that the inferred contract does not know.",
        "sales.csv",
        _text(_HEADER + _sales(20) + "2026-01-21,999\n"),
        shown=_HEADER + _sales(2) + "...\n2026-01-21,999",
        before=_HEADER + _sales(20),
    ),
)
