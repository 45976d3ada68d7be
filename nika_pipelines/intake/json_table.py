"""JSON into a text table: an array of records, lines of records, or an object of columns.

Belongs here: what of a JSON file is a table, its columns, its rejects. Does not belong here: where
records begin and end (`json_scan`). Every record passes through DuckDB's parser as text: numbers
beyond 64 bits keep their digits, nested values stay JSON.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.engine import connect
from nika_pipelines.intake.codes import IntakeFault, RowCode, UploadRejected, WarningCode
from nika_pipelines.intake.deadline import check_time, interruptible
from nika_pipelines.intake.encoding import decode_file
from nika_pipelines.intake.json_columns import rows_of_columns
from nika_pipelines.intake.json_scan import (
    BLOCK_BYTES,
    Member,
    Piece,
    broken,
    elements,
    lines,
    no_table,
    outline,
)
from nika_pipelines.intake.opening import timed
from nika_pipelines.intake.reading_options import ReadingOptions
from nika_pipelines.intake.records import (
    REJECT_COLUMNS,
    Dialect,
    IntakeWarning,
    RowBalance,
    TextTable,
)
from nika_pipelines.intake.structure import unique_names
from nika_pipelines.intake.text_slices import write_text
from nika_pipelines.intake.typed_table import clipped
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SPACES = b" \t\r\n"
_SPACES_SQL = "chr(32) || chr(9) || chr(10) || chr(13)"
_FEW_BAD_ROWS = 5
"""Fewer bad records than this are no verdict over a short file while good ones prevail."""
_BLANK, _GOOD, _BROKEN, _NO_RECORD, _TWICE, _LONG, _ENCODING = range(7)
_REASONS = {
    _BROKEN: (RowCode.CAST, "not valid JSON"),
    _NO_RECORD: (RowCode.CAST, "no record: not an object"),
    _TWICE: (RowCode.CAST, "a key stands twice in the record"),
    _LONG: (RowCode.FIELD_TOO_LONG, "one value is longer than allowed"),
    _ENCODING: (RowCode.INVALID_ENCODING, "bytes of no known encoding"),
}
_NAMES_TOLD = 10
_SHAPES = "nika_json_shapes"
_ODD = "nika_json_odd"


@dataclass(frozen=True)
class _Source:
    """The records of a file, in order.

    Attributes:
        path: the decoded file.
        pieces: the records, to be read once.
        start: the first byte of the first one.
        is_lines: whether each is a line of its own, so that one can be bad without the others.
        keys: the columns, where they do not stand in the records; records are then arrays.
        again: the records once more, where they lie in the file as they are in the pieces.
        warnings: what is to be told.
        undecodable: lines with bytes that fit no encoding.
    """

    path: Path
    pieces: Iterable[Piece]
    start: int = 0
    is_lines: bool = False
    keys: list[str] | None = None
    again: Callable[[], Iterable[Piece]] | None = None
    warnings: list[IntakeWarning] = field(default_factory=list)
    undecodable: list[int] = field(default_factory=list)

    def place_of(self, number: int) -> int:
        """The first byte of a record in the file; of the table where that is not known."""
        place, left = self.start, number - 1
        for piece in self.again() if self.again else ():
            if left < piece.offsets.size - 1:
                return place + int(piece.offsets[left])
            place, left = place + len(piece.data), left - piece.offsets.size + 1
        return self.start


def read_json(
    source: Path,
    out: tuple[Path, Path],
    work: Path,
    settings: Settings,
    clock: dict[str, float],
    options: ReadingOptions,
    *,
    only_lines: bool,
) -> TextTable:
    """Read JSON into the two files of ``out``: the text table, and the rejected rows.

    Args:
        source: the file.
        out: where the text table and the rejects go.
        work: a folder for intermediate files.
        settings: the limits in force.
        clock: seconds per step, filled.
        options: how the file is to be read, where a person said so.
        only_lines: whether every line is a record by the file's name; found out otherwise.

    Raises:
        UploadRejected: the file is refused.
    """
    with timed(clock, "decode"):
        decoded = decode_file(source, work, options.encoding)
    with timed(clock, "structure"):
        found = _source(decoded.path, settings, only_lines=only_lines)
        found.warnings.extend(decoded.warnings)
        found.undecodable.extend(decoded.undecodable)
    with timed(clock, "scan"):
        stored = work / "records.parquet"
        total = _store(found.pieces, stored, settings)
    with connect(settings) as con, interruptible(con):
        with timed(clock, "scan"):
            states = _judged(con, stored, total, found, settings)
            names, keys, renamed = _columns(con, found, settings)
        with timed(clock, "parse"):
            kept = _without_odd(con, stored, work / "kept.parquet")
            _write(con, kept, out[0], names, keys, found)
            _write_rejects(con, stored, out[1])
    balance = _balance(states, total)
    removed = decoded.removed_nuls
    nuls = [_warning(f"NUL bytes were removed: {removed:,}.")] if removed else []
    return TextTable(
        parquet=out[0],
        rejects_parquet=out[1],
        names=names,
        source_names=keys,
        encoding=None,
        dialect=Dialect(None),
        header_rows=0,
        preamble_rows=0,
        footer_rows=0,
        balance=balance,
        warnings=[*found.warnings, *renamed, *nuls],
        records_are_lines=True,
    )


# What is a table


def _source(path: Path, settings: Settings, *, only_lines: bool) -> _Source:
    """Find the records of a file.

    Raises:
        UploadRejected: UNSUPPORTED_FORMAT or MULTIPLE_TABLES.
    """
    if only_lines or _holds_lines(path, settings):
        return _Source(path, lines(path, settings), is_lines=True)
    whole = outline(path, settings.max_columns)
    if whole.members is None:
        return _array(path, whole.start, whole.end, settings)
    return _in_object(path, whole.start, whole.end, whole.members, settings)


def _in_object(
    path: Path, start: int, end: int, members: list[Member], settings: Settings
) -> _Source:
    """The table in an object: its one array of records, or its columns, or itself as a record."""
    tables = [member for member in members if member.holds_records]
    if len(tables) > 1:
        told = ", ".join(repr(member.key[:60]) for member in tables[:_NAMES_TOLD])
        raise UploadRejected(
            "MULTIPLE_TABLES",
            f"The JSON document holds {len(tables)} arrays of records: {told}.",
            {"detected": len(tables)},
        )
    if tables:
        (table,) = tables
        others = [member.key for member in members if member is not table]
        told = ", ".join(repr(key[:60]) for key in others[:_NAMES_TOLD])
        left = f"Only the records under {table.key[:60]!r} were read, not what stands under {told}."
        warnings = [_warning(left)] if others else []
        return _array(path, table.start, table.end, settings, warnings)
    if members and all(member.is_array for member in members):
        pieces = rows_of_columns(path, members, settings)
        keys = [member.key for member in members]
        return _Source(path, pieces, members[0].start, keys=keys)
    if any(member.is_nested for member in members):
        raise no_table("an object of other things")
    return _Source(path, _whole(path, start, end) if members else (), start)


def _array(
    path: Path, start: int, end: int, settings: Settings, warnings: Sequence[IntakeWarning] = ()
) -> _Source:
    def records() -> Iterator[Piece]:
        return elements(path, start, end, settings)

    return _Source(path, records(), start + 1, again=records, warnings=list(warnings))


def _whole(path: Path, start: int, end: int) -> Iterator[Piece]:
    """The outermost value as the only record; it holds no array or object, so it is small."""
    import numpy as np

    with path.open("rb") as stream:
        stream.seek(start)
        data = stream.read(end - start)
    yield Piece(data, np.array([0, len(data)], np.int32))


def _holds_lines(path: Path, settings: Settings) -> bool:
    """Whether the first line is a JSON value of its own and others follow."""
    with path.open("rb") as stream:
        first = b""
        while not first.strip(_SPACES):
            first = stream.readline(settings.max_line_bytes)
            if not first:
                return False
        if not first.endswith(b"\n"):
            return False
        while rest := stream.read(BLOCK_BYTES):
            if rest.strip(_SPACES):
                break
        else:
            return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


# From records to rows


def _store(pieces: Iterable[Piece], target: Path, settings: Settings) -> int:
    """Write the records as they stand, with their numbers; returns how many there are."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("line", pa.int64()), ("doc", pa.string())])
    total = 0
    with parquet.ParquetWriter(target, schema, compression="lz4", use_dictionary=False) as writer:
        for piece in pieces:
            count = piece.offsets.size - 1
            buffers = [None, pa.py_buffer(piece.offsets), pa.py_buffer(piece.data)]
            docs = pa.Array.from_buffers(pa.string(), count, buffers)
            numbers = pa.array(np.arange(total + 1, total + count + 1))
            writer.write_batch(pa.RecordBatch.from_arrays([numbers, docs], schema=schema))
            total += count
            if total > settings.max_rows:
                raise UploadRejected(
                    "TOO_MANY_ROWS",
                    f"The table has more than {settings.max_rows:,} rows.",
                    {"detected": total, "limit": settings.max_rows},
                )
    pa.default_memory_pool().release_unused()
    return total


