"""Parquet into a text table whose columns keep the types that the file states.

Belongs here: which text every type of Parquet becomes, and which type is kept. Does not belong
here: how that text is typed again, which the stated types decide exactly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.engine import connect, discard
from nika_pipelines.intake.codes import RowCode, UploadRejected, WarningCode
from nika_pipelines.intake.deadline import interruptible
from nika_pipelines.intake.gate import SUPPORTED
from nika_pipelines.intake.opening import timed
from nika_pipelines.intake.records import (
    REJECT_COLUMNS,
    ColumnType,
    IntakeWarning,
    RowBalance,
    TextTable,
)
from nika_pipelines.intake.remedies import COPY_AGAIN
from nika_pipelines.intake.structure import rename_warnings, unique_names
from nika_pipelines.intake.text_slices import SLICE_COLUMNS, write_text
from nika_pipelines.intake.typed_table import clipped
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")
_INTEGER_DIGITS = 18
_FLOAT_DIGITS = 15
"""Every decimal with as many significant digits is told apart as a double, and reads back."""
_COLUMNS_TOLD = 10
_LONG_ROWS = "nika_long_rows"


@dataclass(frozen=True)
class _Column:
    """One column: its place in the file, its type there, the type it keeps."""

    place: int
    stored: str
    type: ColumnType

    @property
    def cell(self) -> str:
        return f"c{self.place}"

    @property
    def is_decimal(self) -> bool:
        return _is_decimal(self.stored)

    @property
    def text(self) -> str:
        """The SQL expression of the cell as text."""
        cell, stored = self.cell, self.stored
        if self.is_decimal and self.type == "integer":
            return f"{cell}::BIGINT::VARCHAR"
        if self.is_decimal and self.type == "float":
            # Through text, which is read as the nearest double whatever the scale.
            return f"{cell}::VARCHAR::DOUBLE::VARCHAR"
        if self.type == "float":
            # Through DOUBLE, whose shortest text reads back as the same number.
            return f"CASE WHEN isfinite({cell}::DOUBLE) THEN {cell}::DOUBLE::VARCHAR END"
        if self.type == "timestamp" and ("ZONE" in stored or "TZ" in stored):
            # Nanoseconds with a zone have no cast but that to text.
            return f"({cell}::VARCHAR::TIMESTAMPTZ AT TIME ZONE 'UTC')::VARCHAR"
        if stored == "TIMESTAMP_NS":
            # A cast would round, which may be another day.
            return f"regexp_replace({cell}::VARCHAR, '([.][0-9]{{6}})[0-9]+', '\\1')"
        if self.type == "timestamp":
            return f"{cell}::TIMESTAMP::VARCHAR"
        if stored.endswith("]") or stored.startswith(_NESTED):
            return f"to_json({cell})::VARCHAR"
        if stored == "BLOB":
            # Old writers store text as bytes; other bytes are shown in hexadecimal.
            return f"replace(coalesce(TRY(decode({cell})), lower(hex({cell}))), chr(0), '')"
        if stored == "VARCHAR":
            return f"replace({cell}, chr(0), '')"
        return f"{cell}::VARCHAR"


def read_parquet_file(
    source: Path, out: tuple[Path, Path], settings: Settings, clock: dict[str, float]
) -> TextTable:
    """Read Parquet into the two files of ``out``: the text table, and the rejected rows.

    Raises:
        UploadRejected: UNSUPPORTED_FORMAT when the file is damaged, NO_DATA_ROWS, TOO_MANY_ROWS,
            TOO_MANY_COLUMNS or TOO_LARGE.
    """
    with connect(settings) as con, interruptible(con), _damage_told(settings):
        with timed(clock, "structure"):
            rows, source_names, stored = _described(con, source, settings)
            names, changes = unique_names(source_names, settings.max_header_characters)
            listed = ", ".join(f"c{place}" for place in range(len(names)))
            scan = f"{_scan(source)} AS t({listed})"
            columns = [
                _Column(place, kind, _kept_type(con, scan, place, kind))
                for place, kind in enumerate(stored)
            ]
        with timed(clock, "parse"):
            rejected = _write_rejects(con, scan, columns, names, out[1], settings)
            accepted = _write(con, scan, columns, names, out[0], rejected)
        if accepted + rejected != rows:
            raise _damaged(f"it promises {rows:,} rows and holds {accepted + rejected:,}")
        warnings = [
            *_not_finite(con, scan, columns),
            *_long_decimals(columns, names),
            *_cut_nanoseconds(con, scan, columns, names),
        ]
    if not accepted:
        raise UploadRejected("NO_DATA_ROWS", "No row of the Parquet file can be taken.")
    balance = RowBalance(rows, 0, 0, 0, 0, accepted, rejected, rows, accepted, rejected)
    own_types = {name: column.type for name, column in zip(names, columns, strict=True)}
    warnings += rename_warnings(changes)
    return TextTable.of_records(out, names, source_names, balance, warnings, own_types)


def _scan(source: Path) -> str:
    """The table function for exactly one file; folders like ``a=1`` add no columns."""
    exact = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(source))
    return f"read_parquet({literal(exact)}, hive_partitioning = false)"


def _described(
    con: "DuckDBPyConnection", source: Path, settings: Settings
) -> tuple[int, list[str], list[str]]:
    """Rows, and names and types of the columns.

    Raises:
        UploadRejected: TOO_MANY_ROWS, TOO_MANY_COLUMNS or NO_DATA_ROWS.
    """
    described = con.execute(f"DESCRIBE FROM {_scan(source)}").fetchall()
    counted = con.execute(f"SELECT count(*) FROM {_scan(source)}").fetchone()
    rows = int(counted[0]) if counted else 0
    if len(described) > settings.max_columns:
        raise UploadRejected(
            "TOO_MANY_COLUMNS",
            f"The table has {len(described):,} columns; at most {settings.max_columns:,} are "
            "taken.",
            {"detected": len(described), "limit": settings.max_columns},
        )
    if rows > settings.max_rows:
        raise UploadRejected(
            "TOO_MANY_ROWS",
            f"The table has {rows:,} rows; at most {settings.max_rows:,} are taken.",
            {"detected": rows, "limit": settings.max_rows},
        )
    if not rows:
        raise UploadRejected("NO_DATA_ROWS", "The Parquet file holds no row.")
    return rows, [str(row[0]) for row in described], [str(row[1]) for row in described]


def _kept_type(con: "DuckDBPyConnection", scan: str, place: int, stored: str) -> ColumnType:
    """The type that a column keeps; what tables have no type for becomes text."""
    simple: dict[str, ColumnType] = {
        **dict.fromkeys(_INTEGERS, "integer"),
        "BOOLEAN": "boolean",
        "FLOAT": "float",
        "DOUBLE": "float",
        "DATE": "date",
    }
    if stored in simple:
        return simple[stored]
    if stored.startswith("TIMESTAMP") and not stored.endswith("]"):
        return "timestamp"
    if _is_decimal(stored):
        return _decimal_type(con, scan, f"c{place}", stored)
    if stored == "UBIGINT":
        row = con.execute(f"SELECT max(c{place}) > {2**63 - 1} FROM {scan}").fetchone()
        return "text" if row and row[0] else "integer"
    return "text"


def _is_decimal(stored: str) -> bool:
    return stored.startswith("DECIMAL") and not stored.endswith("]")


def _decimal_type(con: "DuckDBPyConnection", scan: str, cell: str, stored: str) -> ColumnType:
    """The type that holds every value of a decimal column exactly; text if no number does.

    Decimals with places behind the point are whole numbers only where a float would not do: in the
    next file they may have a fraction.
    """
    width, scale = (int(part) for part in stored[8:-1].split(","))
    if scale == 0 and width <= _INTEGER_DIGITS:
        return "integer"
    if scale and width <= _FLOAT_DIGITS:
        return "float"
    row = con.execute(
        f"SELECT max(strlen(trim(translate({cell}::VARCHAR, '-.', ''), '0'))), "
        f"max(strlen(translate(split_part({cell}::VARCHAR, '.', 1), '-', ''))), "
        f"count_if(regexp_matches({cell}::VARCHAR, '[.].*[1-9]')) FROM {scan}"
    ).fetchone()
    significant, whole, fractions = (int(count or 0) for count in row or (0, 0, 0))
    fits_integer = not fractions and whole <= _INTEGER_DIGITS
    if scale == 0 and fits_integer:
        return "integer"
    if significant <= _FLOAT_DIGITS:
        return "float"
    return "integer" if fits_integer else "text"


def _write(
    con: "DuckDBPyConnection",
    scan: str,
    columns: list[_Column],
    names: list[str],
    target: Path,
    rejected: int,
) -> int:
    """Write the rows as text in the order of the file; returns how many."""
    source = _numbered(scan)
    if rejected:
        # A join does not keep the order.
        source += f" WHERE line NOT IN (SELECT line FROM {_LONG_ROWS}) ORDER BY line"

    def select(places: range) -> tuple[list[str], str]:
        return [columns[place].text for place in places], source

    return write_text(con, names, select, target)


def _write_rejects(
    con: "DuckDBPyConnection",
    scan: str,
    columns: list[_Column],
    names: list[str],
    target: Path,
    settings: Settings,
) -> int:
    """Find and write the rows with a text that is too long; returns how many."""
    stored = ", ".join(f"{identifier(key)} {kind}" for key, kind in REJECT_COLUMNS.items())
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_LONG_ROWS} ({stored})")
    for some in _slices([column for column in columns if column.type == "text"]):
        tests = [f"strlen({one.text}) > {settings.max_field_bytes}" for one in some]
        cases = list(zip(tests, some, strict=True))
        found = " ".join(f"WHEN {test} THEN {literal(names[one.place])}" for test, one in cases)
        text = " ".join(f"WHEN {test} THEN {clipped(one.text)}" for test, one in cases)
        con.execute(
            f"INSERT INTO {_LONG_ROWS} SELECT line, CASE {found} END, "
            f"{literal(RowCode.FIELD_TOO_LONG.value)}, 'one value is longer than allowed', "
            f"CASE {text} END FROM {_numbered(scan)} WHERE ({' OR '.join(tests)}) "
            f"AND line NOT IN (SELECT line FROM {_LONG_ROWS})"
        )
    written = con.execute(
        f"COPY (FROM {_LONG_ROWS} ORDER BY line) TO {literal(str(target))} (FORMAT parquet)"
    ).fetchone()
    return int(written[0]) if written else 0


def _slices(columns: list[_Column]) -> Iterator[list[_Column]]:
    """Some columns at a time: a query over all of a wide table takes too much memory."""
    for start in range(0, len(columns), SLICE_COLUMNS):
        yield columns[start : start + SLICE_COLUMNS]


def _numbered(scan: str) -> str:
    return f"(SELECT *, row_number() OVER () AS line FROM {scan})"


def _not_finite(
    con: "DuckDBPyConnection", scan: str, columns: list[_Column]
) -> list[IntakeWarning]:
    """Tell of infinities and NaN, which are read as empty."""
    floats = [column for column in columns if column.stored in ("FLOAT", "DOUBLE")]
    count = 0
    for some in _slices(floats):
        tests = " + ".join(f"count_if(NOT isfinite({column.cell}))" for column in some)
        row = con.execute(f"SELECT {tests} FROM {scan}").fetchone()
        count += int(row[0]) if row else 0
    if not count:
        return []
    text = f"Values that are no finite number (NaN, infinity) were read as empty: {count:,}."
    return [IntakeWarning(WarningCode.FORMAT_MISMATCH, text)]


def _long_decimals(columns: list[_Column], names: list[str]) -> list[IntakeWarning]:
    """Tell of decimals that stay text, because no number of a table holds all their digits."""
    kept = [names[one.place] for one in columns if one.is_decimal and one.type == "text"]
    if not kept:
        return []
    text = (
        f"Decimals with more digits than a number can hold stay text, digit by digit: "
        f"{_listed(kept)}. They get no statistics of their values; where {_FLOAT_DIGITS} digits "
        "are enough, write them as floats."
    )
    return [IntakeWarning(WarningCode.FORMAT_MISMATCH.value, text)]


def _cut_nanoseconds(
    con: "DuckDBPyConnection", scan: str, columns: list[_Column], names: list[str]
) -> list[IntakeWarning]:
    """Tell of time stamps that lose digits: those of a table have microseconds."""
    count, cut = 0, []
    for some in _slices([one for one in columns if one.stored.endswith("_NS")]):
        tests = ", ".join(
            f"count_if(regexp_matches({one.cell}::VARCHAR, '[.][0-9]{{6}}[0-9]*[1-9]'))"
            for one in some
        )
        row = con.execute(f"SELECT {tests} FROM {scan}").fetchone() or ()
        count += sum(row)
        cut += [names[one.place] for one, lossy in zip(some, row, strict=True) if lossy]
    if not cut:
        return []
    text = f"Time stamps were cut to microseconds: {count:,} in {_listed(cut)}."
    return [IntakeWarning(WarningCode.FORMAT_MISMATCH.value, text)]


def _listed(names: list[str]) -> str:
    more = len(names) - _COLUMNS_TOLD
    shown = ", ".join(map(repr, names[:_COLUMNS_TOLD]))
    return f"{shown} and {more:,} more columns" if more > 0 else shown


@contextmanager
def _damage_told(settings: Settings) -> Iterator[None]:
    """Turn what DuckDB says about a damaged file into a refusal."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException:
        raise
    except duckdb.OutOfMemoryException as error:
        discard()
        raise UploadRejected(
            "TOO_LARGE",
            f"Reading the Parquet file takes more than {settings.duckdb_memory_mb} MB of memory: "
            "write it with smaller row groups.",
            {"limit": settings.duckdb_memory_mb},
        ) from error
    except duckdb.Error as error:
        if "No space left" in str(error):
            raise
        discard()
        raise _damaged(str(error).split("\n", 1)[0][:200]) from error


def _damaged(problem: str) -> UploadRejected:
    return UploadRejected(
        "UNSUPPORTED_FORMAT",
        f"The Parquet file is damaged: {problem}.",
        {"detected": "damaged parquet", "supported_formats": SUPPORTED},
        COPY_AGAIN,
    )
