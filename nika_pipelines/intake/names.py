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
COMPANION_SUFFIXES = (".nika.yaml", ".analysis.yaml")

# Dagster refuses commas, brackets, quotes and a few more in partition keys; shells and file
# systems refuse or misread the rest. Word characters of any script stay.
_UNSAFE = re.compile(r"[^\w.() +@=~-]", re.UNICODE)
_DATE_OR_COPY = re.compile(r"(?:[ _.-]\d{4}[-_]?\d{2}(?:[-_]?\d{2})?| \(\d+\))$")
_STEM_BYTES = 120
_QUOTED = "percent-encoded:"


def display_name(name: str) -> str:
    """A name fit for logs, reports and the terminal: no control or direction characters.

    Bytes that are not UTF-8 (surrogate escapes) become U+FFFD.
    """
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_invisible(c) else c for c in readable)


def safe_name(name: str) -> str:
    """The name under which a file is stored: NFC, at most `MAX_NAME_BYTES` bytes, never empty.

    Control, direction-override and path characters become ``_``; runs of dots become one. The
    name of the document beside a quarantined file is never given: ``reason.json`` becomes
    ``reason_.json``.
    """
    readable = unicodedata.normalize("NFC", display_name(name))
    cleaned = _UNSAFE.sub("_", readable.replace("\N{REPLACEMENT CHARACTER}", "_"))
    cleaned = re.sub(r"\.{2,}", ".", cleaned).strip(" .")
    suffix = PurePath(cleaned).suffix if len(PurePath(cleaned).suffix) <= 16 else ""
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
    stem = PurePath(safe_name(name)).stem
    stripped = _DATE_OR_COPY.sub("", stem)
    dataset = stripped.strip(" ._-") or stem
    return f"{_folded(safe_name(tag))}/{_folded(dataset)}" if tag else _folded(dataset)


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


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _folded(name: str) -> str:
    """Lower case in any script, again NFC and short enough: folding may lengthen a name."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return _cut_bytes(folded, MAX_NAME_BYTES)


def _cut_bytes(text: str, limit: int) -> str:
    return text.encode()[:limit].decode("utf-8", "ignore")
