"""What the first records of a table are: preamble, header, names.

Belongs here: what is inferred from the first records as lists of cells, for text and workbooks alike.
Does not belong here: cutting bytes into records (record_scan), the last records (footer) and types
of columns.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

from nika_pipelines.intake.codes import UploadRejected, WarningCode
from nika_pipelines.intake.dialect import TYPED_CELL
from nika_pipelines.intake.header_rows import (
    are_years_as_names,
    has_words_over_values,
    is_unit_row,
    rows_of_groups_and_names,
)
from nika_pipelines.intake.masking import masked_text
from nika_pipelines.intake.preamble import block_above, header_above, skip_padded_notes
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import LINE_COLUMN, IntakeWarning
from nika_pipelines.settings import Settings

Record = Sequence[str]
_MAX_HEADER_ROWS = 3
_BODY_SAMPLE = 100


@dataclass(frozen=True)
class Structure:
    """The shape of a table, in records from the top of the file (blank ones included).

    Attributes:
        preamble: records above the header (blank ones among them included).
        header: records of the header (blank ones among them included); 0 when the names were
            generated.
        width: cells of a data record.
        names: final names, unique without regard to case; more than `width` when the rows leave
            out their last cells.
        source_names: the header as written.
        warnings: renamed columns, doubtful headers.
        dropped_last: whether last columns without name and value were left out.
        doubt: why a person should look at the header, if so.
        remedy: the line of a sidecar that would read the header the other way.
        header_rows: the rows of the header, blank ones not counted.
        header_cells: cells of the last of them as it was written; 0 without a header.
    """

    preamble: int
    header: int
    width: int
    names: list[str]
    source_names: list[str]
    warnings: list[IntakeWarning] = field(default_factory=list)
    dropped_last: bool = False
    doubt: str | None = None
    remedy: str | None = None
    header_rows: int = 0
    header_cells: int = 0


@dataclass(frozen=True)
class _Head:
    """How many of the first rows are header, with a doubt in words and its remedy."""

    rows: int
    doubt: str | None = None
    remedy: str | None = None


def infer_structure(
    records: list[Record],
    settings: Settings,
    *,
    whole: bool = True,
    keep_empty_last: bool = False,
    options: ReadingOptions = NOTHING_SAID,
) -> Structure:
    """Infer where the table begins and what its columns are called.

    Args:
        records: the first records as cells; blank records are empty lists.
        settings: the limits in force.
        whole: whether these are all records.
        keep_empty_last: keep last columns that have neither name nor value in these records.
        options: preamble and header, where a person said how many rows they have.

    Raises:
        UploadRejected: TOO_MANY_COLUMNS, NO_DATA_ROWS when there is nothing but a header, or
            MULTIPLE_TABLES when another table stands above.
    """
    told = options.preamble_rows
    width = modal_width(records[told or 0 :])
    if width > settings.max_columns:
        raise UploadRejected(
            "TOO_MANY_COLUMNS",
            f"The table has {width:,} columns; at most {settings.max_columns:,} are taken.",
            {"detected": width, "limit": settings.max_columns},
        )
    if told is None:
        first, rows = _table_rows(records, width, settings.max_preamble_rows)
        warnings = _told_above(records, first)
    else:
        first, rows = _rows_from(records, width, told)
        warnings = []
    if options.header_rows is None:
        head = _header_rows(rows, _line_of(records, first), whole=whole)
        span = head.rows
    else:
        head = _Head(options.header_rows)
        span = _told_span(rows, options.header_rows, whole=whole)
    found = _named(first, rows, span, width, head, settings, keep_empty_last=keep_empty_last)
    header = filter(_is_filled, records[first : first + span])
    cells = max(map(len, header), default=0)
    doubt = found.doubt
    if 0 < cells < found.width:
        doubt = doubt or (
            f"The header has {cells} {'cell' if cells == 1 else 'cells'}, the rows have "
            f"{found.width}: names may stand above the wrong columns, or commas in numbers or texts "
            "are not in quotes."
        )
    warnings += found.warnings
    return replace(found, warnings=warnings, header_cells=cells, doubt=doubt)


def _told_above(records: list[Record], first: int) -> list[IntakeWarning]:
    """What is to be told of the rows above the table.

    Raises:
        UploadRejected: MULTIPLE_TABLES, when they are a table of their own.
    """
    block = block_above(records[:first])
    if block is None:
        return []
    start, end = _line_of(records, block.first), _line_of(records, block.last + 1) - 1
    below = _line_of(records, first)
    lines = f"Lines {start:,} to {end:,}, above the table that begins in line {below:,},"
    if block.is_certain:
        raise UploadRejected(
            "MULTIPLE_TABLES",
            f"{lines} are a table of {block.columns:,} columns of their own. To leave them out, "
            f"write `preamble_rows: {first}` into the sidecar `<file>.nika.yaml`.",
            {"line": start, "table_line": below, "preamble_rows": first},
        )
    text = (
        f"{lines} were left out as notes of a name and a value each. If they are a table of their "
        "own, put it into a file of its own."
    )
    return [IntakeWarning(WarningCode.HEADER_UNSURE, text)]


def _line_of(records: list[Record], place: int) -> int:
    """The line that a record begins in; cells may hold line ends."""
    return place + 1 + sum(cell.count("\n") for record in records[:place] for cell in record)


def _named(
    first: int,
    rows: list[list[str]],
    span: int,
    width: int,
    head: _Head,
    settings: Settings,
    *,
    keep_empty_last: bool,
) -> Structure:
    """Name the columns by the header."""
    source_names = _joined_header(list(filter(_is_filled, rows[:span])), width)
    width = min(width, len(source_names))
    full = width
    if not keep_empty_last and len(source_names) == width:
        width = _without_empty_last(rows[span:], source_names, width)
        source_names = source_names[:width]
    names, renamed = unique_names(source_names, settings.max_header_characters)
    doubt, remedy = head.doubt, head.remedy
    if len(names) > width:
        doubt = f"The header has {len(names)} names, the rows have {width} cells."
        remedy = None
    warnings = rename_warnings(renamed if span else [])
    dropped = width < full
    return Structure(
        first, span, width, names, source_names, warnings, dropped, doubt, remedy, head.rows
    )


def modal_width(records: Sequence[Record]) -> int:
    """The most frequent number of cells; on a tie one above 1, then the first in the file."""
    widths = Counter(len(record) for record in records if any(cell.strip() for cell in record))
    if not widths:
        return 1
    # A Counter keeps the order of the file, and max() takes the first of equals.
    return max(widths.items(), key=lambda item: (item[1], item[0] > 1))[0]


def unique_names(source_names: list[str], longest: int) -> tuple[list[str], list[str]]:
    """Final column names; the second list describes each change, for people.

    Empty names become ``column_<n>``, repeated ones get ``_2``, ``_3``, ..., long ones are cut.
    """
    names: list[str] = []
    changes: list[str] = []
    taken = {LINE_COLUMN.casefold()}
    counts: Counter[str] = Counter()
    for place, source in enumerate(source_names, start=1):
        wanted = re.sub(r"[\x00-\x1f\x7f\s]+", " ", source).strip()[:longest].rstrip()
        base = name = wanted or f"column_{place}"
        while name.casefold() in taken:
            counts[base.casefold()] += 1
            ending = f"_{counts[base.casefold()] + 1}"
            name = base[: longest - len(ending)] + ending
        taken.add(name.casefold())
        names.append(name)
        if name != wanted or len(source.strip()) > longest:
            changes.append(f"{place}: {name[:60]!r}")
    return names, changes


def rename_warnings(changes: Sequence[str]) -> list[IntakeWarning]:
    """What is to be told of the changes that `unique_names` describes."""
    if not changes:
        return []
    text = f"Columns got other names: {', '.join(changes[:10])}."
    return [IntakeWarning(WarningCode.RENAMED_COLUMNS, text)]


def is_typed(cell: str) -> bool:
    """Whether a cell is a number, a date, a time or a truth value."""
    return TYPED_CELL.fullmatch(cell.strip()) is not None


def _table_rows(records: list[Record], width: int, most: int) -> tuple[int, list[list[str]]]:
    """The first record of the table, and the records from there on, cut to the table's width."""
    first = skip_padded_notes(records, _first_row(records, width, most), most)
    first = header_above(records, first, width)
    rows = [_fitted(record, width) for record in records[first:]]
    headed = _with_odd_header(records[first - 1], rows, width) if first else None
    return (first - 1, headed) if headed else (first, rows)


