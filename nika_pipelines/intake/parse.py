"""From a decoded file and its layout to Parquet: DuckDB reads, the survey's counts decide.

Belongs here: the cleaned copy, the rejected rows, DuckDB's reading and the check of the balance.
Does not belong here: inference (dialect, structure) and column types.

The parser reads the file as it is when every record is regular; otherwise it reads a copy that
holds only the accepted records in canonical form. Either way it must deliver exactly as many rows
as the independent scan accepted and reject none, or nothing is delivered.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.engine import connect, discard
from nika_pipelines.intake.classify import classify_file
from nika_pipelines.intake.codes import IntakeFault
from nika_pipelines.intake.deadline import interruptible
from nika_pipelines.intake.parse_wide import WIDE_COLUMNS, write_wide
from nika_pipelines.intake.record_kinds import Classified, Kind, Layout
from nika_pipelines.intake.record_scan import Marks
from nika_pipelines.intake.records import LINE_COLUMN
from nika_pipelines.intake.reject_rows import create_rejects, insert_rejects, write_rejects
from nika_pipelines.intake.survey import Survey
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

_MIN_LINE_SIZE = 2_000_000
_GROUP_BYTES = 8_000_000
_MOST_VECTOR_BYTES = 40_000_000
_VECTOR_ROWS = 2_048
"""DuckDB reads so many records at once, however long they are."""
_FEWEST_GROUP_ROWS, _MOST_GROUP_ROWS = 2_048, 122_880


@dataclass(frozen=True)
class Reading:
    """What to read and under which names.

    Attributes:
        path: the decoded file.
        marks: the bytes of its dialect.
        layout: where the table lies.
        names: final column names.
        stand_in: text to put in place of the one-byte delimiter inside cells, if it stood in.
    """

    path: Path
    marks: Marks
    layout: Layout
    names: list[str]
    stand_in: str | None = None


class _Mismatch(Exception):
    """The parser and the scan disagree."""


def write_tables(
    reading: Reading, survey: Survey, work: Path, target: Path, rejects: Path, settings: Settings
) -> None:
    """Write the text table and the rejected rows as Parquet.

    Raises:
        IntakeFault: parser and scan disagree on a canonical copy as well.
    """
    try:
        with connect(settings) as connection, interruptible(connection):
            create_rejects(connection)
            if _is_regular(survey, reading):
                try:
                    _read_as_it_is(connection, reading, survey, target)
                    write_rejects(connection, rejects)
                    return
                except _Mismatch:
                    _forget_rejects(connection)
            _read_copy(connection, reading, survey, work, target, settings)
            write_rejects(connection, rejects)
    except _Mismatch as mismatch:
        discard()
        raise IntakeFault(
            f"The parser and the independent count disagree: {mismatch}.",
            {"records": survey.total, "accepted": survey.accepted, "rejected": survey.rejected},
        ) from mismatch


def _is_regular(survey: Survey, reading: Reading) -> bool:
    """Whether the parser can read the file as it is."""
    one_line_end = survey.lone_carriage_ends == 0 and (
        survey.carriage_ends == 0 or survey.carriage_ends >= survey.total - 1
    )
    return (
        one_line_end
        and not _is_big(survey, reading)
        and not survey.irregular
        and reading.stand_in is None
    )


def _is_big(survey: Survey, reading: Reading) -> bool:
    """Whether the records are too wide or too long for DuckDB to read within its memory."""
    together = min(reading.path.stat().st_size, _VECTOR_ROWS * survey.longest)
    return reading.layout.width > WIDE_COLUMNS or together > _MOST_VECTOR_BYTES


def _read_as_it_is(
    connection: "duckdb.DuckDBPyConnection", reading: Reading, survey: Survey, target: Path
) -> None:
    """Let DuckDB read the original bytes; line numbers follow from the row numbers."""
    first = survey.lines_above_data + 1
    lines = f"range({first}, {first + survey.accepted})"
    source = _csv_scan(reading.path, reading, survey, skip=survey.lines_above_data, strict=True)
    _copy_to(connection, reading, source, lines, "range", target, survey)


def _read_copy(
    connection: "duckdb.DuckDBPyConnection",
    reading: Reading,
    survey: Survey,
    work: Path,
    target: Path,
    settings: Settings,
) -> None:
    """Write the accepted records in canonical form, then let DuckDB read that."""
    copy = work / "canonical.csv"
    connection.execute("CREATE OR REPLACE TEMP TABLE lines (line BIGINT)")
    with copy.open("wb") as out:
        for piece in classify_file(reading.path, reading.marks, reading.layout, settings):
            out.write(canonical_bytes(piece, reading.marks))
            _insert_lines(connection, piece)
            insert_rejects(connection, piece, reading.layout.width)
    if _is_big(survey, reading):
        _read_wide(connection, reading, survey, copy, target)
        return
    source = _csv_scan(copy, reading, survey, skip=0, strict=False)
    _copy_to(connection, reading, source, "lines", "line", target, survey)
    copy.unlink()


def _read_wide(
    connection: "duckdb.DuckDBPyConnection",
    reading: Reading,
    survey: Survey,
    copy: Path,
    target: Path,
) -> None:
    """Let Arrow read a copy with very many columns or very long records."""
    import pyarrow as pa

    lines = connection.execute("SELECT line FROM lines").fetchnumpy()["line"]
    marks = reading.marks
    characters = (chr(marks.delimiter), chr(marks.quote) if marks.quote else None)
    width, longest = reading.layout.width, survey.longest
    try:
        read = write_wide(
            copy, target, reading.names, width, characters, lines, longest, reading.stand_in
        )
    except pa.ArrowInvalid as error:
        raise _Mismatch(str(error)[:300]) from error
    if not read == lines.size == survey.accepted:
        raise _Mismatch(f"{survey.accepted} records accepted, {read} rows read")


def _csv_scan(path: Path, reading: Reading, survey: Survey, *, skip: int, strict: bool) -> str:
    """The table function that reads the accepted records."""
    marks = reading.marks
    quote = literal(chr(marks.quote)) if marks.quote else "''"
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(reading.layout.width))
    return (
        f"read_csv({literal(str(path))}, auto_detect = false, header = false, skip = {skip}, "
        f"delim = {literal(chr(marks.delimiter))}, quote = {quote}, escape = {quote}, "
        f"columns = {{{columns}}}, store_rejects = true, strict_mode = {str(strict).lower()}, "
        f"max_line_size = {max(_MIN_LINE_SIZE, survey.longest + 1_024)}, parallel = false)"
    )


def _copy_to(
    connection: "duckdb.DuckDBPyConnection",
    reading: Reading,
    source: str,
    lines: str,
    line: str,
    target: Path,
    survey: Survey,
) -> None:
    """Read, join the line numbers by position, write, and check the counts."""
    import duckdb

    columns = ", ".join(
        f"{_cell(place, reading)} AS {identifier(name)}" for place, name in enumerate(reading.names)
    )
    query = (
        f"SELECT {columns}, l.{line} AS {identifier(LINE_COLUMN)} "
        f"FROM {source} t POSITIONAL JOIN {lines} l"
    )
    group = _row_group_rows(reading.path, survey)
    try:
        connection.execute(
            f"COPY ({query}) TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE {group}, "
            f"ROW_GROUP_SIZE_BYTES {4 * _GROUP_BYTES})"
        )
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error as error:
        raise _Mismatch(str(error).split("\n", 1)[0]) from error
    _check_counts(connection, reading, source, target, survey.accepted)


def _row_group_rows(path: Path, survey: Survey) -> int:
    """Rows of a row group: whoever reads the table holds one of them per thread in memory."""
    record_bytes = max(1, path.stat().st_size // max(1, survey.total))
    return min(_MOST_GROUP_ROWS, max(_FEWEST_GROUP_ROWS, _GROUP_BYTES // record_bytes))


def _cell(place: int, reading: Reading) -> str:
    """One column; names beyond the rows' cells head empty columns."""
    if place >= reading.layout.width:
        return "NULL::VARCHAR"
    if reading.stand_in is None:
        return f"c{place}"
    return f"replace(c{place}, chr({reading.marks.delimiter}), {literal(reading.stand_in)})"


