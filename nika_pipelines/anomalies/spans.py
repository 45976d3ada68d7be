"""Join what the outlier methods flag in one column, and merge neighbouring rows into spans."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nika_pipelines.anomalies.columns import ColumnView
from nika_pipelines.anomalies.detectors import Flags
from nika_pipelines.anomalies.drafts import Draft

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Integers = NDArray[int64]

STORED_SUPPRESSED = 50
"""Most suppressed spans of one column that are kept; all are counted."""


@dataclass(frozen=True)
class Spans:
    """The spans of one column.

    Attributes:
        drafts: all findings and the strongest suppressed spans.
        flagged: rows that score as findings.
        suppressed: spans below the score of a finding, stored or not.
        stored_suppressed: how many of them are among `drafts`.
        unjudged: rows beyond a floor on a side where too few values lie for a tail.
    """

    drafts: list[Draft]
    flagged: int
    suppressed: int
    stored_suppressed: int
    unjudged: int


def outlier_spans(view: ColumnView, flags: list[Flags], limit: float, *, gap: int) -> Spans:
    """Join the flags of several methods on one column into spans.

    A row takes the method that exceeds its own threshold by the largest factor. Rows at most
    ``gap`` apart, on the same side of the median and on the same side of ``limit`` are one span,
    described by its most extreme value.
    """
    import numpy as np

    rows, values, scores, methods = _joined(flags)
    judged = np.isfinite(scores)
    unjudged = int(len(rows) - judged.sum())
    rows, values, scores, methods = rows[judged], values[judged], scores[judged], methods[judged]
    if not len(rows) or view.measures is None:
        return Spans([], 0, 0, 0, unjudged)
    distance = values - view.measures.median
    found = scores >= limit
    breaks = (np.diff(rows) > gap) | (np.diff(distance > 0)) | (np.diff(found))
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    ends = np.concatenate([starts[1:], [len(rows)]])
    span_of_row = np.repeat(np.arange(len(starts)), ends - starts)
    # The farthest row of each span comes first in its block of the sorted order.
    peaks = np.lexsort((-np.abs(distance), span_of_row))[starts]
    findings = np.flatnonzero(found[peaks])
    others = np.flatnonzero(~found[peaks])
    stored = others[np.argsort(-scores[peaks[others]], kind="stable")[:STORED_SUPPRESSED]]
    limits = view.limits(limit) if len(findings) else (None, None)
    drafts = []
    for span in [*findings, *stored]:
        peak = peaks[span]
        method = flags[methods[peak]]
        low, high = limits if found[peak] else (method.low, method.high)
        drafts.append(
            Draft(
                kind=method.kind,
                method=method.method,
                columns=(view.profile.name,),
                score=float(scores[peak]),
                first=int(rows[starts[span]]),
                last=int(rows[ends[span] - 1]),
                flagged=int(ends[span] - starts[span]),
                value=float(values[peak]),
                low=_not_below_zero(low, view),
                high=high,
                effect=float(distance[peak] / view.measures.sigma),
                suppressed=not found[peak],
            )
        )
    return Spans(drafts, int(found.sum()), len(others), len(stored), unjudged)


def _not_below_zero(low: float | None, view: ColumnView) -> float | None:
    """A column without negative values is not told that -5 would be usual."""
    least = view.profile.min
    if low is not None and isinstance(least, int | float) and least >= 0:
        return max(low, 0.0)
    return low


def _joined(flags: list[Flags]) -> tuple["Integers", "Floats", "Floats", "NDArray[Any]"]:
    """Rows that any method flags, ascending, with value, score and index of the method."""
    import numpy as np

    all_rows = np.concatenate([found.first for found in flags])
    strength = np.concatenate([found.strength for found in flags])
    method = np.repeat(np.arange(len(flags)), [len(found.first) for found in flags])
    # By row, then strongest first; the first of each row wins.
    order = np.lexsort((-strength, all_rows))
    rows, firsts = np.unique(all_rows[order], return_index=True)
    chosen = order[firsts]
    values = np.concatenate([found.value for found in flags])[chosen]
    scores = np.concatenate([found.score for found in flags])[chosen]
    return rows, values, scores, method[chosen]
