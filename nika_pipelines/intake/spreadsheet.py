"""Workbooks: checked as archives first, then read by a child process under limits.

Belongs here: what may be inside an XLSX archive, and what the child's end means. Does not belong
here: reading cells (spreadsheet_child) and finding the table among them (structure).
"""

import errno
import json
import re
import signal
import subprocess
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nika_pipelines.intake import spreadsheet_child
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.gate import SUPPORTED, mismatch
from nika_pipelines.intake.ole_directory import ole_names
from nika_pipelines.intake.remedies import COPY_AGAIN
from nika_pipelines.settings import Settings

_PROLOG_BYTES = 65_536
_BIG_PART_BYTES = 1_000_000
"""Small parts compress well without being bombs; the ratio counts for larger ones and the sum."""
_MANIFEST_BYTES = 4_000_000
_MOST_OTHER_SHEETS = 50
_MACRO_PARTS = re.compile(
    r"vbaProject\.bin|macrosheets/|dialogsheets/"  # Excel
    r"|^Scripts/.|^Basic/[^/]+/(?!script-lb\.xml$).",  # OpenDocument; script-lb lists no macro
    re.IGNORECASE,
)
_OLE_MACROS = {"_VBA_PROJECT", "_VBA_PROJECT_CUR", "VBA"}
_LANDMARKS = {
    ".xlsx": "xl/workbook.xml",
    ".xlsm": "xl/workbook.xml",
    ".xlsb": "xl/workbook.bin",
    ".ods": "content.xml",
}
"""The part that shows what kind of workbook an archive is."""
_REMEDIES = {
    "encrypted": "Save the workbook without a password.",
    "path traversal": "Save the workbook anew in a spreadsheet program.",
    "external links": "Break the links to other workbooks (Data, Edit Links), then save it anew.",
}
_DECLARATION = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_ROOT = re.compile(rb"<[A-Za-z_]")


@dataclass(frozen=True)
class Sheet:
    """One sheet as CSV: comma, double quote, LF; a record is a sheet row.

    Attributes:
        name: as the workbook calls it.
        path: the CSV; null when there were too many sheets to keep.
        rows: rows of the sheet down to the last one with a value.
        columns: cells of a row.
        cells: cells with a value.
    """

    name: str
    path: Path | None
    rows: int
    columns: int
    cells: int


@dataclass(frozen=True)
class WorkbookText:
    """The sheets of a workbook.

    ``lost_formulas`` of the chosen sheet's cells (or more, unless ``formulas_complete``) have a
    formula and no stored value, the first in ``first_lost``; they are empty in the CSV.
    """

    chosen: Sheet
    path: Path
    others: list[Sheet]
    lost_formulas: int = 0
    first_lost: str | None = None
    formulas_complete: bool = True


def extract_sheets(
    source: Path, extension: str, work: Path, settings: Settings, wanted: str | None = None
) -> WorkbookText:
    """Check a workbook and write its sheets as CSV.

    Args:
        source: the workbook.
        extension: what its name ends in, such as ``.xlsx``.
        work: the folder for the sheets.
        settings: the limits in force.
        wanted: the sheet that is the table; the one with the most filled cells if null.

    Raises:
        UploadRejected: ZIP_BOMB, MACRO_PRESENT, XML_ENTITY, MAGIC_MISMATCH, UNSUPPORTED_FORMAT,
            TIMEOUT, TOO_LARGE, EMPTY_FILE, or CONTRACT_BROKEN for a sheet that is not there.
    """
    if extension == ".xls":
        _check_ole(source)
    else:
        check_archive(source, extension, settings)
    answer = _run_child(source, work, settings, wanted)
    if answer["macros"] is not None:
        raise _macros(f"sheet {answer['macros']!r}")
    if wanted is not None and wanted not in answer["names"]:
        raise UploadRejected(
            "CONTRACT_BROKEN",
            f"The workbook has no sheet {wanted[:100]!r}; it has "
            f"{', '.join(repr(name[:100]) for name in answer['names'][:20])}.",
            {"detected": [name[:100] for name in answer["names"][:20]], "sheet": wanted[:100]},
        )
    sheets = [
        Sheet(**sheet | {"path": sheet["path"] and Path(sheet["path"])})
        for sheet in answer["sheets"]
    ]
    chosen = next((sheet for sheet in sheets if sheet.name == answer["chosen"]), None)
    if chosen is None or chosen.path is None:
        which = "No sheet" if wanted is None else f"The sheet {wanted!r}"
        have = "holds" if wanted is None else "does not hold"
        raise UploadRejected("EMPTY_FILE", f"{which} of the workbook {have} a cell with a value.")
    return WorkbookText(
        chosen=chosen,
        path=chosen.path,
        others=[sheet for sheet in sheets if sheet is not chosen],
        lost_formulas=answer["lost_formulas"],
        first_lost=answer["first_lost"],
        formulas_complete=answer["formulas_complete"],
    )


