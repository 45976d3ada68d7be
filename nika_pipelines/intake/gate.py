"""The gate: what a file is, judged by its first bytes and its size, before anything parses it.

Belongs here: size limits, magic numbers against the extension, emptiness, binary content.
Does not belong here: which text encoding it is in (encoding) and how it is cut (dialect).
"""

import json
import re
from pathlib import Path
from typing import Literal

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.remedies import content_in_words, remedy_for
from nika_pipelines.settings import Settings

HEAD_BYTES = 65_536
Shape = Literal["text", "workbook", "json", "json lines", "parquet", "packed"]
"""How a file is opened; a packed one holds a file of another shape."""

_SHAPES: dict[str, Shape] = {
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".xlsx": "workbook",
    ".xlsm": "workbook",  # Macros are refused with a code of their own.
    ".xlsb": "workbook",
    ".xls": "workbook",
    ".ods": "workbook",
    ".json": "json",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".gz": "packed",
    ".zst": "packed",
}
_MAGIC_OF = {
    ".xls": "ole2",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".gz": "gzip",
    ".zst": "zstd",
}
SUPPORTED = [
    *("csv", "tsv", "txt", "xlsx", "xlsm", "xlsb", "xls", "ods", "json", "jsonl", "ndjson"),
    *("parquet", "pq", "csv.gz", "csv.zst"),
]
"""What is taken, for people; text and JSON of each kind may be packed."""
_PACKABLE = ("text", "json", "json lines")
MAX_CONTROL_SHARE = 0.02
_FEW_CONTROLS = 3
PADDING_NULS = 64
MAX_NUL_SHARE = 0.01
_JSON_BYTES = 8_000_000
_XLS_PARTS = {"Workbook", "Book"}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x7fELF", "elf"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole2"),
    (b"PAR1", "parquet"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"ARROW1", "arrow"),
    (b"ORC", "orc"),
    (b"Obj\x01", "avro"),
    (b"MZ", "exe"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"RIFF", "riff"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
)
_WORD_LIKE_MAGIC = {"exe", "orc", "bzip2", "riff", "avro", "parquet", "arrow"}
"""Formats whose magic could be the start of a word; they must also hold control bytes."""
_MARKUP = re.compile(rb"\s*(?:<!doctype\s+html|<html|<\?xml|<svg|<head|<table)", re.IGNORECASE)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff", b"\xff\xfe", b"\xfe\xff")
_ALLOWED_CONTROLS = b"\t\n\r\x0b\x0c\x01\x1a\x1c\x1d\x1e\x1f\x00"
_CONTROLS = bytes(code for code in range(32) if code not in _ALLOWED_CONTROLS) + b"\x7f"


def check_gate(path: Path, filename: str, settings: Settings) -> Shape:
    """Let a file in and say how it is to be opened, or refuse it.

    Raises:
        UploadRejected: TOO_LARGE, EMPTY_FILE, UNSUPPORTED_FORMAT or MAGIC_MISMATCH.
    """
    size = path.stat().st_size
    if size > settings.max_file_bytes:
        raise UploadRejected(
            "TOO_LARGE",
            f"The file has {size:,} bytes; at most {settings.max_file_bytes:,} are taken.",
            {"limit": settings.max_file_bytes, "size_bytes": size},
        )
    extension = Path(filename).suffix.lower()
    shape = _shape_of(filename)
    if size == 0:
        raise UploadRejected("EMPTY_FILE", "The file has no bytes.")
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if shape in ("json", "json lines"):
        _check_json(extension, head, path)
        return shape
    detected = detect_format(head, path)
    if shape == "workbook":
        _check_workbook(extension, detected, path)
    elif detected != _MAGIC_OF.get(extension):
        raise _mismatch(extension, detected, path)
    return shape


def packed_name(filename: str) -> str:
    """The name of the file inside a packed one: `sales.csv` of `sales.csv.gz`."""
    return Path(filename).stem


def _shape_of(filename: str) -> Shape:
    extension = Path(filename).suffix.lower()
    shape = _SHAPES.get(extension)
    if shape is None:
        raise UploadRejected(
            "UNSUPPORTED_FORMAT",
            f"Files with the extension {extension[:20]!r} are not taken, only "
            f"{', '.join(SUPPORTED)}.",
            {"detected": extension[:20], "supported_formats": SUPPORTED},
        )
    if shape != "packed":
        return shape
    inner = Path(packed_name(filename)).suffix.lower()
    if _SHAPES.get(inner) not in _PACKABLE:
        raise UploadRejected(
            "UNSUPPORTED_FORMAT",
            f"Packed files are taken when they hold text or JSON and the name says so, such as "
            f"'sales.csv{extension}'; this name ends in {(inner + extension)[-20:]!r}.",
            {"detected": (inner + extension)[-20:], "supported_formats": SUPPORTED},
        )
    return shape