def _rows_from(records: list[Record], width: int, told: int) -> tuple[int, list[list[str]]]:
    """The same from a told record on; blank ones there belong to the preamble."""
    filled = (place for place in range(told, len(records)) if _is_filled(records[place]))
    first = next(filled, None)
    if first is None:
        raise UploadRejected(
            "NO_DATA_ROWS",
            f"The preamble was said to have {told:,} rows; no row was found below it.",
            {"preamble_rows": told},
        )
    below = [_fitted(record, width) for record in records[first + 1 :]]
    headed = _with_odd_header(records[first], below, width)
    return first, headed or [_fitted(records[first], width), *below]


def _with_odd_header(above: Record, rows: list[list[str]], width: int) -> list[list[str]] | None:
    """The rows below a header of another number of cells; null when ``above`` is none.

    A header may have one cell less when the rows begin with a name or end with a delimiter, and
    more when the rows leave out their last cells.
    """
    above = [cell.strip() for cell in above]
    if len(above) < 2 or not all(above) or any(is_typed(cell) for cell in above):
        return None
    if len(above) not in (width, width + 1, width - 1) and len(above) <= width:
        return None
    if len(above) == width or _evidence(rows, 1) > 0:
        return None
    if len(above) > width:
        return [above, *rows]
    if all(not row[-1].strip() for row in rows if row):
        return [above, *(row[:-1] for row in rows)]
    return [["", *above], *rows]


