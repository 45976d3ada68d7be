"""Trying a contract on tables that were taken in: what it would reject, and how to make room for it.

Belongs here: questions asked before a contract is enforced. Does not belong here: enforcing it on a
file (`contract_enforcement`), writing it down (`contract_history`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.contract_check import Violation, count_violations, validate
from nika_pipelines.intake.contract_enforcement import told_news
from nika_pipelines.intake.contract_file import Bound, ColumnRule, Contract
from nika_pipelines.intake.contract_inference import value_set
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.records import Column
from nika_pipelines.sql import identifier, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Trial:
    """What an enforced contract would do to the rows of a table.

    Attributes:
        rows: how many it would reject.
        news: what each broken rule finds, for people, in the order of the columns.
    """

    rows: int
    news: tuple[str, ...]


def try_contract(
    contract: Contract,
    table: Path,
    columns: Sequence[Column],
    con: "DuckDBPyConnection",
    masking: Masking,
) -> Trial:
    """Say which rows of a table a contract would reject if it were enforced.

    Args:
        contract: the promises, whatever their status.
        table: the typed table.
        columns: its columns; those that are not the contract's are not looked at.
        con: any connection.
        masking: how the values may be shown.
    """
    import numpy as np

    comparable = _comparable(contract, columns)
    if not comparable.columns:
        return Trial(0, ())
    broken = validate(comparable, table, con).violations
    rows = np.unique(np.concatenate([np.empty(0, "int64"), *(one.rows for one in broken)]))
    order = {rule.name: place for place, rule in enumerate(contract.columns)}
    broken = sorted(broken, key=lambda one: order[one.column])
    return Trial(int(rows.size), tuple(told_news(contract, one, masking) for one in broken))


def widened(
    contract: Contract, table: Path, columns: Sequence[Column], con: "DuckDBPyConnection"
) -> Contract:
    """The contract with ranges, value sets, `nullable` and `unique` wide enough for a table.

    A `pattern` was written by a person and stays. A set that would grow too long, or take in a
    value that tells of a person, is given up.
    """
    comparable = _comparable(contract, columns)
    if not comparable.columns:
        return contract
    rules = {rule.name: rule for rule in contract.columns}
    for broken in count_violations(comparable, table, con).violations:
        rules[broken.column] = _with_room(rules[broken.column], broken, table, con)
    return replace(contract, columns=tuple(rules.values()))


def _comparable(contract: Contract, columns: Sequence[Column]) -> Contract:
    """The rules of columns that a table has, in the type that is promised."""
    types = {column.name: column.type for column in columns}
    kept = tuple(rule for rule in contract.columns if types.get(rule.name) == rule.type)
    return replace(contract, columns=kept)


def _with_room(
    rule: ColumnRule, broken: Violation, table: Path, con: "DuckDBPyConnection"
) -> ColumnRule:
    name, source = identifier(rule.name), parquet_rows(table)
    if broken.check in ("ge", "le"):
        low, high = con.execute(f"SELECT min({name}), max({name}) FROM {source}").fetchall()[0]
        is_low = broken.check == "ge"
        return replace(rule, ge=_bound(low)) if is_low else replace(rule, le=_bound(high))
    if broken.check == "isin":
        found = con.execute(f"SELECT DISTINCT {name} FROM {source}").fetchall()
        seen = [_bound(row[0]) for row in found if row[0] is not None]
        return replace(rule, isin=value_set([*dict.fromkeys([*(rule.isin or ()), *seen])]))
    if broken.check == "nullable":
        return replace(rule, nullable=True)
    return replace(rule, unique=False) if broken.check == "unique" else rule


def _bound(value: Any) -> Bound:
    """A value of a table as a contract writes it: dates and times are ISO text."""
    bound: Bound = value.isoformat() if hasattr(value, "isoformat") else value
    return bound
