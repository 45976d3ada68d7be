"""How many real and hostile text tables become the table that they are, beside other readers.

``python benchmarks/intake_accuracy.py DIR`` takes a folder with the folders ``handmade``,
``pollock_survey`` and ``pollock_polluted`` (each ``csv/`` and the truth in ``clean/``), and
``csv-spectrum`` and ``messytables`` (looked at, not judged). A file is right when at least 95 % of
its records equal the truth, silent when it was taken without an error but less than half of it is
right. Where the truth has no record, a refusal is right. Judges differ in what equal means, so the
figures are given under several readings of the word:

* ``values``: data records in any order; white space and empty last cells do not count.
* ``ordered``: the same in the order of the truth, the header being the first record.
* ``exact``: the characters of every cell count, and so does the number of cells.
"""

import argparse
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from operator import eq
from pathlib import Path
from typing import Any

from table_readers import READERS, BoundedReader, Read

JUDGED = ("handmade", "pollock_survey", "pollock_polluted")
SHOWN = {"csv-spectrum": "csvs", "messytables": "."}
TEXT_FILES = (".csv", ".tsv", ".psv", ".ssv", ".txt", ".unknown")
READINGS = ("values", "ordered", "exact")
RIGHT_SHARE, SILENT_SHARE = 0.95, 0.5
_MOST_SHIFTED = 60
_GENERATED = re.compile(r"col(?:umn)?_?\d*|unnamed: \d+", re.IGNORECASE)

Record = tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """The share of equal records under each reading, and whether the header is right."""

    shares: dict[str, float]
    header: bool | None


