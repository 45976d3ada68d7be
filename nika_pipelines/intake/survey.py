"""The first pass over a decoded file: what every record is, counted apart from the parser.

Belongs here: the kind of each record (data, blank, header, too short, ...), the counts that close
the row balance, and the refusals that need the whole file. Does not belong here: cell values.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.record_scan import Cut, Marks, blocks, holding
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Kinds = NDArray[np.uint8]
    Positions = NDArray[np.int64]

TAIL_RECORDS = 12
BAD_RECORDS = 3
"""Rejected records of each kind that a refusal names."""


class Kind(IntEnum):
    """What a record is."""

    DATA = 0
    TRIMMED = 1
    BLANK = 2
    PREAMBLE = 3
    HEADER = 4
    FOOTER = 5
    SHORT = 6
    LONG = 7
    FIELD = 8
    QUOTE = 9


ACCEPTED = (Kind.DATA, Kind.TRIMMED)
REJECTED = (Kind.SHORT, Kind.LONG, Kind.FIELD, Kind.QUOTE)


@dataclass(frozen=True)
class Layout:
    """Where the table lies in the records of a file.

    Attributes:
        preamble: records above the header.
        header: records of the header.
        width: cells of a data record.
        header_cells: the bytes of a one-record header without quotes, to find repetitions.
        footer_from: record number from which all records are footer.
        records_are_lines: whether lines are counted by records, as in the sheet of a workbook.
    """

    preamble: int
    header: int
    width: int
    header_cells: bytes | None = None
    footer_from: int | None = None
    records_are_lines: bool = False


@dataclass(frozen=True)
class TailRecord:
    """One of the last records that are not blank."""

    number: int
    kind: Kind
    lines: int
    raw: bytes
    after_blank: bool


@dataclass(frozen=True)
class BadRecord:
    """A rejected record: its line, its number of cells, and its longest cell with its bytes."""

    line: int
    fields: int
    longest_cell: int
    cell_bytes: int


@dataclass
class Survey:
    """The counts of one pass; positions in the lists are values of `Kind`.

    ``open_line`` is where a quote opens that is never closed, ``other_table_line`` where another
    table begins, ``other_run_line`` where the longest run of other records does.
    """

    records: list[int] = field(default_factory=lambda: [0] * len(Kind))
    lines: list[int] = field(default_factory=lambda: [0] * len(Kind))
    physical_lines: int = 0
    longest: int = 0
    lines_above_data: int = 0
    irregular: bool = False
    carriage_ends: int = 0
    lone_carriage_ends: int = 0
    open_lines: int = 0
    open_line: int = 0
    other_table_line: int | None = None
    longest_other_run: int = 0
    other_run_line: int = 0
    first_bad: dict[Kind, list[BadRecord]] = field(default_factory=dict)
    tail: deque[TailRecord] = field(default_factory=lambda: deque(maxlen=TAIL_RECORDS))

    @property
    def total(self) -> int:
        """All records."""
        return sum(self.records)

    @property
    def accepted(self) -> int:
        """Records that are rows of the table."""
        return sum(self.records[kind] for kind in ACCEPTED)

    @property
    def rejected(self) -> int:
        """Records that are not, through a fault of their own."""
        return sum(self.records[kind] for kind in REJECTED)

    @property
    def rejected_lines(self) -> int:
        """Physical lines of the rejected records."""
        return sum(self.lines[kind] for kind in REJECTED)


@dataclass(frozen=True)
class Classified:
    """The records of one block with their kinds; `ends` leave out trimmed cells."""

    block: bytes
    cut: Cut
    kinds: "Kinds"
    ends: "Positions"
    first_number: int
    first_line: int

    def line_numbers(self) -> "Positions":
        """The 1-based physical line of each record's first byte."""
        import numpy as np

        numbers: Positions = np.cumsum(self.cut.lines) - self.cut.lines + self.first_line
        return numbers


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
        yield Classified(block, cut, kinds, ends, number, line)
        number += cut.starts.size
        line += int(cut.lines.sum())


def survey_file(path: Path, marks: Marks, layout: Layout, settings: Settings) -> Survey:
    """Count the records of a decoded file by kind.

    Raises:
        UploadRejected: TOO_MANY_ROWS, LINE_TOO_LONG, FIELD_TOO_LONG or UNCLOSED_QUOTE.
    """
    survey = Survey()
    blank_before = False
    for piece in classify_file(path, marks, layout, settings):
        blank_before = _count(survey, piece, layout, blank_before)
        if survey.accepted > settings.max_rows:
            raise UploadRejected(
                "TOO_MANY_ROWS",
                f"The table has more than {settings.max_rows:,} rows.",
                {"detected": survey.accepted, "limit": settings.max_rows},
            )
        if survey.longest > settings.max_line_bytes:
            place = int((piece.cut.stops - piece.cut.starts).argmax())
            raise _line_too_long(survey.longest, int(piece.line_numbers()[place]), settings)
    return survey


