"""Text whose lines are partly UTF-8 and partly in a single-byte encoding, decoded line by line.

Files that were put together from several sources look like this. A line that is not UTF-8 is read
in the one single-byte encoding that fits such lines; a line that fits neither costs its row.

Belongs here: the verdict over single lines, and the copy in UTF-8. Does not belong here: files of
one encoding (encoding).
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nika_pipelines.intake.codes import UploadRejected, WarningCode
from nika_pipelines.intake.records import IntakeWarning

FIRST_LINES = 3
_FEW_ALIENS_SHARE = 0.2
"""Up to this share of all lines, lines in another encoding are faults of single rows."""
SURE_LETTERS = 30
"""So many bytes beyond ASCII tell an encoding well enough to read most of a file in it."""
_MOST_ODD_SHARE = 0.5
_LONGEST_LINE = 16_000_000
_SKIP_LINE = "nika-skip-line"
# A sign within a word, and what could only be a capital within one.
_ODD_LETTERS = re.compile(r"(?<=[^\W\d_])[^\x00-\x7f\w](?=[^\W\d_])|(?<=[a-zà-öø-ÿ])[À-ÖØ-Þ]")


@dataclass
class LineCount:
    """What became of the lines; line numbers count from 1."""

    lines: int = 0
    decoded: int = 0
    alien_bytes: int = 0
    first_decoded: list[int] = field(default_factory=list)
    undecodable: list[int] = field(default_factory=list)


def is_single_byte(encoding: str) -> bool:
    """Whether every byte is a character of its own."""
    try:
        return len((bytes(range(32, 127)) + b"\xe9\xe4").decode(encoding, "replace")) == 97
    except (LookupError, UnicodeDecodeError):
        return False


def decode_lines(chunks: Iterator[bytes], target: Path, encoding: str) -> LineCount:
    """Write a copy in UTF-8; lines that fit no encoding show their odd bytes in hex.

    Args:
        chunks: the bytes of the file.
        target: where the copy goes.
        encoding: the single-byte encoding of the lines that are not UTF-8.

    Raises:
        UploadRejected: MIXED_ENCODING, when the lines cannot be told apart.
    """
    count = LineCount()
    with target.open("wb") as out:
        for block in _whole_lines(chunks):
            out.write(_utf8(block, encoding, count).replace(b"\0", b""))
    _refuse_ambiguous(count, encoding)
    return count


def mixture_warning(count: LineCount, encoding: str) -> IntakeWarning:
    """What a person should know about a file that was decoded line by line."""
    told = []
    if count.decoded:
        told.append(
            f"{count.decoded:,} of {count.lines:,} lines are {encoding} instead of UTF-8 and were "
            f"read as that (first: {_listed(count.first_decoded)})"
        )
    if count.undecodable:
        told.append(
            f"{len(count.undecodable):,} lines fit neither UTF-8 nor {encoding} "
            f"(first: {_listed(count.undecodable)})"
        )
    message = "Not every line is in the same encoding: " + "; ".join(told) + "."
    return IntakeWarning(WarningCode.FORMAT_MISMATCH, message)


def _listed(lines: list[int]) -> str:
    return "line " + ", ".join(f"{line:,}" for line in lines[:FIRST_LINES])


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut behind line ends only; a CR LF is never cut."""
    rest = b""
    for chunk in chunks:
        block = rest + chunk
        # The last byte may be the CR of a CR LF.
        end = 1 + max(block.rfind(b"\n", 0, -1), block.rfind(b"\r", 0, -1))
        if block[end - 1 : end + 1] == b"\r\n":
            end += 1
        rest = block[end:]
        if len(rest) > _LONGEST_LINE:
            raise UploadRejected(
                "MIXED_ENCODING",
                f"A line of over {_LONGEST_LINE:,} bytes is not in one encoding.",
                {"limit": _LONGEST_LINE},
            )
        if end:
            yield block[:end]
    if rest:
        yield rest


def _utf8(block: bytes, encoding: str, count: LineCount) -> bytes:
    """The block in UTF-8; only its lines that are something else are looked at one by one."""
    pieces, done, line = [], 0, count.lines + 1
    for start, end in _alien_spans(block):
        line += _line_ends(block[done:start])
        pieces += [block[done:start], _alien_line(block[start:end], line, encoding, count)]
        done = end
    pieces.append(block[done:])
    line += _line_ends(block[done:])
    count.lines = line - 1 + (not block.endswith((b"\n", b"\r")))
    return b"".join(pieces)


def _alien_spans(block: bytes) -> list[tuple[int, int]]:
    """Where the lines that are not UTF-8 begin and end, without their end marks."""
    spans: list[tuple[int, int]] = []

    def skip_line(error: UnicodeError) -> tuple[str, int]:
        """Note the line at fault and let the decoder go on behind it."""
        if not isinstance(error, UnicodeDecodeError):
            raise error
        spans.append(_line_around(block, error.start, spans[-1][1] if spans else 0))
        return "", spans[-1][1]

    # One pass: an exception of its own for each line would copy the whole block.
    codecs.register_error(_SKIP_LINE, skip_line)
    block.decode("utf-8", _SKIP_LINE)
    return spans


def _line_around(block: bytes, place: int, least: int) -> tuple[int, int]:
    """Where the line that holds the byte at ``place`` begins, from ``least`` on, and ends."""
    start = 1 + block.rfind(b"\n", least, place) or least
    start = 1 + block.rfind(b"\r", start, place) or start
    end = block.find(b"\n", place)
    end = end if end >= 0 else len(block)
    carriage = block.find(b"\r", place, end)
    return start, carriage if carriage >= 0 else end


def _line_ends(block: bytes) -> int:
    return block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")


def _alien_line(raw: bytes, line: int, encoding: str, count: LineCount) -> bytes:
    """One line that is not UTF-8."""
    text = _single_byte_text(raw, encoding)
    if text is None:
        count.undecodable.append(line)
        return raw.decode("utf-8", "backslashreplace").encode("utf-8")
    count.decoded += 1
    count.alien_bytes += sum(byte > 127 for byte in raw)
    if len(count.first_decoded) < FIRST_LINES:
        count.first_decoded.append(line)
    return text.encode("utf-8")


def _single_byte_text(raw: bytes, encoding: str) -> str | None:
    """The line as text, unless the encoding does not fit it.

    A line with some whole UTF-8 characters is damaged UTF-8 and nothing else.
    """
    if not raw.decode("utf-8", "ignore").isascii():
        return None
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return None
    beyond = sum(1 for character in text if character > "\x7f")
    odd = len(_ODD_LETTERS.findall(text)) + sum(
        1 for character in text if "\x7f" <= character < "\xa0"
    )
    return text if odd <= _MOST_ODD_SHARE * beyond else None


def _refuse_ambiguous(count: LineCount, encoding: str) -> None:
    """Refuse a file much of which would be read in an encoding that few bytes speak for."""
    aliens = count.decoded + len(count.undecodable)
    few = aliens <= _FEW_ALIENS_SHARE * count.lines
    sure = count.alien_bytes >= SURE_LETTERS and len(count.undecodable) <= 0.1 * aliens
    if few or sure:
        return
    first = min([*count.first_decoded[:1], *count.undecodable[:1]])
    raise UploadRejected(
        "MIXED_ENCODING",
        f"{aliens:,} of {count.lines:,} lines are not UTF-8, first line {first:,}, while others "
        f"are; what they hold is too little, or too odd, to tell their encoding ({encoding} is "
        "nearest).",
        {"line": first, "lines": count.lines, "other_lines": aliens, "nearest": encoding},
    )