def _first_row(records: list[Record], width: int, most: int) -> int:
    """The first record of the modal width that is filled enough to belong to the table."""
    for place, record in enumerate(records[: most + 1]):
        filled = sum(1 for cell in record[:width] if cell.strip())
        fits = len(record) >= width and not any(cell.strip() for cell in record[width:])
        if fits and filled >= min(2, width) and not _is_comment(records, place, width):
            return place
    for place, record in enumerate(records):
        if len(record) == width and any(cell.strip() for cell in record):
            return place if place <= most else 0
    return 0


def _is_comment(records: list[Record], place: int, width: int) -> bool:
    """A line that starts with ``#`` above lines that do not, unless it heads them."""
    if not _starts_with_hash(records[place]):
        return False
    if sum(map(_starts_with_hash, records)) >= 0.5 * len(records):
        return False
    below = [_fitted(record, width) for record in records[place + 1 :]]
    heads = bool(below) and not _starts_with_hash(below[0]) and len(records[place]) == width
    return not (heads and _evidence([records[place], *below], 1) > 0 >= _evidence(below, 1))


def _is_filled(row: Record) -> bool:
    return any(cell.strip() for cell in row)


def _starts_with_hash(record: Record) -> bool:
    return bool(record) and record[0].startswith("#")


def _fitted(record: Record, width: int) -> list[str]:
    return [*record[:width], *[""] * (width - len(record))] if record else []


def _told_span(rows: list[list[str]], told: int, *, whole: bool) -> int:
    """The records that hold so many header rows, blank ones between them included."""
    filled = [place for place, row in enumerate(rows) if _is_filled(row)]
    if whole and len(filled) <= told:
        raise UploadRejected(
            "NO_DATA_ROWS",
            f"The header was said to have {told:,} rows; below it there are none.",
            {"header_rows": told},
        )
    return next(islice(filled, told - 1, None), len(rows) - 1) + 1 if told else 0


def _header_rows(rows: list[list[str]], line: int, *, whole: bool) -> _Head:
    """How many of the first rows are header; the first one begins in ``line``."""
    body = list(filter(_is_filled, rows[1:]))
    if not body:
        return _lonely_row(rows[0] if rows else [], line, whole=whole)
    grouped = rows_of_groups_and_names(rows)
    steady = [rows[0], *_below_no_blank(rows)]
    evidence = 1.0 if grouped else _evidence(steady, 1)
    if evidence < 0:
        return _settled(rows, 0)
    if evidence == 0 and not _could_be_names(rows[0], body[:3]):
        doubt = "The first row looks like data; column names were generated."
        return _Head(0, doubt, "header_rows: 1")
    header = max(1, grouped)
    while header < _MAX_HEADER_ROWS and _continues_header(rows, header):
        header += 1
    if evidence:
        return _settled(rows, header)
    doubt = "Every cell is text; the first row was taken as the header."
    return _Head(header, doubt, "header_rows: 0")


def _settled(rows: list[list[str]], header: int) -> _Head:
    """So many header rows, with a doubt when words stand over values in the row below them."""
    place = max(1, header)
    if place + 1 >= len(rows) or not has_words_over_values(rows, place):
        return _Head(header)
    which = "The row below the header" if header else "The second row"
    doubt = f"{which} holds words where the rows below it hold values: it may belong to the header."
    return _Head(header, doubt, f"header_rows: {place + 1}")


def _below_no_blank(rows: list[list[str]]) -> list[list[str]]:
    """The rows without those that may head a section: below a blank line, or its title.

    All but the first when too few are left to judge by.
    """
    steady = [
        row
        for place, row in enumerate(rows[1:], start=1)
        if _is_filled(row) and all(map(_is_filled, rows[max(1, place - 2) : place]))
    ]
    body = [row for row in rows[1:] if _is_filled(row)]
    return steady if len(steady) >= 0.5 * len(body) else body


