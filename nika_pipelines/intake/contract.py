"""What a dataset's files promise: comparing it with a table or another version.

Belongs here: the columns of a file under a contract, differences. Does not belong here: the YAML
file (`contract_file`), its versions and acceptance (`contract_history`), the first one
(`contract_inference`), rows that break a rule (`contract_check`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.column_options import listed_names
from nika_pipelines.intake.contract_file import ColumnRule, Contract
from nika_pipelines.intake.reading_options import ReadingOptions
from nika_pipelines.intake.records import Column

_MOST_COMPARED = 50
_LONGEST_VALUE = 200


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


@dataclass(frozen=True)
class ColumnSet:
    """How the names of a file's columns differ from a contract's; their order is free.

    Attributes:
        missing: promised and not there.
        extra: there and not promised.
        closest: a missing name for every extra one that resembles it.
    """

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    closest: Mapping[str, str]

    @property
    def is_broken(self) -> bool:
        """Whether a column is missing or was not promised."""
        return bool(self.missing or self.extra)

    def sentence(self, contract: Contract) -> str:
        """What is different, for people."""
        told = []
        if self.missing:
            told.append(f"missing: {listed_names(self.missing)}")
        if self.extra:
            told.append(f"not in the contract: {listed_names(self.extra)}")
        if self.closest:
            pairs = (f"{new!r} resembles {old!r}" for new, old in self.closest.items())
            told.append(", ".join(pairs))
        hint = ""
        if len(self.missing) == len(contract.columns) > 1:
            hint = " None of its names is there: the header may be missing, or be another one."
        return (
            f"The columns are not those of the contract of {contract.dataset!r} "
            f"(version {contract.version}); {'; '.join(told)}.{hint}"
        )


def column_set(contract: Contract, names: Sequence[str]) -> ColumnSet:
    """Compare the names of a file's columns with a contract's."""
    promised = [rule.name for rule in contract.columns]
    there, known = set(names), set(promised)
    missing = tuple(name for name in promised if name not in there)
    extra = tuple(name for name in names if name not in known)
    return ColumnSet(missing, extra, _closest(extra, missing))


def broken_columns(contract: Contract, found: ColumnSet) -> UploadRejected:
    """The refusal of a file whose columns are not those of its contract."""
    return UploadRejected(
        "CONTRACT_BROKEN",
        found.sentence(contract),
        {
            "missing_columns": list(found.missing),
            "extra_columns": list(found.extra),
            "closest_columns": dict(found.closest),
            "contract_version": contract.version,
        },
    )


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


def diff_versions(before: Contract, after: Contract) -> list[str]:
    """What a later version of a contract says differently, a sentence each."""
    old = {rule.name: rule for rule in before.columns}
    new = {rule.name: rule for rule in after.columns}
    told = [f"column {name!r} is gone" for name in old if name not in new]
    told += [f"column {name!r} is new" for name in new if name not in old]
    told += [
        f"column {name!r}: {key} was {_shown(there)}, is {_shown(here)}"
        for name, rule in old.items()
        if name in new
        for key, there, here in _changed_keys(rule, new[name])
    ]
    if [name for name in old if name in new] != [name for name in new if name in old]:
        told.append("the columns come in another order")
    if before.status != after.status:
        told.append(f"status was {before.status}, is {after.status}")
    told += [
        f"reading.{key} was {_shown(there)}, is {_shown(here)}"
        for key, there, here in _changed_keys(before.reading, after.reading)
    ]
    return told


def _changed_keys(
    before: ColumnRule | ReadingOptions, after: ColumnRule | ReadingOptions
) -> list[tuple[str, Any, Any]]:
    pairs = (
        (one.name, getattr(before, one.name), getattr(after, one.name)) for one in fields(before)
    )
    return [(key, there, here) for key, there, here in pairs if there != here]


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "unset"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _closest(extra: Sequence[str], missing: Sequence[str]) -> dict[str, str]:
    """The missing name that an extra one was probably meant to be, each at most once."""
    from difflib import get_close_matches

    left = {name.casefold(): name for name in missing[:_MOST_COMPARED]}
    found: dict[str, str] = {}
    for name in extra[:_MOST_COMPARED]:
        alike = get_close_matches(name.casefold(), list(left), n=1)
        if alike:
            found[name] = left.pop(alike[0])
    return found
