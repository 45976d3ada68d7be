"""What happens to rows that break their contract: a warning, a reject, or the file is refused.

Belongs here: enforcement as the contract's status asks for it. Does not belong here: finding the
rows (`contract_check`), the columns as a whole (`settled_columns`).
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.codes import IntakeFault, RowCode, UploadRejected, WarningCode
from nika_pipelines.intake.contract_check import (
    ContractOutcome,
    Violation,
    count_violations,
    validate,
)
from nika_pipelines.intake.contract_file import ColumnRule, Contract
from nika_pipelines.intake.contract_inference import with_slack
from nika_pipelines.intake.draft_table import DraftTable
from nika_pipelines.intake.masking import HIDDEN, Masking
from nika_pipelines.intake.numbered_rejects import numbered
from nika_pipelines.intake.records import LINE_COLUMN, IntakeWarning
from nika_pipelines.intake.typed_table import clipped
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_REJECTS_TOLD = 3
_REJECTS_LISTED = 10


def hold_against(
    con: "DuckDBPyConnection", typed: DraftTable, known: Contract, table: Path, settings: Settings
) -> None:
    """Warn of an inferred contract's violations; reject the rows that break an accepted one."""
    if known.status == "inferred":
        # What is only inferred may be left a little; what was accepted holds exactly.
        counted = count_violations(with_slack(known), table, con)
        masking = Masking.of(typed.columns, settings)
        typed.warnings += [_new_values(known, one, masking) for one in counted.violations]
        return
    most = int(settings.max_bad_row_share * typed.text.balance.accepted) - typed.rejected_by_cast
    outcome = validate(known, table, con, most_bad_rows=most)
    if not outcome.holds:
        typed.stopped_early = not outcome.complete
        _reject_violations(con, typed, outcome, table, Masking.of(typed.columns, settings))
        refuse_if_bad(con, typed, settings)


def insist(outcome: ContractOutcome) -> None:
    """A contract just read off a table must be true of it; if not, the fault is ours."""
    for broken in outcome.violations:
        rule = f"{broken.check} {broken.limit}".strip()
        raise IntakeFault(f"The inferred contract fails on column {broken.column!r}: {rule}.")


def refuse_if_bad(con: "DuckDBPyConnection", typed: DraftTable, settings: Settings) -> None:
    """Refuse the file when typing and contract reject more rows than the limit."""
    bad = typed.rejected
    rows = typed.text.balance.accepted
    if not bad or bad <= settings.max_bad_row_share * rows:
        return
    first = _first_rejects(con, typed, Masking.of(typed.columns, settings))
    told = "; ".join(_told(reject) for reject in first[:_REJECTS_TOLD])
    raise UploadRejected(
        "CONTRACT_BROKEN",
        f"{'At least ' if typed.stopped_early else ''}{bad:,} of {rows:,} rows break the contract: "
        f"{typed.rejected_by_cast:,} hold values that do not fit their column's type, "
        f"{typed.rejected_by_contract:,} break a rule. The first: {told}.",
        {
            "detected": round(bad / rows, 4),
            "limit": settings.max_bad_row_share,
            "first_lines": [reject["line"] for reject in first[:_REJECTS_TOLD]],
            "violations": first,
            "contract_version": typed.contract.version if typed.contract else None,
        },
    )


def told_news(known: Contract, violation: Violation, masking: Masking) -> str:
    """What is new about values that break a rule, with examples as they may be shown."""
    rule = next(rule for rule in known.columns if rule.name == violation.column)
    shown = tuple(str(masking.cell(violation.column, one)) for one in violation.examples)
    if masking.hides(violation.column):
        rule, violation = replace(rule, ge=HIDDEN, le=HIDDEN), replace(violation, limit=HIDDEN)
    return f"Column {violation.column!r}: {_news(rule, replace(violation, examples=shown))}"


def _told(reject: dict[str, Any]) -> str:
    value, rule = (reject["value"] or "")[:40], reject["rule"][:100]
    place = f"line {reject['line']:,} (row {reject['row']:,})"
    return f"{place}, column {reject['column']!r}: {value!r} ({rule})"


def _first_rejects(
    con: "DuckDBPyConnection", typed: DraftTable, masking: Masking
) -> list[dict[str, Any]]:
    """Row, line, column, rule and value of the first rejected rows."""
    listed = ", ".join(literal(str(path)) for path in typed.reject_files)
    rows = con.execute(
        f'SELECT "row", line, "column", reason, left(raw, 200) '
        f"FROM {numbered(f'read_parquet([{listed}])', typed.text)} "
        f"ORDER BY line LIMIT {_REJECTS_LISTED}"
    ).fetchall()
    delimiter = typed.text.dialect.delimiter
    return [
        {
            "row": row,
            "line": line,
            "column": column,
            "rule": rule,
            "value": masking.rejected(column, value, delimiter),
        }
        for row, line, column, rule, value in rows
    ]


def _reject_violations(
    con: "DuckDBPyConnection",
    typed: DraftTable,
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
        rule = f"{violation.column}: {violation.check}{limit[:200]}{_meaning(violation.check)}"
        con.execute(
            "INSERT INTO nika_violations SELECT place, ?, ?, ?, ? FROM rows",
            [number, violation.column, rule, code.value],
        )
    rejects = table.with_name(".contract_rejects.part")
    typed.rejected_by_contract = _move_violations(con, typed, table, rejects)
    typed.reject_files.append(rejects)


def _meaning(check: str) -> str:
    """What a rule asks for, in words."""
    words = {
        "ge": "the smallest value allowed",
        "le": "the largest value allowed",
        "isin": "the only values allowed",
        "pattern": "the form asked for",
        "unique": "no value twice",
        "nullable": "no empty cell",
    }
    return f", {words[check]}" if check in words else ""


def _new_values(known: Contract, violation: Violation, masking: Masking) -> IntakeWarning:
    return IntakeWarning(
        WarningCode.NEW_VALUES.value,
        f"{told_news(known, violation, masking)}. They were kept: the contract "
        f"(version {known.version}) is inferred; `nika contract accept` makes such rows rejects.",
    )


def _news(rule: ColumnRule, violation: Violation) -> str:
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


def _move_violations(
    con: "DuckDBPyConnection", typed: DraftTable, table: Path, rejects: Path
) -> int:
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