def _judged(
    con: "DuckDBPyConnection", stored: Path, total: int, found: _Source, settings: Settings
) -> dict[int, int]:
    """List the records that are not good; returns how many there are of each state.

    Raises:
        UploadRejected: too few of them are good.
    """
    kind = "OBJECT" if found.keys is None else "ARRAY"
    values = "json_extract_string(doc, '$.*')" if found.keys is None else "doc->>'$[*]'"
    longest = settings.max_field_bytes
    odd = ""
    if found.is_lines and found.undecodable:
        odd = f"WHEN line IN ({', '.join(map(str, found.undecodable))}) THEN {_ENCODING} "
    # Each test costs a pass over the text: what holds for nearly all records comes first.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_ODD} AS FROM (SELECT line, CASE {odd}"
        f"WHEN json_valid(doc) THEN CASE WHEN json_type(doc) <> '{kind}' THEN {_NO_RECORD} "
        f"WHEN strlen(doc) <= {longest} THEN {_GOOD} "
        f"WHEN list_max(list_transform({values}, lambda v: strlen(v))) > {longest} "
        f"THEN {_LONG} ELSE {_GOOD} END WHEN trim(doc, {_SPACES_SQL}) = '' THEN {_BLANK} "
        f"ELSE {_BROKEN} END AS state FROM {parquet_rows(stored)}) WHERE state <> {_GOOD}"
    )
    if found.keys is None:
        _find_twice(con, stored)
    counted = con.execute(f"SELECT state, count(*), min(line) FROM {_ODD} GROUP BY state")
    states, first = {}, {}
    for state, count, line in counted.fetchall():
        states[int(state)], first[int(state)] = int(count), int(line)
    if not found.is_lines:
        _refuse_broken(con, stored, found, first)
    states[_GOOD] = total - sum(states.values())
    _judge(states, first, settings)
    return states


