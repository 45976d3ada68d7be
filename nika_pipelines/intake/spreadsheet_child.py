"""The program that opens a workbook in a process of its own, under limits.

Run by its path with ``python -I``; imports the standard library and calamine only, so that it
starts fast. Its argument is the JSON of `Task`. It writes every sheet that holds a value as CSV
(one record per sheet row, blank rows as empty lines) and prints one JSON document: ``{sheets,
names, macros, chosen, lost_formulas, first_lost, formulas_complete}`` or ``{error}``.
"""

import csv
import errno
import json
import posixpath
import re
import resource
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from xml.parsers import expat

DAMAGED = 3
NO_MEMORY = 4
TOO_MUCH_TEXT = 5
DISK_FULL = 6
_ENDS = {errno.EFBIG: TOO_MUCH_TEXT, errno.ENOSPC: DISK_FULL, errno.EDQUOT: DISK_FULL}
_EXACT_INTEGER = 2.0**53
_CHUNK_BYTES = 262_144
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_LONGEST_TAG = 64
_PARSED_BYTES = 32_000_000
"""Of a longer sheet only the beginning is searched for formulas, a matter of seconds."""


@dataclass(frozen=True)
class Task:
    """What the child is to do.

    Attributes:
        source: the workbook.
        folder: where the sheets go, as ``sheet_<n>.csv``.
        sheet: the sheet that is wanted; null for the one with the most filled cells.
        memory_mb: the address space it may use.
        seconds: the CPU time it may use.
        most_bytes: the bytes it may write.
        most_sheets: sheets beyond these are counted, but only the chosen one is kept.
    """

    source: str
    folder: str
    sheet: str | None
    memory_mb: int
    seconds: int
    most_bytes: int
    most_sheets: int


def main(task: Task) -> int:
    """Extract the sheets; returns the exit code."""
    _limit(task)
    import python_calamine

    try:
        with python_calamine.CalamineWorkbook.from_path(task.source) as workbook:
            answer = _extract(workbook, task)
        answer |= lost_formulas(task.source, answer["chosen"])
        sys.stdout.write(json.dumps(answer))
    except MemoryError:
        return NO_MEMORY
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # A panic of the Rust library is no Exception.
        if isinstance(error, OSError) and error.errno in _ENDS:
            return _ENDS[error.errno]
        sys.stdout.write(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}))
        return DAMAGED
    return 0


def _limit(task: Task) -> None:
    memory = task.memory_mb * 1_048_576
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (task.seconds, task.seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (task.most_bytes, task.most_bytes))


def _extract(workbook: Any, task: Task) -> dict[str, Any]:
    """Write the sheets, one at a time; the largest by filled cells is chosen unless one is named.

    Beyond `most_sheets` only the largest one so far is kept.
    """
    kinds = [(entry.name, str(entry.typ).rpartition(".")[2]) for entry in workbook.sheets_metadata]
    names = [name for name, kind in kinds if kind == "WorkSheet"]
    macros = next((name for name, kind in kinds if kind in ("MacroSheet", "Vba")), None)
    answer: dict[str, Any] = {"names": names, "macros": macros, "sheets": [], "chosen": None}
    if macros is not None or task.sheet not in (None, *names):
        return answer
    left, sheets = task.most_bytes, []
    for number, (name, kind) in enumerate(kinds):
        if kind != "WorkSheet":
            continue
        path = Path(task.folder) / f"sheet_{number}.csv"
        sheet = {"name": name, "path": str(path)} | _write(
            workbook.get_sheet_by_index(number), path
        )
        sheets.append(sheet)
        if not sheet["cells"]:
            path.unlink()
        left -= path.stat().st_size if sheet["cells"] else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(1, left), task.most_bytes))
    filled = [sheet for sheet in sheets if sheet["cells"]]
    wanted = [sheet for sheet in filled if task.sheet in (None, sheet["name"])]
    chosen = max(wanted, key=lambda sheet: int(sheet["cells"]), default=None)
    for sheet in filled[task.most_sheets :]:
        if sheet is not chosen:
            Path(sheet["path"]).unlink()
            sheet["path"] = None
    return answer | {"sheets": filled, "chosen": chosen and chosen["name"]}


