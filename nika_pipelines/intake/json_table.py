"""The records of a JSON file into a text table and rejected rows.

Belongs here: which records are good, their columns, the rows. Does not belong here: what of a file
is a table (`json_source`), where records begin and end (`json_scan`). Every record passes through
DuckDB's parser as text: numbers beyond 64 bits keep their digits, nested values stay JSON.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.engine import connect
from nika_pipelines.intake.codes import IntakeFault, RowCode, UploadRejected
from nika_pipelines.intake.deadline import check_time, interruptible
from nika_pipelines.intake.encoding import decode_file
from nika_pipelines.intake.json_scan import Piece, broken, no_table
from nika_pipelines.intake.json_source import JsonSource, find_records, format_mismatch
from nika_pipelines.intake.opening import timed
from nika_pipelines.intake.reading_options import ReadingOptions
from nika_pipelines.intake.records import REJECT_COLUMNS, RowBalance, TextTable
from nika_pipelines.intake.structure import rename_warnings, unique_names
from nika_pipelines.intake.text_slices import write_text
from nika_pipelines.intake.typed_table import clipped
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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
_SHAPES = "nika_json_shapes"
_ODD = "nika_json_odd"


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
        found = find_records(decoded.path, settings, only_lines=only_lines)
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
    nuls = [format_mismatch(f"NUL bytes were removed: {removed:,}.")] if removed else []
    return TextTable.of_records(
        out, names, keys, balance, [*found.warnings, *rename_warnings(renamed), *nuls]
    )


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
    con: "DuckDBPyConnection", stored: Path, total: int, found: JsonSource, settings: Settings
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
    con: "DuckDBPyConnection", stored: Path, found: JsonSource, first: dict[int, int]
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
    con: "DuckDBPyConnection", found: JsonSource, settings: Settings
) -> tuple[list[str], list[str], list[str]]:
    """Final names, keys of all good records as they appear, and which names were changed.

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
    return names, keys, changes


def _write(
    con: "DuckDBPyConnection",
    stored: Path,
    target: Path,
    names: list[str],
    keys: list[str],
    found: JsonSource,
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
