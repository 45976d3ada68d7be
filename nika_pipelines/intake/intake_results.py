"""What intake writes about an accepted file: its rejects, its balance, its documents.

Belongs here: the results of `take_in` beside the typed table, and the CSV of `inspect`. Does not
belong here: their shapes (`documents`, `records`).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.engine import connect
from nika_pipelines.intake.codes import IntakeFault
from nika_pipelines.intake.column_counts import count_rows, unoptimized
from nika_pipelines.intake.deadline import interruptible
from nika_pipelines.intake.documents import MOST_REJECTS_LISTED, intake_document, write_document
from nika_pipelines.intake.draft_table import DraftTable
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.numbered_rejects import numbered
from nika_pipelines.intake.records import (
    LINE_COLUMN,
    STORED_REJECT_COLUMNS,
    IntakeReport,
    RowBalance,
    TextTable,
)
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def write_results(
    con: "DuckDBPyConnection", typed: DraftTable, table: Path, out_dir: Path, settings: Settings
) -> IntakeReport:
    """Write ``rejects.parquet`` and ``intake.json``, and say what was found out."""
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


def _balance(con: "DuckDBPyConnection", typed: DraftTable) -> RowBalance:
    """The reader's balance with the rows that typing and contract rejected moved over."""
    before = typed.text.balance
    rows = typed.rejected
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


def _physical_lines(con: "DuckDBPyConnection", typed: DraftTable) -> int:
    """How many physical lines the rejected rows take: one, and one per line break in a cell."""
    if typed.text.records_are_lines:
        return typed.rejected_by_cast + typed.rejected_by_contract
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
        f"{identifier(name)}::{kind} AS {identifier(name)}"
        for name, kind in STORED_REJECT_COLUMNS.items()
    )
    union = " UNION ALL ".join(
        f"SELECT {columns} FROM {source}"
        for source in (
            f'(SELECT *, NULL AS "row" FROM {parquet_rows(text.rejects_parquet)})',
            *(numbered(parquet_rows(path), text) for path in parts if _has_rows(con, path)),
        )
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


def _has_rows(con: "DuckDBPyConnection", parquet: Path) -> bool:
    return count_rows(con, parquet_rows(parquet)) > 0


def _listed_rejects(
    con: "DuckDBPyConnection", rejects: Path, masking: Masking, delimiter: str | None
) -> list[dict[str, Any]]:
    rows = con.execute(
        f'SELECT "row", line, "column", code, raw, reason FROM {parquet_rows(rejects)} '
        f"ORDER BY line LIMIT {MOST_REJECTS_LISTED}"
    ).fetchall()
    return [
        {
            "row": row,
            "line": line,
            "column": column,
            "code": code,
            "raw": masking.rejected(column, raw, delimiter),
            "reason": reason,
        }
        for row, line, column, code, raw, reason in rows
    ]


def write_csv(text: TextTable, target: Path, settings: Settings) -> None:
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
