"""Untrusted text in reports, and how numbers and times are written."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nika_pipelines.reports.numerals import epoch, number, percent, seconds, size, stamp
from nika_pipelines.reports.text import REPLACEMENT, shown
from nika_pipelines.reports.typeface import drawable, faces
from nika_pipelines.reports.typesetting import Style, lines

STYLE = Style(9, 13, "#000000")


@given(st.text())
def test_shown_text_holds_no_control_format_or_surrogate_character(text: str) -> None:
    assert not [c for c in shown(text) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn")]


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=400))
def test_plain_text_is_shown_as_it_stands(text: str) -> None:
    assert shown(text) == text


def test_a_bidi_override_is_seen_and_has_no_effect() -> None:
    assert shown("\u202egnp.exe") == f"{REPLACEMENT}gnp.exe"


def test_line_breaks_become_an_arrow_so_that_a_cell_stays_on_one_line() -> None:
    assert shown("a\r\nb\nc\td") == "a \u21b5 b \u21b5 c d"


def test_a_long_string_says_how_much_was_cut() -> None:
    assert shown("x" * 10_000, 100) == "x" * 100 + "\u2026 (+9,900 characters)"


@given(st.text(max_size=60))
def test_drawable_text_has_a_glyph_for_every_character(text: str) -> None:
    glyphs = faces()["Inter"].face.charToGlyph
    assert not [c for c in drawable(text) if ord(c) not in glyphs]


def test_a_script_that_the_typeface_lacks_is_replaced_visibly() -> None:
    assert drawable("\u4e2d\u6587 ok") == f"{REPLACEMENT}{REPLACEMENT} ok"


@pytest.mark.parametrize(
    "text",
    ["Stra\u00dfe", "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1", "\u041c\u043e\u0441\u043a\u0432\u0430"],
)
def test_latin_greek_and_cyrillic_are_drawn(text: str) -> None:
    assert drawable(text) == text


@given(st.text(max_size=300), st.floats(min_value=20, max_value=400))
def test_no_line_is_wider_than_the_measure_and_no_letter_is_lost(text: str, measure: float) -> None:
    from nika_pipelines.reports.typeface import width

    broken = lines(text, measure, STYLE)
    joined = ["".join(piece for piece, _ in line) for line in broken]
    assert all(width(line, 9) <= measure + 0.01 or len(line) == 1 for line in joined)
    assert "".join(joined).replace(" ", "") == drawable(text).replace(" ", "")


@pytest.mark.parametrize(
    "value,text",
    [
        (10320, "10,320"),
        (15137.56943, "15,138"),
        (0.25, "0.25"),
        (0.0001234, "0.0001234"),
        (1.5e-9, "1.500e-09"),
        (-3.0, "-3"),
        (0.0, "0"),
        (float("nan"), "\u2013"),
        (None, "\u2013"),
        (True, "\u2013"),
        ("12", "\u2013"),
        (10**20, "1.000e+20"),
    ],
)
def test_numbers_are_written_with_separators_and_few_digits(value: object, text: str) -> None:
    assert number(value) == text


@given(st.floats())
def test_every_float_has_a_short_text(value: float) -> None:
    assert len(number(value)) <= 18


def test_shares_that_are_not_quite_nothing_or_all_say_so() -> None:
    assert percent(1, 100_000) == "<0.1 %"
    assert percent(99_999, 100_000) == ">99.9 %"
    assert percent(1, 4) == "25.0 %"
    assert percent(3, 3) == "100 %"
    assert percent(1, 0) == "\u2013"


def test_durations_sizes_and_times_read_naturally() -> None:
    assert [seconds(0.0421), seconds(1.5), seconds(90)] == ["42 ms", "1.50 s", "1.5 min"]
    assert [size(512), size(2_500_000)] == ["512 bytes", "2.5 MB"]
    assert stamp("2014-07-01T12:30:00Z") == "2014-07-01 12:30"
    assert stamp("2014-07-01") == "2014-07-01"
    assert stamp("not a time") == "not a time"
    assert epoch("1970-01-02T00:00:00Z") == epoch("1970-01-02T00:00:00") == 86_400
