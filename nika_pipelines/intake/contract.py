"""What a dataset's files promise: inferred once, checked with Pandera, enforced when accepted.

Belongs here: the way from a contract to a Pandera schema, validation, inference, comparison,
acceptance. Does not belong here: the YAML file (`contract_file`), what happens to rows that break
a rule (`take_in`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.column_counts import unoptimized
from nika_pipelines.intake.contract_file import (
    Bound,
    ColumnRule,
    Contract,
    ContractError,
    load_contract,
    save_contract,
)
from nika_pipelines.intake.records import Column, ColumnType
from nika_pipelines.sql import identifier, parquet_rows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pandera.pandas as pa
    from duckdb import DuckDBPyConnection

__all__ = [
    "Bound",
    "ColumnRule",
    "Contract",
    "ContractDifference",
    "ContractError",
    "ContractOutcome",
    "Violation",
    "accept",
    "columns_by_contract",
    "diff_contract",
    "infer_contract",
    "load_contract",
    "save_contract",
    "to_pandera",
    "validate",
    "with_slack",
]

EXAMPLES_KEPT = 5
RANGE_SLACK = 0.25
"""Share of a numeric range by which the next file may leave it before an inferred contract warns.

The range of a file is easily left by the next of the same kind: of pairs of files with 100 normal
values, 75 % warned without slack, 37 % at a tenth of the range, 6 % at a quarter.
"""
_CELLS_PER_BATCH = 250_000
_COLUMNS_PER_SCAN = 60
_MOST_LISTED_VALUES = 50
_PANDAS_TYPES: dict[ColumnType, str] = {
    "text": "str",
    "integer": "Int64",
    "float": "float64",
    "boolean": "boolean",
    "date": "datetime64[us]",
    "timestamp": "datetime64[us]",
}


@dataclass(frozen=True)
class Violation:
    """One rule of one column that some rows break.

    Attributes:
        column: the column's name.
        check: the rule: ``nullable``, ``unique``, ``ge``, ``le``, ``isin``, ``pattern``, ``dtype``.
        limit: what the rule asks for, as text.
        rows: 0-based positions in the typed table, ascending.
        examples: the first few values that break it, as text.
    """

    column: str
    check: str
    limit: str
    rows: "np.ndarray[Any, Any]"
    examples: tuple[str, ...]


@dataclass(frozen=True)
class ContractOutcome:
    """What validation found; a contract that holds has no violations."""

    violations: list[Violation] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every row keeps every rule."""
        return not self.violations


