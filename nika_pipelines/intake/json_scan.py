"""Where the records of a JSON file begin and end, found without reading the file whole.

Belongs here: lines of JSON lines, elements of arrays, members of the outermost object. Does not
belong here: whether a record is sound JSON, which DuckDB's parser decides (`json_table`).

A document is marked block by block: quotes that are not escaped tell what is text, brackets outside
of texts tell the depth, commas at depth one part the records.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.gate import SUPPORTED
from nika_pipelines.intake.remedies import COPY_AGAIN
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_BYTES = 4_194_304
_SPACES = b" \t\r\n"
_QUOTE, _ESCAPE, _COMMA, _COLON = b'"\\,:'
_OPENING, _CLOSING = b"{[", b"}]"
_KEY_BYTES = 65_536
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))


@dataclass(frozen=True)
class Piece:
    """Some records that follow each other.

    Attributes:
        data: their JSON texts, end to end, with white space around them.
        offsets: where each begins in the data, and where the last one ends.
    """

    data: bytes
    offsets: "NDArray[np.int32]"


@dataclass(frozen=True)
class Member:
    """A member of the outermost object: its key, and the bytes of its value in the file."""

    key: str
    start: int
    end: int
    head: bytes

    @property
    def is_array(self) -> bool:
        """Whether the value is an array."""
        return self.head.startswith(b"[")

    @property
    def holds_records(self) -> bool:
        """Whether the value is an array that begins with an object."""
        return self.is_array and self.head[1:].lstrip(_SPACES).startswith(b"{")

    @property
    def is_nested(self) -> bool:
        """Whether the value is an array or object."""
        return self.head[:1] in (b"[", b"{")


@dataclass(frozen=True)
class Outline:
    """The outermost value of a document: an array, or an object with its members."""

    start: int
    end: int
    members: list[Member] | None = None


@dataclass
class _Marks:
    """Brackets, commas and colons outside of texts, with the depth they lie at."""

    places: "NDArray[np.int64]"
    codes: "NDArray[np.uint8]"
    depths: "NDArray[np.int64]"


@dataclass
class _Marker:
    """Marks a document block by block."""

    depth: int = 0
    in_text: bool = False
    escaped: bool = False
    _table: "NDArray[np.bool_] | None" = field(default=None, repr=False)

    def mark(self, block: bytes) -> _Marks:
        import numpy as np

        if self._table is None:
            self._table = np.zeros(256, bool)
            self._table[list(b'"\\{}[],:')] = True
        codes = np.frombuffer(block, np.uint8)
        places = np.flatnonzero(self._table[codes])
        places = self._without_escaped(places, codes)
        found = codes[places]
        quotes = np.cumsum(found == _QUOTE) + self.in_text
        self.in_text = bool(quotes[-1] & 1) if quotes.size else self.in_text
        outside = (quotes & 1 == 0) & (found != _QUOTE) & (found != _ESCAPE)
        places, found = places[outside], found[outside]
        opens, closes = np.isin(found, list(_OPENING)), np.isin(found, list(_CLOSING))
        after = self.depth + np.cumsum(opens.astype(np.int64) - closes)
        self.depth = int(after[-1]) if after.size else self.depth
        return _Marks(places, found, after - opens)

    def _without_escaped(
        self, places: "NDArray[np.int64]", codes: "NDArray[np.uint8]"
    ) -> "NDArray[np.int64]":
        """Leave out the characters behind an odd number of backslashes."""
        import numpy as np

        slashes = places[codes[places] == _ESCAPE]
        if not slashes.size and not self.escaped:
            return places
        if self.escaped:
            # One backslash before the block, in a place of its own.
            slashes = np.concatenate(([-1], slashes))
        first = np.flatnonzero(np.diff(slashes, prepend=-3) != 1)
        lengths = np.diff(np.append(first, slashes.size))
        ends = slashes[first + lengths - 1]
        behind = ends[lengths % 2 == 1] + 1
        self.escaped = bool(behind.size and behind[-1] == codes.size)
        return places[~np.isin(places, behind)]


def lines(path: Path, settings: Settings) -> Iterator[Piece]:
    """The lines of a file as records, blank ones included.

    Raises:
        UploadRejected: LINE_TOO_LONG.
    """
    import numpy as np

    rest, number = b"", 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            check_time()
            data = rest + block
            end = data.rfind(b"\n") + 1
            data, rest = data[:end], data[end:]
            if len(rest) > settings.max_line_bytes:
                raise _too_long(number + data.count(b"\n") + 1, "line", settings)
            if not data:
                continue
            ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10) + 1
            yield _piece(data, ends, number, "line", settings)
            number += ends.size
    if rest:
        yield _piece(rest, np.array([len(rest)]), number, "line", settings)


def elements(path: Path, start: int, end: int, settings: Settings) -> Iterator[Piece]:
    """The elements of an array, given the bytes from its opening to behind its closing bracket.

    Raises:
        UploadRejected: LINE_TOO_LONG.
    """
    import numpy as np

    marker, rest, number = _Marker(), b"", 0
    for block in _blocks(path, start + 1, end - 1):
        marks = marker.mark(block)
        parts = marks.places[(marks.codes == _COMMA) & (marks.depths == 0)] + len(rest)
        data = bytearray(rest + block)
        if not parts.size:
            rest = bytes(data)
        else:
            # A comma becomes the white space behind the record before it.
            np.frombuffer(data, np.uint8)[parts] = 32
            last = int(parts[-1]) + 1
            yield _piece(bytes(data[:last]), parts + 1, number, "record", settings)
            rest, number = bytes(data[last:]), number + parts.size
        if len(rest) > settings.max_line_bytes:
            raise _too_long(number + 1, "record", settings)
    if number or rest.strip(_SPACES):
        yield _piece(rest, np.array([len(rest)]), number, "record", settings)


def outline(path: Path, most_members: int) -> Outline:
    """The outermost value of a document.

    Raises:
        UploadRejected: UNSUPPORTED_FORMAT, when the document is broken, or is an object of more
            than ``most_members`` members.
    """
    marker, span = _Marker(), _Span(path)
    parts: list[int] = []
    colons: list[int] = []
    for block in _blocks(path, 0, path.stat().st_size):
        marks = marker.mark(block)
        base = span.read
        span.see(marks, block)
        if span.opening == _OPENING[0]:
            inner = marks.depths == 1
            parts += (base + marks.places[inner & (marks.codes == _COMMA)]).tolist()
            colons += (base + marks.places[inner & (marks.codes == _COLON)]).tolist()
            if len(colons) > most_members:
                raise no_table(f"an object of more than {most_members:,} members")
    if span.start is None or span.end is None:
        inside = "a text" if marker.in_text else "an array or object"
        broken(path, path.stat().st_size, f"the file ends inside {inside}")
    if span.opening != _OPENING[0]:
        return Outline(span.start, span.end)
    members = _members(path, [span.start, *parts, span.end - 1], colons)
    return Outline(span.start, span.end, members)


@dataclass
class _Span:
    """Where the outermost value begins and ends; nothing may follow it."""

    path: Path
    start: int | None = None
    opening: int | None = None
    end: int | None = None
    read: int = 0

    def see(self, marks: _Marks, block: bytes) -> None:
        """Look at the next block.

        Raises:
            UploadRejected: UNSUPPORTED_FORMAT.
        """
        outer = marks.depths == 0
        if self.end is not None and block.strip(_SPACES):
            _refuse_rest(self.path, self.end)
        if self.start is None and outer.any():
            self.start = self.read + int(marks.places[outer][0])
            self.opening = int(marks.codes[outer][0])
        closing = (marks.codes == _CLOSING[0]) | (marks.codes == _CLOSING[1])
        closed = marks.places[outer & closing]
        if self.end is None and closed.size:
            behind = int(closed[0]) + 1
            self.end = self.read + behind
            if block[behind:].strip(_SPACES):
                _refuse_rest(self.path, self.end)
        if (marks.depths < 0).any():
            place = int(marks.places[marks.depths < 0][0])
            broken(self.path, self.read + place, "there is a bracket too many")
        self.read += len(block)


def head_of(path: Path, start: int, end: int, most: int = 64) -> bytes:
    """The first bytes of a value, without the white space before it."""
    begin = _first_of(path, start, end)
    with path.open("rb") as stream:
        stream.seek(begin)
        return stream.read(min(most, end - begin))


def broken(path: Path, place: int, problem: str) -> NoReturn:
    """Refuse a document at a place in it.

    Raises:
        UploadRejected: UNSUPPORTED_FORMAT.
    """
    line = column = 1
    for block in _blocks(path, 0, place):
        breaks = block.count(b"\n")
        line += breaks
        last = block.rpartition(b"\n")[2]
        characters = len(last.translate(None, _CONTINUATION_BYTES))
        column = characters + 1 if breaks else column + characters
    raise UploadRejected(
        "UNSUPPORTED_FORMAT",
        f"The JSON document is broken in line {line:,}, column {column:,}: {problem}.",
        {"detected": "broken json", "line": line, "column": column, "supported_formats": SUPPORTED},
        f"{COPY_AGAIN} If it was written by hand, mend the named place.",
    )


def no_table(found: str) -> UploadRejected:
    """The refusal of sound JSON that is no table."""
    return UploadRejected(
        "UNSUPPORTED_FORMAT",
        f"The JSON document is {found}, not a table: a table is an array of records, an object of "
        "columns, or an object with one array of records in it.",
        {"detected": "json without a table", "supported_formats": SUPPORTED},
    )


def _members(path: Path, parts: list[int], colons: list[int]) -> list[Member]:
    """The members between the commas; each has one colon behind its key."""
    with path.open("rb") as stream:
        stream.seek(parts[0] + 1)
        if not colons and not stream.read(parts[-1] - parts[0] - 1).strip(_SPACES):
            return []
        if len(colons) != len(parts) - 1:
            broken(path, parts[0], "a member of the object has no key or no value")
        found = []
        for start, colon, end in zip(parts, colons, parts[1:], strict=False):
            if not start < colon < end or colon - start > _KEY_BYTES:
                broken(path, start, "a member of the object has no key")
            stream.seek(start + 1)
            try:
                key = json.loads(stream.read(colon - start - 1))
            except ValueError:
                broken(path, start + 1, "a key of the object is no text")
            if not isinstance(key, str):
                broken(path, start + 1, "a key of the object is no text")
            begin = _first_of(path, colon + 1, end)
            head = head_of(path, begin, end)
            found.append(Member(key, begin, _trimmed_end(path, begin, end), head))
    return found


def _first_of(path: Path, start: int, end: int) -> int:
    """The place of the first byte that is no white space."""
    for block in _blocks(path, start, end):
        rest = block.lstrip(_SPACES)
        if rest:
            return start + len(block) - len(rest)
        start += len(block)
    return end


def _trimmed_end(path: Path, start: int, end: int) -> int:
    """The end of a value without the white space behind it."""
    with path.open("rb") as stream:
        while end > start:
            begin = max(start, end - BLOCK_BYTES)
            stream.seek(begin)
            kept = len(stream.read(end - begin).rstrip(_SPACES))
            if kept:
                return begin + kept
            end = begin
    return start


def _refuse_rest(path: Path, end: int) -> NoReturn:
    size = path.stat().st_size
    place = _first_of(path, end, size)
    head = head_of(path, place, size, 20).decode("utf-8", "replace")
    broken(path, place, f"behind the document follows {head!r}")


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        while start < end:
            check_time()
            block = stream.read(min(BLOCK_BYTES, end - start))
            if not block:
                return
            start += len(block)
            yield block


def _piece(
    data: bytes, ends: "NDArray[np.int64]", number: int, what: str, settings: Settings
) -> Piece:
    import numpy as np

    offsets = np.concatenate(([0], ends))
    sizes = np.diff(offsets)
    if sizes.max() > settings.max_line_bytes:
        raise _too_long(number + int(sizes.argmax()) + 1, what, settings)
    return Piece(data, offsets.astype(np.int32))


def _too_long(number: int, what: str, settings: Settings) -> UploadRejected:
    place = f"in line {number:,}" if what == "line" else f"number {number:,}"
    return UploadRejected(
        "LINE_TOO_LONG",
        f"The record {place} has more than {settings.max_line_bytes:,} bytes.",
        {what: number, "limit": settings.max_line_bytes},
    )