def detect_format(head: bytes, path: Path) -> str | None:
    """The known format, other than delimited text, that the content belongs to."""
    for magic, name in _MAGIC:
        if head.startswith(magic) and (
            name not in _WORD_LIKE_MAGIC or head[:512].translate(None, _CONTROLS) != head[:512]
        ):
            return name
    text = head
    for bom in _BOMS:
        text = text.removeprefix(bom)
    if _MARKUP.match(text):
        return "html" if b"<?xml" not in text[:64].lower() else "xml"
    return "json" if _is_json(text.lstrip(), path) else None


def control_share(sample: bytes) -> float:
    """The share of bytes that no text holds, NULs apart; a few are a slip of the keyboard."""
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls / len(sample) if controls > _FEW_CONTROLS else 0.0


def not_text(share: float) -> UploadRejected:
    """The refusal of binary content."""
    return UploadRejected(
        "NOT_TEXT",
        f"{share:.0%} of the bytes are control characters: this is not a text table.",
        {"control_share": round(share, 4), "limit": MAX_CONTROL_SHARE},
    )


def mismatch(extension: str, detected: str) -> UploadRejected:
    """The refusal of a file whose content is another format than its extension says."""
    return UploadRejected(
        "MAGIC_MISMATCH",
        f"The name says {extension[1:]}, but the content is {content_in_words(detected)}.",
        {"detected": detected, "supported_formats": SUPPORTED},
        remedy_for(detected, extension),
    )


def _mismatch(extension: str, detected: str | None, path: Path) -> UploadRejected:
    """Look into containers: a workbook is an archive, or an OLE2 container."""
    if detected == "zip":
        from nika_pipelines.intake.spreadsheet import archive_kind

        return mismatch(extension, archive_kind(path))
    if detected == "ole2":
        from nika_pipelines.intake.ole_directory import ole_names

        return mismatch(extension, "xls" if ole_names(path) & _XLS_PARTS else "ole2")
    return mismatch(extension, detected or "text")


def _check_workbook(extension: str, detected: str | None, path: Path) -> None:
    """A workbook is a zip archive, an old one an OLE2 container, an encrypted one too."""
    if detected == "ole2":
        from nika_pipelines.intake.ole_directory import ole_names

        names = ole_names(path)
        if "EncryptedPackage" in names or (extension != ".xls" and not names):
            raise UploadRejected(
                "UNSUPPORTED_FORMAT",
                "The workbook is protected by a password.",
                {"detected": "encrypted", "supported_formats": SUPPORTED},
                "Save the workbook without a password.",
            )
        if names & _XLS_PARTS and extension != ".xls":
            raise mismatch(extension, "xls")
    if detected != _MAGIC_OF.get(extension, "zip"):
        raise _mismatch(extension, detected, path)


def _check_json(extension: str, head: bytes, path: Path) -> None:
    """JSON begins with a bracket, whatever the encoding; whether it is sound shows later."""
    text = head
    for bom in _BOMS:
        text = text.removeprefix(bom)
    # Without NULs the ASCII of UTF-16 reads as ASCII.
    start = text.replace(b"\0", b"").lstrip()[:1]
    if start in (b"{", b"["):
        return
    if not start and path.stat().st_size <= len(head):
        raise UploadRejected("EMPTY_FILE", "The file holds only white space.")
    raise _mismatch(extension, detect_format(head, path), path)


def _is_json(text: bytes, path: Path) -> bool:
    """Whether the content is a JSON document or JSON lines."""
    if text[:1] not in (b"{", b"["):
        return False
    first_line = text.split(b"\n", 1)[0].strip()
    if _parses(first_line):
        return True
    if path.stat().st_size > _JSON_BYTES:
        return re.match(rb'[\[{]\s*(?:[\[{]\s*)?"[^"\n]*"\s*[:,]', text) is not None
    return _parses(path.read_bytes())


def _parses(document: bytes) -> bool:
    try:
        json.loads(document)
    except (ValueError, RecursionError):
        return False
    return True
