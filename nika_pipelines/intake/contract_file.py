"""A dataset's contract as a record and as the YAML file that people edit.

Belongs here: the shape of the file, reading it with errors that name file and key, writing it
whole. Does not belong here: what follows from a contract (`contract`).
"""

import datetime as dt
import os
import re
import secrets
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from nika_pipelines.intake.cell_readings import reading
from nika_pipelines.intake.number_readings import UnknownFormat
from nika_pipelines.intake.plain_yaml import PlainYamlError, load_plain_yaml
from nika_pipelines.intake.reading_options import (
    NOTHING_SAID,
    OptionsError,
    ReadingOptions,
    parse_options,
)
from nika_pipelines.intake.records import Column, ColumnType, SemanticType
from nika_pipelines.intake.semantic_types import PERSONAL_TYPES, usual_meaning

SCHEMA_VERSION = 1
Bound = int | float | str
"""A limit or a listed value; dates and timestamps are ISO text."""

_HEADER = """\
# The contract of dataset {dataset}. Edit it freely, then retry a file or drop the next one.
# While status is "inferred", columns and types are enforced; ge, le, isin, pattern, nullable and
# unique only warn. `nika contract accept {dataset}` enforces them as well.
"""
_READING_HEADER = """\
# `reading` is how a person said that files of this dataset are to be read. A sidecar beside a file
# overrules it; without `reading`, every file is read as it looks.
"""


class ContractError(ValueError):
    """A contract file that cannot be used; the message names the file and the key."""

    def __init__(self, path: Path, key: str, problem: str) -> None:
        """Say what is wrong with which key of which file."""
        self.path, self.key, self.problem = path, key, problem
        super().__init__(f"{path.name}: {key}: {problem}")


@dataclass(frozen=True)
class ColumnRule:
    """What a contract promises of one column.

    Attributes:
        name: as in the typed table.
        type: storage type.
        semantic_type: what the values mean; ``text`` becomes what suits another type.
        format: how text is read into the type (see `cell_readings`).
        unit: a currency sign or ``%``.
        personal: whether the values are masked where people look at them; null goes by the
            semantic type.
        nullable: whether cells may be empty.
        unique: whether no value comes twice; empty cells do not count.
        ge: smallest value.
        le: largest value.
        isin: the only values.
        pattern: regular expression that a text must match as a whole.
        description: for people.
    """

    name: str
    type: ColumnType
    semantic_type: SemanticType = "text"
    format: str | None = None
    unit: str | None = None
    personal: bool | None = None
    nullable: bool = True
    unique: bool = False
    ge: Bound | None = None
    le: Bound | None = None
    isin: tuple[Bound, ...] | None = None
    pattern: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        # Whoever changes only the type of a text column gets its statistics nevertheless.
        if self.semantic_type == "text" and self.type != "text":
            object.__setattr__(self, "semantic_type", usual_meaning(self.type))

    def column(self, source_name: str) -> Column:
        """The column of a table that follows this rule."""
        return Column(
            self.name,
            self.type,
            self.semantic_type,
            source_name,
            self.format,
            self.unit,
            self.semantic_type in PERSONAL_TYPES if self.personal is None else self.personal,
            self.personal is False,
        )


@dataclass(frozen=True)
class Contract:
    """What a dataset's files promise; its first version is inferred from the first file.

    Attributes:
        dataset: name of the dataset.
        columns: what is promised of each column.
        version: counts the edits and the acceptance.
        status: whether rules beyond columns and types are enforced.
        reading: how the files are to be read; says nothing about columns.
    """

    dataset: str
    columns: tuple[ColumnRule, ...]
    version: int = 1
    status: Literal["inferred", "accepted"] = "inferred"
    reading: ReadingOptions = NOTHING_SAID


def load_contract(path: Path) -> Contract:
    """Read a contract.

    Raises:
        ContractError: the file is not a contract; names the key at fault.
        FileNotFoundError: there is no such file.
    """
    return parse_contract(path, path.read_bytes())


