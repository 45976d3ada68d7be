"""The way of one file into the lake: cut, type, cast, hold against the contract, write down.

Belongs here: the order of these steps. Does not belong here: how each step works, or where the folder ends up.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.engine import connect, discard
from nika_pipelines.intake.codes import IntakeFault, UploadRejected
from nika_pipelines.intake.contract_check import count_violations
from nika_pipelines.intake.contract_enforcement import hold_against, insist, refuse_if_bad
from nika_pipelines.intake.contract_file import Contract, ContractError
from nika_pipelines.intake.contract_history import current_contract, first_contract
from nika_pipelines.intake.contract_inference import infer_contract
from nika_pipelines.intake.deadline import interruptible, time_limit
from nika_pipelines.intake.documents import quarantined_document, write_document
from nika_pipelines.intake.draft_table import DraftTable
from nika_pipelines.intake.intake_results import write_csv, write_results
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import OTHER_TABLES, IntakeReport, TextTable
from nika_pipelines.intake.settled_columns import settle_columns
from nika_pipelines.intake.typed_table import cast_table
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

INSPECT_DRAFT = ".nika-inspect-"
"""Begins the name of the folder that `inspect` works in, beside files that are somebody else's."""

OnStage = Callable[[str, float], None]
"""Called after each stage with its name and its seconds."""


def take_in(
    source: Path,
    filename: str,
    out_dir: Path,
    settings: Settings,
    contract_path: Path | None,
    dataset: str,
    on_stage: OnStage | None = None,
    options: ReadingOptions = NOTHING_SAID,
) -> IntakeReport:
    """Turn a file into a typed, validated table.

    Writes ``table.parquet``, ``rejects.parquet`` and ``intake.json`` into the folder, each whole.
    The first file of a dataset writes its contract, once nothing speaks against the file; later
    files are read in the contract's types and held against it. Of several first files at once the
    quickest writes the contract, and the others are read by it.

    Args:
        source: the bytes; never changed.
        filename: the name under which they came; only its extension counts.
        out_dir: an existing folder for the results.
        settings: the limits in force.
        contract_path: where the dataset's contract is or will be; null to do without.
        dataset: the dataset's name.
        on_stage: told about every finished stage.
        options: how the file is to be read, where a person said so.

    Raises:
        UploadRejected: the file is refused.
        IntakeFault: intake itself went wrong.
    """
    work = _Intake(out_dir, settings, contract_path, dataset, options, on_stage)
    with time_limit(source, settings), _memory_told(settings):
        try:
            with _all_or_nothing(out_dir):
                return _read_and_type(source, filename, work)
        except _Overtaken:
            # This file is no longer the first: it is read anew, as the contract says.
            with _all_or_nothing(out_dir):
                return _read_and_type(source, filename, work)


def inspect(
    source: Path,
    filename: str,
    out_dir: Path,
    settings: Settings,
    options: ReadingOptions = NOTHING_SAID,
) -> bool:
    """Write what intake makes of a file: ``table.csv`` and ``intake.json``.

    The CSV holds every row that was cut out of the file whole, all values as the text that was
    written there, footer rows last. A refused file leaves ``intake.json`` alone, with its code. A
    workbook's other sheets go into the folder ``other_tables``.

    Args:
        source: the bytes; never changed.
        filename: the name under which they came; only its extension counts.
        out_dir: an existing folder for the two files.
        settings: the limits in force.
        options: how the file is to be read, where a person said so.

    Returns:
        Whether the file was accepted.

    Raises:
        IntakeFault: intake itself went wrong; nothing was written.
    """
    with tempfile.TemporaryDirectory(prefix=INSPECT_DRAFT, dir=out_dir) as name:
        work = Path(name)
        try:
            with time_limit(source, settings), _memory_told(settings):
                text = _read(source, filename, work, settings, options)
                write_csv(text, work / "table.csv", settings)
                _type_and_validate(text, None, _Intake(work, settings, None, "", options))
        except UploadRejected as error:
            (out_dir / "table.csv").unlink(missing_ok=True)
            write_document(out_dir / "intake.json", quarantined_document(error))
            return False
        for result in ("table.csv", "intake.json"):
            (work / result).replace(out_dir / result)
        shutil.rmtree(out_dir / OTHER_TABLES, ignore_errors=True)
        if text.other_tables:
            (work / OTHER_TABLES).replace(out_dir / OTHER_TABLES)
    return True


