"""What each record of a decoded file is: data, blank, header, title, too short, ...

Belongs here: the kinds, told by vectors over the blocks of the scan. Does not belong here: counting
them (survey) and the vocabulary itself (record_kinds).
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.record_kinds import ACCEPTED, REJECTED, Classified, Kind, Layout
from nika_pipelines.intake.record_scan import (
    Cut,
    Marks,
    blocks,
    filled_bytes,
    holding,
    without_quotes,
)
from nika_pipelines.intake.sections import mark_titles
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from nika_pipelines.intake.record_kinds import Kinds, Positions


def classify_file(
    path: Path, marks: Marks, layout: Layout, settings: Settings
) -> Iterator[Classified]:
    """Cut a decoded file into records and tell what each one is.

    Raises:
        UploadRejected: LINE_TOO_LONG, FIELD_TOO_LONG or UNCLOSED_QUOTE when a record never ends.
    """
    number, line = 0, 1
    for _, block, found in blocks(path, marks):
        check_time()
        cut = replace(found, lines=found.lines**0) if layout.records_are_lines else found
        if not cut.starts.size:
            _refuse_endless(block, cut, line, settings)
            continue
        kinds, ends = _kinds(block, cut, marks, layout, number, settings)
        if layout.undecodable:
            _mark_undecodable(cut, kinds, line, layout)
        yield Classified(block, cut, kinds, ends, number, line)
        number += cut.starts.size
        line += int(cut.lines.sum())


def _kinds(
    block: bytes, cut: Cut, marks: Marks, layout: Layout, first_number: int, settings: Settings
) -> "tuple[Kinds, Positions]":
    """Tell what each record of a block is, and where it ends without empty extra cells."""
    import numpy as np

    kinds = np.zeros(cut.starts.size, np.uint8)
    ends = cut.ends
    if (cut.fields != layout.width).any():
        kinds[cut.fields < layout.width] = Kind.SHORT
        ends = _trim(block, cut, kinds, marks, layout.width)
        kinds[(kinds >= Kind.SHORT) & (cut.lines > 1)] = Kind.QUOTE
    _mark_too_long(cut, kinds, settings.max_field_bytes)
    kinds[cut.broken] = Kind.QUOTE
    if cut.doubled.size:
        # A cell of several lines with a loose quote inside has swallowed its neighbours.
        kinds[(cut.lines > 1) & holding(cut.doubled, cut.stops)] = Kind.QUOTE
    if cut.inside_quote and cut.used == len(block):
        kinds[-1] = Kind.QUOTE
    _mark_repeated_header(block, cut, kinds, marks, layout)
    above = max(0, layout.preamble - first_number)
    kinds[:above] = Kind.PREAMBLE
    kinds[above : max(0, above + layout.header - max(0, first_number - layout.preamble))] = (
        Kind.HEADER
    )
    if layout.footer_from is not None:
        kinds[max(0, layout.footer_from - first_number) :] = Kind.FOOTER
    kinds[_blank(block, cut, marks)] = Kind.BLANK
    mark_titles(block, cut, kinds, marks, layout)
    return kinds, ends


def _mark_undecodable(cut: Cut, kinds: "Kinds", first_line: int, layout: Layout) -> None:
    """Mark the records with a line that is text in no encoding that fits."""
    import numpy as np

    lines = np.array(layout.undecodable, np.int64)
    behind = first_line + np.cumsum(cut.lines)
    held = np.searchsorted(lines, behind) > np.searchsorted(lines, behind - cut.lines)
    rows = np.isin(kinds, (*ACCEPTED, *REJECTED))
    kinds[held & rows] = Kind.ENCODING


def _trim(block: bytes, cut: Cut, kinds: "Kinds", marks: Marks, width: int) -> "Positions":
    """Mark long records; those whose extra cells are all empty end before them."""
    import numpy as np

    ends = cut.ends.copy()
    long = np.flatnonzero(cut.fields > width)
    if long.size:
        behind = np.searchsorted(cut.delimiters, cut.stops[long])
        first_extra = cut.delimiters[behind - (cut.fields[long] - width)]
        empty = filled_bytes(block, marks, first_extra, cut.ends[long], quotes_fill=False) == 0
        kinds[long] = np.where(empty, Kind.TRIMMED, Kind.LONG)
        ends[long[empty]] = first_extra[empty]
    return ends


def _mark_too_long(cut: Cut, kinds: "Kinds", limit: int) -> None:
    """Mark records with a cell over the limit; only long records are looked into."""
    import numpy as np

    for place in np.flatnonzero(cut.ends - cut.starts > limit).tolist():
        if longest_cell(cut, place)[1] > limit:
            kinds[place] = Kind.FIELD


def _mark_repeated_header(
    block: bytes, cut: Cut, kinds: "Kinds", marks: Marks, layout: Layout
) -> None:
    """Mark records that repeat the header, as in files that were appended to each other."""
    import numpy as np

    if not layout.header_cells:
        return
    buffer = np.frombuffer(block, np.uint8)
    length = cut.ends - cut.starts
    quote = marks.quote or 0
    first, last = buffer[np.minimum(cut.starts, buffer.size - 1)], buffer[cut.ends - 1]
    for wanted in dict.fromkeys(layout.header_cells):
        alike = (length >= len(wanted)) & (length <= len(wanted) + 2 * layout.width)
        alike &= (first == wanted[0]) | (first == quote)
        alike &= (last == wanted[-1]) | (last == quote)
        for place in np.flatnonzero(alike & (kinds == Kind.DATA)).tolist():
            raw = block[int(cut.starts[place]) : int(cut.ends[place])]
            if without_quotes(raw, marks) == wanted:
                kinds[place] = Kind.HEADER


def _blank(block: bytes, cut: Cut, marks: Marks) -> "Positions":
    """Records of nothing but white space and delimiters."""
    import numpy as np

    buffer = np.frombuffer(block, np.uint8)
    first = buffer[np.minimum(cut.starts, buffer.size - 1)]
    empty = cut.ends <= cut.starts
    open_start = (first <= 32) | (first == marks.delimiter)
    last = buffer[np.maximum(cut.ends - 1, 0)]
    open_end = (last <= 32) | (last == marks.delimiter)
    candidates = np.flatnonzero(open_start & open_end & ~empty)
    void = np.flatnonzero(empty)
    if candidates.size:
        starts, ends = cut.starts[candidates], cut.ends[candidates]
        count = filled_bytes(block, marks, starts, ends, quotes_fill=True)
        void = np.concatenate((void, candidates[count == 0]))
    return void


def longest_cell(cut: Cut, place: int) -> tuple[int, int]:
    """The 1-based place and the bytes of a record's longest cell."""
    import numpy as np

    start, end = int(cut.starts[place]), int(cut.ends[place])
    first, behind = np.searchsorted(cut.delimiters, [start, end])
    borders = np.concatenate(([start - 1], cut.delimiters[first:behind], [end]))
    lengths = np.diff(borders) - 1
    return int(lengths.argmax()) + 1, int(lengths.max())


