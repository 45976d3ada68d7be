"""Holding a typed table against a contract: which rows break which rule.

Belongs here: the Pandera schema of a contract, batches to check, uniqueness. Does not belong
here: what happens to rows that break a rule (`contract_enforcement`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.codes import IntakeFault
from nika_pipelines.intake.column_counts import count_rows
from nika_pipelines.intake.contract_file import Bound, ColumnRule, Contract
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.records import ColumnType
from nika_pipelines.sql import identifier, parquet_rows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pandera.pandas as pa
    from duckdb import DuckDBPyConnection

    Rows = np.ndarray[Any, np.dtype[np.int64]]

EXAMPLES_KEPT = 5
_CELLS_PER_BATCH = 250_000
_COLUMNS_PER_SCAN = 60
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


def repeated_values(con: "DuckDBPyConnection", parquet: Path, name: str, limit: int) -> list[Any]:
    """Values that come more than once in a column, the smallest first."""
    column = identifier(name)
    rows = con.execute(
        f"SELECT {column} FROM {parquet_rows(parquet)} WHERE {column} IS NOT NULL "
        f"GROUP BY {column} HAVING count(*) > 1 ORDER BY {column} LIMIT {limit}"
    ).fetchall()
    return [row[0] for row in rows]


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
        if not rule.unique or not repeated_values(con, parquet, rule.name, limit=1):
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
    found = repeated_values(con, parquet, name, limit=EXAMPLES_KEPT)
    return tuple(str(value) for value in found)
