"""The program that opens a workbook in a process of its own, under limits.

Run by its path with ``python -I``; imports the standard library and calamine only, so that it
starts fast. It writes the sheet with the most cells as CSV (one record per sheet row, blank rows
as empty lines) and prints one JSON document: ``{sheet, rows, columns, others}`` or ``{error}``.
"""

import csv
import json
import resource
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

DAMAGED = 3
NO_MEMORY = 4
_EXACT_INTEGER = 1e15


def main(source: str, target: str, memory_mb: int, seconds: int) -> int:
    """Extract one sheet; returns the exit code."""
    _limit(memory_mb, seconds)
    import python_calamine

    try:
        with python_calamine.CalamineWorkbook.from_path(source) as workbook:
            sys.stdout.write(json.dumps(_extract(workbook, target)))
    except MemoryError:
        return NO_MEMORY
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # A panic of the Rust library is no Exception.
        sys.stdout.write(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}))
        return DAMAGED
    return 0


def _limit(memory_mb: int, seconds: int) -> None:
    memory = memory_mb * 1_048_576
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _extract(workbook: Any, target: str) -> dict[str, Any]:
    """Write the largest sheet; sheets are opened one at a time."""
    sizes = {}
    for entry in workbook.sheets_metadata:
        if str(entry.typ).endswith("WorkSheet"):
            sheet = workbook.get_sheet_by_name(entry.name)
            sizes[entry.name] = (sheet.height, sheet.width)
    filled = {name: size for name, size in sizes.items() if size[0] * size[1]}
    if not filled:
        return {"sheet": None, "rows": 0, "columns": 0, "others": []}
    largest = max(filled, key=lambda name: filled[name][0] * filled[name][1])
    rows = _write(workbook.get_sheet_by_name(largest), target)
    others = [
        {"name": name, "rows": size[0], "columns": size[1]}
        for name, size in filled.items()
        if name != largest
    ]
    return {"sheet": largest, "rows": rows, "columns": filled[largest][1], "others": others}


def _write(sheet: Any, target: str) -> int:
    """Write every row of a sheet; returns how many sheet rows that are."""
    rows = 0
    with Path(target).open("w", encoding="utf-8", errors="replace", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for cells in _rows(sheet):
            texts = [_text(cell) for cell in cells]
            if any(texts):
                writer.writerow(texts)
            else:
                out.write("\n")
            rows += 1
    return rows


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