def recount_footer(survey: Survey, footer_from: int) -> None:
    """Move the last records from ``footer_from`` on to the footer."""
    for record in survey.tail:
        if record.number >= footer_from:
            survey.records[record.kind] -= 1
            survey.lines[record.kind] -= record.lines
            survey.records[Kind.FOOTER] += 1
            survey.lines[Kind.FOOTER] += record.lines


def _count(survey: Survey, piece: Classified, layout: Layout, blank_before: bool) -> bool:
    """Add one block to the counts; returns whether its last record is blank."""
    import numpy as np

    cut, kinds = piece.cut, piece.kinds
    lines_by_kind = np.bincount(kinds, weights=cut.lines, minlength=len(Kind))
    for kind, count in enumerate(np.bincount(kinds, minlength=len(Kind)).tolist()):
        survey.records[kind] += count
        survey.lines[kind] += int(lines_by_kind[kind])
    survey.physical_lines += (
        cut.starts.size if layout.records_are_lines else _physical_lines(piece.block, cut.used)
    )
    survey.longest = max(survey.longest, int((cut.stops - cut.starts).max()))
    survey.carriage_ends += cut.carriage_ends
    survey.lone_carriage_ends += cut.lone_carriage_ends
    data_from = layout.preamble + layout.header
    above = max(0, data_from - piece.first_number)
    survey.lines_above_data += int(cut.lines[:above].sum())
    survey.irregular |= _irregular(piece, above)
    if survey.other_table_line is None:
        survey.other_table_line = _starts_another_table(piece, blank_before)
    run, line = _longest_other_run(piece)
    if run > survey.longest_other_run:
        survey.longest_other_run, survey.other_run_line = run, line
    if cut.inside_quote and cut.used == len(piece.block):
        survey.open_lines = int(cut.lines[-1])
        first = int(piece.line_numbers()[-1])
        survey.open_line = _line_of_open_quote(piece.block, cut, int(cut.starts[-1]), first)
    _remember_bad(survey, piece)
    _remember_tail(survey, piece, blank_before)
    return bool(kinds[-1] == Kind.BLANK)


def _physical_lines(block: bytes, used: int) -> int:
    """Line ends counted without the scan: LF, CR LF and CR."""
    count = block.count(b"\n", 0, used)
    if b"\r" in block:
        count += block.count(b"\r", 0, used) - block.count(b"\r\n", 0, used)
    return count + (used == len(block) and not block.endswith((b"\n", b"\r")))


def _irregular(piece: Classified, above: int) -> bool:
    """Whether the parser needs a cleaned copy instead of the file as it is."""
    import numpy as np

    cut = piece.cut
    if cut.doubled.size or cut.escaped.size or (cut.lines > 1).any():
        return True
    if (piece.kinds[:above] == Kind.BLANK).any():
        return True
    plain = np.flatnonzero(piece.kinds[above:] == Kind.DATA)
    return bool(plain.size != cut.starts.size - above)


def _line_of_open_quote(block: bytes, cut: Cut, start: int, line: int) -> int:
    """The line of the cell that a record, which starts at ``start``, leaves open.

    A quote opens a cell at its start only: behind the record's last delimiter.
    """
    last = int(cut.delimiters[-1]) if cut.delimiters.size else start
    above = block[start : max(start, last)]
    return line + above.count(b"\n") + above.count(b"\r") - above.count(b"\r\n")


def _remember_bad(survey: Survey, piece: Classified) -> None:
    """Keep the first rejected records of each kind, for the refusal's message."""
    import numpy as np

    for kind in REJECTED:
        kept = survey.first_bad.setdefault(kind, [])
        missing = BAD_RECORDS - len(kept)
        for place in np.flatnonzero(piece.kinds == kind)[: max(0, missing)].tolist():
            line = int(piece.line_numbers()[place])
            kept.append(BadRecord(line, int(piece.cut.fields[place]), *_longest(piece.cut, place)))


def _longest(cut: Cut, place: int) -> tuple[int, int]:
    """The 1-based place and the bytes of a record's longest cell."""
    import numpy as np

    start, end = int(cut.starts[place]), int(cut.ends[place])
    first, behind = np.searchsorted(cut.delimiters, [start, end])
    borders = np.concatenate(([start - 1], cut.delimiters[first:behind], [end]))
    lengths = np.diff(borders) - 1
    return int(lengths.argmax()) + 1, int(lengths.max())


def _starts_another_table(piece: Classified, blank_before: bool) -> int | None:
    """The line where, below a blank one, records begin that agree on another number of cells."""
    import numpy as np

    wrong = (piece.kinds == Kind.SHORT) | (piece.kinds == Kind.LONG)
    if not wrong.any():
        return None
    blank = piece.kinds == Kind.BLANK
    after_blank = np.concatenate((np.array([blank_before]), blank[:-1]))
    fields = piece.cut.fields
    heads = np.flatnonzero(wrong & after_blank & (fields > 1))
    heads = heads[heads + 1 < fields.size]
    begins = heads[wrong[heads + 1] & (fields[heads + 1] == fields[heads])]
    return int(piece.line_numbers()[begins[0]]) if begins.size else None