@contextmanager
def _memory_told(settings: Settings) -> Iterator[None]:
    """Turn the end of the engine's memory, which the file alone decides on, into a refusal."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        discard()
        raise UploadRejected(
            "TOO_LARGE",
            f"Reading the table takes more than {settings.duckdb_memory_mb} MB of memory: its "
            "cells are very long. Send long texts in files of fewer rows or columns, or raise "
            "NIKA_DUCKDB_MEMORY_MB.",
            {"limit": settings.duckdb_memory_mb},
        ) from error


@contextmanager
def _all_or_nothing(out_dir: Path) -> Iterator[None]:
    """Whatever the block has written by then goes when the block fails."""
    before = set(out_dir.iterdir())
    try:
        yield
    except BaseException:
        for path in set(out_dir.iterdir()) - before:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def _read(
    source: Path, filename: str, out_dir: Path, settings: Settings, options: ReadingOptions
) -> TextTable:
    from nika_pipelines.intake.reader import read_text_table

    return read_text_table(source, filename, out_dir, settings, options=options)


class _Overtaken(Exception):
    """Another first file of the dataset wrote the contract meanwhile."""


@dataclass(frozen=True)
class _Intake:
    """What one intake works with, whatever the stage."""

    out_dir: Path
    settings: Settings
    contract_path: Path | None
    dataset: str
    options: ReadingOptions
    on_stage: OnStage | None = None

    @property
    def table(self) -> Path:
        return self.out_dir / "table.parquet"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if self.on_stage is not None:
            self.on_stage(name, time.perf_counter() - started)


def _read_and_type(source: Path, filename: str, work: _Intake) -> IntakeReport:
    known = _known_contract(work.contract_path)
    options = work.options if known is None else work.options.over(known.reading)
    with work.stage("reading"):
        text = _read(source, filename, work.out_dir, work.settings, options)
    try:
        return _type_and_validate(text, known, work)
    finally:
        text.parquet.unlink(missing_ok=True)


def _type_and_validate(text: TextTable, known: Contract | None, work: _Intake) -> IntakeReport:
    with connect(work.settings) as con:
        # What follows the contract is not limited: by then the file is as good as taken.
        with interruptible(con):
            draft = _typed_table(con, text, known, work)
            with work.stage("contract"):
                if draft.contract is not None:
                    hold_against(con, draft, draft.contract, work.table, work.settings)
                elif work.contract_path is not None:
                    draft.contract = _first_contract(con, draft, work.contract_path, work)
        with work.stage("writing"):
            return write_results(con, draft, work.table, work.out_dir, work.settings)


def _typed_table(
    con: "DuckDBPyConnection", text: TextTable, known: Contract | None, work: _Intake
) -> DraftTable:
    with work.stage("typing"):
        settled = settle_columns(con, text, known, work.options, work.settings)
        warnings = [*text.warnings, *settled.warnings]
        draft = DraftTable(text, settled.columns, settled.contract, warnings)
    with work.stage("casting"):
        _cast(con, draft, work.table)
        refuse_if_bad(con, draft, work.settings)
    return draft


def _first_contract(
    con: "DuckDBPyConnection", draft: DraftTable, path: Path, work: _Intake
) -> Contract:
    """Write the contract of the dataset's first file.

    Raises:
        _Overtaken: another file was quicker; this one is to be read by its contract.
    """
    made = infer_contract(work.dataset, draft.columns, con, work.table, work.options)
    insist(count_violations(made, work.table, con))
    written = first_contract(made, path)
    if written is None:
        raise _Overtaken
    return written


def _known_contract(path: Path | None) -> Contract | None:
    if path is None:
        return None
    try:
        return current_contract(path)
    except FileNotFoundError:
        return None
    except ContractError as error:
        raise UploadRejected(
            "CONTRACT_BROKEN",
            f"The contract itself cannot be used: {error}.",
            {"contract": path.name, "key": error.key},
        ) from error


def _cast(con: "DuckDBPyConnection", draft: DraftTable, table: Path) -> None:
    rejects = table.with_name(".cast_rejects.part")
    outcome = cast_table(con, draft.text.parquet, draft.columns, table, rejects)
    if outcome.accepted + outcome.rejected != draft.text.balance.accepted:
        raise IntakeFault(
            "Typing lost rows: the row balance does not close.",
            {"expected": draft.text.balance.accepted, "found": outcome.accepted},
        )
    draft.rejected_by_cast = outcome.rejected
    draft.reject_files.append(rejects)
