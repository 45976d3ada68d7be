"""What every case has to hold: it ends in a table that adds up, or in a refusal with a code."""

import json
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fuzz_cases import Case, mutated_text
from nika_pipelines.intake import contract_file
from nika_pipelines.intake.codes import FILE_CODES, RowCode, UploadRejected
from nika_pipelines.intake.reading_options import NOTHING_SAID, load_sidecar
from nika_pipelines.intake.records import (
    DUCKDB_TYPES,
    OTHER_TABLES,
    RAW_BYTES,
    STORED_REJECT_COLUMNS,
    IntakeReport,
)
from nika_pipelines.intake.take_in import inspect, take_in
from nika_pipelines.settings import Settings

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "schemas"
_ARROW = {
    "VARCHAR": "string",
    "BIGINT": "int64",
    "DOUBLE": "double",
    "BOOLEAN": "bool",
    "DATE": "date32[day]",
    "TIMESTAMP": "timestamp[us]",
}
_TABLES = {"table.parquet", "rejects.parquet", "intake.json"}


class BrokenPromise(AssertionError):
    """A result that intake may not give."""


@dataclass(frozen=True)
class Ending:
    """How one case ended.

    Attributes:
        number: of the case.
        outcome: ``accepted``, ``refused`` or ``crash``.
        code: of a refusal; the kind of error of a crash.
        gist: of a crash: where and what, without the details of the one file.
        trace: of a crash.
    """

    number: int
    outcome: str
    code: str | None = None
    gist: str | None = None
    trace: str | None = None
    rejects: int = 0


class CaseRunner:
    """Takes cases in, one after the other, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Work in this folder."""
        self._folder = folder
        self._settings = Settings(data=folder / "data", duckdb_threads=1)
        self._contracts: dict[str, str | None] = {}

    def run(self, case: Case) -> Ending:
        """Take one case in and hold it against every promise."""
        room = self._folder / "case"
        shutil.rmtree(room, ignore_errors=True)
        (room / "out").mkdir(parents=True)
        try:
            return self._checked(case, room)
        except Exception as error:  # what a user would see as INTERNAL
            return Ending(
                case.number, "crash", type(error).__name__, _gist(error), traceback.format_exc()
            )

    def contract_of(self, case: Case) -> bytes | None:
        """The contract that the case's dataset has before it, if any."""
        if case.contract in ("none", "first"):
            return None
        name = case.origin.name
        if name not in self._contracts:
            self._contracts[name] = self._contract_by_seed(case)
        text = self._contracts[name]
        if text is None:
            return None
        if case.contract == "accepted":
            text = text.replace("status: inferred", "status: accepted")
        return (
            mutated_text(text, case.contract_seed) if case.contract == "mutated" else text.encode()
        )

    def _contract_by_seed(self, case: Case) -> str | None:
        """The contract that the undamaged seed makes; none when it is refused."""
        room = self._folder / "seed"
        shutil.rmtree(room, ignore_errors=True)
        (room / "out").mkdir(parents=True)
        source, contract = room / "source", room / "contract.yaml"
        source.write_bytes(case.origin.content)
        try:
            take_in(source, case.origin.name, room / "out", self._settings, contract, "seed")
        except UploadRejected:
            return None
        return contract.read_text("utf-8")

    def _checked(self, case: Case, room: Path) -> Ending:
        source, out = room / "source", room / "out"
        source.write_bytes(case.content)
        contract = self._place_contract(case, room)
        try:
            options = NOTHING_SAID
            if case.sidecar is not None:
                (room / "s.nika.yaml").write_bytes(case.sidecar)
                options = load_sidecar(room / "s.nika.yaml")
            if case.way == "inspect":
                good = inspect(source, case.filename, out, self._settings, options=options)
                document = _inspected(out, accepted=good)
                code = None if good else document["error_code"]
                return Ending(case.number, "accepted" if good else "refused", code)
            report = take_in(
                source, case.filename, out, self._settings, contract, "fuzz", options=options
            )
        except UploadRejected as refusal:
            _refused(refusal, out, self._settings.data)
            return Ending(case.number, "refused", refusal.code)
        finally:
            _insist(source.read_bytes() == case.content, "the source was changed")
        _accepted(report, out)
        if contract is not None:
            contract_file.load_contract(contract)
        return Ending(case.number, "accepted", rejects=report.balance.rejected)

    def _place_contract(self, case: Case, room: Path) -> Path | None:
        if case.contract == "none" or case.way == "inspect":
            return None
        path = room / "contracts" / "fuzz.yaml"
        path.parent.mkdir()
        content = self.contract_of(case)
        if content is not None:
            path.write_bytes(content)
        return path