def _lonely_row(row: list[str], line: int, *, whole: bool) -> _Head:
    """One row: data when it holds values, else a header, without data if that is all."""
    if any(is_typed(cell) for cell in row if cell.strip()):
        return _Head(0, "The only row holds values; column names were generated.", "header_rows: 1")
    if whole:
        raise UploadRejected(
            "NO_DATA_ROWS", f"Below the header in line {line:,} there are no rows.", {"line": line}
        )
    return _Head(1, "The rows below the header are too long to be looked at.", "header_rows: 0")


def _evidence(rows: Sequence[Record], header: int) -> float:
    """Positive when the row above differs in kind from the column below, negative when alike."""
    body = [row for row in rows[header : header + _BODY_SAMPLE] if any(row)]
    above = rows[header - 1]
    if _counts_up(above) or (body and are_years_as_names(above, body[0])):
        return 1.0
    evidence = 0.0
    for place, cell in enumerate(above):
        column = [row[place].strip() for row in body if place < len(row) and row[place].strip()]
        if not column or not cell.strip():
            continue
        evidence += _cell_evidence(cell.strip(), column)
    return evidence


def _cell_evidence(cell: str, column: list[str]) -> float:
    """What one column says about the cell above it."""
    typed = sum(1 for value in column if is_typed(value)) / len(column)
    if typed >= 0.8:
        return -1.0 if is_typed(cell) else 1.0
    if is_typed(cell):
        return -0.5
    lengths = {len(value) for value in column}
    if len(column) > 3 and len(lengths) == 1 and len(cell) not in lengths:
        return 0.5
    if len(column) > 2 and cell in column:
        return -0.5
    return 0.0


def _counts_up(row: Record) -> bool:
    """Years or numbers in sequence as names, behind at least one textual name."""
    filled = [cell.strip() for cell in row]
    numbers = [int(cell) for cell in filled if re.fullmatch(r"\d{1,4}", cell)]
    textual = [cell for cell in filled if cell and not is_typed(cell)]
    if len(numbers) < 2 or len(numbers) + len(textual) != len(filled) or not textual:
        return False
    steps = {second - first for first, second in pairwise(numbers)}
    return steps in ({1}, {-1}) and filled[0] == textual[0]


def _could_be_names(row: Record, body: Sequence[Record]) -> bool:
    """Whether all-text cells can be names: filled, distinct, short, and no one's address."""
    filled = [cell.strip() for cell in row if cell.strip()]
    if any(masked_text(cell) != cell for cell in filled):
        return False
    distinct = len({cell.casefold() for cell in filled}) == len(filled)
    used = sum(1 for column in zip(*(line for line in body if line), strict=True) if any(column))
    return len(filled) >= 0.5 * used and distinct and max(map(len, filled), default=0) <= 200


def _continues_header(rows: list[list[str]], place: int) -> bool:
    """Whether the row is a further header row: it repeats the first or fills its gaps."""
    row, above = rows[place], rows[0]
    if place + 1 >= len(rows) or not any(row):
        return False
    if [cell.strip() for cell in row] == [cell.strip() for cell in above]:
        return True
    if any(is_typed(cell) for cell in row if cell.strip()):
        return False
    if is_unit_row(rows, place):
        return True
    gaps = [number for number, cell in enumerate(above) if not cell.strip()]
    filled = [number for number in gaps if row[number].strip()]
    return bool(gaps) and len(filled) >= 0.5 * len(gaps) and _evidence(rows, place + 1) > 0


def _joined_header(rows: list[list[str]], width: int) -> list[str]:
    """One name per column; a name over several columns is carried over its gaps."""
    if not rows:
        return [""] * width
    if len(rows) == 1:
        return [cell.strip() for cell in rows[0]]
    parts: list[list[str]] = [[] for _ in range(width)]
    for number, row in enumerate(rows):
        carried = ""
        for place, cell in enumerate(row[:width]):
            below_filled = any(lower[place].strip() for lower in rows[number + 1 :])
            carried = cell.strip() or (carried if below_filled else "")
            if carried and carried not in parts[place]:
                parts[place].append(carried)
    return [" ".join(part) for part in parts]


def _without_empty_last(body: list[list[str]], source_names: list[str], width: int) -> int:
    """The width without last columns that have neither name nor value in the sample."""
    while width > 1 and not source_names[width - 1]:
        if any(row[width - 1].strip() for row in body if row):
            break
        width -= 1
    return width