def _check_counts(
    connection: "duckdb.DuckDBPyConnection", reading: Reading, source: str, target: Path, want: int
) -> None:
    """Refuse what the parser read unless it is exactly the accepted records.

    A positional join pads its shorter side with NULLs at the end, so that rows missing from the
    parser show in the last row; only then are the parser's rows counted apart.
    """
    table, line = literal(str(target)), identifier(LINE_COLUMN)
    rows, last = _one(connection, f"SELECT count(*), max({line}) FROM {table}")
    refused = _one(connection, "SELECT count(*) FROM reject_errors")[0]
    if rows != want or refused:
        raise _Mismatch(f"{want} records accepted, {rows} rows read, {refused} errors")
    filled = " OR ".join(f"{identifier(name)} IS NOT NULL" for name in reading.names)
    found = _one(connection, f"SELECT count(*) FROM {table} WHERE {line} = {last} AND ({filled})")
    if found[0] != 1:
        read = _one(
            connection, f"SELECT count(*) FROM (SELECT {_all_cells(reading)} FROM {source})"
        )
        if read[0] != want:
            raise _Mismatch(f"{want} records accepted, {read[0]} rows read")


def _all_cells(reading: Reading) -> str:
    """An expression that makes the parser read every cell, which a bare count skips."""
    return "hash(" + ", ".join(f"c{place}" for place in range(reading.layout.width)) + ")"