def parse_contract(path: Path, content: bytes) -> Contract:
    """The contract in the content of a file; the path is for messages.

    Raises:
        ContractError: the content is not a contract; names the key at fault.
    """
    try:
        document = load_plain_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ContractError(path, "the file", f"is not UTF-8: {error.reason}") from error
    except PlainYamlError as error:
        raise ContractError(path, "the file", str(error)) from error
    return _contract(path, document)


def save_contract(contract: Contract, path: Path) -> None:
    """Write a contract whole, in place of the one that is there."""
    replace_file(path, contract_text(contract))


def create_contract(contract: Contract, path: Path) -> bool:
    """Write a contract whole unless there is one already.

    Returns:
        Whether it was written; of several workers at once, one is told so.
    """
    return create_file(path, contract_text(contract))


def replace_file(path: Path, text: str) -> None:
    """Write a file whole, in place of the one that is there."""
    draft = _draft(path, text)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def create_file(path: Path, text: str) -> bool:
    """Write a file whole unless there is one already; says whether it was written."""
    draft = _draft(path, text)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: only the usual check is left
        if path.exists():
            return False
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _draft(path: Path, text: str) -> Path:
    """A finished file beside its place, under a name of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def contract_text(contract: Contract) -> str:
    """The content of a contract's file, as it is written anew."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    document = contract_document(contract)
    text = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100)
    dataset = shlex.quote(re.sub(r"\s+", " ", contract.dataset))
    said = _READING_HEADER if "reading" in document else ""
    return _HEADER.format(dataset=dataset) + said + text


def contract_document(contract: Contract) -> dict[str, Any]:
    """The content of a contract's file, ready for YAML and JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": contract.dataset,
        "version": contract.version,
        "status": contract.status,
        **({"reading": contract.reading.to_document()} if contract.reading != NOTHING_SAID else {}),
        "columns": [_plain(rule) for rule in contract.columns],
    }


def _plain(rule: ColumnRule) -> dict[str, Any]:
    """A rule without what is unset; the keys that people look for first are always there."""
    always = {"name", "type", "semantic_type", "nullable"}
    values = {field.name: getattr(rule, field.name) for field in fields(ColumnRule)}
    # By identity: a limit of 0 equals False and is no default.
    kept = {
        k: v for k, v in values.items() if k in always or not (v is None or v is False or v == "")
    }
    if rule.personal is not None:  # false overrules what the semantic type says
        kept["personal"] = rule.personal
    if rule.isin is not None:
        kept["isin"] = list(rule.isin)
    return kept


def _contract(path: Path, document: Any) -> Contract:
    top = _mapping(path, "the file", document)
    _known(path, "", top, {"schema_version", "dataset", "version", "status", "reading", "columns"})
    if top.get("schema_version") != SCHEMA_VERSION:
        raise ContractError(path, "schema_version", f"must be {SCHEMA_VERSION}")
    version = top.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ContractError(path, "version", "must be a whole number from 1")
    status = top.get("status")
    if status not in ("inferred", "accepted"):
        raise ContractError(path, "status", "must be inferred or accepted")
    dataset, listed = top.get("dataset"), top.get("columns")
    if not isinstance(dataset, str) or not dataset:
        raise ContractError(path, "dataset", "must be a name")
    if not isinstance(listed, list) or not listed:
        raise ContractError(path, "columns", "must be a list with at least one column")
    rules = tuple(_rule(path, f"columns[{n}]", entry) for n, entry in enumerate(listed))
    names = [rule.name for rule in rules]
    for n, name in enumerate(names):
        if name in names[:n]:
            raise ContractError(path, f"columns[{n}].name", f"{name!r} is listed twice")
    return Contract(dataset, rules, version, status, _reading(path, top.get("reading")))


def _reading(path: Path, said: Any) -> ReadingOptions:
    if said is None:
        return NOTHING_SAID
    try:
        options = parse_options(said)
    except OptionsError as error:
        raise ContractError(path, f"reading.{error.key}", error.problem) from error
    if options.columns:
        raise ContractError(path, "reading.columns", "belongs below the contract's own columns")
    # Columns are an empty mapping whatever its class, or equal options would differ.
    return replace(options, columns={})


def _rule(path: Path, place: str, entry: Any) -> ColumnRule:
    given = _mapping(path, place, entry)
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise ContractError(path, f"{place}.name", "must be a text (quote it if it is a number)")
    place = f"{place} ({name})"
    _known(path, f"{place}.", given, {field.name for field in fields(ColumnRule)})
    if "type" not in given:
        raise ContractError(path, f"{place}.type", "is missing")
    for key, value in given.items():
        problem = _problem(key, value)
        if problem:
            raise ContractError(path, f"{place}.{key}", problem)
    kind: ColumnType = given["type"]
    _check_format(path, place, kind, given.get("format"))
    values = {key: value for key, value in given.items() if value is not None}
    for key in ("ge", "le"):
        if key in values:
            values[key] = _bound(path, f"{place}.{key}", kind, values[key])
    if "isin" in values:
        values["isin"] = tuple(
            _bound(path, f"{place}.isin", kind, value) for value in values["isin"]
        )
    if values.get("pattern") and kind != "text":
        raise ContractError(path, f"{place}.pattern", "is for text columns only")
    return ColumnRule(**values)


def _known(path: Path, prefix: str, given: Mapping[str, Any], known: set[str]) -> None:
    for key in given:
        if key not in known:
            raise ContractError(
                path, f"{prefix}{key}", f"is not a key of a contract ({', '.join(sorted(known))})"
            )


def _mapping(path: Path, place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ContractError(path, place, "must be keys with values")
    return value


def _problem(key: str, value: Any) -> str | None:
    """What is wrong with a value whatever the column's type; None if nothing is."""
    test, problem = _TESTS.get(key, (_anything, ""))
    unset = value is None and key in _MAY_BE_NULL
    return None if unset or test(value) else problem


