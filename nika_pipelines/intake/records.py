"""The records that cross the intake room's door.

Parquet files written by intake:

* text table: one VARCHAR column per column of the file, under its final name, plus `LINE_COLUMN`
  (BIGINT, 1-based physical line of the record's first byte; for workbooks the sheet row).
* typed table: the accepted rows with their inferred or contracted types, in file order, without
  the line column. The nth row of the Parquet file is data row n (1-based) everywhere else.
* rejects: columns ``line`` BIGINT, ``column`` VARCHAR (null when the whole row is bad), ``code``
  VARCHAR, ``reason`` VARCHAR, ``raw`` VARCHAR (at most 1,024 bytes). In the lake also ``row``
  BIGINT, the data row in the file: records below the header, rejected ones included, from 1; null
  for rows that the reader could not cut.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA_VERSION = 1
LINE_COLUMN = "_nika_line"
REJECT_COLUMNS = {
    "line": "BIGINT",
    "column": "VARCHAR",
    "code": "VARCHAR",
    "reason": "VARCHAR",
    "raw": "VARCHAR",
}
STORED_REJECT_COLUMNS = REJECT_COLUMNS | {"row": "BIGINT"}
"""What ``rejects.parquet`` in the lake holds: the reader's columns, and the data row."""
RAW_BYTES = 1_024
OTHER_TABLES = "other_tables"
"""The folder of a workbook's other sheets, all text, below that of its table."""

ColumnType = Literal["text", "integer", "float", "boolean", "date", "timestamp"]
DUCKDB_TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    # Naive stamps stay as written; stamps with an offset are converted to UTC.
    "timestamp": "TIMESTAMP",
}
SemanticType = Literal[
    "id", "email", "phone", "name", "category", "ordinal", "measure", "money",
    "date", "boolean", "text",
]  # fmt: skip


@dataclass(frozen=True)
class IntakeWarning:
    """Something to know about an accepted file.

    Attributes:
        code: a `codes.WarningCode`.
        message: what people read.
        doubtful: how many values of one column could not be read as what the column seems to hold.
    """

    code: str
    message: str
    doubtful: int = 0


@dataclass(frozen=True)
class Column:
    """One column of the typed table.

    Attributes:
        name: final name, unique in the table.
        type: storage type; see `DUCKDB_TYPES`.
        semantic_type: what the values mean.
        source_name: the header as written in the file (generated names have ``""``).
        format: how text was read into the type, e.g. ``%d.%m.%Y`` or ``decimal comma``.
        unit: a currency sign or ``%`` where every value carried it.
        personal: whether the values tell of a person (e-mail addresses, phone numbers, names,
            numbers of identity documents, bank accounts), so that they are masked where people
            look at them.
        cleared: whether a person said that they do not: even what looks personal is shown.
    """

    name: str
    type: ColumnType
    semantic_type: SemanticType
    source_name: str = ""
    format: str | None = None
    unit: str | None = None
    personal: bool = False
    cleared: bool = False


@dataclass(frozen=True)
class Dialect:
    """How the text was cut into cells. Spreadsheets have null delimiters."""

    delimiter: str | None
    quotechar: str | None = None
    escapechar: str | None = None
    sheet: str | None = None


@dataclass(frozen=True)
class RowBalance:
    """The invariant of intake, in physical lines of the decoded file.

    ``physical_lines == preamble + header + blank + footer + accepted_lines + rejected_lines``,
    where `records` was counted by a pass that is independent of the parser. Footer rows are no
    data: neither Parquet file holds them, `TextTable.footer` does, and the CSV that `inspect`
    writes ends with them. For workbooks a line is a sheet row.
    """

    physical_lines: int
    preamble: int
    header: int
    blank: int
    footer: int
    accepted_lines: int
    rejected_lines: int
    records: int
    accepted: int
    rejected: int

    @property
    def closes(self) -> bool:
        """Whether every physical line and every record is accounted for."""
        lines = self.preamble + self.header + self.blank + self.footer
        return (
            self.physical_lines == lines + self.accepted_lines + self.rejected_lines
            and self.records == self.accepted + self.rejected
        )


@dataclass(frozen=True)
class TextTable:
    """A file cut into cells, all text: what the parser hands to typing.

    `own_types` are the types of columns that the file itself states, by final name: they are
    taken, not inferred. With `records_are_lines` a record counts as one line in the balance,
    however many line breaks its cells hold.
    """

    parquet: Path
    rejects_parquet: Path
    names: list[str]
    source_names: list[str]
    encoding: str | None
    dialect: Dialect
    header_rows: int
    preamble_rows: int
    footer_rows: int
    balance: RowBalance
    warnings: list[IntakeWarning] = field(default_factory=list)
    footer: list[list[str | None]] = field(default_factory=list)
    other_tables: list[dict[str, Any]] = field(default_factory=list)
    own_types: dict[str, ColumnType] = field(default_factory=dict)
    records_are_lines: bool = False

    @classmethod
    def of_records(
        cls,
        out: tuple[Path, Path],
        names: list[str],
        source_names: list[str],
        balance: RowBalance,
        warnings: list[IntakeWarning],
        own_types: dict[str, ColumnType] | None = None,
    ) -> "TextTable":
        """The table of a format that has records and no text around them, such as JSON.

        Args:
            out: the text table and the rejects.
            names: final names.
            source_names: names as the file writes them.
            balance: counted in records.
            warnings: what is to be told.
            own_types: types that the file itself states.
        """
        return cls(
            parquet=out[0],
            rejects_parquet=out[1],
            names=names,
            source_names=source_names,
            encoding=None,
            dialect=Dialect(None),
            header_rows=0,
            preamble_rows=0,
            footer_rows=0,
            balance=balance,
            warnings=warnings,
            own_types=own_types or {},
            records_are_lines=True,
        )


@dataclass(frozen=True)
class IntakeReport:
    """What intake found out about one accepted file.

    `balance` is that of the typed table: rows rejected by typing or the contract have moved from
    accepted to rejected.
    """

    table_parquet: Path
    rejects_parquet: Path
    encoding: str | None
    dialect: Dialect
    header_rows: int
    preamble_rows: int
    footer_rows: int
    n_rows: int
    columns: list[Column]
    balance: RowBalance
    rejects_by_code: dict[str, int]
    warnings: list[IntakeWarning]
    contract_version: int
    contract_status: Literal["inferred", "accepted"]
    other_tables: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; paths become file names relative to the table's folder."""
        document = asdict(self)
        document["table_parquet"] = self.table_parquet.name
        document["rejects_parquet"] = self.rejects_parquet.name
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any], folder: Path) -> "IntakeReport":
        """Rebuild the report that `to_json` described, with its files in ``folder``."""
        return cls(
            **document
            | {
                "table_parquet": folder / document["table_parquet"],
                "rejects_parquet": folder / document["rejects_parquet"],
                "dialect": Dialect(**document["dialect"]),
                "columns": [Column(**column) for column in document["columns"]],
                "balance": RowBalance(**document["balance"]),
                "warnings": [IntakeWarning(**warning) for warning in document["warnings"]],
            }
        )