def check_archive(source: Path, extension: str, settings: Settings) -> None:
    """Refuse an archive that no workbook needs to be.

    Raises:
        UploadRejected: ZIP_BOMB, MACRO_PRESENT, XML_ENTITY, MAGIC_MISMATCH, UNSUPPORTED_FORMAT.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            parts = archive.infolist()
            _check_sizes(parts, settings)
            _check_names([part.filename for part in parts], extension)
            _check_open(archive, parts)
            for part in parts:
                if part.filename.lower().endswith((".xml", ".rels", ".vml", ".rdf")):
                    _check_prolog(archive, part)
    except UploadRejected:
        raise
    except Exception as error:  # A hostile archive provokes zlib, struct and other errors.
        told = f"The workbook is damaged: {error}"[:300]
        raise _unsupported(told, "damaged zip", COPY_AGAIN) from error


def archive_kind(source: Path) -> str:
    """What an archive is, whatever its name: ``xlsx``, ``xlsb``, ``ods`` or ``zip``."""
    try:
        with zipfile.ZipFile(source) as archive:
            return _kind_of(archive.namelist())
    except Exception:  # A hostile archive provokes zlib, struct and other errors: it is none.
        return "zip"


def _check_ole(source: Path) -> None:
    """Refuse an old workbook with macros, as far as the container's directory tells."""
    found = sorted(ole_names(source) & _OLE_MACROS)
    if found:
        raise _macros(repr(found[0]))


def _macros(where: str) -> UploadRejected:
    return UploadRejected(
        "MACRO_PRESENT", f"The workbook holds macros: {where}.", {"detected": where[:100]}
    )


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


def _check_open(archive: zipfile.ZipFile, parts: list[zipfile.ZipInfo]) -> None:
    encrypted = any(part.flag_bits & 0x1 for part in parts)
    names = {part.filename for part in parts}
    if "META-INF/manifest.xml" in names:
        with archive.open("META-INF/manifest.xml") as stream:
            encrypted |= b"encryption-data" in stream.read(_MANIFEST_BYTES)
    if encrypted or "encrypted-package" in names:
        raise _unsupported("The workbook is protected by a password.", "encrypted")


def _check_names(names: list[str], extension: str) -> None:
    for name in names:
        if ".." in re.split(r"[\\/]", name) or name.startswith(("/", "\\")):
            raise _unsupported("A part of the workbook lies outside of it.", "path traversal")
        if _MACRO_PARTS.search(name):
            raise _macros(repr(name[:100]))
        if "externallinks/" in name.lower():
            raise _unsupported("The workbook links to other files.", "external links")
    if _LANDMARKS[extension] in names:
        return
    raise mismatch(extension, _kind_of(names))


def _kind_of(names: list[str]) -> str:
    """The kind of workbook that an archive with these parts is, or ``zip``."""
    kinds = {part: kind[1:] for kind, part in reversed(_LANDMARKS.items())}
    return next((kinds[name] for name in names if name in kinds), "zip")


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


def _run_child(source: Path, work: Path, settings: Settings, wanted: str | None) -> dict[str, Any]:
    """Run the reader under limits; its way of ending becomes a code."""
    task = spreadsheet_child.Task(
        source=str(source.absolute()),
        folder=str(work.absolute()),
        sheet=wanted,
        memory_mb=settings.spreadsheet_memory_mb,
        seconds=max(1, int(settings.spreadsheet_seconds)),
        most_bytes=settings.max_file_bytes,
        most_sheets=_MOST_OTHER_SHEETS,
    )
    program = str(Path(spreadsheet_child.__file__))
    command = [sys.executable, "-I", program, json.dumps(asdict(task))]
    try:
        child = subprocess.run(
            command, capture_output=True, timeout=settings.spreadsheet_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _timeout(settings) from error
    if child.returncode == spreadsheet_child.DISK_FULL:
        raise OSError(errno.ENOSPC, "no room for the sheets of the workbook")
    if child.returncode != 0:
        raise _ended(child, settings)
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def _ended(child: "subprocess.CompletedProcess[bytes]", settings: Settings) -> UploadRejected:
    """What it means that the child did not deliver."""
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return _timeout(settings)
    if child.returncode == spreadsheet_child.DAMAGED:
        reason = json.loads(child.stdout)["error"]
        if reason.startswith("PasswordError"):
            return _unsupported("The workbook is protected by a password.", "encrypted")
        told = f"The workbook cannot be read: {reason}"
        return _unsupported(told, "damaged workbook", COPY_AGAIN)
    if child.returncode == spreadsheet_child.TOO_MUCH_TEXT:
        return UploadRejected(
            "TOO_LARGE",
            f"The sheets take more than {settings.max_file_bytes:,} bytes as text.",
            {"limit": settings.max_file_bytes},
        )
    return UploadRejected(
        "TOO_LARGE",
        f"Reading the workbook took more than {settings.spreadsheet_memory_mb} MB of memory.",
        {"limit": settings.spreadsheet_memory_mb, "exit_code": child.returncode},
    )


def _timeout(settings: Settings) -> UploadRejected:
    return UploadRejected(
        "TIMEOUT",
        f"Reading the workbook took longer than {settings.spreadsheet_seconds:g} seconds.",
        {"limit": settings.spreadsheet_seconds},
    )


def _unsupported(message: str, detected: str, remedy: str = "") -> UploadRejected:
    details = {"detected": detected, "supported_formats": SUPPORTED}
    return UploadRejected("UNSUPPORTED_FORMAT", message, details, remedy or _REMEDIES[detected])