def line_of_open_quote(block: bytes, cut: Cut, start: int, line: int) -> int:
    """The line of the cell that a record, which starts at ``start``, leaves open.

    A quote opens a cell at its start only: behind the record's last delimiter.
    """
    last = int(cut.delimiters[-1]) if cut.delimiters.size else start
    above = block[start : max(start, last)]
    return line + above.count(b"\n") + above.count(b"\r") - above.count(b"\r\n")


def _refuse_endless(block: bytes, cut: Cut, line: int, settings: Settings) -> None:
    """Refuse a record that is longer than a line may be."""
    if len(block) <= settings.max_line_bytes:
        return
    if cut.inside_quote and b"\n" in block:
        raise unclosed_quote(line_of_open_quote(block, cut, 0, line))
    raise line_too_long(len(block), line, settings)


def unclosed_quote(line: int, swallowed: int | None = None) -> UploadRejected:
    """The refusal of a file whose rest, ``swallowed`` lines if known, lies in one quoted cell."""
    lines = f" {swallowed:,} lines are read as one cell." if swallowed else ""
    return UploadRejected(
        "UNCLOSED_QUOTE",
        f"The quote that opens in line {line:,} is never closed.{lines}",
        {"line": line} | ({"lines_swallowed": swallowed} if swallowed else {}),
    )


def line_too_long(length: int, line: int, settings: Settings) -> UploadRejected:
    """The refusal of a record that is longer than a line may be."""
    return UploadRejected(
        "LINE_TOO_LONG",
        f"The record that begins in line {line:,} has at least {length:,} bytes; at most "
        f"{settings.max_line_bytes:,} are taken.",
        {"line": line, "detected": length, "limit": settings.max_line_bytes},
    )
