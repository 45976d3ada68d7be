"""The way of one file into the lake: cut, type, cast, hold against the contract, write down.

Belongs here: the order of these steps, the balance over all of them, the verdict on too many bad
rows. Does not belong here: how each step works, or where the folder ends up.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.engine import connect
from nika_pipelines.intake import contract as contracts
from nika_pipelines.intake.codes import IntakeFault, RowCode, UploadRejected, WarningCode
from nika_pipelines.intake.column_counts import unoptimized
from nika_pipelines.intake.column_types import (
    contracted_text_warnings,
    formula_warnings,
    infer_columns,
)
from nika_pipelines.intake.contract import Contract, ContractError, ContractOutcome
from nika_pipelines.intake.deadline import interruptible, time_limit
from nika_pipelines.intake.documents import (
    MOST_REJECTS_LISTED,
    intake_document,
    quarantined_document,
    write_document,
)
from nika_pipelines.intake.masking import HIDDEN, Masking
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import (
    LINE_COLUMN,
    REJECT_COLUMNS,
    Column,
    IntakeReport,
    IntakeWarning,
    RowBalance,
    TextTable,
)
from nika_pipelines.intake.typed_table import cast_table, clipped
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_REJECTS_TOLD = 3

OnStage = Callable[[str, float], None]
"""Called after each stage with its name and its seconds."""


@dataclass
class _Typed:
    """A table on its way through the stages."""

    text: TextTable
    columns: list[Column]
    contract: Contract | None
    warnings: list[IntakeWarning]
    rejected_by_cast: int = 0
    rejected_by_contract: int = 0
    stopped_early: bool = False
    reject_files: list[Path] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.text.balance.accepted - self.rejected_by_cast - self.rejected_by_contract


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
    with _all_or_nothing(out_dir), time_limit(source, settings):
        with _stage("reading", on_stage):
            text = _read(source, filename, out_dir, settings, options)
        try:
            return _type_and_validate(text, out_dir, settings, contract_path, dataset, on_stage)
        finally:
            text.parquet.unlink(missing_ok=True)


def inspect(
    source: Path,
    filename: str,
    out_dir: Path,
    settings: Settings,
    options: ReadingOptions = NOTHING_SAID,
) -> bool:
    """Write what intake makes of a file: ``table.csv`` and ``intake.json``.

    The CSV holds every row that was cut out of the file whole, all values as the text that was
    written there, footer rows last. A refused file leaves ``intake.json`` alone, with its code.

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
    import tempfile

    with tempfile.TemporaryDirectory(prefix=".inspect-", dir=out_dir) as name:
        work = Path(name)
        try:
            with time_limit(source, settings):
                text = _read(source, filename, work, settings, options)
                _write_csv(text, work / "table.csv", settings)
                _type_and_validate(text, work, settings, None, "", None)
        except UploadRejected as error:
            (out_dir / "table.csv").unlink(missing_ok=True)
            write_document(out_dir / "intake.json", quarantined_document(error))
            return False
        for result in ("table.csv", "intake.json"):
            (work / result).replace(out_dir / result)
    return True


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


def _type_and_validate(
    text: TextTable,
    out_dir: Path,
    settings: Settings,
    contract_path: Path | None,
    dataset: str,
    on_stage: OnStage | None,
) -> IntakeReport:
    table = out_dir / "table.parquet"
    known = _known_contract(contract_path)
    with connect(settings) as con:
        # What follows the contract is not limited: by then the file is as good as taken.
        with interruptible(con):
            typed = _typed_table(con, text, known, table, settings, on_stage)
            with _stage("contract", on_stage):
                if contract_path is not None and known is None:
                    made = contracts.infer_contract(dataset, typed.columns, con, table)
                    _insist(contracts.count_violations(made, table, con))
                    if not contracts.create_contract(made, contract_path):
                        # Another file of the dataset was quicker: this one is no longer the first.
                        known = _known_contract(contract_path)
                        typed = _typed_table(con, text, known, table, settings, on_stage)
                if known is not None:
                    _hold_against(con, typed, known, table, settings)
        with _stage("writing", on_stage):
            return _report(con, typed, table, out_dir, settings)


def _typed_table(
    con: "DuckDBPyConnection",
    text: TextTable,
    known: Contract | None,
    table: Path,
    settings: Settings,
    on_stage: OnStage | None,
) -> _Typed:
    with _stage("typing", on_stage):
        typed = _typed(con, text, known, settings)
    with _stage("casting", on_stage):
        _cast(con, typed, table, table.parent)
        _refuse_if_bad(con, typed, settings)
    return typed


