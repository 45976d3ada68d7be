"""What a table report says about earlier files of the same dataset, made from ``result.json``."""

from typing import Any

from nika_pipelines.reports.document import (
    Block,
    Heading,
    Number,
    Paragraph,
    Table,
    TableColumn,
    TableRow,
)
from nika_pipelines.reports.numerals import number, plural, stamp
from nika_pipelines.reports.text import shown

_MOST_COLUMNS = 10
_MOST_NAMED = 5
_NAME_LIMIT = 60
_HEADING = (
    TableColumn("Column"),
    TableColumn("Change"),
    TableColumn("PSI", "right"),
    TableColumn("What changed", wrap=True),
)


def drift_blocks(result: dict[str, Any]) -> list[Block]:
    """The comparison with the newest earlier version, told in full; of the others, their level."""
    comparisons = result.get("drift") or []
    if not comparisons:
        return []
    newest, *others = comparisons
    blocks: list[Block] = [
        Heading("Compared with earlier files"),
        Paragraph(_sentence(newest)),
    ]
    if newest["columns"]:
        blocks.append(_table(newest))
    if others:
        told = "; ".join(f"version {one['baseline']['version']}: {one['level']}" for one in others)
        blocks.append(Paragraph(f"Change against versions before that: {told}.", muted=True))
    return blocks


def _sentence(comparison: dict[str, Any]) -> str:
    baseline = comparison["baseline"]
    then, now = comparison["rows_then"], comparison["rows_now"]
    received = f"Version {baseline['version']}, received {stamp(baseline['received_at'])} UTC,"
    parts = [f"{received} had {plural(then, 'row')}; this one has {number(now)}."]
    for key, text in (("missing", "no longer there"), ("extra", "new")):
        if comparison[key]:
            parts.append(f"{_listed(comparison[key])} {text}.")
    if comparison["retyped"]:
        changes = [
            f"{one['column']} ({one['then']}, now {one['now']})" for one in comparison["retyped"]
        ]
        parts.append(f"Another type: {_listed(changes)}.")
    compared, changed = comparison["compared"], comparison["changed"]
    if changed:
        parts.append(f"Of {plural(compared, 'column')} compared, {number(changed)} changed.")
    elif compared:
        parts.append(f"No change that chance would not bring in {plural(compared, 'column')}.")
    return " ".join(parts)


def _table(comparison: dict[str, Any]) -> Table:
    ordered = sorted(
        comparison["columns"], key=lambda one: (one["level"] != "strong", -(one["psi"] or 0))
    )
    rows = tuple(
        TableRow(
            (
                shown(column["name"], _NAME_LIMIT),
                column["level"],
                Number(
                    "\u2013" if column["psi"] is None else f"{column['psi']:.2f}", column["psi"]
                ),
                "; ".join(_changes(column)),
            )
        )
        for column in ordered[:_MOST_COLUMNS]
    )
    left = comparison["changed"] - len(rows)
    return Table(_HEADING, rows, f"{left:,} more in drift.json" if left > 0 else None)


def _changes(column: dict[str, Any]) -> list[str]:
    told = []
    if column["median_then"] is not None and column["median_then"] != column["median_now"]:
        told.append(f"median {number(column['median_then'])}, now {number(column['median_now'])}")
    if column["null_share_then"] != column["null_share_now"]:
        then, now = 100 * column["null_share_then"], 100 * column["null_share_now"]
        told.append(f"empty {then:.1f} %, now {now:.1f} %")
    for key, text in (("new_categories", "new"), ("vanished_categories", "gone")):
        if column[key]:
            told.append(f"{text}: {_listed(column[key])}")
    return told or ["other shares of the same values"]


def _listed(names: list[str]) -> str:
    text = ", ".join(shown(name, _NAME_LIMIT) for name in names[:_MOST_NAMED])
    left = len(names) - _MOST_NAMED
    return f"{text} and {left:,} more" if left > 0 else text