def main() -> int:
    """Judge every folder that is there; print a table, and JSON to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures of every file here")
    parser.add_argument("--readers", nargs="*", choices=list(READERS), default=list(READERS))
    parser.add_argument("--sets", nargs="*", choices=[*JUDGED, *SHOWN], default=[*JUDGED, *SHOWN])
    given = parser.parse_args()
    readers = [BoundedReader(name, READERS[name]) for name in given.readers]
    document: dict[str, Any] = {"schema_version": 1, "summary": [], "files": []}
    try:
        for name in given.sets:
            _measure(given.folder / name, readers, document)
    finally:
        for reader in readers:
            reader.close()
    if given.json:
        given.json.write_text(json.dumps(document, indent=1), "utf-8")
    return 0


def _measure(folder: Path, readers: list[BoundedReader], document: dict[str, Any]) -> None:
    if folder.name in JUDGED:
        rows = [_judged(path, reader) for path in _files(folder / "csv") for reader in readers]
        document["files"] += [{"set": folder.name, **row} for row in rows]
        for reader in readers:
            own = [row for row in rows if row["reader"] == reader.name]
            document["summary"].append({"set": folder.name, **_summary(reader.name, own)})
            print(_line(document["summary"][-1]), flush=True)
        for row in rows:
            if row["reader"] == readers[0].name and (not row["right"]["values"] or row["silent"]):
                print(f"    {row['file']}: {row['refused'] or row['shares']}")
        return
    for path in _files(folder / SHOWN[folder.name]):
        for reader in readers:
            read = reader(path)
            row = {"file": path.name, "reader": reader.name, **_shape(read)}
            document["files"].append({"set": folder.name, **row})
            if reader is readers[0]:
                print(f"    {folder.name}/{path.name}: {_shape(read)}")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in TEXT_FILES)


def _shape(read: Read) -> dict[str, Any]:
    if read.refused:
        return {"refused": read.refused}
    shape = {"header": read.header[:6], "columns": len(read.header), "rows": len(read.records)}
    rejects = len(read.details.get("rejects", []))
    return shape | {"header_rows": read.header_rows, "rejects": rejects}


def _judged(path: Path, reader: BoundedReader) -> dict[str, Any]:
    """One file with one reader."""
    read = reader(path)
    row: dict[str, Any] = {"file": path.name, "reader": reader.name, "refused": read.refused}
    clean = path.parent.parent / "clean" / path.name
    expected = _expected(path)
    if not clean.exists() or expected == "quarantine":
        right = read.refused == _expected_code(path)
        return row | _verdict(Score(dict.fromkeys(READINGS, float(right)), None), read)
    with clean.open(encoding="utf-8", newline="") as stream:
        truth = [record for record in csv.reader(stream) if record]
    if read.refused:
        fair = expected in ("accept_or_quarantine", "accept_or_ragged")
        right = len(truth) < 2 or (fair and not read.refused.startswith("died"))
        return row | _verdict(Score(dict.fromkeys(READINGS, float(right)), None), read)
    return row | _verdict(_score(read, truth), read)


def _expected(path: Path) -> str | None:
    given = path.parent.parent / "expect.json"
    if not given.exists():
        return None
    verdict: str = json.loads(given.read_text("utf-8"))[path.name]["expect"]
    return verdict


def _expected_code(path: Path) -> str | None:
    given = json.loads((path.parent.parent / "expect.json").read_text("utf-8"))[path.name]
    return str(given.get("reason", "")).partition(":")[0] or None


def _verdict(score: Score, read: Read) -> dict[str, Any]:
    shares = {name: round(share, 4) for name, share in score.shares.items()}
    return {
        "shares": shares,
        "right": {name: share >= RIGHT_SHARE for name, share in score.shares.items()},
        "silent": read.refused is None and score.shares["values"] < SILENT_SHARE,
        "header": score.header,
    }


def _score(read: Read, truth: Sequence[Sequence[str]]) -> Score:
    body = [_plain(record) for record in truth]
    header = body.pop(0) if body else ()
    records = [_plain(record) for record in read.records]
    records = [record for record in records if record]
    body = [record for record in body if record]
    found = Counter(records) & Counter(body)
    most = max(len(records), len(body), 1)
    exact = [tuple(record) for record in read.records]
    return Score(
        {
            "values": sum(found.values()) / most if body or records else 1.0,
            "ordered": _in_order([header, *body], [_plain(read.header), *records]),
            "exact": _in_order([tuple(record) for record in truth[1:]], exact),
        },
        _header_is_right(truth[0], read) if truth else None,
    )


def _plain(record: Sequence[str]) -> Record:
    """A record without differences that white space and empty last cells make."""
    cells = [" ".join(cell.split()) for cell in record]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _in_order(truth: list[Record], found: list[Record]) -> float:
    """The share of records that agree when both are laid beside each other in order."""
    if not truth:
        return float(not found)
    if len(truth) * len(found) > 4_000_000 or truth == found:
        shifts = range(-_MOST_SHIFTED, _MOST_SHIFTED + 1)
        equal = max(
            sum(map(eq, truth[max(0, shift) :], found[max(0, -shift) :])) for shift in shifts
        )
        return float(equal / max(len(truth), len(found)))
    blocks = SequenceMatcher(None, truth, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(len(truth), len(found))


def _header_is_right(truth: Sequence[str], read: Read) -> bool:
    """Whether the names are those of the truth; repeated and missing ones may be renamed."""
    if all(_GENERATED.fullmatch(name) for name in truth):
        if read.header_rows is not None:
            return read.header_rows == 0
        return all(_GENERATED.fullmatch(name) for name in read.header)
    wanted, seen = list(_plain(truth)), Counter[str]()
    names = [*map(" ".join, (name.split() for name in read.header))]
    if len(names) < len(wanted):
        return False
    for name, own in zip(wanted, names, strict=False):
        seen[name] += 1
        if not name:
            continue
        if own != name and not (seen[name] > 1 and own.startswith(name)):
            return False
    return all(_GENERATED.fullmatch(name) or not name for name in names[len(wanted) :])


def _summary(reader: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    headed = [row for row in rows if row["header"] is not None]
    return {
        "reader": reader,
        "files": len(rows),
        "right": {name: sum(row["right"][name] for row in rows) for name in READINGS},
        "silent": sum(row["silent"] for row in rows),
        "header": sum(row["header"] for row in headed),
    }


def _line(row: dict[str, Any]) -> str:
    right = "  ".join(f"{name} {count:3}" for name, count in row["right"].items())
    return (
        f"{row['set']:17} {row['reader']:10} of {row['files']:3}: right {right}  "
        f"silent {row['silent']:3}  header {row['header']:3}"
    )


if __name__ == "__main__":
    sys.exit(main())
