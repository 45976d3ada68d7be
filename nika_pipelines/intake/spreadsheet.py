"""Workbooks: checked as archives first, then read by a child process under limits.

Belongs here: what may be inside an XLSX archive, and what the child's end means. Does not belong
here: reading cells (spreadsheet_child) and finding the table among them (structure).
"""

import json
import re
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nika_pipelines.intake import spreadsheet_child
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.gate import SUPPORTED
from nika_pipelines.settings import Settings

_PROLOG_BYTES = 65_536
_BIG_PART_BYTES = 1_000_000
"""Small parts compress well without being bombs; the ratio counts for larger ones and the sum."""
_MACRO_PARTS = re.compile(r"vbaProject\.bin|macrosheets/|dialogsheets/", re.IGNORECASE)
_DECLARATION = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_ROOT = re.compile(rb"<[A-Za-z_]")


@dataclass(frozen=True)
class SheetText:
    """One sheet as CSV: comma, double quote, LF; a record is a sheet row.

    ``lost_formulas`` of its cells (or more, unless ``formulas_complete``) have a formula and no
    stored value, the first in ``first_lost``; they are empty in the CSV.
    """

    path: Path
    sheet: str
    rows: int
    others: list[dict[str, Any]]
    lost_formulas: int = 0
    first_lost: str | None = None
    formulas_complete: bool = True


def extract_sheet(source: Path, work: Path, settings: Settings) -> SheetText:
    """Check a workbook and write its largest sheet as CSV.

    Raises:
        UploadRejected: ZIP_BOMB, MACRO_PRESENT, XML_ENTITY, MAGIC_MISMATCH, UNSUPPORTED_FORMAT,
            TIMEOUT, TOO_LARGE or EMPTY_FILE.
    """
    check_archive(source, settings)
    target = work / "sheet.csv"
    answer = _run_child(source, target, settings)
    if answer["sheet"] is None:
        raise UploadRejected("EMPTY_FILE", "No sheet of the workbook holds a cell with a value.")
    return SheetText(
        path=target,
        sheet=answer["sheet"],
        rows=answer["rows"],
        others=answer["others"],
        lost_formulas=answer["lost_formulas"],
        first_lost=answer["first_lost"],
        formulas_complete=answer["formulas_complete"],
    )


def check_archive(source: Path, settings: Settings) -> None:
    """Refuse an archive that no workbook needs to be.

    Raises:
        UploadRejected: ZIP_BOMB, MACRO_PRESENT, XML_ENTITY, MAGIC_MISMATCH, UNSUPPORTED_FORMAT.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            parts = archive.infolist()
            _check_sizes(parts, settings)
            _check_names([part.filename for part in parts])
            _check_open(parts)
            for part in parts:
                if part.filename.lower().endswith((".xml", ".rels", ".vml")):
                    _check_prolog(archive, part)
    except UploadRejected:
        raise
    except Exception as error:  # A hostile archive provokes zlib, struct and other errors.
        raise _unsupported(f"The workbook is damaged: {error}"[:300], "damaged zip") from error


def _check_sizes(parts: list[zipfile.ZipInfo], settings: Settings) -> None:
    total = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    worst = max(
        (
            part.file_size / max(1, part.compress_size)
            for part in parts
            if part.file_size > _BIG_PART_BYTES
        ),
        default=0.0,
    )
    ratio = max(worst, total / max(1, packed) if total > _BIG_PART_BYTES else 0.0)
    if len(parts) > settings.zip_max_entries:
        raise UploadRejected(
            "ZIP_BOMB",
            f"The workbook has {len(parts):,} parts; at most {settings.zip_max_entries:,} are taken.",
            {"detected": len(parts), "limit": settings.zip_max_entries},
        )
    if total > settings.zip_max_total_bytes:
        raise UploadRejected(
            "ZIP_BOMB",
            f"The workbook unpacks to {total:,} bytes; at most {settings.zip_max_total_bytes:,} "
            "are taken.",
            {"detected": total, "limit": settings.zip_max_total_bytes, "ratio": round(ratio, 1)},
        )
    if ratio > settings.zip_max_ratio:
        raise UploadRejected(
            "ZIP_BOMB",
            f"The workbook unpacks to {ratio:.0f} times its packed size; at most "
            f"{settings.zip_max_ratio:g} times are taken.",
            {
                "detected": round(ratio, 1),
                "limit": settings.zip_max_ratio,
                "ratio": round(ratio, 1),
            },
        )


def _check_open(parts: list[zipfile.ZipInfo]) -> None:
    if any(part.flag_bits & 0x1 for part in parts):
        raise _unsupported("A part of the workbook is encrypted.", "encrypted")


def _check_names(names: list[str]) -> None:
    for name in names:
        if ".." in re.split(r"[\\/]", name) or name.startswith(("/", "\\")):
            raise _unsupported("A part of the workbook lies outside of it.", "path traversal")
        if _MACRO_PARTS.search(name):
            raise UploadRejected(
                "MACRO_PRESENT",
                f"The workbook holds macros: {name[:100]!r}.",
                {"detected": name[:100]},
            )
        if "externallinks/" in name.lower():
            raise _unsupported("The workbook links to other files.", "external links")
    if "[Content_Types].xml" not in names or not any(name.startswith("xl/") for name in names):
        raise UploadRejected(
            "MAGIC_MISMATCH",
            "The archive is not a workbook.",
            {"detected": "zip", "supported_formats": SUPPORTED},
        )


def _check_prolog(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Refuse document types and entities; they can only stand before the root element."""
    with archive.open(part) as stream:
        # Without NULs the ASCII of UTF-16 reads as ASCII.
        prolog = stream.read(_PROLOG_BYTES).replace(b"\0", b"")
    root = _ROOT.search(prolog)
    declared = _DECLARATION.search(prolog)
    if declared or (root is None and part.file_size > _PROLOG_BYTES):
        raise UploadRejected(
            "XML_ENTITY",
            f"The part {part.filename[:100]!r} declares a document type or entities.",
            {"detected": "DOCTYPE"},
        )


def _run_child(source: Path, target: Path, settings: Settings) -> dict[str, Any]:
    """Run the reader under limits; its way of ending becomes a code."""
    command = [
        sys.executable,
        "-I",
        str(Path(spreadsheet_child.__file__)),
        str(source.absolute()),
        str(target.absolute()),
        str(settings.spreadsheet_memory_mb),
        str(max(1, int(settings.spreadsheet_seconds))),
    ]
    try:
        child = subprocess.run(
            command, capture_output=True, timeout=settings.spreadsheet_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _timeout(settings) from error
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _timeout(settings)
    if child.returncode == spreadsheet_child.DAMAGED:
        reason = json.loads(child.stdout)["error"]
        raise _unsupported(f"The workbook cannot be read: {reason}", "damaged workbook")
    if child.returncode != 0:
        raise UploadRejected(
            "TOO_LARGE",
            f"Reading the workbook took more than {settings.spreadsheet_memory_mb} MB of memory.",
            {"limit": settings.spreadsheet_memory_mb, "exit_code": child.returncode},
        )
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def _timeout(settings: Settings) -> UploadRejected:
    return UploadRejected(
        "TIMEOUT",
        f"Reading the workbook took longer than {settings.spreadsheet_seconds:g} seconds.",
        {"limit": settings.spreadsheet_seconds},
    )


def _unsupported(message: str, detected: str) -> UploadRejected:
    return UploadRejected(
        "UNSUPPORTED_FORMAT", message, {"detected": detected, "supported_formats": SUPPORTED}
    )
