"""From bytes to UTF-8: which encoding a text file is in, and a copy only where one is needed.

Belongs here: byte order marks, UTF-8 validity, encoding guesses, transcoding in bounded memory.
Does not belong here: how text is cut into cells.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.gate import (
    MAX_CONTROL_SHARE,
    MAX_NUL_SHARE,
    PADDING_NULS,
    control_share,
    not_text,
)
from nika_pipelines.intake.mixed_lines import (
    SURE_LETTERS,
    decode_lines,
    is_single_byte,
    mixture_warning,
)
from nika_pipelines.intake.records import IntakeWarning

CHUNK_BYTES = 1_048_576
_GUESS_BYTES = 262_144
_NUL_PATTERN_SHARE = 0.2
_BOMS: tuple[tuple[bytes, str], ...] = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))
_SURE_CONFIDENCE = 0.3
_NO_CONFIDENCE = 0.1
_LATIN_ENCODINGS = ("cp1252", "cp850", "mac_roman", "cp1250", "iso8859-2")
_COMMON_LETTERS = frozenset("äöüÄÖÜßéèêëàâçîïôùûœÉÈÀÇáíóúñÁÍÓÚÑãõåøæÅØÆìòżółćęśąźńŁŻŚěščřžýůďťňő")
_SUPERSETS = {
    "ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-7": "cp1253",
    "cp949": "euc_kr",
    "uhc": "euc_kr",
    "macroman": "mac_roman",
    "mac-roman": "mac_roman",
}
"""A guess is widened to the encoding that decodes the same bytes and more."""


@dataclass(frozen=True)
class DecodedText:
    """A file as UTF-8 without byte order mark and NULs.

    Attributes:
        path: the decoded file.
        encoding: as Python names it.
        removed_nuls: how many NULs were cut out.
        undecodable: lines, from 1, that fit no encoding; their odd bytes are written as text.
        warnings: what a person should know about the decoding.
    """

    path: Path
    encoding: str
    removed_nuls: int = 0
    undecodable: tuple[int, ...] = ()
    warnings: list[IntakeWarning] = field(default_factory=list)


@dataclass
class _Look:
    """What one pass over the bytes found."""

    valid_utf8: bool = True
    nuls: int = 0
    size: int = 0
    sample: bytes = b""
    first_invalid: bytes = b""
    blank: bool = True
    controls: float = 0.0


def decode_file(source: Path, work: Path, told: str | None = None) -> DecodedText:
    """Decode a text file; the result is the source itself when it is plain UTF-8.

    Args:
        source: the file.
        work: a folder for the copy.
        told: the encoding, where a person named it.

    Raises:
        UploadRejected: EMPTY_FILE, NUL_PADDING, NOT_TEXT, MIXED_ENCODING, or CONTRACT_BROKEN
            when the file is not in the encoding that was named.
    """
    with source.open("rb") as stream:
        head = stream.read(4_096)
    if told is not None:
        return _decode_as_told(source, work, told, head)
    encoding = _from_bom(head) or _from_nul_pattern(head)
    if encoding is not None and encoding != "utf-8-sig":
        return _transcode(source, work, [encoding])
    look = _look(source)
    if look.blank:
        raise UploadRejected("EMPTY_FILE", "The file holds only white space.")
    _refuse_binary(look)
    if look.valid_utf8:
        if encoding is None and not look.nuls:
            return DecodedText(source, "utf-8")
        return _transcode(source, work, [encoding or "utf-8"])
    if encoding == "utf-8-sig" or _is_mixture(look):
        return _decode_mixture(source, work, look, encoding or "utf-8")
    return _transcode(source, work, _guesses(look.sample))


def _decode_as_told(source: Path, work: Path, told: str, head: bytes) -> DecodedText:
    """Decode in the encoding that a person named, or refuse."""
    encoding, mark = codecs.lookup(told).name, _from_bom(head)
    if mark and (mark.startswith(encoding) or encoding.startswith(mark)):
        encoding = mark  # the same encoding with its mark, which is no text
    if encoding == "utf-8":
        look = _look(source)
        if look.valid_utf8 and not look.nuls and not look.blank:
            return DecodedText(source, "utf-8")
    try:
        return _transcode(source, work, [encoding])
    except UploadRejected as refusal:
        if refusal.code != "NOT_TEXT":
            raise
    line, place = _first_undecodable(source, encoding)
    raise UploadRejected(
        "CONTRACT_BROKEN",
        f"The file was said to be in encoding {told}, but line {line:,} is not (the byte at "
        f"offset {place:,} does not decode). Correct or remove `encoding: {told}`.",
        {"encoding": told, "line": line, "offset": place},
    )


def _first_undecodable(source: Path, encoding: str) -> tuple[int, int]:
    """The line and the offset of the first byte that does not decode."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    line, done = 1, 0
    for chunk in _chunks(source):
        pending = len(decoder.getstate()[0])
        try:
            line += decoder.decode(chunk).count("\n")
        except UnicodeDecodeError as error:
            return line + _breaks_before(error, encoding), done - pending + error.start
        except UnicodeError:
            return line, done
        done += len(chunk)
    return line, max(0, done - 1)


