"""What a record of a text table can be, and where the table lies among the records.

Belongs here: the vocabulary that classifying, counting and parsing share. Does not belong here:
how a record's kind is found out (classify).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from nika_pipelines.intake.record_scan import Cut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Kinds = NDArray[np.uint8]
    Positions = NDArray[np.int64]

TAIL_RECORDS = 100
"""How many of the last records may be found to be footer, without a word of anybody."""


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
    ENCODING = 10


ACCEPTED = (Kind.DATA, Kind.TRIMMED)
REJECTED = (Kind.SHORT, Kind.LONG, Kind.FIELD, Kind.QUOTE, Kind.ENCODING)


@dataclass(frozen=True)
class Layout:
    """Where the table lies in the records of a file.

    Attributes:
        preamble: records above the header.
        header: records of the header.
        width: cells of a data record.
        header_cells: the bytes of each header record without quotes, to find repetitions.
        footer_from: record number from which all records are footer.
        records_are_lines: whether lines are counted by records, as in the sheet of a workbook.
        undecodable: lines with bytes that are text in no encoding that fits, in order.
        tail_records: how many of the last records to remember.
    """

    preamble: int
    header: int
    width: int
    header_cells: tuple[bytes, ...] = ()
    footer_from: int | None = None
    records_are_lines: bool = False
    undecodable: tuple[int, ...] = ()
    tail_records: int = TAIL_RECORDS


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
