"""The rejected records of a text file as rows of the rejects table.

Belongs here: what is told of a rejected record: line, code, reason, the raw text. Does not belong
here: which records are rejected (classify).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.codes import RowCode
from nika_pipelines.intake.record_kinds import REJECTED, Classified, Kind
from nika_pipelines.intake.records import RAW_BYTES, REJECT_COLUMNS
from nika_pipelines.sql import identifier, literal

if TYPE_CHECKING:
    import duckdb

    from nika_pipelines.intake.record_kinds import Positions

_TOLD = {
    Kind.SHORT: (
        RowCode.SHORT_ROW,
        "fields || IF(fields = 1, ' cell', ' cells') || ' instead of ' || $width",
    ),
    Kind.LONG: (RowCode.LONG_ROW, "fields || ' cells instead of ' || $width"),
    Kind.FIELD: (RowCode.FIELD_TOO_LONG, "'one cell is longer than allowed'"),
    Kind.QUOTE: (
        RowCode.UNCLOSED_QUOTE,
        "'quotes do not match; ' || lines || ' lines belong together'",
    ),
    Kind.ENCODING: (
        RowCode.INVALID_ENCODING,
        "'bytes that are text in no encoding that fits the file, shown in hex'",
    ),
}
"""The code of each kind, and its reason in SQL."""


def create_rejects(connection: "duckdb.DuckDBPyConnection") -> None:
    """Create the empty table ``rejects``."""
    columns = ", ".join(f"{identifier(name)} {kind}" for name, kind in REJECT_COLUMNS.items())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE rejects ({columns})")


def insert_rejects(connection: "duckdb.DuckDBPyConnection", piece: Classified, width: int) -> None:
    """Store the rejected records of a block with reason and raw text."""
    import numpy as np

    places = np.flatnonzero(np.isin(piece.kinds, REJECTED))
    if not places.size:
        return
    found = {  # noqa: F841 (by SQL)
        "line": piece.line_numbers()[places],
        "kind": piece.kinds[places],
        "fields": piece.cut.fields[places],
        "lines": piece.cut.lines[places],
        "raw": np.array(_raw_texts(piece, places), dtype=object),
    }
    codes = " ".join(f"WHEN {kind:d} THEN {literal(code)}" for kind, (code, _) in _TOLD.items())
    reasons = " ".join(f"WHEN {kind:d} THEN {reason}" for kind, (_, reason) in _TOLD.items())
    connection.execute(
        f"INSERT INTO rejects SELECT line, NULL, CASE kind {codes} END, "
        f"CASE kind {reasons} END, raw FROM found",
        {"width": width},
    )


def write_rejects(connection: "duckdb.DuckDBPyConnection", target: Path) -> None:
    """Write the rejected rows, in file order."""
    connection.execute(
        f"COPY (SELECT * FROM rejects ORDER BY line) TO {literal(str(target))} (FORMAT parquet)"
    )


def _raw_texts(piece: Classified, places: "Positions") -> list[str]:
    """The first bytes of each record as text; all of them are decoded at once."""
    import numpy as np

    starts = piece.cut.starts[places]
    ends = np.minimum(piece.ends[places], starts + RAW_BYTES)
    buffer = np.empty(len(piece.block) + 1, np.uint8)
    buffer[:-1] = np.frombuffer(piece.block, np.uint8)
    buffer[buffer == 0] = ord(" ")
    edges = np.zeros(buffer.size + 1, np.int8)
    edges[starts] += 1
    edges[ends + 1] -= 1
    # The byte behind each text, which belongs to none, parts it from the next.
    buffer[ends] = 0
    kept = np.cumsum(edges[:-1], dtype=np.int8).view(bool)
    joined: bytes = buffer[kept].tobytes()
    return joined.decode("utf-8", "ignore").split("\0")[:-1]
