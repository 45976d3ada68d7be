"""From a stored file to text with a dialect, which is all that the rest of reading works on.

Belongs here: what each format needs before its table can be looked for. Does not belong here: what
the formats are told apart by (gate), or where in the text the table lies (structure).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.dialect import SAMPLE_BYTES, DialectGuess, first_lines, infer_dialect
from nika_pipelines.intake.encoding import decode_file
from nika_pipelines.intake.gate import Shape, check_gate, packed_name
from nika_pipelines.intake.reading_options import ReadingOptions
from nika_pipelines.intake.records import Dialect, IntakeWarning
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from nika_pipelines.intake.spreadsheet import Sheet, WorkbookText


@dataclass(frozen=True)
class OpenedText:
    """Decoded text with its dialect.

    `sheet_rows` is set for the sheet of a workbook, `undecodable` are lines of no encoding.
    """

    path: Path
    guess: DialectGuess
    encoding: str | None
    removed_nuls: int = 0
    sheet_rows: int | None = None
    other_sheets: list["Sheet"] = field(default_factory=list)
    undecodable: tuple[int, ...] = ()
    warnings: list[IntakeWarning] = field(default_factory=list)

    @property
    def public_dialect(self) -> Dialect:
        """The dialect to show; a workbook has a sheet instead of a delimiter."""
        if self.sheet_rows is None:
            return self.guess.dialect
        return Dialect(None, sheet=self.guess.dialect.sheet)


def admit(
    source: Path, filename: str, work: Path, settings: Settings, clock: dict[str, float]
) -> tuple[Path, Shape]:
    """Let a file in, unpacked if need be: where its content is, and how that is to be opened.

    Raises:
        UploadRejected: the file, or what is packed in it, is not taken.
    """
    with timed(clock, "gate"):
        shape = check_gate(source, filename, settings)
    if shape != "packed":
        return source, shape
    from nika_pipelines.intake.unpacking import unpack

    content = work / "unpacked"
    with timed(clock, "unpack"):
        unpack(source, content, settings)
        return content, check_gate(content, packed_name(filename), settings)


def open_text(
    source: Path, work: Path, clock: dict[str, float], options: ReadingOptions
) -> OpenedText:
    """Decode a text file and infer its dialect unless it is given."""
    with timed(clock, "decode"):
        decoded = decode_file(source, work, options.encoding)
    with timed(clock, "dialect"):
        guess = infer_dialect(sample_of(decoded.path)[0], options)
    return OpenedText(
        decoded.path,
        guess,
        decoded.encoding,
        decoded.removed_nuls,
        undecodable=decoded.undecodable,
        warnings=decoded.warnings,
    )


def open_workbook(
    source: Path,
    filename: str,
    work: Path,
    settings: Settings,
    clock: dict[str, float],
    options: ReadingOptions,
) -> OpenedText:
    """Let a child process write the sheets of a workbook as CSV; one of them is the table."""
    from nika_pipelines.intake.spreadsheet import extract_sheets

    extension = Path(filename).suffix.lower()
    with timed(clock, "workbook"):
        found = extract_sheets(source, extension, work, settings, options.sheet)
    guess = DialectGuess(Dialect(",", '"', sheet=found.chosen.name))
    return OpenedText(
        found.path,
        guess,
        None,
        sheet_rows=found.chosen.rows,
        other_sheets=found.others,
        warnings=_lost_formulas(found),
    )


def sample_of(path: Path) -> tuple[str, bool]:
    """The beginning of a decoded file, and whether that is all of it."""
    with path.open("rb") as stream:
        head = stream.read(SAMPLE_BYTES)
        whole = not stream.read(1)
    text = head.decode("utf-8", "ignore")
    sample = first_lines(text)
    return sample, whole and len(sample) == len(text)


@contextmanager
def timed(clock: dict[str, float], step: str) -> Iterator[None]:
    """Add the seconds of the block to a step; refuse the file first if its time is over."""
    check_time()
    started = time.perf_counter()
    try:
        yield
    finally:
        clock[step] = clock.get(step, 0.0) + time.perf_counter() - started


def _lost_formulas(found: "WorkbookText") -> list[IntakeWarning]:
    if not found.lost_formulas:
        return []
    least = "" if found.formulas_complete else "At least "
    formulas, have = ("formula", "has") if found.lost_formulas == 1 else ("formulas", "have")
    message = (
        f"{least}{found.lost_formulas:,} {formulas} of sheet {found.chosen.name!r} (first in "
        f"{found.first_lost}) {have} no stored value; such cells were read as empty. Open and "
        "save the workbook in Excel, then drop it again."
    )
    return [IntakeWarning(WarningCode.FORMAT_MISMATCH, message)]
