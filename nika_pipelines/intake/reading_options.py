"""What a person says about how a file is to be read; it overrules everything that is inferred.

Belongs here: the shape of a sidecar (``<stem>.nika.yaml``) and of the key ``reading`` of a
contract, which are the same. Does not belong here: finding the sidecar, or acting on it.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.plain_yaml import PlainYamlError, load_plain_yaml
from nika_pipelines.intake.records import ColumnType, SemanticType

MAX_SIDECAR_BYTES = 65_536
_MAX_DELIMITER = 8


@dataclass(frozen=True)
class ColumnOption:
    """What is said about one column; null leaves it to inference.

    Attributes:
        type: storage type.
        semantic_type: what the values mean.
        format: how text is read into the type, as contracts write it.
        personal: whether the values are masked where people look at them.
    """

    type: ColumnType | None = None
    semantic_type: SemanticType | None = None
    format: str | None = None
    personal: bool | None = None


@dataclass(frozen=True)
class ReadingOptions:
    """How a file is to be read; null leaves a thing to inference.

    Attributes:
        encoding: a Python codec name.
        delimiter: one to eight characters.
        quotechar: one character; ``""`` says that nothing is quoted.
        escapechar: one character; ``""`` says that nothing is escaped.
        preamble_rows: records above the header.
        header_rows: records of the header; 0 generates the names.
        footer_rows: records below the data that are totals or notes.
        sheet: the sheet of a workbook.
        columns: by name, as the header writes it or as the typed table names it.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quotechar: str | None = None
    escapechar: str | None = None
    preamble_rows: int | None = None
    header_rows: int | None = None
    footer_rows: int | None = None
    sheet: str | None = None
    columns: Mapping[str, ColumnOption] = field(default_factory=dict)

    def over(self, base: "ReadingOptions") -> "ReadingOptions":
        """These options, completed by those of ``base``."""
        given = {
            one.name: getattr(base, one.name)
            if getattr(self, one.name) is None
            else getattr(self, one.name)
            for one in fields(self)
        }
        return ReadingOptions(**given | {"columns": {**base.columns, **self.columns}})

    def to_document(self) -> dict[str, Any]:
        """What was said, as a sidecar writes it; nothing that was left out."""
        document = {
            key: value
            for key, value in asdict(self).items()
            if value is not None and key != "columns"
        }
        if self.columns:
            document["columns"] = {
                name: {key: value for key, value in asdict(option).items() if value is not None}
                for name, option in self.columns.items()
            }
        return document


NOTHING_SAID = ReadingOptions()


class OptionsError(ValueError):
    """Options that cannot be used.

    Attributes:
        key: the key at fault, with the keys it lies under.
        problem: what is wrong with it.
    """

    def __init__(self, key: str, problem: str) -> None:
        """Say what is wrong with which key."""
        self.key, self.problem = key, problem
        super().__init__(f"{key}: {problem}")


def load_sidecar(path: Path) -> ReadingOptions:
    """Read a sidecar; an empty one says nothing.

    Raises:
        UploadRejected: CONTRACT_BROKEN, because the file cannot be read as was demanded; names
            the key at fault.
        FileNotFoundError: there is no such file.
    """
    with path.open("rb") as stream:
        return parse_sidecar(stream.read(MAX_SIDECAR_BYTES + 1), path.name)


def parse_sidecar(content: bytes, name: str) -> ReadingOptions:
    """Read the content of a sidecar; an empty one says nothing.

    Args:
        content: at most `MAX_SIDECAR_BYTES` and one more.
        name: what to call the sidecar.

    Raises:
        UploadRejected: CONTRACT_BROKEN, because the file cannot be read as was demanded; names
            the key at fault.
    """
    try:
        return _options(content)
    except (OptionsError, PlainYamlError, UnicodeDecodeError) as error:
        raise UploadRejected(
            "CONTRACT_BROKEN",
            f"The sidecar {name} cannot be used: {_problem(error)}.",
            {"sidecar": name},
        ) from error


def parse_options(document: Any) -> ReadingOptions:
    """Check a document and make options of it.

    Raises:
        OptionsError: names the key at fault.
    """
    given = _mapping("the document", document)
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key == "columns":
            continue
        if key not in _TESTS:
            raise OptionsError(key, f"is not known; known are {', '.join([*_TESTS, 'columns'])}")
        test, problem = _TESTS[key]
        if not test(value):
            raise OptionsError(key, problem)
        values[key] = value
    columns = _mapping("columns", given.get("columns") or {})
    return ReadingOptions(
        **values, columns={name: _column(name, value) for name, value in columns.items()}
    )


def _options(content: bytes) -> ReadingOptions:
    if len(content) > MAX_SIDECAR_BYTES:
        raise OptionsError("the file", f"has more than {MAX_SIDECAR_BYTES:,} bytes")
    document = load_plain_yaml(content.decode("utf-8-sig"))
    return NOTHING_SAID if document is None else parse_options(document)


def _column(name: str, value: Any) -> ColumnOption:
    place = f"columns.{name}"
    given = {"type": value} if isinstance(value, str) else _mapping(place, value)
    allowed: dict[str, tuple[str, ...]] = {
        "type": get_args(ColumnType),
        "semantic_type": get_args(SemanticType),
    }
    for key, told in given.items():
        if key not in (*allowed, "format", "personal"):
            raise OptionsError(
                f"{place}.{key}", "is not known; known are type, semantic_type, format, personal"
            )
        if key == "personal":
            if not isinstance(told, bool):
                raise OptionsError(f"{place}.{key}", "must be true or false")
            continue
        if key in allowed and told not in allowed[key]:
            raise OptionsError(f"{place}.{key}", f"must be one of {', '.join(allowed[key])}")
        if not isinstance(told, str):
            raise OptionsError(f"{place}.{key}", "must be a text")
    return ColumnOption(**given)


def _mapping(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise OptionsError(place, "must be keys with values")
    return value


def _is_codec(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        # Not `codecs.lookup`, which also knows codecs that do not give text, such as base64.
        io.TextIOWrapper(io.BytesIO(), encoding=value).detach()
    except (LookupError, ValueError):
        return False
    return True


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_mark(value: Any) -> bool:
    return isinstance(value, str) and (value == "" or (len(value) == 1 and value.isascii()))


def _is_delimiter(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_DELIMITER
        and not set(value) & {"\r", "\n", '"', "\x00"}
    )


def _problem(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


_ONE_MARK = 'must be one character, or "" for none'
_ROWS = "must be a number of rows"
_TESTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "encoding": (_is_codec, "must be an encoding that Python knows, such as windows-1252"),
    "delimiter": (_is_delimiter, f'must be 1 to {_MAX_DELIMITER} characters, such as ";"'),
    "quotechar": (_is_mark, _ONE_MARK),
    "escapechar": (_is_mark, _ONE_MARK),
    "preamble_rows": (_is_count, _ROWS),
    "header_rows": (_is_count, _ROWS),
    "footer_rows": (_is_count, _ROWS),
    "sheet": (lambda value: isinstance(value, str) and bool(value), "must be the name of a sheet"),
}