def _good(stored: Path) -> str:
    """The FROM item of the good records."""
    return f"{parquet_rows(stored)} WHERE line NOT IN (SELECT line FROM {_ODD})"


def _without_odd(con: "DuckDBPyConnection", stored: Path, target: Path) -> Path:
    """The file of the good records alone; a join in SQL would not keep their order."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    odd = con.execute(f"SELECT line FROM {_ODD} ORDER BY line").fetchnumpy()["line"]
    if not odd.size:
        return stored
    with (
        parquet.ParquetFile(stored) as file,
        parquet.ParquetWriter(
            target, file.schema_arrow, compression="lz4", use_dictionary=False
        ) as writer,
    ):
        for number in range(file.num_row_groups):
            check_time()
            rows = file.read_row_group(number, use_threads=False)
            good = np.isin(rows.column("line").to_numpy(), odd, invert=True)
            writer.write_table(rows.filter(pa.array(good)))
    pa.default_memory_pool().release_unused()
    return target


def _find_twice(con: "DuckDBPyConnection", stored: Path) -> None:
    """Mark the records in which a key stands twice; most files have few different sets of keys."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_SHAPES} AS SELECT keys, min(line) AS line, "
        "len(keys) <> len(list_distinct(keys)) AS twice "
        f"FROM (SELECT line, json_keys(doc) AS keys FROM {_good(stored)}) GROUP BY keys"
    )
    if con.execute(f"FROM {_SHAPES} WHERE twice LIMIT 1").fetchall():
        con.execute(
            f"INSERT INTO {_ODD} SELECT line, {_TWICE} FROM {_good(stored)} "
            f"AND json_keys(doc) IN (SELECT keys FROM {_SHAPES} WHERE twice)"
        )


def _refuse_broken(
    con: "DuckDBPyConnection", stored: Path, found: _Source, first: dict[int, int]
) -> None:
    """A document with a broken record is broken itself: nobody knows where the record ends."""
    bad = [first[state] for state in (_BROKEN, _BLANK) if state in first]
    if not bad:
        return
    row = con.execute(f"SELECT doc FROM {parquet_rows(stored)} WHERE line = {min(bad)}").fetchone()
    doc = str(row[0]) if row else ""
    problem, before = "the record is not valid JSON", doc[: len(doc) - len(doc.lstrip())]
    try:
        json.loads(doc)
    except json.JSONDecodeError as error:
        problem, before = error.msg[:100].lower(), doc[: error.pos]
    except (ValueError, RecursionError):
        problem = "the record is nested too deep or holds too long a number"
    broken(found.path, found.place_of(min(bad)) + len(before.encode()), problem)


