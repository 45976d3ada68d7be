"""The quote-aware record scan: where each record of a decoded file begins, ends and is wrong.

Belongs here: cutting UTF-8 bytes into records and counting their cells, vectorised over blocks,
independently of the parser. Does not belong here: what a record means (structure) and turning
cells into values (parse).

A quote opens a quoted cell only at the cell's start and closes it only before a delimiter or a
line end; any other quote is a literal. Each run of quotes is therefore one of four maps over
{outside, inside}, and maps compose, so that the state of every byte follows without a loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Positions = NDArray[np.int64]
    Flags = NDArray[np.bool_]

BLOCK_BYTES = 1_000_000
"""Fits the processor's cache; larger blocks were slower."""
_LF, _CR, _SPACE = 10, 13, 32
_PADDING_STEPS = 8
"""Spaces tolerated between a delimiter and a quote."""


@dataclass(frozen=True)
class Marks:
    """The bytes that cut a file into cells; each is one byte."""

    delimiter: int
    quote: int | None
    escape: int | None = None


@dataclass(frozen=True)
class Cut:
    """The complete records of one block; positions count from the block's first byte.

    Attributes:
        starts: first byte of each record.
        ends: byte after the last content byte (before the line end).
        stops: byte after the line end.
        fields: cells in each record.
        lines: physical lines that each record covers.
        borders: positions of the delimiters and line ends that cut.
        delimiting: which of the borders are delimiters.
        doubled: quotes that are literals inside a quoted cell and were not doubled.
        escaped: bytes taken literally because an escape character stands before them.
        broken: records with quotes or escapes that no two readers agree upon.
        used: bytes that belong to complete records.
        inside_quote: whether the block ends inside a quoted cell.
        carriage_ends: records that end with CR LF.
        lone_carriage_ends: records that end with CR alone.
    """

    starts: "Positions"
    ends: "Positions"
    stops: "Positions"
    fields: "Positions"
    lines: "Positions"
    borders: "Positions"
    delimiting: "Flags"
    doubled: "Positions"
    escaped: "Positions"
    broken: "Flags"
    used: int
    inside_quote: bool
    carriage_ends: int
    lone_carriage_ends: int

    @cached_property
    def delimiters(self) -> "Positions":
        """Positions of the delimiters that cut cells."""
        return self.borders[self.delimiting]


@dataclass(frozen=True)
class _Special:
    """The bytes of a block that can cut: quotes, delimiters, line ends.

    Attributes:
        at: their positions.
        values: the bytes.
    """

    at: "Positions"
    values: "Bytes"


@dataclass(frozen=True)
class _Quotes:
    """Which special bytes lie inside quoted cells, and which quotes are odd."""

    inside: "Flags | None"
    doubled: "Positions"
    broken: "Positions"
    open_at_end: bool


def blocks(path: Path, marks: Marks, size: int = BLOCK_BYTES) -> Iterator[tuple[int, bytes, Cut]]:
    """Cut a file into blocks of complete records.

    Yields:
        The file offset of the block, its bytes and its records. A block without a complete
        record is yielded too (so that the caller can stop at a limit), then read on.
    """
    with path.open("rb") as stream:
        yield from _blocks_of(stream, marks, size)


def _blocks_of(stream: BinaryIO, marks: Marks, size: int) -> Iterator[tuple[int, bytes, Cut]]:
    offset, rest = 0, b""
    while True:
        fresh = stream.read(size)
        block = rest + fresh if rest else fresh
        final = len(fresh) < size
        if not block:
            return
        cut = cut_block(block, marks, final=final)
        yield offset, block, cut
        if final:
            return
        offset += cut.used
        rest = block[cut.used :]


def cut_block(block: bytes, marks: Marks, *, final: bool) -> Cut:
    """Cut the complete records out of ``block``; with ``final`` the last needs no line end."""
    import numpy as np

    buffer = np.frombuffer(block, dtype=np.uint8)
    escaped = _escaped(buffer, block, marks)
    special = _special(buffer, block, marks, escaped, final)
    quotes = _quoted(buffer, special, escaped, marks)
    cutting = special.values != marks.quote
    if quotes.inside is not None:
        cutting &= ~quotes.inside
    borders, values = special.at[cutting], special.values[cutting]
    line_ends = np.flatnonzero(values != marks.delimiter)
    last = borders[line_ends]
    counts = np.diff(line_ends, prepend=-1)
    lines = _lines_covered(special, cutting, escaped, buffer)
    if final and buffer.size and (not last.size or last[-1] + 1 < buffer.size):
        last = np.append(last, buffer.size)
        counts = np.append(counts, borders.size - counts.sum() + 1)
        lines = np.append(lines, _last_lines(special, escaped, buffer) - lines.sum())
    stops = np.minimum(last + 1, buffer.size)
    starts = np.concatenate((np.zeros(1, np.int64), stops[:-1])) if stops.size else stops
    carriages = _carriage_before(buffer, block, last, starts)
    return Cut(
        starts=starts,
        ends=last - carriages,
        stops=stops,
        fields=counts,
        lines=lines,
        borders=borders,
        delimiting=values == marks.delimiter,
        doubled=quotes.doubled,
        escaped=escaped,
        broken=holding(_broken(buffer, quotes, special, escaped, marks), stops),
        used=int(stops[-1]) if stops.size else 0,
        inside_quote=quotes.open_at_end,
        carriage_ends=int(carriages.sum()),
        lone_carriage_ends=_lone_carriages(buffer, block, last),
    )


