"""What a dataset's files promise: inferred once, checked with Pandera, enforced when accepted.

Belongs here: the way from a contract to a Pandera schema, validation, inference, comparison,
acceptance. Does not belong here: the YAML file (`contract_file`), what happens to rows that break
a rule (`take_in`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.codes import IntakeFault, UploadRejected
from nika_pipelines.intake.column_counts import count_rows, unoptimized
from nika_pipelines.intake.contract_file import (
    Bound,
    ColumnRule,
    Contract,
    ContractError,
    create_contract,
    load_contract,
    save_contract,
)
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.records import Column, ColumnType
from nika_pipelines.sql import identifier, parquet_rows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pandera.pandas as pa
    from duckdb import DuckDBPyConnection

    Rows = np.ndarray[Any, np.dtype[np.int64]]

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
    "count_violations",
    "create_contract",
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
        count: how many rows break it.
        examples: the first few values that break it, as text.
        rows: their 0-based positions in the typed table, ascending; none if they were only
            counted.
    """

    column: str
    check: str
    limit: str
    count: int
    examples: tuple[str, ...]
    rows: "Rows"


@dataclass(frozen=True)
class ContractOutcome:
    """What validation found; a contract that holds has no violations.

    Attributes:
        violations: the rules that are broken.
        complete: whether all rows were looked at, rather than enough to refuse the file.
    """

    violations: list[Violation] = field(default_factory=list)
    complete: bool = True

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


def count_violations(
    contract: Contract, parquet: Path, con: "DuckDBPyConnection"
) -> ContractOutcome:
    """Count the rows of a typed table that break a contract, without remembering which.

    Pandera checks batches, so that memory stays bounded; uniqueness is a query over the table.

    Args:
        contract: the promises; the table has its columns, in any order.
        parquet: the typed table.
        con: a connection with the memory limit of the worker.

    Raises:
        IntakeFault: the table does not have the contract's columns and types.
    """
    found: dict[tuple[str, str], _Found] = {}
    for broken in _broken_rules(contract, parquet, con):
        found.setdefault(broken.key, _Found()).add(broken)
    violations = [_violation(contract, key, one) for key, one in found.items()]
    return ContractOutcome(violations + list(_repetitions(contract, parquet, con)))


def validate(
    contract: Contract,
    parquet: Path,
    con: "DuckDBPyConnection",
    most_bad_rows: int | None = None,
) -> ContractOutcome:
    """Find the rows of a typed table that break a contract; like `count_violations`.

    Args:
        contract: the promises; the table has its columns, in any order.
        parquet: the typed table.
        con: a connection with the memory limit of the worker.
        most_bad_rows: look no further once more rows than these break a rule.

    Raises:
        IntakeFault: the table does not have the contract's columns and types.
    """
    import numpy as np

    found: dict[tuple[str, str], _Found] = {}
    is_bad = np.zeros(count_rows(con, parquet_rows(parquet)), dtype=bool)
    bad = 0
    for broken in _broken_rules(contract, parquet, con):
        one = found.setdefault(broken.key, _Found())
        one.add(broken)
        one.rows.append(broken.rows)
        bad += int(np.count_nonzero(~is_bad[broken.rows]))
        is_bad[broken.rows] = True
        if most_bad_rows is not None and bad > most_bad_rows:
            violations = [_violation(contract, key, one) for key, one in found.items()]
            return ContractOutcome(violations, complete=False)
    violations = [_violation(contract, key, one) for key, one in found.items()]
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
    start = 0
    # A cursor of its own: whoever stops early leaves an unfinished result behind.
    with con.cursor() as reading:
        query = f"SELECT {cells} FROM {parquet_rows(parquet)}"
        for batch in reading.sql(query).to_arrow_reader(size):
            check_time()
            yield start, batch.to_pandas(types_mapper=mapping.get)
            start += batch.num_rows