def _breaks_before(error: UnicodeDecodeError, encoding: str) -> int:
    """Line ends in front of an undecodable byte."""
    try:
        return error.object[: error.start].decode(encoding, "ignore").count("\n")
    except UnicodeError:  # Codecs such as idna know no lenient reading.
        return 0


def _is_mixture(look: _Look) -> bool:
    """Whether lines of valid multi-byte UTF-8 stand beside lines of something else."""
    lines = [line for line in look.sample.splitlines() if not line.isascii()]
    # The sample may cut its last line inside a character.
    whole = lines[: len(lines) - 1 or 1]
    valid = sum(1 for line in whole if _is_utf8(line))
    return valid > 0 and valid >= 0.02 * (len(lines) - valid)


def _decode_mixture(source: Path, work: Path, look: _Look, encoding: str) -> DecodedText:
    """Decode line by line: what is not UTF-8 in the one encoding that fits it."""
    lines = [*look.first_invalid.splitlines(), *look.sample.splitlines()]
    other = _alien_encoding(b"\n".join(line for line in lines if not _is_utf8(line)))
    target = work / "decoded.txt"
    count = decode_lines(_without_mark(source), target, other)
    return DecodedText(
        target,
        _plain_name(encoding),
        look.nuls,
        tuple(count.undecodable),
        [mixture_warning(count, _plain_name(other))],
    )


def _alien_encoding(aliens: bytes) -> str:
    """The single-byte encoding of lines that are not UTF-8; few bytes tell of none but cp1252."""
    if sum(byte > 127 for byte in aliens) < SURE_LETTERS:
        return "cp1252"
    return next((name for name in _guesses(aliens) if is_single_byte(name)), "cp1252")


def _without_mark(source: Path) -> Iterator[bytes]:
    chunks = _chunks(source)
    yield next(chunks, b"").removeprefix(codecs.BOM_UTF8)
    yield from chunks


def _from_bom(head: bytes) -> str | None:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    return None


def _from_nul_pattern(head: bytes) -> str | None:
    """UTF-16 and UTF-32 without a mark: every second (or three of four) byte of ASCII is NUL."""
    shares = [head[place::4].count(0) / max(1, len(head[place::4])) for place in range(4)]
    full = [share > 0.7 for share in shares]
    if full == [False, True, True, True]:
        return "utf-32-le"
    if full == [True, True, True, False]:
        return "utf-32-be"
    even, odd = (shares[0] + shares[2]) / 2, (shares[1] + shares[3]) / 2
    if odd > 2 * _NUL_PATTERN_SHARE and even < _NUL_PATTERN_SHARE / 2:
        return "utf-16-le"
    if even > 2 * _NUL_PATTERN_SHARE and odd < _NUL_PATTERN_SHARE / 2:
        return "utf-16-be"
    return None


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            check_time()
            yield chunk


def _look(source: Path) -> _Look:
    """Read the whole file once: validity, NULs, and a sample of the bytes beyond ASCII."""
    look = _Look()
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = False
    for chunk in _chunks(source):
        look.nuls += chunk.count(0)
        look.controls = max(look.controls, control_share(chunk[:20_000]))
        look.size += len(chunk)
        look.blank = look.blank and not chunk.strip(b"\xef\xbb\xbf \t\r\n\x0b\x0c\x00")
        if not pending and chunk.isascii():
            continue
        look.sample += _beyond_ascii(chunk, _GUESS_BYTES - len(look.sample))
        if look.valid_utf8:
            look.valid_utf8, pending = _still_valid(decoder, chunk)
            if not look.valid_utf8:
                look.first_invalid = _around_invalid(chunk)
    if look.valid_utf8 and pending:
        look.valid_utf8 = False
    return look


def _still_valid(decoder: codecs.IncrementalDecoder, chunk: bytes) -> tuple[bool, bool]:
    """Whether the chunk continues valid UTF-8, and whether a character is left open."""
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError:
        return False, False
    return True, bool(decoder.getstate()[0])


def _around_invalid(chunk: bytes) -> bytes:
    """The lines from the first one of a chunk on that is not UTF-8."""
    begin = len(chunk[:3]) - len(chunk[:3].lstrip(_CONTINUATION_BYTES))
    try:
        chunk[begin:].decode("utf-8")
    except UnicodeDecodeError as error:
        start = chunk.rfind(b"\n", 0, begin + error.start) + 1
        return chunk[start : start + _GUESS_BYTES]
    return b""


def _beyond_ascii(chunk: bytes, room: int) -> bytes:
    """Lines of a chunk around its bytes beyond ASCII."""
    if room <= 0:
        return b""
    import numpy as np

    high = np.flatnonzero(np.frombuffer(chunk, np.uint8) >= 128)
    if not high.size:
        return b""
    begin = chunk.rfind(b"\n", 0, int(high[0])) + 1
    begin = max(begin, int(high[0]) - room)
    return chunk[begin : begin + room]