def _special(
    buffer: "Bytes", block: bytes, marks: Marks, escaped: "Positions", final: bool
) -> _Special:
    """Find the bytes that can cut; of CR LF only the LF counts."""
    import numpy as np

    mask = buffer == _LF
    mask |= buffer == marks.delimiter
    if marks.quote is not None and bytes([marks.quote]) in block:
        mask |= buffer == marks.quote
    if b"\r" in block:
        lone = buffer == _CR
        lone[:-1] &= buffer[1:] != _LF
        # At the end of a block its LF may be the first byte of the next.
        lone[-1] &= final
        mask |= lone
    if escaped.size:
        mask[escaped] = False
    at = np.flatnonzero(mask)
    return _Special(at, buffer[at])


def _carriage_before(
    buffer: "Bytes", block: bytes, last: "Positions", starts: "Positions"
) -> "Positions":
    """1 where the line end at ``last`` is CR LF, else 0."""
    import numpy as np

    if b"\r\n" not in block:
        return np.zeros_like(last)
    within = np.minimum(last, buffer.size - 1)
    before = np.maximum(last - 1, 0)
    pair = (buffer[within] == _LF) & (last < buffer.size)
    pair &= (buffer[before] == _CR) & (last > starts)
    carriages: Positions = pair.astype(np.int64)
    return carriages


def _lone_carriages(buffer: "Bytes", block: bytes, last: "Positions") -> int:
    """How many of the line ends are a CR without LF."""
    import numpy as np

    if b"\r" not in block:
        return 0
    return int(np.count_nonzero(buffer[last[last < buffer.size]] == _CR))


def _broken(
    buffer: "Bytes", quotes: _Quotes, special: _Special, escaped: "Positions", marks: Marks
) -> "Positions":
    """Positions that make their record unreadable for the parser.

    Besides odd quotes these are escapes outside quotes that hide a delimiter or a line end.
    """
    import numpy as np

    if not escaped.size:
        return quotes.broken
    bare = escaped
    if quotes.inside is not None:
        before = np.searchsorted(special.at, escaped) - 1
        bare = escaped[~(quotes.inside[np.maximum(before, 0)] & (before >= 0))]
    hidden = bare[buffer[bare] != marks.escape]
    return np.concatenate((quotes.broken, hidden))


def _lines_covered(
    special: _Special, cutting: "Flags", escaped: "Positions", buffer: "Bytes"
) -> "Positions":
    """The number of physical lines of each record that has a line end."""
    import numpy as np

    is_end = (special.values == _LF) | (special.values == _CR)
    cuts = np.flatnonzero(is_end & cutting)
    if not escaped.size:
        if cuts.size == np.count_nonzero(is_end):
            return np.ones(cuts.size, np.int64)
        return np.diff(np.cumsum(is_end)[cuts], prepend=0)
    every = _every_line_end(special, escaped, buffer)
    return np.diff(np.searchsorted(every, special.at[cuts], side="right"), prepend=0)


def _last_lines(special: _Special, escaped: "Positions", buffer: "Bytes") -> int:
    """All physical lines of a final block; its last byte may be an inner line end."""
    every = _every_line_end(special, escaped, buffer)
    return int(every.size) + int(not every.size or every[-1] + 1 < buffer.size)


def _every_line_end(special: _Special, escaped: "Positions", buffer: "Bytes") -> "Positions":
    """Positions of all physical line ends, those behind an escape included."""
    import numpy as np

    plain = special.at[(special.values == _LF) | (special.values == _CR)]
    behind = buffer[np.minimum(escaped + 1, buffer.size - 1)]
    hidden = escaped[(buffer[escaped] == _LF) | ((buffer[escaped] == _CR) & (behind != _LF))]
    return np.sort(np.concatenate((plain, hidden))) if hidden.size else plain


def _escaped(buffer: "Bytes", block: bytes, marks: Marks) -> "Positions":
    """Positions of quotes, delimiters, escapes and line ends behind an active escape."""
    import numpy as np

    if marks.escape is None or marks.escape == marks.quote or bytes([marks.escape]) not in block:
        return np.zeros(0, np.int64)
    slashes = np.flatnonzero(buffer == marks.escape)
    order = np.arange(slashes.size)
    first = np.concatenate((np.ones(1, bool), np.diff(slashes) != 1))
    in_run = order - np.maximum.accumulate(np.where(first, order, 0))
    after = slashes[in_run % 2 == 0] + 1
    after = after[after < buffer.size]
    special = np.isin(buffer[after], [marks.escape, marks.delimiter, marks.quote or 34, _LF, _CR])
    hidden: Positions = after[special]
    return hidden