@dataclass(frozen=True)
class _Broken:
    """The rows of one batch that break one rule of one column."""

    key: tuple[str, str]
    rows: "Rows"
    examples: list[str]


@dataclass
class _Found:
    """What all batches so far say about one rule of one column."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    rows: "list[Rows]" = field(default_factory=list)

    def add(self, broken: _Broken) -> None:
        self.count += len(broken.rows)
        self.examples += broken.examples[: EXAMPLES_KEPT - len(self.examples)]


def _broken_rules(
    contract: Contract, parquet: Path, con: "DuckDBPyConnection"
) -> Iterator[_Broken]:
    """The violations of all rules but uniqueness, batch by batch."""
    import pandera.errors

    for first in range(0, len(contract.columns), _COLUMNS_PER_SCAN):
        part = replace(contract, columns=contract.columns[first : first + _COLUMNS_PER_SCAN])
        schema = to_pandera(part, whole_table=False)
        all_hold = True
        for start, frame in frame_batches(part, parquet, con):
            if all_hold:
                try:
                    schema.validate(frame, inplace=True)
                    continue
                except pandera.errors.SchemaError as error:
                    broken = list(_broken_in(schema, frame, start))
                    if not broken:
                        message = f"The typed table is not the contract's: {error}"
                        raise IntakeFault(message) from error
                    yield from broken
                    all_hold = False
            else:
                yield from _broken_in(schema, frame, start)


def _broken_in(
    schema: "pa.DataFrameSchema", frame: "pd.DataFrame", start: int
) -> Iterator[_Broken]:
    """Ask every check of a schema for the rows that fail it.

    A schema that fails writes them all down, which is dear: 1.1 s for 250,000 failures that its
    checks find in 0.05 s. Where a file breaks one rule, it mostly does so in every batch.
    """
    for name, column in schema.columns.items():
        cells = frame[name]
        holds = {} if column.nullable else {"nullable": cells.notna()}
        # A check leaves empty cells out of its answer: the index tells which rows it is about.
        holds |= {check.error: check(cells).check_output.astype(bool) for check in column.checks}
        for rule, answer in holds.items():
            places = answer.index[~answer.to_numpy(dtype=bool)].to_numpy(dtype="int64")
            if places.size:
                examples = [str(value) for value in cells.iloc[places[:EXAMPLES_KEPT]]]
                yield _Broken((name, rule), places + start, examples)


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
            personal=column.personal or None,
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
        f"GROUP BY {column} HAVING count(*) > 1 ORDER BY {column} LIMIT {limit}"
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


def _violation(contract: Contract, key: tuple[str, str], found: _Found) -> Violation:
    import numpy as np

    column, check = key
    rows = np.sort(np.concatenate([np.empty(0, dtype="int64"), *found.rows]))
    limit = _limit(contract, column, check)
    return Violation(column, check, limit, found.count, tuple(found.examples), rows)


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
        texts = _repeated_examples(con, parquet, rule.name)
        violations.append(Violation(rule.name, "unique", "true", places.size, texts, places))
    return violations


def _repetitions(
    contract: Contract, parquet: Path, con: "DuckDBPyConnection"
) -> Iterator[Violation]:
    """Violations of uniqueness, counted."""
    import numpy as np

    for rule in contract.columns:
        if not rule.unique:
            continue
        column = identifier(rule.name)
        row = con.execute(
            f"SELECT count({column}) - count(DISTINCT {column}) FROM {parquet_rows(parquet)}"
        ).fetchone()
        if row and row[0]:
            texts = _repeated_examples(con, parquet, rule.name)
            nowhere = np.empty(0, dtype="int64")
            yield Violation(rule.name, "unique", "true", int(row[0]), texts, nowhere)


def _repeated_examples(con: "DuckDBPyConnection", parquet: Path, name: str) -> tuple[str, ...]:
    found = _repeats(con, parquet_rows(parquet), name, limit=EXAMPLES_KEPT)
    return tuple(str(value) for value in found)
