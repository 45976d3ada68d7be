"""Every code has an example, and every example gives its code."""

import pytest
from refusal_examples import (
    FILE_EXAMPLES,
    ROW_EXAMPLES,
    WARNING_EXAMPLES,
    WITHOUT_EXAMPLE,
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


def _name(example: Example) -> str:
    return f"{example.kind}-{example.code}"


def test_every_code_is_explained_once() -> None:
    files = [example.code for example in FILE_EXAMPLES]
    assert sorted([*files, *WITHOUT_EXAMPLE]) == sorted(FILE_CODES)
    assert [example.code for example in ROW_EXAMPLES] == [code.value for code in RowCode]
    assert [example.code for example in WARNING_EXAMPLES] == [code.value for code in WarningCode]
    assert set(ROW_ADVICE) == set(RowCode)
    assert set(WARNING_ADVICE) == set(WarningCode)


@pytest.mark.parametrize("example", FILE_EXAMPLES, ids=_name)
def test_the_file_of_an_example_is_refused_with_its_code(example: Example) -> None:
    answer = intake_says(example)
    assert answer.code == example.code
    assert answer.message.endswith(".")


@pytest.mark.parametrize("example", [*ROW_EXAMPLES, *WARNING_EXAMPLES], ids=_name)
def test_the_file_of_an_example_is_accepted_with_its_code(example: Example) -> None:
    answer = intake_says(example)
    found = answer.rejects if example.kind == "row" else answer.warnings
    assert answer.code is None
    assert example.code in [one["code"] for one in found]


@pytest.mark.parametrize(
    "example", [one for one in FILE_EXAMPLES if one.limits or one.code == "CONTRACT_BROKEN"], ids=_name
)  # fmt: skip
def test_without_the_lowered_limit_or_the_earlier_file_it_is_taken(example: Example) -> None:
    plain = Example("", "file", "", example.name, example.content)
    assert intake_says(plain).code is None
