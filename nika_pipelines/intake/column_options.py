"""What a person says about single columns, on its way to the columns of a table.

Belongs here: finding the columns that are meant, the format of a forced type, overruling. Does not
belong here: the shape of a sidecar (`reading_options`), the vote (`column_types`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nika_pipelines.intake.cell_readings import reading, type_of_format
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.number_readings import UnknownFormat
from nika_pipelines.intake.reading_options import ColumnOption
from nika_pipelines.intake.records import Column, ColumnType
from nika_pipelines.intake.semantic_types import PERSONAL_TYPES, usual_meaning

_NAMES_TOLD = 20


def options_by_position(
    said: Mapping[str, ColumnOption], names: Sequence[str], source_names: Sequence[str]
) -> dict[int, ColumnOption]:
    """Which column each option means: by final or written name, in any case if only one fits.

    Args:
        said: options by name.
        names: final column names, in order.
        source_names: headers as written in the file.

    Raises:
        UploadRejected: CONTRACT_BROKEN, when no column, or more than one, has a name, or when a
            column's format is unknown.
    """
    found: dict[int, ColumnOption] = {}
    for name, option in said.items():
        position = _position(name, names, source_names)
        if position in found:
            raise _refused(name, f"is the column {names[position]!r}, which is named twice")
        found[position] = _with_type(name, option)
    return found


def overruled(column: Column, option: ColumnOption) -> Column:
    """A column with what a person said about its meaning; its type is settled before."""
    meaning = option.semantic_type or column.semantic_type
    personal, cleared = column.personal, column.cleared
    if option.semantic_type is not None:
        personal, cleared = meaning in PERSONAL_TYPES, False
    if option.personal is not None:
        personal, cleared = option.personal, not option.personal
    return replace(column, semantic_type=meaning, personal=personal, cleared=cleared)


def retyped(column: Column, option: ColumnOption) -> Column | None:
    """A contract's column with the type and format that a person said; None to look for a format.

    A type without a format keeps the contract's format if the contract has the same type.
    """
    if option.type is None:
        return column
    if option.format is None and option.type == column.type:
        return column
    if option.format is None and option.type != "text":
        return None
    if option.type == column.type:
        return replace(column, format=option.format)
    meaning = usual_meaning(option.type)
    return replace(column, type=option.type, format=option.format, unit=None, semantic_type=meaning)


def _position(name: str, names: Sequence[str], source_names: Sequence[str]) -> int:
    for candidates, wanted in (
        (names, name),
        (source_names, name),
        ([one.strip().casefold() for one in names], name.strip().casefold()),
        ([one.strip().casefold() for one in source_names], name.strip().casefold()),
    ):
        places = [place for place, one in enumerate(candidates) if one == wanted]
        if len(places) > 1:
            listed = ", ".join(repr(names[place]) for place in places[:_NAMES_TOLD])
            raise _refused(name, f"may mean each of {listed}; use one of these names")
        if places:
            return places[0]
    raise _refused(name, f"is not in the file; it has {listed_names(names)}", list(names[:200]))


def listed_names(names: Sequence[str]) -> str:
    """Column names for a message, the first of them if they are many."""
    shown = ", ".join(repr(name) for name in names[:_NAMES_TOLD])
    return shown if len(names) <= _NAMES_TOLD else f"{shown} and {len(names) - _NAMES_TOLD} more"


def _with_type(name: str, option: ColumnOption) -> ColumnOption:
    """The option with the type that its format implies."""
    if option.format is None:
        return option
    kind: ColumnType | None = option.type or type_of_format(option.format)
    if kind is None or kind == "text":
        raise _refused(name, f"has the format {option.format!r}, which no type has")
    try:
        reading(kind, option.format, "cell")
    except UnknownFormat as error:
        raise _refused(name, f"has an unknown format: {error}") from error
    return replace(option, type=kind)


def _refused(name: str, problem: str, names: list[str] | None = None) -> UploadRejected:
    details = {"column": name} | ({} if names is None else {"columns": names})
    return UploadRejected(
        "CONTRACT_BROKEN", f"The column {name!r} of the sidecar {problem}.", details
    )