def _refuse_binary(look: _Look) -> None:
    if look.nuls > PADDING_NULS and look.nuls > MAX_NUL_SHARE * look.size:
        raise UploadRejected(
            "NUL_PADDING" if look.controls <= MAX_CONTROL_SHARE else "NOT_TEXT",
            f"{look.nuls:,} of {look.size:,} bytes are NUL.",
            {"detected": look.nuls, "limit": PADDING_NULS, "size_bytes": look.size},
        )
    if look.controls > MAX_CONTROL_SHARE:
        raise not_text(look.controls)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guesses(sample: bytes) -> list[str]:
    """Encodings to try, best first; the last decodes any bytes."""
    import chardet

    found = chardet.detect(sample)
    name = (found["encoding"] or "cp1252").lower()
    name = _SUPERSETS.get(name, name)
    unsure = found["confidence"] < _SURE_CONFIDENCE and _is_latin(sample, name)
    if unsure or found["confidence"] < _NO_CONFIDENCE:
        name = _best_latin(sample, name)
    narrower = ["shift_jis"] if name == "cp932" else []
    return list(dict.fromkeys([*narrower, name, "cp1252", "latin-1"]))


def _is_latin(sample: bytes, encoding: str) -> bool:
    """Whether the text beyond ASCII is mostly Latin letters under this encoding."""
    try:
        text = sample.decode(encoding, "replace")
    except LookupError:
        return True
    beyond = [character for character in text if character > "\x7f" and character.isalpha()]
    latin = sum(1 for character in beyond if character < "\u0250")
    return latin >= 0.8 * len(beyond)


def _best_latin(sample: bytes, guess: str) -> str:
    """Of the Latin code pages, the one under which the words look most like words.

    Short texts carry too little evidence for language models; the case of neighbouring letters
    and symbols inside words tell the code pages apart. Ties go to the more common code page.
    """
    candidates = list(dict.fromkeys([*_LATIN_ENCODINGS, guess]))
    scores = {}
    for encoding in candidates:
        try:
            text = sample[:20_000].decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        scores[encoding] = _word_score(text)
    return max(scores, key=lambda encoding: scores[encoding]) if scores else guess


def _word_score(text: str) -> float:
    """How plausible the letters beyond ASCII are among their neighbours."""
    score = 0.0
    for match in re.finditer(r"[^\x00-\x7f]", text):
        place, character = match.start(), match.group()
        before = text[place - 1] if place else " "
        after = text[place + 1 : place + 2] or " "
        if not character.isalpha():
            inside_word = before.isalpha() or after.isalpha()
            score -= 1.0 if inside_word or not character.isprintable() else 0.2
        elif character >= "\u0250" and before < "\x7f" and before.isalpha():
            score -= 1.0  # two scripts in one word
        elif character.isupper() and (before.islower() or (before.isalpha() and after.islower())):
            score -= 1.0
        else:
            score += 1.0 if character in _COMMON_LETTERS else 0.5
    return score


def _transcode(source: Path, work: Path, encodings: list[str]) -> DecodedText:
    """Write a UTF-8 copy under the first encoding that decodes the whole file."""
    target = work / "decoded.txt"
    for encoding in encodings:
        try:
            characters, nuls = _write_utf8(source, target, encoding)
        except (UnicodeError, LookupError):
            continue
        if not characters:
            raise UploadRejected("EMPTY_FILE", "The file holds only a byte order mark or blanks.")
        if nuls > PADDING_NULS and nuls > MAX_NUL_SHARE * characters:
            raise UploadRejected(
                "NUL_PADDING",
                f"The text holds {nuls:,} NUL characters beside {characters:,} others.",
                {"detected": nuls, "limit": PADDING_NULS},
            )
        return DecodedText(target, _plain_name(encoding), nuls)
    raise UploadRejected(
        "NOT_TEXT",
        f"No text encoding fits the content; {', '.join(encodings)} were tried.",
        {"detected": encodings[0]},
    )


def _plain_name(encoding: str) -> str:
    """The codec's own name; two are known better under another."""
    return encoding if encoding in ("utf-8-sig", "mac_roman") else codecs.lookup(encoding).name


def _write_utf8(source: Path, target: Path, encoding: str) -> tuple[int, int]:
    """Transcode in chunks; returns how many visible characters and NULs were met."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    visible = nuls = 0
    with target.open("wb") as out:
        for chunk in _chunks(source):
            visible, nuls = _write_piece(decoder.decode(chunk), out, visible, nuls)
        _write_piece(decoder.decode(b"", True), out, visible, nuls)
    return visible, nuls


def _write_piece(text: str, out: BinaryIO, visible: int, nuls: int) -> tuple[int, int]:
    found = text.count("\0")
    text = text.replace("\0", "") if found else text
    # Some codecs give lone surrogates, which are no text.
    out.write(text.encode("utf-8", "replace"))
    return visible + len(text.strip().strip("\ufeff")), nuls + found
