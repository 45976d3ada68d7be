"""Every setting says what it is, in which unit, and survives its own limits."""

import pytest

from nika_pipelines.settings import Settings

SETTINGS = Settings.model_fields


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_a_unit_and_a_sentence(name: str) -> None:
    field = SETTINGS[name]
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    assert extra.get("unit"), "declare settings with _setting(default, unit, description)"
    assert (field.description or "").endswith("."), "the description is a sentence"


def test_the_defaults_are_within_their_own_limits() -> None:
    # pydantic does not validate defaults, so they are given back as if a user had set them.
    Settings(**Settings.model_construct().model_dump())
