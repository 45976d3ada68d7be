"""Asset checks of validated tables, made from what the Pandera contract and the row balance say."""

import dagster as dg

from assets.stages import CheckSpec, StageCheck
from nika_pipelines.engine import connect
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.records import DUCKDB_TYPES, IntakeReport
from nika_pipelines.settings import Settings
from nika_pipelines.sql import parquet_rows

MATCHES_SCHEMA = CheckSpec(
    "matches_schema",
    "The table has the columns and types of its Pandera contract, and every row that breaks it "
    "was rejected.",
)
ROWS_BALANCE = CheckSpec(
    "rows_balance",
    "Every line and every record of the file is accounted for: accepted or rejected, by a count "
    "that does not depend on the parser.",
)
REJECTS_ARE_FEW = CheckSpec(
    "rejects_are_few",
    "Hardly any row was rejected (setting `few_rejects_share`); a warning says how many, and why.",
)
TABLE_CHECKS = (MATCHES_SCHEMA, ROWS_BALANCE, REJECTS_ARE_FEW)

_MOST_COLUMNS_SHOWN = 200


def evaluate_table_checks(report: IntakeReport, settings: Settings) -> list[StageCheck]:
    """Evaluate every check of a validated table."""
    return [
        _matches_schema(report, settings),
        _rows_balance(report),
        _rejects_are_few(report, settings),
    ]


def table_schema(report: IntakeReport) -> dg.TableSchema:
    """The columns of a validated table as the web UI shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                DUCKDB_TYPES[column.type].lower(),
                description=f"{column.semantic_type}, written as {display_name(column.source_name)!r}"
                if column.source_name and column.source_name != column.name
                else column.semantic_type,
                tags={"nika/semantic_type": column.semantic_type},
            )
            for column in report.columns[:_MOST_COLUMNS_SHOWN]
        ]
    )


def _matches_schema(report: IntakeReport, settings: Settings) -> StageCheck:
    """Hold the stored table against the contract's columns, now that Pandera judged its rows."""
    new_values = [w.message for w in report.warnings if w.code == "NEW_VALUES"]
    promised = [(column.name, DUCKDB_TYPES[column.type]) for column in report.columns]
    stored = _stored_columns(report, settings)
    differing = [
        f"{there} instead of {asked}"
        for asked, there in zip(promised, stored, strict=False)
        if asked != there
    ]
    return StageCheck(
        MATCHES_SCHEMA.name,
        passed=stored == promised,
        metadata={
            "nika/differing_columns": "; ".join(differing[:20]) or "none",
            "nika/rejected_rows": ", ".join(
                f"{n} {code}" for code, n in sorted(report.rejects_by_code.items())
            )
            or "none",
            "nika/contract_version": report.contract_version,
            "nika/contract_status": report.contract_status,
            "nika/new_values": "\n".join(new_values[:20]) or "none",
        },
    )


def _stored_columns(report: IntakeReport, settings: Settings) -> list[tuple[str, str]]:
    with connect(settings) as connection:
        rows = connection.execute(
            f"DESCRIBE SELECT * FROM {parquet_rows(report.table_parquet)}"
        ).fetchall()
    return [(name, kind) for name, kind, *_rest in rows]


def _rows_balance(report: IntakeReport) -> StageCheck:
    balance = report.balance
    return StageCheck(
        ROWS_BALANCE.name,
        passed=balance.closes,
        metadata={
            "nika/records": balance.records,
            "nika/accepted": balance.accepted,
            "nika/rejected": balance.rejected,
            "nika/physical_lines": balance.physical_lines,
        },
    )


def _rejects_are_few(report: IntakeReport, settings: Settings) -> StageCheck:
    balance = report.balance
    share = balance.rejected / balance.records if balance.records else 0.0
    reasons = ", ".join(f"{n} {code}" for code, n in sorted(report.rejects_by_code.items()))
    return StageCheck(
        REJECTS_ARE_FEW.name,
        passed=share <= settings.few_rejects_share,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "nika/rejected": balance.rejected,
            "nika/rejected_share": round(share, 4),
            "nika/limit_share": settings.few_rejects_share,
            "nika/reasons": reasons or "none",
        },
    )
