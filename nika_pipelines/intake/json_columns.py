"""JSON as an object of columns, turned into one array per row.

Belongs here: putting the n-th elements of all arrays side by side. Does not belong here: what an
element holds.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.json_scan import BLOCK_BYTES, Member, Piece, elements
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BYTES = 64_000_000
"""The places of all elements are kept in memory: up to ten bytes for each byte of the document."""


def rows_of_columns(path: Path, members: Sequence[Member], settings: Settings) -> Iterator[Piece]:
    """One JSON array per row, with the elements of the members' arrays in order.

    Raises:
        UploadRejected: TOO_LARGE, or RAGGED when the arrays are not of one length.
    """
    import numpy as np

    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UploadRejected(
            "TOO_LARGE",
            f"A JSON document of columns may have {MOST_BYTES:,} bytes, this one has {size:,}. "
            "Save the table as records or as JSON lines.",
            {"limit": MOST_BYTES, "size_bytes": size},
        )
    content = np.fromfile(path, np.uint8)
    edges = [_edges(path, member, settings) for member in members]
    counts = [one.size - 1 for one in edges]
    if len(set(counts)) > 1:
        told = ", ".join(
            f"{member.key[:60]!r} {count:,}"
            for member, count in zip(members[:10], counts, strict=False)
        )
        raise UploadRejected(
            "RAGGED",
            f"The columns of the JSON document are not of one length: {told}.",
            {"first_lengths": counts[:10]},
        )
    together = np.stack(edges)
    step = max(1, BLOCK_BYTES * counts[0] // max(1, size))
    for first in range(0, counts[0], step):
        check_time()
        yield _rows(content, together[:, first : first + step + 1])


def _edges(path: Path, member: Member, settings: Settings) -> "NDArray[np.int32]":
    """The place before each element of an array, and the place behind the last one."""
    import numpy as np

    found, base = [np.zeros(1, np.int32) + member.start], member.start + 1
    for piece in elements(path, member.start, member.end, settings):
        # An element ends with the comma or bracket behind it.
        found.append(base + piece.offsets[1:] - 1)
        base += len(piece.data)
    edges = np.concatenate(found).astype(np.int32)
    if edges.size > 1:
        edges[-1] = member.end - 1
    return edges


def _rows(content: "NDArray[np.uint8]", edges: "NDArray[np.int32]") -> Piece:
    """Some rows; every element comes with the byte before it, which becomes its separator."""
    import numpy as np

    starts = edges[:, :-1].T.astype(np.int64)
    lengths = (edges[:, 1:] - edges[:, :-1]).T.astype(np.int64)
    rows = lengths.shape[0]
    # The byte behind the last element of a row becomes the closing bracket.
    lengths[:, -1] += 1
    begins = np.concatenate(([0], np.cumsum(lengths.ravel())))
    moved = np.repeat(starts.ravel() - begins[:-1], lengths.ravel())
    data = content[moved + np.arange(begins[-1])]
    data[begins[:-1]] = ord(",")
    row_begins = begins[:: edges.shape[0]][: rows + 1]
    data[row_begins[:-1]] = ord("[")
    data[row_begins[1:] - 1] = ord("]")
    return Piece(data.tobytes(), row_begins.astype(np.int32))