def _hold_against(
    con: "DuckDBPyConnection", typed: _Typed, known: Contract, table: Path, settings: Settings
) -> None:
    """Warn of an inferred contract's violations; reject the rows that break an accepted one."""
    if known.status == "inferred":
        # What is only inferred may be left a little; what was accepted holds exactly.
        counted = contracts.count_violations(contracts.with_slack(known), table, con)
        masking = Masking.of(typed.columns, settings)
        typed.warnings += [_new_values(known, one, masking) for one in counted.violations]
        return
    most = int(settings.max_bad_row_share * typed.text.balance.accepted) - typed.rejected_by_cast
    outcome = contracts.validate(known, table, con, most_bad_rows=most)
    if not outcome.holds:
        typed.stopped_early = not outcome.complete
        _reject_violations(con, typed, outcome, table, Masking.of(typed.columns, settings))
        _refuse_if_bad(con, typed, settings)


def _insist(outcome: contracts.ContractOutcome) -> None:
    """A contract just read off a table must be true of it; if not, the fault is ours."""
    for broken in outcome.violations:
        rule = f"{broken.check} {broken.limit}".strip()
        raise IntakeFault(f"The inferred contract fails on column {broken.column!r}: {rule}.")


@contextmanager
def _stage(name: str, on_stage: OnStage | None) -> Iterator[None]:
    started = time.perf_counter()
    yield
    if on_stage is not None:
        on_stage(name, time.perf_counter() - started)


def _known_contract(path: Path | None) -> Contract | None:
    if path is None:
        return None
    try:
        return contracts.load_contract(path)
    except FileNotFoundError:
        return None
    except ContractError as error:
        raise UploadRejected(
            "CONTRACT_BROKEN",
            f"The contract itself cannot be used: {error}.",
            {"contract": path.name, "key": error.key},
        ) from error


def _typed(
    con: "DuckDBPyConnection", text: TextTable, known: Contract | None, settings: Settings
) -> _Typed:
    if known is None:
        columns, warnings = infer_columns(
            con, text.parquet, text.names, text.source_names, settings
        )
    else:
        columns = contracts.columns_by_contract(known, text.names, text.source_names)
        warnings = formula_warnings(con, text.parquet, columns)
        if known.status == "inferred":
            warnings += contracted_text_warnings(con, text.parquet, columns, settings)
    return _Typed(text, columns, known, [*text.warnings, *warnings])


def _cast(con: "DuckDBPyConnection", typed: _Typed, table: Path, out_dir: Path) -> None:
    rejects = out_dir / ".cast_rejects.part"
    outcome = cast_table(con, typed.text.parquet, typed.columns, table, rejects)
    if outcome.accepted + outcome.rejected != typed.text.balance.accepted:
        raise IntakeFault(
            "Typing lost rows: the row balance does not close.",
            {"expected": typed.text.balance.accepted, "found": outcome.accepted},
        )
    typed.rejected_by_cast = outcome.rejected
    typed.reject_files.append(rejects)


def _refuse_if_bad(con: "DuckDBPyConnection", typed: _Typed, settings: Settings) -> None:
    """Refuse the file when typing and contract reject more rows than the limit."""
    bad = typed.rejected_by_cast + typed.rejected_by_contract
    rows = typed.text.balance.accepted
    if not bad or bad <= settings.max_bad_row_share * rows:
        return
    first = _first_rejects(con, typed.reject_files)
    masking, delimiter = Masking.of(typed.columns, settings), typed.text.dialect.delimiter
    told = "; ".join(
        f"line {line:,}, column {column!r}: "
        f"{(masking.rejected(column, raw, delimiter) or '')[:40]!r} ({reason[:100]})"
        for line, column, reason, raw in first
    )
    raise UploadRejected(
        "CONTRACT_BROKEN",
        f"{'At least ' if typed.stopped_early else ''}{bad:,} of {rows:,} rows break the contract: {typed.rejected_by_cast:,} hold values "
        f"that do not fit their column's type, {typed.rejected_by_contract:,} break a rule. "
        f"The first: {told}.",
        {
            "detected": round(bad / rows, 4),
            "limit": settings.max_bad_row_share,
            "first_lines": [line for line, *_ in first],
        },
    )


def _first_rejects(con: "DuckDBPyConnection", files: Sequence[Path]) -> list[tuple[Any, ...]]:
    """Line, column, reason and text of the first rejected rows."""
    listed = ", ".join(literal(str(path)) for path in files)
    return con.execute(
        f'SELECT line, "column", reason, raw FROM read_parquet([{listed}]) '
        f"ORDER BY line LIMIT {_REJECTS_TOLD}"
    ).fetchall()


# The contract


