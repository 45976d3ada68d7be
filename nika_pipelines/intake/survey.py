"""The first pass over a decoded file: every record counted, apart from the parser.

Belongs here: the counts that close the row balance, what a refusal tells about the whole file, and
the refusals that need counts. Does not belong here: what a record is (classify), cell values.
"""

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from nika_pipelines.intake.classify import (
    classify_file,
    line_of_open_quote,
    line_too_long,
    longest_cell,
)
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.record_kinds import (
    ACCEPTED,
    REJECTED,
    TAIL_RECORDS,
    Classified,
    Kind,
    Layout,
)
from nika_pipelines.intake.record_scan import Marks
from nika_pipelines.settings import Settings

BAD_RECORDS = 3
"""Rejected records of each kind that a refusal names."""


@dataclass(frozen=True)
class TailRecord:
    """One of the last records that are not blank."""

    number: int
    kind: Kind
    line: int
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

    ``first_accepted_line`` is the line of the first row (0 while there is none), ``open_line`` where a quote opens that is never closed, ``other_table_line`` where another
    table begins, ``other_run_line`` where the longest run of other records does. ``title_lines`` are
    the first titles of sections that stand between the rows.
    """

    records: list[int] = field(default_factory=lambda: [0] * len(Kind))
    lines: list[int] = field(default_factory=lambda: [0] * len(Kind))
    physical_lines: int = 0
    longest: int = 0
    lines_above_data: int = 0
    first_accepted_line: int = 0
    irregular: bool = False
    carriage_ends: int = 0
    lone_carriage_ends: int = 0
    open_lines: int = 0
    open_line: int = 0
    other_table_line: int | None = None
    longest_other_run: int = 0
    other_run_line: int = 0
    title_lines: list[int] = field(default_factory=list)
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


def survey_file(path: Path, marks: Marks, layout: Layout, settings: Settings) -> Survey:
    """Count the records of a decoded file by kind.

    Raises:
        UploadRejected: TOO_MANY_ROWS, LINE_TOO_LONG, FIELD_TOO_LONG or UNCLOSED_QUOTE.
    """
    survey = Survey(tail=deque(maxlen=layout.tail_records))
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
            raise line_too_long(survey.longest, int(piece.line_numbers()[place]), settings)
    return survey


def recount_footer(survey: Survey, first: TailRecord) -> None:
    """Move the last records from ``first`` on to the footer, and forget their faults."""
    for record in survey.tail:
        if record.number >= first.number:
            survey.records[record.kind] -= 1
            survey.lines[record.kind] -= record.lines
            survey.records[Kind.FOOTER] += 1
            survey.lines[Kind.FOOTER] += record.lines
    if survey.other_table_line is not None and survey.other_table_line >= first.line:
        survey.other_table_line = None
    if survey.other_run_line >= first.line:
        survey.longest_other_run = 0
    for kind, found in survey.first_bad.items():
        survey.first_bad[kind] = [bad for bad in found if bad.line < first.line]


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
    _remember_first(survey, piece)
    _remember_titles(survey, piece, above)
    if survey.other_table_line is None:
        survey.other_table_line = _starts_another_table(piece, blank_before)
    run, line = _longest_other_run(piece)
    if run > survey.longest_other_run:
        survey.longest_other_run, survey.other_run_line = run, line
    if cut.inside_quote and cut.used == len(piece.block):
        survey.open_lines = int(cut.lines[-1])
        first = int(piece.line_numbers()[-1])
        survey.open_line = line_of_open_quote(piece.block, cut, int(cut.starts[-1]), first)
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


def _remember_first(survey: Survey, piece: Classified) -> None:
    """Keep the line of the first row of the table."""
    import numpy as np

    if not survey.first_accepted_line:
        accepted = np.isin(piece.kinds, ACCEPTED)
        if accepted.any():
            survey.first_accepted_line = int(piece.line_numbers()[accepted.argmax()])


def _remember_bad(survey: Survey, piece: Classified) -> None:
    """Keep the first rejected records of each kind, for the refusal's message."""
    import numpy as np

    for kind in REJECTED:
        kept = survey.first_bad.setdefault(kind, [])
        missing = BAD_RECORDS - len(kept)
        for place in np.flatnonzero(piece.kinds == kind)[: max(0, missing)].tolist():
            line = int(piece.line_numbers()[place])
            kept.append(
                BadRecord(line, int(piece.cut.fields[place]), *longest_cell(piece.cut, place))
            )


def _remember_titles(survey: Survey, piece: Classified, above: int) -> None:
    """Keep the first lines that are preamble though they stand below the header."""
    import numpy as np

    missing = BAD_RECORDS - len(survey.title_lines)
    if missing <= 0:
        return
    for place in np.flatnonzero(piece.kinds[above:] == Kind.PREAMBLE)[:missing].tolist():
        survey.title_lines.append(int(piece.line_numbers()[above + place]))


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

    filled = np.flatnonzero(piece.kinds != Kind.BLANK)[-(survey.tail.maxlen or TAIL_RECORDS) :]
    lines = piece.line_numbers()
    for place in filled.tolist():
        start, end = int(piece.cut.starts[place]), int(piece.ends[place])
        blank = bool(piece.kinds[place - 1] == Kind.BLANK) if place else blank_before
        survey.tail.append(
            TailRecord(
                number=piece.first_number + place,
                kind=Kind(int(piece.kinds[place])),
                line=int(lines[place]),
                lines=int(piece.cut.lines[place]),
                raw=piece.block[start : min(end, start + 65_536)],
                after_blank=blank,
            )
        )