def _one(connection: "duckdb.DuckDBPyConnection", query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    if row is None:
        raise _Mismatch("no answer")
    return row


def canonical_bytes(piece: Classified, marks: Marks) -> bytes:
    """The accepted records of a block: LF line ends, doubled quotes, no escapes, exact width."""
    import numpy as np

    accepted = piece.kinds <= Kind.TRIMMED
    starts, ends = piece.cut.starts[accepted], piece.ends[accepted]
    buffer = np.empty(len(piece.block) + 1, np.uint8)
    buffer[:-1] = np.frombuffer(piece.block, np.uint8)
    edges = np.zeros(buffer.size + 1, np.int8)
    edges[starts] += 1
    edges[ends + 1] -= 1
    kept = np.cumsum(edges[:-1], dtype=np.int8).view(np.uint8)
    buffer[ends] = 10
    if piece.cut.escaped.size:
        _unescape(buffer, kept, piece, marks)
    if piece.cut.doubled.size:
        doubled = piece.cut.doubled
        kept[doubled] *= 2
        return bytes(np.repeat(buffer, kept))
    return bytes(buffer[kept.view(bool)])


def _unescape(
    buffer: "NDArray[np.uint8]", kept: "NDArray[np.uint8]", piece: Classified, marks: Marks
) -> None:
    """Turn an escaped quote into a doubled one and drop every other active escape."""
    at = piece.cut.escaped
    is_quote = buffer[at] == marks.quote
    buffer[at[is_quote] - 1] = marks.quote or 0
    kept[at[~is_quote] - 1] = 0


def _insert_lines(connection: "duckdb.DuckDBPyConnection", piece: Classified) -> None:
    numbers = {"line": piece.line_numbers()[piece.kinds <= Kind.TRIMMED]}  # noqa: F841 (by SQL)
    connection.execute("INSERT INTO lines SELECT line FROM numbers")


def _forget_rejects(connection: "duckdb.DuckDBPyConnection") -> None:
    connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