def _reject_violations(
    con: "DuckDBPyConnection",
    typed: _Typed,
    outcome: ContractOutcome,
    table: Path,
    masking: Masking,
) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE nika_violations "
        "(place BIGINT, number INTEGER, name VARCHAR, rule VARCHAR, code VARCHAR)"
    )
    for number, violation in enumerate(outcome.violations):
        rows = {"place": violation.rows}  # noqa: F841 - DuckDB reads the variable by its name
        code = RowCode.DUPLICATE if violation.check == "unique" else RowCode.CONTRACT
        # A limit of a personal column is made of its values.
        limit = "" if masking.hides(violation.column) else f" {violation.limit}"
        rule = f"{violation.column}: {violation.check}{limit}"[:200]
        con.execute(
            "INSERT INTO nika_violations SELECT place, ?, ?, ?, ? FROM rows",
            [number, violation.column, rule, code.value],
        )
    rejects = table.with_name(".contract_rejects.part")
    typed.rejected_by_contract = _move_violations(con, typed, table, rejects)
    typed.reject_files.append(rejects)


def _new_values(known: Contract, violation: contracts.Violation, masking: Masking) -> IntakeWarning:
    rule = next(rule for rule in known.columns if rule.name == violation.column)
    shown = tuple(str(masking.cell(violation.column, one)) for one in violation.examples)
    if masking.hides(violation.column):
        rule, violation = replace(rule, ge=HIDDEN, le=HIDDEN), replace(violation, limit=HIDDEN)
    news = _news(rule, replace(violation, examples=shown))
    return IntakeWarning(
        WarningCode.NEW_VALUES.value,
        f"Column {violation.column!r}: {news}. They were kept: the contract "
        f"(version {known.version}) is inferred; `nika contract accept` makes such rows rejects.",
    )


def _news(rule: contracts.ColumnRule, violation: contracts.Violation) -> str:
    """What is new about the values, in words."""
    count = violation.count
    values = f"{count:,} value{'' if count == 1 else 's'}"
    examples = ", ".join(example[:60] for example in dict.fromkeys(violation.examples))
    quoted = ", ".join(repr(example[:60]) for example in dict.fromkeys(violation.examples))
    told = {
        "ge": f"{values} below the {rule.ge} seen before, such as {examples}",
        "le": f"{values} above the {rule.le} seen before, such as {examples}",
        "isin": f"{values} not seen before, such as {quoted}",
        "pattern": f"{values} of another form than {violation.limit[:200]}, such as {quoted}",
        "unique": f"{values} that came before, such as {quoted}",
        "nullable": f"{count:,} empty cell{'' if count == 1 else 's'}, where none was before",
    }
    usual = f"{values} break {violation.check} {violation.limit[:200]}, such as {examples}"
    return told.get(violation.check, usual)


