"""Companions on their way into the inbox: found beside a file, and put beside its copy.

Belongs here: what `nika drop` does about them. Does not belong here: reading what a sidecar says
(`sidecars`), and waiting for companions (`intake.listing`).
"""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nika_pipelines.intake import names
from resources.files import write_whole

_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Companion:
    """A file that describes another one.

    Attributes:
        suffix: which kind of companion it is.
        place: its place among the names that such a companion may have.
        content: its bytes.
    """

    suffix: str
    place: int
    content: bytes


def companions_beside(path: Path) -> list[Companion]:
    """The companions of a file.

    Raises:
        OSError: one is no file, cannot be read, or is far too large.
    """
    found = []
    for suffix in names.COMPANION_SUFFIXES:
        for place, name in enumerate(names.companion_names(path.name, suffix)):
            companion = path.with_name(name)
            if os.path.lexists(companion):
                found.append(Companion(suffix, place, _read(companion)))
                break
    return found


def placements(
    companions: Sequence[Companion], target: Path, others: Iterable[str]
) -> Mapping[Path, bytes] | None:
    """Where companions go so that they belong to a file that will lie at this path.

    Args:
        companions: what goes there.
        target: the path of the file.
        others: names of files that lie there or were taken from there and are not read yet.

    Returns:
        Contents by path; None when one would not count beside this path, or would change how
        one of the others is read.
    """
    contents: dict[Path, bytes] = {}
    for companion in companions:
        known = [
            target.with_name(name) for name in names.companion_names(target.name, companion.suffix)
        ]
        place = min(companion.place, len(known) - 1)
        if any(os.path.lexists(path) for path in known[:place]):
            return None
        contents[known[place]] = companion.content
    for path, content in contents.items():
        is_new = not (path.is_file() and path.read_bytes() == content)
        if is_new and any(_describes(path.name, other) for other in others):
            return None
    return contents


def place(contents: Mapping[Path, bytes]) -> None:
    """Write companions, each whole; older ones of these names are replaced.

    Raises:
        OSError: one cannot be written.
    """
    for path, content in contents.items():
        write_whole(path, content)


def _describes(companion: str, name: str) -> bool:
    return any(companion in names.companion_names(name, one) for one in names.COMPANION_SUFFIXES)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise OSError(errno.EINVAL, "the companion is no file", str(path))
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"the companion has more than {_MOST_BYTES:,} bytes", str(path))
    return content
