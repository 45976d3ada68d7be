"""The codes of the intake contract: why a file is refused, why a row is rejected, what to watch.

Each file code carries its HTTP equivalent and the advice shown to the user, so that
``reason.json``, the command line and the documentation say the same thing.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class FileCode:
    """One reason to quarantine a file: HTTP equivalent and what the user can do."""

    http: int
    advice: str


FILE_CODES: dict[str, FileCode] = {
    "EMPTY_FILE": FileCode(400, "The file holds no content. Export it again and check its size."),
    "NO_DATA_ROWS": FileCode(400, "Only a header was found. Check the filter of the export."),
    "NOT_TEXT": FileCode(400, "The content is binary. Save the table as CSV (UTF-8) or XLSX."),
    "NUL_PADDING": FileCode(
        400, "The file is padded with NUL bytes, as after an interrupted copy. Copy it again."
    ),
    "TOO_LARGE": FileCode(413, "Split the file, or raise NIKA_MAX_FILE_BYTES."),
    "TOO_MANY_ROWS": FileCode(413, "Split the file, or raise NIKA_MAX_ROWS."),
    "TOO_MANY_COLUMNS": FileCode(
        413, "Check the delimiter; export fewer columns, or raise NIKA_MAX_COLUMNS."
    ),
    "FIELD_TOO_LONG": FileCode(
        413, "One cell is very long: look for a missing quote, or raise NIKA_MAX_FIELD_BYTES."
    ),
    "LINE_TOO_LONG": FileCode(
        413, "One record is very long: check the line ends, or raise NIKA_MAX_LINE_BYTES."
    ),
    "ZIP_BOMB": FileCode(
        413, "The file unpacks to far more than its size. Save it anew, or send it unpacked."
    ),
    "PIXEL_BOMB": FileCode(413, "The image has too many pixels. Scale it down."),
    "UNSUPPORTED_FORMAT": FileCode(415, "Save the table as CSV, TSV, XLSX, JSON or Parquet."),
    "MAGIC_MISMATCH": FileCode(
        415, "The content is another format than the name says. Rename the file or export it anew."
    ),
    "MACRO_PRESENT": FileCode(415, "Save the workbook without macros (.xlsx)."),
    "XML_ENTITY": FileCode(415, "The workbook declares XML entities. Save it anew in Excel."),
    "SVG_UNSAFE": FileCode(415, "Remove scripts and outside references from the SVG."),
    "MIXED_ENCODING": FileCode(
        422, "Parts of the file are in different encodings. Export it again as UTF-8."
    ),
    "UNCLOSED_QUOTE": FileCode(
        422, "A quote is not closed where it should be. Mend the named line."
    ),
    "MULTIPLE_TABLES": FileCode(422, "The file holds several tables. Put each in its own file."),
    "RAGGED": FileCode(
        422, "Too many rows have another number of cells than the header. Check the delimiter."
    ),
    "CONTRACT_BROKEN": FileCode(
        422,
        "Mend the file and drop it again; or mend its contract in data/contracts or its sidecar, "
        "then `nika retry ID`.",
    ),
    "UNSTABLE": FileCode(422, "The file kept changing while it was read. Drop the finished file."),
    "TIMEOUT": FileCode(422, "Reading took too long. Split the file, or raise the time limit."),
    "INTERNAL": FileCode(500, "This is our fault. Look into the run's log, then `nika retry ID`."),
}


class RowCode(StrEnum):
    """Why one row was rejected while the others survive."""

    SHORT_ROW = "SHORT_ROW"
    LONG_ROW = "LONG_ROW"
    CAST = "CAST"
    DUPLICATE = "DUPLICATE"
    CONTRACT = "CONTRACT"
    FIELD_TOO_LONG = "FIELD_TOO_LONG"
    INVALID_ENCODING = "INVALID_ENCODING"
    UNCLOSED_QUOTE = "UNCLOSED_QUOTE"


class WarningCode(StrEnum):
    """What the user should know about an accepted file."""

    FORMULA_LIKE = "FORMULA_LIKE"
    AMBIGUOUS_DATE = "AMBIGUOUS_DATE"
    FORMAT_MISMATCH = "FORMAT_MISMATCH"
    RENAMED_COLUMNS = "RENAMED_COLUMNS"
    DIALECT_UNSURE = "DIALECT_UNSURE"
    HEADER_UNSURE = "HEADER_UNSURE"
    FOOTER_KEPT = "FOOTER_KEPT"
    NEW_VALUES = "NEW_VALUES"


ROW_ADVICE: dict[RowCode, str] = {
    RowCode.SHORT_ROW: "Mend the line: a cell or a delimiter is missing.",
    RowCode.LONG_ROW: "Mend the line: quote cells that hold the delimiter.",
    RowCode.CAST: "Correct the cell, or set another `type` or `format` in the contract.",
    RowCode.DUPLICATE: "Remove the repeated row, or take `unique` out of the contract.",
    RowCode.CONTRACT: "Correct the cell, or change the named rule in the contract.",
    RowCode.FIELD_TOO_LONG: "Look for a missing quote, or raise NIKA_MAX_FIELD_BYTES.",
    RowCode.INVALID_ENCODING: "Write the line again in the encoding of the others.",
    RowCode.UNCLOSED_QUOTE: 'Close the quote, or double it where a quote is meant: `""`.',
}
"""What the user can do about a rejected row."""

WARNING_ADVICE: dict[WarningCode, str] = {
    WarningCode.FORMULA_LIKE: "Check the cells that begin like formulas before opening the table "
    "in a spreadsheet program.",
    WarningCode.AMBIGUOUS_DATE: "State the order of day and month in the contract; the dates fit "
    "both.",
    WarningCode.FORMAT_MISMATCH: "Look at the cells, lines or sheets that the warning names: they "
    "are unlike the others, or were left out.",
    WarningCode.RENAMED_COLUMNS: "Give every column its own name in the header; some were renamed.",
    WarningCode.DIALECT_UNSURE: "Compare a few rows with the original: the delimiter had to be "
    "guessed.",
    WarningCode.HEADER_UNSURE: "Check that the first row is a header; it could be data.",
    WarningCode.FOOTER_KEPT: "Check the last rows: they look like totals or notes and were set "
    "apart.",
    WarningCode.NEW_VALUES: "Correct the new values at the source, or take them into the contract: "
    "`nika contract accept DATASET --with-new-values`.",
}
"""What the user can do about a warning."""


class IntakeFault(RuntimeError):
    """Intake itself went wrong, whatever the file: the upload fails, the file is not to blame.

    Attributes:
        details: for machines.
    """

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        """Say what went wrong."""
        self.details = details or {}
        told = "; ".join(f"{key}: {value}" for key, value in self.details.items())
        super().__init__(f"{message} ({told})" if told else message)


@dataclass(eq=False)
class UploadRejected(Exception):
    """A file is refused: the table cannot be read without breaking a promise.

    Attributes:
        code: a key of `FILE_CODES`.
        message: what is wrong, for people, with line and column where known.
        details: for machines; may hold ``detected``, ``limit``, ``supported_formats``.
        remedy: what to do in this very case, where that says more than the advice of the code.
    """

    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.code not in FILE_CODES:
            raise ValueError(f"unknown file code {self.code!r}")
        super().__init__(f"{self.code}: {self.message}")

    @property
    def http_equivalent(self) -> int:
        """The HTTP status that a web service would answer with."""
        return FILE_CODES[self.code].http

    @property
    def advice(self) -> str:
        """What the user can do about it."""
        return self.remedy or FILE_CODES[self.code].advice