def _refused(refusal: UploadRejected, out: Path, data: Path) -> None:
    _insist(refusal.code in FILE_CODES and refusal.code != "INTERNAL", f"code {refusal.code}")
    _insist(bool(refusal.message.strip()), "a refusal without a message")
    json.dumps(refusal.message).encode()
    left = sorted(path.name for path in out.iterdir())
    _insist(not left, f"left after a refusal: {left}")
    _insist(not list((data / "tmp").glob("*.part")), "drafts in tmp")


def _accepted(report: IntakeReport, out: Path) -> None:
    from pyarrow import parquet

    balance = report.balance
    _insist(balance.closes, f"the balance does not close: {balance}")
    table = parquet.ParquetFile(report.table_parquet)
    _insist(
        table.metadata.num_rows == report.n_rows == balance.accepted,
        f"rows {table.metadata.num_rows}, {report.n_rows}, {balance.accepted}",
    )
    found = {field.name: str(field.type) for field in table.schema_arrow}
    said = {column.name: _ARROW[DUCKDB_TYPES[column.type]] for column in report.columns}
    _insist(list(found.items()) == list(said.items()), f"columns {found} instead of {said}")
    _rejects(report)
    _insist(
        json.dumps(IntakeReport.from_json(report.to_json(), out).to_json())
        == json.dumps(report.to_json()),
        "the report does not survive JSON",
    )
    _document(out, "accepted")
    names = {path.name for path in out.iterdir()}
    expected = _TABLES | ({OTHER_TABLES} if report.other_tables else set())
    _insist(names == expected, f"files {sorted(names)}")


def _rejects(report: IntakeReport) -> None:
    from pyarrow import parquet

    rows = parquet.read_table(report.rejects_parquet)
    kinds = {field.name: str(field.type) for field in rows.schema}
    _insist(
        kinds == {name: _ARROW[kind] for name, kind in STORED_REJECT_COLUMNS.items()},
        f"rejects {kinds}",
    )
    _insist(
        rows.num_rows == report.balance.rejected == sum(report.rejects_by_code.values()),
        f"rejects {rows.num_rows}, {report.balance.rejected}, {report.rejects_by_code}",
    )
    for row in rows.slice(0, 200).to_pylist():
        _insist(row["code"] in set(RowCode), f"row code {row['code']}")
        _insist((row["line"] or 0) > 0 and bool(row["reason"]), "a reject without line or reason")
        _insist(len((row["raw"] or "").encode()) <= RAW_BYTES, "raw text too long")


def _inspected(out: Path, *, accepted: bool) -> dict[str, Any]:
    import csv

    document = _document(out, "accepted" if accepted else "quarantined")
    names = {path.name for path in out.iterdir()}
    expected = {"intake.json", *(["table.csv"] if accepted else [])}
    expected |= {OTHER_TABLES} if document["other_tables"] else set()
    _insist(names == expected, f"files {sorted(names)}")
    if accepted:
        csv.field_size_limit(1 << 30)
        with (out / "table.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        _insist(
            len(rows) == document["n_rows"] + 1,
            f"table.csv has {len(rows) - 1} rows, not {document['n_rows']}",
        )
        widths = {len(row) for row in rows}
        _insist(widths == {document["n_columns"]}, f"table.csv is {sorted(widths)[:5]} wide")
    return document


def _document(out: Path, status: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "intake.json").read_bytes())
    problem = next(_validator().iter_errors(document), None)
    where = problem.json_path if problem is not None else ""
    _insist(problem is None, f"intake.json breaks its schema at {where}")
    _insist(document["status"] == status, f"status {document['status']}")
    return document


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((SCHEMAS / "intake.schema.json").read_bytes()))


def _insist(true: bool, otherwise: str) -> None:
    if not true:
        raise BrokenPromise(otherwise)


def _gist(error: Exception) -> str:
    """Where in the project and what, so that cases of one cause fall together."""
    frames = traceback.extract_tb(error.__traceback__)
    inside: Callable[[str], bool] = lambda name: "nika_pipelines" in name  # noqa: E731
    frame = next((one for one in reversed(frames) if inside(one.filename)), frames[-1])
    told = " ".join(str(error).split())[:120]
    words = "".join("#" if letter.isdigit() else letter for letter in told)
    return f"{Path(frame.filename).name}:{frame.name}: {words}"