def _judge(states: dict[int, int], first: dict[int, int], settings: Settings) -> None:
    """Refuse the file when too few of its records are good."""
    good = states.get(_GOOD, 0)
    bad = sum(count for state, count in states.items() if state not in (_GOOD, _BLANK))
    if not good and bad and bad == states.get(_NO_RECORD, 0):
        raise no_table("an array of other things than records")
    share = bad / max(1, good + bad)
    if share > settings.max_bad_row_share and (bad >= _FEW_BAD_ROWS or bad > good):
        line = min(line for state, line in first.items() if state not in (_GOOD, _BLANK))
        raise UploadRejected(
            "RAGGED",
            f"{share:.0%} of the records cannot be read as JSON records, first number {line:,}.",
            {"detected": round(share, 4), "limit": settings.max_bad_row_share, "line": line},
        )
    if not good:
        raise UploadRejected("NO_DATA_ROWS", "The JSON file holds no record.")


def _columns(
    con: "DuckDBPyConnection", found: _Source, settings: Settings
) -> tuple[list[str], list[str], list[IntakeWarning]]:
    """Final names, keys, and what is to be told: the keys of all good records, as they appear.

    Raises:
        UploadRejected: TOO_MANY_COLUMNS.
    """
    keys = found.keys
    if keys is None:
        rows = con.execute(
            "SELECT key FROM (SELECT line, unnest(keys) AS key, "
            f"unnest(range(len(keys))) AS place FROM {_SHAPES} WHERE NOT twice) "
            "GROUP BY key ORDER BY min(line), arg_min(place, line) "
            f"LIMIT {settings.max_columns + 1}"
        ).fetchall()
        keys = [str(key) for (key,) in rows]
    if len(keys) > settings.max_columns:
        raise UploadRejected(
            "TOO_MANY_COLUMNS",
            f"The records have more than {settings.max_columns:,} different keys.",
            {"detected": len(keys), "limit": settings.max_columns},
        )
    if not keys:
        raise UploadRejected("NO_DATA_ROWS", "The records of the JSON file are empty.")
    names, changes = unique_names(keys, settings.max_header_characters)
    if not changes:
        return names, keys, []
    text = f"Columns got other names: {', '.join(changes[:_NAMES_TOLD])}."
    return names, keys, [IntakeWarning(WarningCode.RENAMED_COLUMNS, text)]


def _write(
    con: "DuckDBPyConnection",
    stored: Path,
    target: Path,
    names: list[str],
    keys: list[str],
    found: _Source,
) -> None:
    """Write the good records as a text table."""
    if found.keys is not None:
        paths = [f"/{place}" for place in range(len(keys))]
    else:
        paths = ["/" + key.replace("~", "~0").replace("/", "~1") for key in keys]

    def select(places: range) -> tuple[list[str], str]:
        listed = ", ".join(literal(paths[place]) for place in places)
        # No other cell of any format holds a NUL; an escaped one is no reason to let it in.
        cells = [f"replace(v[{n}], chr(0), '')" for n in range(1, len(places) + 1)]
        return cells, (
            f"(SELECT line, json_extract_string(doc, [{listed}]) AS v FROM {parquet_rows(stored)})"
        )

    write_text(con, names, select, target)


def _write_rejects(con: "DuckDBPyConnection", stored: Path, target: Path) -> None:
    columns = ", ".join(
        f"{identifier(name)}::{kind} AS {identifier(name)}" for name, kind in REJECT_COLUMNS.items()
    )
    codes = " ".join(f"WHEN {s} THEN {literal(c.value)}" for s, (c, _) in _REASONS.items())
    reasons = " ".join(f"WHEN {s} THEN {literal(r)}" for s, (_, r) in _REASONS.items())
    con.execute(
        f'COPY (SELECT {columns} FROM (SELECT line, NULL AS "column", CASE state {codes} END '
        f"AS code, CASE state {reasons} END AS reason, {clipped(f'trim(doc, {_SPACES_SQL})')} AS raw "
        f"FROM {parquet_rows(stored)} JOIN {_ODD} USING (line) WHERE state <> {_BLANK} "
        "ORDER BY line)) "
        f"TO {literal(str(target))} (FORMAT parquet)"
    )


def _balance(states: dict[int, int], total: int) -> RowBalance:
    accepted, blank = states.get(_GOOD, 0), states.get(_BLANK, 0)
    rejected = sum(states.values()) - accepted - blank
    balance = RowBalance(
        physical_lines=total,
        preamble=0,
        header=0,
        blank=blank,
        footer=0,
        accepted_lines=accepted,
        rejected_lines=rejected,
        records=total - blank,
        accepted=accepted,
        rejected=rejected,
    )
    if not balance.closes:
        raise IntakeFault("The row balance does not close.", {"balance": str(balance)})
    return balance


def _warning(message: str) -> IntakeWarning:
    return IntakeWarning(WarningCode.FORMAT_MISMATCH, message)