def _anything(_value: Any) -> bool:
    return True


def _is_pattern(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        re.compile(value)
    except re.error:
        return False
    return True


_MAY_BE_NULL = {"format", "unit", "personal", "ge", "le", "isin", "pattern", "description"}
_TESTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "type": (
        lambda value: value in get_args(ColumnType),
        f"must be one of {', '.join(get_args(ColumnType))}",
    ),
    "semantic_type": (
        lambda value: value in get_args(SemanticType),
        f"must be one of {', '.join(get_args(SemanticType))}",
    ),
    "nullable": (lambda value: isinstance(value, bool), "must be true or false"),
    "personal": (lambda value: isinstance(value, bool), "must be true or false"),
    "unique": (lambda value: isinstance(value, bool), "must be true or false"),
    "format": (lambda value: isinstance(value, str), "must be a text"),
    "unit": (lambda value: isinstance(value, str), "must be a text"),
    "description": (lambda value: isinstance(value, str), "must be a text"),
    "pattern": (_is_pattern, "must be a regular expression"),
    "isin": (
        lambda value: isinstance(value, list) and bool(value),
        "must be a list with at least one value",
    ),
}


def _check_format(path: Path, place: str, kind: ColumnType, written: str | None) -> None:
    if written is None:
        return
    try:
        reading(kind, written, "cell")
    except UnknownFormat as error:
        raise ContractError(path, f"{place}.format", str(error)) from error


def _bound(path: Path, place: str, kind: ColumnType, value: Any) -> Bound:
    """A limit or listed value that suits the column's type."""
    if kind in ("date", "timestamp"):
        return _iso(path, place, value)
    suits = {
        "text": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
    }
    if not suits[kind]:
        raise ContractError(path, place, f"{value!r} is not a value of type {kind}")
    bound: Bound = value
    return bound


def _iso(path: Path, place: str, value: Any) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    try:
        dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ContractError(path, place, f"{value!r} is not an ISO date or time") from None
    return str(value)