def _move_violations(con: "DuckDBPyConnection", typed: _Typed, table: Path, rejects: Path) -> int:
    """Take the rows that break a rule out of the table, with the text they came from."""
    text = typed.text
    cells = " ".join(f"WHEN {literal(name)} THEN t.{identifier(name)}" for name in text.names)
    # The nth row of the typed table is the nth row of the text table that the cast let through.
    lines = (
        f"SELECT line, row_number() OVER (ORDER BY line) - 1 AS place FROM "
        f"(SELECT {identifier(LINE_COLUMN)} AS line FROM {parquet_rows(text.parquet)}) "
        f"ANTI JOIN {parquet_rows(typed.reject_files[0])} USING (line)"
    )
    con.execute(
        f"COPY (WITH broken AS (SELECT place, arg_min(name, number) AS name, "
        "arg_min(code, number) AS code, string_agg(rule, '; ' ORDER BY number) AS rules "
        "FROM nika_violations GROUP BY place) "
        f'SELECT line, broken.name AS "column", broken.code, broken.rules AS reason, '
        f"{clipped(f'CASE broken.name {cells} END')} AS raw "
        f"FROM broken JOIN ({lines}) USING (place) "
        f"JOIN {parquet_rows(text.parquet)} t ON t.{identifier(LINE_COLUMN)} = line ORDER BY line) "
        f"TO {literal(str(rejects))} (FORMAT parquet, COMPRESSION zstd)"
    )
    draft = table.with_name(f".{table.name}.part")
    con.execute(
        f"COPY (SELECT * EXCLUDE (file_row_number) FROM "
        f"read_parquet({literal(str(table))}, file_row_number = true) "
        "WHERE file_row_number NOT IN (SELECT place FROM nika_violations)) "
        f"TO {literal(str(draft))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    draft.replace(table)
    moved = con.execute("SELECT count(DISTINCT place) FROM nika_violations").fetchone()
    return int(moved[0]) if moved else 0


# What is written


def _report(
    con: "DuckDBPyConnection", typed: _Typed, table: Path, out_dir: Path, settings: Settings
) -> IntakeReport:
    text = typed.text
    balance = _balance(con, typed)
    rejects = out_dir / "rejects.parquet"
    by_code = _write_rejects(con, text, typed.reject_files, rejects)
    report = IntakeReport(
        table_parquet=table,
        rejects_parquet=rejects,
        encoding=text.encoding,
        dialect=text.dialect,
        header_rows=text.header_rows,
        preamble_rows=text.preamble_rows,
        footer_rows=text.footer_rows,
        n_rows=typed.accepted,
        columns=typed.columns,
        balance=balance,
        rejects_by_code=by_code,
        warnings=typed.warnings,
        contract_version=typed.contract.version if typed.contract else 1,
        contract_status=typed.contract.status if typed.contract else "inferred",
        other_tables=text.other_tables,
    )
    masking = Masking.of(typed.columns, settings)
    listed = _listed_rejects(con, rejects, masking, text.dialect.delimiter) if by_code else []
    write_document(
        out_dir / "intake.json",
        intake_document(text, typed.columns, listed, by_code, typed.warnings),
    )
    return report


def _balance(con: "DuckDBPyConnection", typed: _Typed) -> RowBalance:
    """The reader's balance with the rows that typing and contract rejected moved over."""
    before = typed.text.balance
    rows = typed.rejected_by_cast + typed.rejected_by_contract
    if not rows:
        return before
    lines = _physical_lines(con, typed)
    after = replace(
        before,
        accepted=before.accepted - rows,
        rejected=before.rejected + rows,
        accepted_lines=before.accepted_lines - lines,
        rejected_lines=before.rejected_lines + lines,
    )
    if not after.closes:
        raise IntakeFault("The row balance does not close.", {"balance": str(after)})
    return after


def _physical_lines(con: "DuckDBPyConnection", typed: _Typed) -> int:
    """How many physical lines the rejected rows take: one, and one per line break in a cell."""
    cells = ", ".join(identifier(name) for name in typed.text.names)
    breaks = f"len(regexp_extract_all(concat_ws(' ', {cells}), '\\r\\n|\\r|\\n'))"
    files = ", ".join(literal(str(path)) for path in typed.reject_files)
    row = con.execute(
        f"SELECT sum(1 + {breaks})::BIGINT FROM {parquet_rows(typed.text.parquet)} "
        f"WHERE {identifier(LINE_COLUMN)} IN (SELECT line FROM read_parquet([{files}]))"
    ).fetchone()
    return int(row[0]) if row and row[0] else 0


def _write_rejects(
    con: "DuckDBPyConnection", text: TextTable, parts: Sequence[Path], rejects: Path
) -> dict[str, int]:
    """Merge the rejects of all stages in line order; say how many there are of each code."""
    columns = ", ".join(
        f"{identifier(name)}::{kind} AS {identifier(name)}" for name, kind in REJECT_COLUMNS.items()
    )
    union = " UNION ALL ".join(
        f"SELECT {columns} FROM {parquet_rows(path)}" for path in (text.rejects_parquet, *parts)
    )
    draft = rejects.with_name(f".{rejects.name}.part")
    with unoptimized(con):
        con.execute(
            f"COPY ({union} ORDER BY line) TO {literal(str(draft))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
    draft.replace(rejects)
    for path in {text.rejects_parquet, *parts} - {rejects}:
        path.unlink(missing_ok=True)
    counts = con.execute(
        f"SELECT code, count(*) FROM {parquet_rows(rejects)} GROUP BY code ORDER BY code"
    ).fetchall()
    return {code: int(count) for code, count in counts}


def _listed_rejects(
    con: "DuckDBPyConnection", rejects: Path, masking: Masking, delimiter: str | None
) -> list[dict[str, Any]]:
    rows = con.execute(
        f'SELECT line, "column", code, raw, reason FROM {parquet_rows(rejects)} '
        f"ORDER BY line LIMIT {MOST_REJECTS_LISTED}"
    ).fetchall()
    return [
        {
            "line": line,
            "column": column,
            "code": code,
            "raw": masking.rejected(column, raw, delimiter),
            "reason": reason,
        }
        for line, column, code, raw, reason in rows
    ]


def _write_csv(text: TextTable, target: Path, settings: Settings) -> None:
    """Write the text table as plain CSV; DuckDB streams the rows, the few footers follow."""
    import csv

    # A lone empty cell is written as "", or its row would be an empty line.
    empty = "NULLIF({}, '')" if len(text.names) > 1 else "COALESCE({}, '')"
    cells = ", ".join(
        f"{empty.format(identifier(name))} AS {identifier(name)}" for name in text.names
    )
    with connect(settings) as con, interruptible(con):
        con.execute(
            f"COPY (SELECT {cells} FROM {parquet_rows(text.parquet)}) TO {literal(str(target))} "
            "(FORMAT csv, HEADER true, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR '')"
        )
    with target.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([cell or "" for cell in row] for row in text.footer)
