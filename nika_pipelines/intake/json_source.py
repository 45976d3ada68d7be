"""What of a JSON file is a table: lines of records, an array of them, or an object of columns.

Belongs here: finding the records. Does not belong here: where each begins and ends (`json_scan`),
and what becomes of them (`json_table`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nika_pipelines.intake.codes import UploadRejected, WarningCode
from nika_pipelines.intake.json_columns import rows_of_columns
from nika_pipelines.intake.json_scan import (
    BLOCK_BYTES,
    Member,
    Piece,
    elements,
    lines,
    no_table,
    outline,
)
from nika_pipelines.intake.records import IntakeWarning
from nika_pipelines.settings import Settings

_SPACES = b" \t\r\n"
_NAMES_TOLD = 10


@dataclass(frozen=True)
class JsonSource:
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


def find_records(path: Path, settings: Settings, *, only_lines: bool) -> JsonSource:
    """Find the records of a file.

    Raises:
        UploadRejected: UNSUPPORTED_FORMAT or MULTIPLE_TABLES.
    """
    if only_lines or _holds_lines(path, settings):
        return JsonSource(path, lines(path, settings), is_lines=True)
    whole = outline(path, settings.max_columns)
    if whole.members is None:
        return _array(path, whole.start, whole.end, settings)
    return _in_object(path, whole.start, whole.end, whole.members, settings)


def format_mismatch(message: str) -> IntakeWarning:
    """The warning that something of the file was left out or read otherwise."""
    return IntakeWarning(WarningCode.FORMAT_MISMATCH, message)


def _in_object(
    path: Path, start: int, end: int, members: list[Member], settings: Settings
) -> JsonSource:
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
        warnings = [format_mismatch(left)] if others else []
        return _array(path, table.start, table.end, settings, warnings)
    if members and all(member.is_array for member in members):
        pieces = rows_of_columns(path, members, settings)
        keys = [member.key for member in members]
        return JsonSource(path, pieces, members[0].start, keys=keys)
    if any(member.is_nested for member in members):
        raise no_table("an object of other things")
    return JsonSource(path, _whole(path, start, end) if members else (), start)


def _array(
    path: Path, start: int, end: int, settings: Settings, warnings: Sequence[IntakeWarning] = ()
) -> JsonSource:
    def records() -> Iterator[Piece]:
        return elements(path, start, end, settings)

    return JsonSource(path, records(), start + 1, again=records, warnings=list(warnings))


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