def _longest_other_run(piece: Classified) -> tuple[int, int]:
    """The most records in a row that agree on the same wrong number of cells, and their line."""
    import numpy as np

    wrong = (piece.kinds == Kind.SHORT) | (piece.kinds == Kind.LONG)
    if not wrong.any():
        return 0, 0
    filled = piece.kinds != Kind.BLANK
    fields = np.where(wrong, piece.cut.fields, 0)[filled]
    begins = np.flatnonzero(np.diff(fields, prepend=-1))
    lengths = np.diff(begins, append=fields.size) * (fields[begins] > 1)
    longest = int(lengths.argmax())
    return int(lengths[longest]), int(piece.line_numbers()[filled][begins[longest]])


def _remember_tail(survey: Survey, piece: Classified, blank_before: bool) -> None:
    import numpy as np

    filled = np.flatnonzero(piece.kinds != Kind.BLANK)[-TAIL_RECORDS:]
    for place in filled.tolist():
        start, end = int(piece.cut.starts[place]), int(piece.ends[place])
        blank = bool(piece.kinds[place - 1] == Kind.BLANK) if place else blank_before
        survey.tail.append(
            TailRecord(
                number=piece.first_number + place,
                kind=Kind(int(piece.kinds[place])),
                lines=int(piece.cut.lines[place]),
                raw=piece.block[start : min(end, start + 65_536)],
                after_blank=blank,
            )
        )


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
    return kinds, ends


def _trim(block: bytes, cut: Cut, kinds: "Kinds", marks: Marks, width: int) -> "Positions":
    """Mark long records; those whose extra cells are all empty end before them."""
    import numpy as np

    ends = cut.ends.copy()
    long = np.flatnonzero(cut.fields > width)
    if long.size:
        behind = np.searchsorted(cut.delimiters, cut.stops[long])
        first_extra = cut.delimiters[behind - (cut.fields[long] - width)]
        empty = _filled_bytes(block, marks, first_extra, cut.ends[long], quotes_fill=False) == 0
        kinds[long] = np.where(empty, Kind.TRIMMED, Kind.LONG)
        ends[long[empty]] = first_extra[empty]
    return ends


def _filled_bytes(
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


def _mark_too_long(cut: Cut, kinds: "Kinds", limit: int) -> None:
    """Mark records with a cell over the limit; only long records are looked into."""
    import numpy as np

    for place in np.flatnonzero(cut.ends - cut.starts > limit).tolist():
        if _longest(cut, place)[1] > limit:
            kinds[place] = Kind.FIELD


def _mark_repeated_header(
    block: bytes, cut: Cut, kinds: "Kinds", marks: Marks, layout: Layout
) -> None:
    """Mark records that repeat the header, as in files that were appended to each other."""
    import numpy as np

    wanted = layout.header_cells
    if not wanted:
        return
    buffer = np.frombuffer(block, np.uint8)
    length = cut.ends - cut.starts
    quote = marks.quote or 0
    first, last = buffer[np.minimum(cut.starts, buffer.size - 1)], buffer[cut.ends - 1]
    alike = (length >= len(wanted)) & (length <= len(wanted) + 2 * layout.width)
    alike &= (first == wanted[0]) | (first == quote)
    alike &= (last == wanted[-1]) | (last == quote)
    for place in np.flatnonzero(alike & (kinds == Kind.DATA)).tolist():
        raw = block[int(cut.starts[place]) : int(cut.ends[place])]
        if without_quotes(raw, marks) == wanted:
            kinds[place] = Kind.HEADER


def without_quotes(raw: bytes, marks: Marks) -> bytes:
    """A record's bytes without quotes and outer blanks."""
    return raw.replace(bytes([marks.quote]), b"").strip() if marks.quote else raw.strip()


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
        count = _filled_bytes(block, marks, starts, ends, quotes_fill=True)
        void = np.concatenate((void, candidates[count == 0]))
    return void


def _refuse_endless(block: bytes, cut: Cut, line: int, settings: Settings) -> None:
    """Refuse a record that is longer than a line may be."""
    if len(block) <= settings.max_line_bytes:
        return
    if cut.inside_quote and b"\n" in block:
        raise unclosed_quote(_line_of_open_quote(block, cut, 0, line))
    raise _line_too_long(len(block), line, settings)


def unclosed_quote(line: int, swallowed: int | None = None) -> UploadRejected:
    """The refusal of a file whose rest, ``swallowed`` lines if known, lies in one quoted cell."""
    lines = f" {swallowed:,} lines are read as one cell." if swallowed else ""
    return UploadRejected(
        "UNCLOSED_QUOTE",
        f"The quote that opens in line {line:,} is never closed.{lines}",
        {"line": line} | ({"lines_swallowed": swallowed} if swallowed else {}),
    )


def _line_too_long(length: int, line: int, settings: Settings) -> UploadRejected:
    return UploadRejected(
        "LINE_TOO_LONG",
        f"The record that begins in line {line:,} has at least {length:,} bytes; at most "
        f"{settings.max_line_bytes:,} are taken.",
        {"line": line, "detected": length, "limit": settings.max_line_bytes},
    )