def _write(sheet: Any, target: Path) -> dict[str, int]:
    """Write every row of a sheet; returns how many rows, columns and filled cells it has."""
    rows = filled = 0
    with target.open("w", encoding="utf-8", errors="replace", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for cells in _rows(sheet):
            texts = [_text(cell) for cell in cells]
            count = len(texts) - texts.count("")
            if count:
                writer.writerow(texts)
            else:
                out.write("\n")
            filled += count
            rows += 1
    return {"rows": rows, "columns": sheet.width, "cells": filled}


def _rows(sheet: Any) -> Iterator[list[Any]]:
    """The rows from the first of the sheet on; those above its first cell are empty."""
    for _ in range((sheet.start or (0, 0))[0]):
        yield []
    yield from sheet.iter_rows()


def _text(cell: Any) -> str:
    """A cell as text: ISO dates, plain numbers, no NULs."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.replace("\0", "")
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if _is_integer(cell) else repr(cell)
    if isinstance(cell, datetime):
        midnight = cell.time() == time(0)
        return cell.date().isoformat() if midnight else cell.isoformat(sep=" ")
    if isinstance(cell, (date, time, timedelta)):
        return str(cell)
    return str(cell)


def _is_integer(number: float) -> bool:
    return number.is_integer() and abs(number) < _EXACT_INTEGER


def lost_formulas(source: str, sheet: str | None) -> dict[str, Any]:
    """How many cells of a sheet have a formula and no stored value, and where the first is.

    Programs that write workbooks without calculating leave them so.
    """
    cells, complete = _FormulaCells(), True
    try:
        with zipfile.ZipFile(source) as archive:
            part = _part_of(archive, sheet)
            # Most sheets have no formula: searching their bytes is quicker than parsing them.
            if part is not None and _has_formula(archive, part):
                complete = _parse(archive, part, cells.start, cells.end, cells.text)
    except (expat.ExpatError, zipfile.BadZipFile, zlib.error, LookupError) as error:
        # The sheet itself could be read; only this question stays open.
        sys.stderr.write(f"formulas were not counted: {error}\n")
    return {
        "lost_formulas": cells.lost,
        "first_lost": cells.first,
        "formulas_complete": complete,
    }


class _FormulaCells:
    """Watches the elements of a sheet for formulas without a value."""

    def __init__(self) -> None:
        self.lost = 0
        self.first: str | None = None
        self._place = ""
        self._formula = self._value = self._in_value = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if name == "c":
            self._place = attributes.get("r", "an unnamed cell")
            self._formula = False
            # An empty value is a value where the formula gave a text.
            self._value = attributes.get("t") == "str"
        elif name == "f":
            self._formula = True
        self._in_value = name == "v"

    def text(self, text: str) -> None:
        self._value |= self._in_value and bool(text)

    def end(self, name: str) -> None:
        self._in_value = False
        if _local(name) == "c" and self._formula and not self._value:
            self.lost += 1
            self.first = self.first or self._place


def _part_of(archive: zipfile.ZipFile, sheet: str | None) -> str | None:
    """The part of the archive that holds a sheet, if it is where workbooks have it."""
    relations: dict[str, str] = {}
    ids: list[str] = []

    def see_relation(_name: str, attributes: dict[str, str]) -> None:
        relations[attributes.get("Id", "")] = attributes.get("Target", "")

    def see_sheet(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "sheet" and attributes.get("name") == sheet:
            ids.extend(value for key, value in attributes.items() if _local(key) == "id")

    parts = set(archive.namelist())
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= parts:
        return None
    _parse(archive, "xl/_rels/workbook.xml.rels", see_relation)
    _parse(archive, "xl/workbook.xml", see_sheet)
    target = relations.get(ids[0], "") if ids else ""
    path = posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")
    return path if path in parts else None


def _has_formula(archive: zipfile.ZipFile, part: str) -> bool:
    rest = b""
    with archive.open(part) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            # Without NULs the ASCII of UTF-16 reads as ASCII.
            window = (rest + chunk).replace(b"\0", b"")
            if _FORMULA.search(window):
                return True
            rest = window[-_LONGEST_TAG:]
    return False


def _parse(
    archive: zipfile.ZipFile,
    part: str,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> bool:
    """Stream a part through the XML parser; document types were refused before.

    Returns:
        Whether the part was read to its end.
    """
    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    with archive.open(part) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            if stream.tell() > _PARSED_BYTES:
                return False
            parser.Parse(chunk, False)
    return True


def _local(name: str) -> str:
    """A name without its namespace's prefix."""
    return name.rpartition(":")[2]


if __name__ == "__main__":
    sys.exit(main(Task(**json.loads(sys.argv[1]))))
