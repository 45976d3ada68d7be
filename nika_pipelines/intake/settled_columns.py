"""The columns of one file: by what a person said, else by the contract, else by inference.

Belongs here: which of the three decides. Does not belong here: how each decides (`column_options`,
`contract`, `column_types`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.column_options import options_by_position, overruled, retyped
from nika_pipelines.intake.column_types import contracted_text_warnings, infer_columns
from nika_pipelines.intake.contract import ColumnSet, broken_columns, column_set
from nika_pipelines.intake.contract_file import ColumnRule, Contract
from nika_pipelines.intake.formula_cells import formula_warnings
from nika_pipelines.intake.masking import masked_text, masked_value
from nika_pipelines.intake.reading_options import ColumnOption, ReadingOptions
from nika_pipelines.intake.records import Column, IntakeWarning, TextTable
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class SettledColumns:
    """The columns of a file.

    Attributes:
        columns: in the file's order.
        contract: what the rows are held against: the contract's rules for the columns that are
            there in its types; None for the first file of a dataset.
        warnings: about the columns.
    """

    columns: list[Column]
    contract: Contract | None
    warnings: list[IntakeWarning]


def settle_columns(
    con: "DuckDBPyConnection",
    text: TextTable,
    known: Contract | None,
    options: ReadingOptions,
    settings: Settings,
) -> SettledColumns:
    """Settle name, type, format and meaning of every column of a text table.

    Args:
        con: a connection whose time zone is UTC.
        text: the table.
        known: the dataset's contract, if it has one.
        options: what a person said about the columns.
        settings: shares of the vote, and what becomes of a broken set of columns.

    Raises:
        UploadRejected: CONTRACT_BROKEN, when the columns are not those of the contract or a person
            named a column that is not there.
    """
    said = options_by_position(options.columns, text.names, text.source_names)
    if known is None:
        columns, warnings = infer_columns(
            con,
            text.parquet,
            text.names,
            text.source_names,
            settings,
            _with_own(text, said),
            text.dialect.delimiter,
        )
        return SettledColumns(columns, None, warnings)
    return _by_contract(con, text, known, said, settings)


def _with_own(text: TextTable, said: Mapping[int, ColumnOption]) -> dict[int, ColumnOption]:
    """What was said, completed by the types that the file itself states."""
    own = {
        place: ColumnOption(type=text.own_types[name])
        for place, name in enumerate(text.names)
        if name in text.own_types
    }
    for place, option in said.items():
        stated = own.get(place, ColumnOption()).type
        own[place] = replace(option, type=stated) if option.type is None else option
    return own


def _as_shown(found: ColumnSet, known: Contract, settings: Settings) -> ColumnSet:
    """The names as they may be told: those of a file without a header are its first cells."""
    if not settings.mask_personal_data:
        return found
    about_people = any(rule.column("").personal for rule in known.columns)
    if about_people and len(found.missing) == len(known.columns):
        return replace(found, extra=tuple(map(masked_value, found.extra)), closest={})
    return replace(
        found,
        extra=tuple(map(masked_text, found.extra)),
        closest={masked_text(new): old for new, old in found.closest.items()},
    )


def _by_contract(
    con: "DuckDBPyConnection",
    text: TextTable,
    known: Contract,
    said: Mapping[int, ColumnOption],
    settings: Settings,
) -> SettledColumns:
    names, warnings = _as_shown(column_set(known, text.names), known, settings), []
    if names.is_broken:
        if settings.broken_columns == "quarantine":
            raise broken_columns(known, names)
        warnings.append(
            IntakeWarning(
                WarningCode.FORMAT_MISMATCH.value,
                f"{names.sentence(known)} New columns were read as they look.",
            )
        )
    rules = {rule.name: rule for rule in known.columns}
    columns: dict[int, Column] = {}
    for place, (name, source) in enumerate(zip(text.names, text.source_names, strict=True)):
        option = said.get(place, ColumnOption())
        column = retyped(rules[name].column(source), option) if name in rules else None
        if column is not None:
            columns[place] = overruled(column, option)
    by_rule = [columns[place] for place in sorted(columns) if place not in said]
    new = [place for place in range(len(text.names)) if place not in columns]
    if new:
        inferred, about_new = infer_columns(
            con,
            text.parquet,
            [text.names[place] for place in new],
            [text.source_names[place] for place in new],
            settings,
            {n: said[place] for n, place in enumerate(new) if place in said},
            text.dialect.delimiter,
        )
        columns |= zip(new, inferred, strict=True)
        warnings += about_new
    settled = [columns[place] for place in range(len(text.names))]
    warnings += formula_warnings(
        con, text.parquet, [c for n, c in enumerate(settled) if n not in new]
    )
    if known.status == "inferred":
        warnings += contracted_text_warnings(con, text.parquet, by_rule, settings)
    return SettledColumns(settled, _applicable(known, settled), warnings)


def _applicable(known: Contract, columns: list[Column]) -> Contract:
    """The contract's rules for the columns of a file; limits hold for the type they were set for."""
    rules = {rule.name: rule for rule in known.columns}
    kept = []
    for column in columns:
        rule = rules.get(column.name)
        if rule is None:
            rule = ColumnRule(column.name, column.type, column.semantic_type, column.format)
        elif rule.type != column.type:
            rule = replace(
                rule, type=column.type, format=column.format, ge=None, le=None, isin=None,
                pattern=None,
            )  # fmt: skip
        kept.append(rule)
    return replace(known, columns=tuple(kept))
