"""The page "Why was my file refused?": every code with a file that gives it and intake's answer."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from refusal_examples import (
    FILE_EXAMPLES,
    ROW_EXAMPLES,
    WARNING_EXAMPLES,
    WITHOUT_EXAMPLE,
    Answer,
    Example,
    intake_says,
)

from nika_pipelines.intake.codes import (
    FILE_CODES,
    ROW_ADVICE,
    WARNING_ADVICE,
    RowCode,
    WarningCode,
)

_INTRODUCTION = """\
A file that cannot be read without breaking a promise is not half read: it is moved to
`data/quarantine/<upload_id>/`, beside a `reason.json` with one of the codes below, what is wrong,
where, and what to do. `nika show ID` prints the same.

When single rows are bad, only these are left out. They are in `rejects.parquet` of the upload, and
the first ones in its report, with line, column, code and text
([how many are too many](settings.md): `max_bad_row_share`).

Mend the file and drop it again; or change a [setting](settings.md) or the
[contract](intake.md#contracts) and run `nika retry ID`. The examples are real: each file was given
to intake, and what it answered stands below it. Where a limit is named, it was lowered so that the
example fits here."""


def refused_page(notice: str) -> str:
    """The whole page."""
    lines = [
        "# Why was my file refused?",
        "",
        notice,
        "",
        _INTRODUCTION,
        "",
        "| Code | HTTP equivalent | What to do |",
        "|---|---|---|",
        *(
            f"| [`{code}`](#{code.lower()}) | {known.http} | {known.advice} |"
            for code, known in FILE_CODES.items()
        ),
        "",
        "## Refused files",
        *_file_sections(),
        "",
        "## Rejected rows",
        "",
        "The other rows of the file survive. Rows are named by their line in the file.",
        *_sections(ROW_EXAMPLES, ROW_ADVICE),
        "",
        "## Warnings",
        "",
        "The file was accepted; somebody should know.",
        *_sections(WARNING_EXAMPLES, WARNING_ADVICE),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _file_sections() -> Iterator[str]:
    examples = {example.code: example for example in FILE_EXAMPLES}
    for code, known in FILE_CODES.items():
        yield from ("", f"### {code}", "")
        if code in examples:
            example = examples[code]
            yield example.story
            yield from _shown(example, intake_says(example))
        else:
            yield WITHOUT_EXAMPLE[code]
        yield from ("", f"What to do: {known.advice}")


def _sections(
    examples: Sequence[Example], advice: Mapping[RowCode, str] | Mapping[WarningCode, str]
) -> Iterator[str]:
    by_code: dict[Any, str] = dict(advice)
    for example in examples:
        yield from ("", f"### {example.code}", "", example.story)
        yield from _shown(example, intake_says(example))
        yield from ("", f"What to do: {by_code[example.code]}")


def _shown(example: Example, answer: Answer) -> Iterator[str]:
    limits = "".join(f", with `{name}` {value}" for name, value in example.limits.items())
    yield from ("", f"`{example.name}`{limits}:", "", "```text", example.preview(), "```", "")
    yield from ("Nika answers:", "", "```text", *wrap(_answer(example, answer), 96), "```")


def _answer(example: Example, answer: Answer) -> str:
    if example.kind == "file":
        return answer.message
    if example.kind == "warning":
        return next(one["message"] for one in answer.warnings if one["code"] == example.code)
    reject = next(reject for reject in answer.rejects if reject["code"] == example.code)
    column = f", column {reject['column']}" if reject["column"] else ""
    return f"line {reject['line']}{column}: {reject['reason']}: {reject['raw']!r}"