def _quoted(buffer: "Bytes", special: _Special, escaped: "Positions", marks: Marks) -> _Quotes:
    """Find the quoted cells."""
    import numpy as np

    none = np.zeros(0, np.int64)
    is_quote = special.values == marks.quote
    order = np.flatnonzero(is_quote)
    if not order.size:
        return _Quotes(None, none, none, False)
    quotes = special.at[order]
    # An escaped quote is no neighbour that a doubled quote could have.
    if not escaped.size and _is_regular(buffer, quotes, marks):
        inside = np.bitwise_xor.accumulate(is_quote.view(np.uint8)).view(bool)
        return _Quotes(inside, none, none, bool(inside[-1]))
    return _quoted_by_runs(buffer, special, order, quotes, marks)


def _is_regular(buffer: "Bytes", quotes: "Positions", marks: Marks) -> bool:
    """Whether every quote opens, closes or is doubled by the book, so that parity decides."""
    import numpy as np

    bookish = np.zeros(256, bool)
    bookish[[marks.delimiter, marks.quote or 0, _LF, _CR]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = bookish[buffer[opening - 1]] | (opening == 0)
    after = bookish[buffer[np.minimum(closing + 1, buffer.size - 1)]]
    after |= closing == buffer.size - 1
    return bool(before.all() and after.all())


def _quoted_by_runs(
    buffer: "Bytes", special: _Special, order: "Positions", quotes: "Positions", marks: Marks
) -> _Quotes:
    """Find the quoted cells from the runs of quotes, stray ones included."""
    import numpy as np

    fresh = np.flatnonzero(np.diff(quotes, prepend=-2) != 1)
    first = quotes[fresh]
    length = np.diff(fresh, append=quotes.size)
    opening = _borders(buffer, first - 1, -1, marks)
    closing = _borders(buffer, first + length, 1, marks)
    odd = length % 2 == 1
    after = _states(odd & opening & closing, odd & (opening ^ closing), opening)
    before = np.concatenate((np.zeros(1, bool), after[:-1]))
    toggles = np.zeros(special.at.size, np.uint8)
    toggles[order[fresh[before != after]]] = 1
    return _Quotes(
        inside=np.bitwise_xor.accumulate(toggles).view(bool),
        doubled=first[odd & before & after],
        broken=first[~odd & ~before & opening & ~closing],
        open_at_end=bool(after[-1]),
    )


def _states(swaps: "Flags", sets: "Flags", value: "Flags") -> "Flags":
    """Compose the maps: the state after each run, from outside before the first."""
    import numpy as np

    order = np.arange(1, swaps.size + 1)
    last_set = np.maximum.accumulate(np.where(sets, order, 0))
    swapped: Positions = np.concatenate((np.zeros(1, np.int64), np.cumsum(swaps)))
    base = np.concatenate((np.zeros(1, bool), value))[last_set]
    flips = (swapped[order] - swapped[last_set]) % 2 == 1
    states: Flags = base ^ flips
    return states


def _borders(buffer: "Bytes", at: "Positions", step: int, marks: Marks) -> "Flags":
    """Whether a cell's border lies at ``at``, looking past spaces in direction ``step``."""
    import numpy as np

    at = at.copy()
    for _ in range(_PADDING_STEPS if marks.delimiter != _SPACE else 0):
        in_range = (at >= 0) & (at < buffer.size)
        spaces = in_range & (buffer[np.clip(at, 0, buffer.size - 1)] == _SPACE)
        if not spaces.any():
            break
        at[spaces] += step
    outside = (at < 0) | (at >= buffer.size)
    there = buffer[np.clip(at, 0, buffer.size - 1)]
    borders: Flags = outside | (there == marks.delimiter) | (there == _LF) | (there == _CR)
    return borders


def holding(positions: "Positions", stops: "Positions") -> "Flags":
    """Which records, by their ``stops``, hold at least one of the positions."""
    import numpy as np

    held = np.zeros(stops.size, bool)
    owner = np.searchsorted(stops, positions, side="right")
    held[owner[owner < stops.size]] = True
    return held


def filled_bytes(
    block: bytes, marks: Marks, starts: "Positions", ends: "Positions", *, quotes_fill: bool
) -> "Positions":
    """How many bytes between ``starts`` and ``ends`` are more than blanks and delimiters."""
    import numpy as np

    buffer = np.frombuffer(block, np.uint8)
    filled = (buffer > 32) & (buffer != marks.delimiter)
    if marks.quote is not None and not quotes_fill:
        filled &= buffer != marks.quote
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(filled)))
    count: Positions = sums[ends] - sums[starts]
    return count


def without_quotes(raw: bytes, marks: Marks) -> bytes:
    """A record's bytes without quotes and outer blanks."""
    return raw.replace(bytes([marks.quote]), b"").strip() if marks.quote else raw.strip()