@dataclass(frozen=True)
class ContractDifference:
    """How a table's columns differ from a contract's.

    Attributes:
        missing: promised and not there.
        extra: there and not promised.
        changed: ``(column, key, in the contract, in the table)``.
        reordered: whether the columns of both come in another order.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    changed: tuple[tuple[str, str, str | None, str | None], ...] = ()
    reordered: bool = False

    def lines(self) -> list[str]:
        """The differences, a sentence each; none when there is no difference."""
        told = [f"column {name!r} is missing" for name in self.missing]
        told += [f"column {name!r} is not in the contract" for name in self.extra]
        told += [
            f"column {name!r} has {key} {there}, the contract says {promised}"
            for name, key, promised, there in self.changed
        ]
        return told + (["the columns come in another order"] if self.reordered else [])


def infer_contract(
    dataset: str, columns: Sequence[Column], con: "DuckDBPyConnection", parquet: Path
) -> Contract:
    """Read a first contract off a typed table, of which it is true.

    Ranges are promised of measures, money and ordinals, value sets of categories and ordinal
    texts, uniqueness of ids. Dates and ids always bring new values, so they get no range.

    Args:
        dataset: name of the dataset.
        columns: the table's columns.
        con: any connection.
        parquet: the typed table.
    """
    rules: list[ColumnRule] = []
    for start in range(0, len(columns), _COLUMNS_PER_SCAN):
        rules += _inferred_rules(columns[start : start + _COLUMNS_PER_SCAN], con, parquet)
    return Contract(dataset, tuple(rules))


def columns_by_contract(
    contract: Contract, names: Sequence[str], source_names: Sequence[str]
) -> list[Column]:
    """The columns of a file under a contract, in the file's order.

    Raises:
        UploadRejected: CONTRACT_BROKEN, when columns are missing or were not promised.
    """
    rules = {rule.name: rule for rule in contract.columns}
    missing = [name for name in rules if name not in names]
    extra = [name for name in names if name not in rules]
    if missing or extra:
        told = []
        if missing:
            told.append(f"missing: {_named(missing)}")
        if extra:
            told.append(f"not in the contract: {_named(extra)}")
        raise UploadRejected(
            "CONTRACT_BROKEN",
            f"The columns are not those of the contract of {contract.dataset!r} "
            f"(version {contract.version}); {'; '.join(told)}.",
            {"missing_columns": missing, "extra_columns": extra},
        )
    return [rules[n].column(s) for n, s in zip(names, source_names, strict=True)]


def diff_contract(contract: Contract, columns: Sequence[Column]) -> ContractDifference:
    """Compare a table's columns with a contract's."""
    rules = {rule.name: rule for rule in contract.columns}
    there = {column.name: column for column in columns}
    common = [name for name in rules if name in there]
    changed = tuple(
        (name, key, getattr(rules[name], key), getattr(there[name], key))
        for name in common
        for key in ("type", "semantic_type", "format", "unit")
        if getattr(rules[name], key) != getattr(there[name], key)
    )
    return ContractDifference(
        missing=tuple(name for name in rules if name not in there),
        extra=tuple(name for name in there if name not in rules),
        changed=changed,
        reordered=common != [name for name in there if name in rules],
    )


def accept(path: Path) -> Contract:
    """Enforce a dataset's contract from now on: its status becomes ``accepted``, a new version.

    Raises:
        ContractError: the file is not a contract.
        FileNotFoundError: the dataset has no contract yet.
    """
    contract = load_contract(path)
    if contract.status == "accepted":
        return contract
    accepted = replace(contract, status="accepted", version=contract.version + 1)
    save_contract(accepted, path)
    return accepted


def with_slack(contract: Contract) -> Contract:
    """The contract with wider numeric ranges: by `RANGE_SLACK` of the range, never across zero."""
    return replace(contract, columns=tuple(_with_slack(rule) for rule in contract.columns))


def to_pandera(contract: Contract, *, whole_table: bool = True) -> "pa.DataFrameSchema":
    """The contract as a Pandera schema of the frame that `frame_batches` yields.

    Args:
        contract: the promises.
        whole_table: leave out what cannot be seen in a batch (uniqueness) when false.
    """
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            rule.name: pa.Column(
                _PANDAS_TYPES[rule.type],
                checks=_checks(rule),
                nullable=rule.nullable,
                unique=rule.unique and whole_table,
                report_duplicates="exclude_first",
            )
            for rule in contract.columns
        },
        strict=True,
        name=contract.dataset,
    )


def validate(contract: Contract, parquet: Path, con: "DuckDBPyConnection") -> ContractOutcome:
    """Check every row of a typed table against a contract.

    Pandera checks batches, so that memory stays bounded; uniqueness is a query over the table.

    Args:
        contract: the promises; the table has its columns, in any order.
        parquet: the typed table.
        con: a connection with the memory limit of the worker.
    """
    violations: list[Violation] = []
    for start in range(0, len(contract.columns), _COLUMNS_PER_SCAN):
        part = replace(contract, columns=contract.columns[start : start + _COLUMNS_PER_SCAN])
        violations += _checked_by_pandera(part, parquet, con)
    return ContractOutcome(violations + _repeated(contract, parquet, con))


def frame_batches(
    contract: Contract, parquet: Path, con: "DuckDBPyConnection"
) -> Iterator[tuple[int, "pd.DataFrame"]]:
    """The typed table as pandas frames in the types of the contract's schema.

    Yields:
        The position of a batch's first row, and the batch.
    """
    import pandas as pd
    import pyarrow as arrow  # noqa: ICN001 - pa is Pandera in this module

    cells = ", ".join(
        f"{identifier(rule.name)}::TIMESTAMP AS {identifier(rule.name)}"
        if rule.type == "date"
        else identifier(rule.name)
        for rule in contract.columns
    )
    size = max(1_000, _CELLS_PER_BATCH // len(contract.columns))
    mapping = {arrow.int64(): pd.Int64Dtype(), arrow.bool_(): pd.BooleanDtype()}
    reader = con.sql(f"SELECT {cells} FROM {parquet_rows(parquet)}").to_arrow_reader(size)
    start = 0
    for batch in reader:
        yield start, batch.to_pandas(types_mapper=mapping.get)
        start += batch.num_rows


def _checked_by_pandera(
    contract: Contract, parquet: Path, con: "DuckDBPyConnection"
) -> list[Violation]:
    """The violations of all rules but uniqueness, batch by batch."""
    import pandera.errors

    schema = to_pandera(contract, whole_table=False)
    found: dict[tuple[str, str], list[tuple[Any, list[str]]]] = {}
    for start, frame in frame_batches(contract, parquet, con):
        try:
            schema.validate(frame, lazy=True, inplace=True)
        except pandera.errors.SchemaErrors as error:
            for (column, check), cases in error.failure_cases.groupby(["column", "check"]):
                rows = cases["index"].to_numpy(dtype="int64", na_value=-1) + start
                examples = [str(value) for value in cases["failure_case"].head(EXAMPLES_KEPT)]
                found.setdefault((column, check), []).append((rows, examples))
    return [_merged(contract, key, parts) for key, parts in found.items()]


def _inferred_rules(
    columns: Sequence[Column], con: "DuckDBPyConnection", parquet: Path
) -> Iterator[ColumnRule]:
    source = parquet_rows(parquet)
    facts: list[str] = ["count(*)"]
    for column in columns:
        name = identifier(column.name)
        ranged = _has_range(column)
        facts += [
            f"count({name})",
            f"min({name})" if ranged else "NULL",
            f"max({name})" if ranged else "NULL",
            # Typing found few different values: their list is small.
            f"list(DISTINCT {name})" if _has_value_set(column) else "NULL",
        ]
    with unoptimized(con):
        row = con.execute(f"SELECT {', '.join(facts)} FROM {source}").fetchone() or (0,)
    for n, column in enumerate(columns):
        filled, low, high, values = row[1 + 4 * n : 5 + 4 * n]
        yield ColumnRule(
            name=column.name,
            type=column.type,
            semantic_type=column.semantic_type,
            format=column.format,
            unit=column.unit,
            nullable=filled < row[0],
            unique=column.semantic_type == "id" and _is_unique(con, source, column.name),
            ge=low,
            le=high,
            isin=_value_set(values),
        )


def _has_range(column: Column) -> bool:
    numeric = column.type in ("integer", "float")
    return numeric and column.semantic_type in ("measure", "money", "ordinal")


def _is_unique(con: "DuckDBPyConnection", source: str, name: str) -> bool:
    return not _repeats(con, source, name, limit=1)


def _repeats(con: "DuckDBPyConnection", source: str, name: str, limit: int) -> list[Any]:
    column = identifier(name)
    rows = con.execute(
        f"SELECT {column} FROM {source} WHERE {column} IS NOT NULL "
        f"GROUP BY {column} HAVING count(*) > 1 LIMIT {limit}"
    ).fetchall()
    return [row[0] for row in rows]


def _has_value_set(column: Column) -> bool:
    if column.type == "text":
        return column.semantic_type in ("category", "ordinal")
    return column.type == "integer" and column.semantic_type == "category"


def _value_set(values: list[Any] | None) -> tuple[Bound, ...] | None:
    found = sorted(value for value in values or () if value is not None)
    return tuple(found) if 0 < len(found) <= _MOST_LISTED_VALUES else None


def _with_slack(rule: ColumnRule) -> ColumnRule:
    import math

    low, high = rule.ge, rule.le
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return rule  # Dates are text here; half a range was set by hand.
    slack = RANGE_SLACK * (high - low)
    # A first negative value is news, however small.
    least = max(0, low - slack) if low >= 0 else low - slack
    most = min(0, high + slack) if high <= 0 else high + slack
    if rule.type == "integer":
        least, most = math.floor(least), math.ceil(most)
    if not math.isfinite(slack):
        return rule
    return replace(rule, ge=least, le=most)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"


def _checks(rule: ColumnRule) -> list["pa.Check"]:
    import pandera.pandas as pa

    checks = []
    if rule.ge is not None:
        checks.append(pa.Check.ge(_typed(rule, rule.ge), error="ge"))
    if rule.le is not None:
        checks.append(pa.Check.le(_typed(rule, rule.le), error="le"))
    if rule.isin is not None:
        checks.append(pa.Check.isin([_typed(rule, v) for v in rule.isin], error="isin"))
    if rule.pattern is not None:
        checks.append(pa.Check.str_matches(rf"(?:{rule.pattern})\Z", error="pattern"))
    return checks


def _typed(rule: ColumnRule, bound: Bound) -> Any:
    if rule.type in ("date", "timestamp"):
        import pandas as pd

        stamp = pd.Timestamp(bound)
        return stamp.tz_convert(None) if stamp.tzinfo else stamp
    return bound


def _merged(
    contract: Contract, key: tuple[str, str], parts: list[tuple[Any, list[str]]]
) -> Violation:
    import numpy as np

    column, check = key
    check = {"not_nullable": "nullable"}.get(check, check)
    rows = np.sort(np.concatenate([rows for rows, _ in parts]))
    examples = [example for _, some in parts for example in some][:EXAMPLES_KEPT]
    return Violation(column, check, _limit(contract, column, check), rows, tuple(examples))


def _limit(contract: Contract, column: str, check: str) -> str:
    rule = next((rule for rule in contract.columns if rule.name == column), None)
    value = getattr(rule, check, None)
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    return check if value is None else str(value)


def _repeated(contract: Contract, parquet: Path, con: "DuckDBPyConnection") -> list[Violation]:
    """Violations of uniqueness: every row but the first of each repeated value."""
    import numpy as np

    violations = []
    for rule in contract.columns:
        if not rule.unique or not _repeats(con, parquet_rows(parquet), rule.name, limit=1):
            continue
        column = identifier(rule.name)
        found = con.execute(
            f"SELECT file_row_number AS place "
            f"FROM read_parquet(?, file_row_number = true) WHERE {column} IS NOT NULL "
            f"QUALIFY row_number() OVER (PARTITION BY {column} ORDER BY file_row_number) > 1 "
            "ORDER BY place",
            [str(parquet)],
        ).fetchnumpy()
        places = np.asarray(found["place"], dtype="int64")
        examples = _repeats(con, parquet_rows(parquet), rule.name, limit=EXAMPLES_KEPT)
        texts = tuple(str(value) for value in examples)
        violations.append(Violation(rule.name, "unique", "true", places, texts))
    return violations
