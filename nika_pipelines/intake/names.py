"""Names: safe stored names, datasets, upload ids, and which names the inbox ignores.

The original name of a file is metadata only; everything stored goes under a safe name, because
file names are hostile until proven otherwise and because a name becomes a Dagster partition key.
"""

import os
import re
import secrets
import unicodedata
from datetime import UTC, datetime
from pathlib import PurePath
from urllib.parse import quote, unquote_to_bytes

MAX_NAME_BYTES = 200
REASON_NAME = "reason.json"
"""The document beside a file in quarantine."""

PARTIAL_SUFFIXES = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".swp")
SIDECAR_SUFFIX = ".nika.yaml"
"""Ends the name of a file that says how another one is to be read."""
COMPANION_SUFFIXES = (SIDECAR_SUFFIX, ".analysis.yaml")
COMPRESSION_SUFFIXES = (".gz", ".zst")

# Dagster refuses commas, brackets, quotes and a few more in partition keys; shells and file
# systems refuse or misread the rest. Word characters of any script stay.
_UNSAFE = re.compile(r"[^\w.() +@=~-]", re.UNICODE)
# No other six digits: customer_100234 is a dataset of its own.
_DAY = r"(?:19|20)\d{2}[-_]?(?:0[1-9]|1[0-2])(?:[-_]?(?:0[1-9]|[12]\d|3[01]))?"
_DATE_OR_COPY = re.compile(rf"(?:[ _.-]{_DAY}| \(\d+\))$", re.ASCII)
# Names of devices on Windows, whatever follows the first dot.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)
_NO_STEM = re.compile(r"[ .]*((?:\.\w{1,8}){1,2})")
_STEM_BYTES = 120
_QUOTED = "percent-encoded:"


def display_name(name: str) -> str:
    """A name fit for logs, reports and the terminal: no control or direction characters.

    Bytes that are not UTF-8 (surrogate escapes) become U+FFFD.
    """
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_invisible(c) else c for c in readable)


def readable_name(name: str) -> str:
    r"""A name as text: bytes that are not UTF-8 are spelled, so that no two names become one.

    >>> print(readable_name("caf\udce9.csv"))
    caf\xe9.csv
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def safe_name(name: str) -> str:
    """The name under which a file is stored: NFC, at most `MAX_NAME_BYTES` bytes, never empty.

    Control, direction-override and path characters become ``_``; runs of dots become one. Names
    that mean something else are never given: ``reason.json``, the document beside a quarantined
    file, becomes ``reason_.json``, and ``CON.csv``, a device on Windows, ``CON_.csv``.
    """
    readable = unicodedata.normalize("NFC", display_name(readable_name(name)))
    cleaned = _UNSAFE.sub("_", readable.replace("\N{REPLACEMENT CHARACTER}", "_"))
    cleaned = re.sub(r"\.{2,}", ".", cleaned).rstrip(" .")
    cleaned = f"file{found[1]}" if (found := _NO_STEM.fullmatch(cleaned)) else cleaned.lstrip(" .")
    cleaned = _no_device(cleaned)
    suffix = format_suffix(cleaned)
    stem = cleaned[: len(cleaned) - len(suffix)] if suffix else cleaned
    stem = _cut_bytes(stem, MAX_NAME_BYTES - len(suffix.encode())).rstrip(" .")
    safe = (stem or "file") + suffix
    # Case-insensitive file systems would take REASON.json for the same file.
    return f"{stem}_{suffix}" if safe.casefold() == REASON_NAME else safe


def safe_stem(name: str) -> str:
    """The stem of the safe name, short enough to carry a time and a random part in an id."""
    stem = PurePath(safe_name(name)).stem
    return _cut_bytes(re.sub(r"\s+", "_", stem), _STEM_BYTES).strip("._- ") or "file"


def dataset_name(name: str, tag: str | None = None) -> str:
    """The dataset a file belongs to: tag and stem without a trailing date or copy number.

    Case does not count: `Sales.csv` and `sales.csv` are one dataset, whose contract is one file
    on every file system.

    >>> dataset_name("sales_2024-05.csv"), dataset_name("sales (2).csv", tag="north")
    ('sales', 'north/sales')
    """
    stem = PurePath(_unpacked(safe_name(name))).stem
    dataset = _DATE_OR_COPY.sub("", stem) or stem
    return f"{_folder(tag)}/{_folded(dataset)}" if tag else _folded(dataset)


def companion_names(name: str, suffix: str = SIDECAR_SUFFIX) -> tuple[str, ...]:
    """The names under which a companion of a file may lie beside it; the first that does counts.

    >>> companion_names("sales.csv.gz")
    ('sales.csv.gz.nika.yaml', 'sales.csv.nika.yaml', 'sales.nika.yaml')
    """
    stem = PurePath(name).stem
    stems = dict.fromkeys((name, stem, PurePath(_unpacked(name)).stem))
    return tuple(f"{one}{suffix}" for one in stems)


def format_suffix(name: str) -> str:
    """What tells the format of a file, of a compressed one with that of its content.

    >>> format_suffix("sales.csv.gz")
    '.csv.gz'
    """
    outer = PurePath(name).suffix
    inner = PurePath(_unpacked(name)).suffix if outer.lower() in COMPRESSION_SUFFIXES else ""
    suffix = inner + outer
    return suffix if len(suffix) <= 16 else ""


def new_upload_id(name: str, now: datetime) -> str:
    """A fresh upload id, which is also the Dagster partition key of the upload.

    Args:
        name: original file name.
        now: time of the claim; must carry a zone.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{safe_stem(name)}-{stamp}-{secrets.token_hex(2)}"


def path_to_text(path: str) -> str:
    """A path as text that every database and JSON file can hold, whatever bytes it has.

    The inverse is `path_from_text`. Ordinary paths stay as they are.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return _QUOTED + quote(os.fsencode(path))
    return path


def path_from_text(text: str) -> str:
    """The path that `path_to_text` described."""
    return os.fsdecode(unquote_to_bytes(text[len(_QUOTED) :])) if text.startswith(_QUOTED) else text


def is_ignored(name: str) -> bool:
    """Whether the inbox never looks at a file of this name (hidden, lock file, unfinished copy)."""
    return name.startswith((".", "~$")) or name.lower().endswith(PARTIAL_SUFFIXES)


def is_partial(name: str) -> bool:
    """Whether the name is that of an unfinished copy."""
    return name.lower().endswith(PARTIAL_SUFFIXES)


def is_companion(name: str) -> bool:
    """Whether the file describes another one (a sidecar) and is never an upload."""
    return name.lower().endswith(COMPANION_SUFFIXES)


def _unpacked(name: str) -> str:
    """The name of what a compressed file holds."""
    path = PurePath(name)
    return path.stem if path.suffix.lower() in COMPRESSION_SUFFIXES else name


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _no_device(name: str) -> str:
    return f"{found[0]}_{name[found.end() :]}" if (found := _DEVICE.match(name)) else name


def _folder(tag: str) -> str:
    """A tag as the name of a folder that no contract's file can have."""
    folded = _folded(safe_name(tag))
    return f"{folded}_" if folded.endswith(".yaml") else folded


def _folded(name: str) -> str:
    """Lower case in any script, again NFC and short enough: folding may lengthen a name."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return _cut_bytes(_no_device(folded), MAX_NAME_BYTES)


def _cut_bytes(text: str, limit: int) -> str:
    return text.encode()[:limit].decode("utf-8", "ignore")
