"""The document model: what a report says, in blocks that every back end can draw.

Belongs here: frozen records without layout. All text is plain: back ends escape it, so no block
ever carries markup, and file names or cell contents can be put in as they are. Does not belong
here: anything of ReportLab, HTML or Word, and the content of a system's report.
"""

from dataclasses import dataclass, field
from typing import Literal

from nika_pipelines.reports.chart_specs import ChartSpec, Severity, Tone


@dataclass(frozen=True)
class Run:
    """A piece of text in one emphasis."""

    text: str
    strong: bool = False


Text = str | tuple[Run, ...]
"""Plain text, or pieces of it of which some are strong."""


@dataclass(frozen=True)
class Heading:
    """A title in the text; level 1 and 2 appear in the outline."""

    text: str
    level: Literal[1, 2] = 1


@dataclass(frozen=True)
class Paragraph:
    """Running text; `muted` is for captions and remarks."""

    text: Text
    muted: bool = False


@dataclass(frozen=True)
class BulletList:
    """Short items, one below the other."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Kpi:
    """One number that matters, with its label; a severity or tone colours the number."""

    value: str
    label: str
    tone: Tone | Severity = "neutral"


@dataclass(frozen=True)
class KpiStrip:
    """Up to eight numbers side by side."""

    tiles: tuple[Kpi, ...]


@dataclass(frozen=True)
class Number:
    """A number in a table: its text for readers, its value for sorting and spreadsheets."""

    text: str
    value: float | None = None


Cell = str | Number | Severity | None


@dataclass(frozen=True)
class TableColumn:
    """A column's head; `wrap` lets long cells take several lines, `whole` as many as they need."""

    heading: str
    align: Literal["left", "right"] = "left"
    wrap: bool = False
    whole: bool = False


@dataclass(frozen=True)
class TableRow:
    """Cells, and optionally a remark below them over the whole width.

    `reference` is an identifier that stands behind the remark; a `brief` remark is cut to one line.
    """

    cells: tuple[Cell, ...]
    note: str | None = None
    reference: str | None = None
    brief: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under heads. `more` says what was left out, e.g. ``12 more in anomalies.parquet``."""

    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    more: str | None = None


@dataclass(frozen=True)
class Figure:
    """A chart and its caption; two narrow figures in a row stand side by side."""

    chart: ChartSpec
    caption: str
    narrow: bool = False


@dataclass(frozen=True)
class Finding:
    """One finding told in full: what, where, why, and what to do."""

    label: str
    severity: Severity
    title: str
    explanation: Text
    facts: tuple[tuple[str, str], ...] = ()
    next_step: str | None = None


@dataclass(frozen=True)
class Note:
    """A boxed remark; the verdict of a report is the first one."""

    text: Text
    tone: Tone = "neutral"
    title: str | None = None


@dataclass(frozen=True)
class PageBreak:
    """What follows starts on a new page."""


@dataclass(frozen=True)
class KeepTogether:
    """Blocks that must not be torn apart, as far as a page can hold them."""

    blocks: tuple["Block", ...]


Block = (
    Heading | Paragraph | BulletList | KpiStrip | Table | Figure | Finding | Note | PageBreak
    | KeepTogether
)  # fmt: skip


@dataclass(frozen=True)
class Document:
    """A report: title page matter, what stands at the edges of every page, and the blocks.

    Attributes:
        running_head: left and right text at the top of every page.
        foot: facts at the bottom of every page, e.g. hash prefix and run id.
        language: BCP 47 tag of the text.
    """

    title: str
    subtitle: str
    blocks: tuple[Block, ...]
    running_head: tuple[str, str] = ("", "")
    foot: tuple[str, ...] = ()
    language: str = "en-GB"
    subject: str = ""
    keywords: tuple[str, ...] = field(default_factory=tuple)
