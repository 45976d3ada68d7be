"""YAML that people write, read so that no small file can blow up or bring down a worker.

Belongs here: what every YAML of ours must not hold. Does not belong here: what its keys mean.
"""

from typing import Any

_DEEPEST = 20
"""Nothing of ours nests deeper; parsers recurse, and the one in C dies of too many levels."""


class PlainYamlError(ValueError):
    """A text is not YAML, or holds what plain YAML does not need."""


def load_plain_yaml(text: str) -> Any:
    """The document in a text; None when it is empty.

    Raises:
        PlainYamlError: the text cannot be read; says where and why.
    """
    import yaml

    try:
        _require_plain(text)
        return yaml.load(text, Loader=_loader())  # noqa: S506  # safe, in C where there is one
    except PlainYamlError:
        raise
    # Not only its own error: a tag that does not fit, such as `!!bool maybe`, a date that no
    # month has, or a number of 5,000 digits makes the library raise whatever its parts raise.
    except Exception as error:
        raise PlainYamlError(f"is not YAML: {_problem(error)}") from error


def _problem(error: Exception) -> str:
    """What the parser found, on one line, with its place if it has one."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    problem = getattr(error, "problem", None) or f"a value cannot be read: {error}"
    context = getattr(error, "context", None)
    told = f"{problem} ({context})" if context else problem
    return place + " ".join(told.split())[:300]


def _require_plain(text: str) -> None:
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        line = 0 if event.start_mark is None else event.start_mark.line + 1
        # Merged again and again, aliases make gigabytes of a few lines.
        if isinstance(event, yaml.AliasEvent):
            raise PlainYamlError(f"line {line}: aliases (`*{event.anchor}`) are not taken")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise PlainYamlError(f"line {line}: nests more than {_DEEPEST} levels deep")


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
