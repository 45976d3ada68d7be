"""A delimiter of several bytes becomes one byte, in a copy that scan and parser read.

Belongs here: choosing the stand-in and writing the copy. Does not belong here: which delimiter a
file has (dialect), and putting it back into cells (parse).
"""

from pathlib import Path

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.dialect import is_one_byte, marks_of, stand_ins
from nika_pipelines.intake.record_scan import Marks
from nika_pipelines.intake.records import Dialect

_CHUNK_BYTES = 1_048_576


def with_one_byte_delimiter(
    path: Path, dialect: Dialect, work: Path
) -> tuple[Path, Marks, str | None]:
    """The file with a delimiter of one byte, its marks, and what the byte stands for, if so.

    Raises:
        UploadRejected: NOT_TEXT, when the file holds every byte that could stand in.
    """
    delimiter = dialect.delimiter or ","
    if is_one_byte(delimiter):
        return path, marks_of(dialect), None
    stand_in = _unused_byte(path, stand_ins(dialect))
    target = work / "one_byte.txt"
    wanted, one = delimiter.encode(), stand_in.encode()
    with path.open("rb") as stream, target.open("wb") as out:
        rest = b""
        while chunk := stream.read(_CHUNK_BYTES):
            check_time()
            *whole, last = (rest + chunk).split(wanted)
            # The end may be the beginning of a delimiter that the next chunk completes.
            keep = min(len(wanted) - 1, len(last))
            rest = last[len(last) - keep :]
            out.write(one.join([*whole, last[: len(last) - keep]]))
        out.write(rest)
    return target, marks_of(dialect, stand_in), delimiter


def _unused_byte(path: Path, candidates: list[str]) -> str:
    """The first of the control characters that the file does not hold."""
    unused = candidates
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            unused = [character for character in unused if character.encode() not in chunk]
    if not unused:
        raise UploadRejected(
            "NOT_TEXT",
            "The file uses every separator character at once.",
            {"detected": [f"0x{ord(character):02x}" for character in candidates]},
        )
    return unused[0]
