"""How the text of a cell becomes a number: DuckDB expressions for every supported format.

Belongs here: separators, signs, units. Does not belong here: which format a column has
(`column_types`), cells without a value (`cell_readings`).

A format is null (plain) or a comma-separated list of:

* ``decimal comma``;
* ``thousands comma``, ``thousands dot``, ``thousands space``, ``thousands apostrophe``,
  ``thousands indian`` (1,23,456);
* ``percent``, ``currency <sign>``;
* ``parentheses negative`` (``(5)`` is -5), ``trailing minus`` (``5-`` is -5), ``unicode minus``;
* ``leading zeros``: digits may start with 0 and be up to 19 long. Inference never chooses it.
"""

from dataclasses import dataclass, replace

from nika_pipelines.intake.records import ColumnType
from nika_pipelines.sql import literal

NUMBER_FORMATS = (
    None,
    "thousands comma",
    "decimal comma",
    "thousands dot",
    "decimal comma, thousands dot",
    "thousands space",
    "decimal comma, thousands space",
    "thousands apostrophe",
    "decimal comma, thousands apostrophe",
    "thousands indian",
)
SIGN_STYLES = ("parentheses negative", "trailing minus", "unicode minus")
CURRENCY_SIGNS = (
    *("US$", "CA$", "A$", "R$", "$", "€", "£", "¥", "₹", "₩", "₽", "₺", "₫", "₪", "฿", "₴", "₦"),
    *("USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "AUD", "CAD", "SEK", "NOK", "DKK", "NZD"),
    *("PLN", "CZK", "HUF", "BRL", "ZAR", "MXN", "SGD", "HKD", "KRW", "TRY", "RUB", "RON", "THB"),
    *("AED", "SAR", "ILS", "kr.", "kr", "Kč", "zł", "Fr.", "руб."),
)
LEADING_ZERO_OR_LONG = r"[+-]?(?:0[0-9]+|[0-9]{18,})"
"""Digits that arithmetic would damage: one such cell keeps its whole column text."""

_INTEGER = r"(?:-?(?:0|[1-9][0-9]{0,16})|\+(?:0|[1-9][0-9]{0,5}))"
_FLOAT = (
    r"(?:-?(?:0|[1-9][0-9]{0,16})(?:\.[0-9]*)?|\+(?:0|[1-9][0-9]{0,5})(?:\.[0-9]*)?"
    r"|[+-]?\.[0-9]+)(?:[eE](?:\+?(?:1?[0-9]{1,2}|2[0-8][0-9])|-[0-9]{1,3}))?"
)
"""Exponents end where the value could become infinite."""
_HUGE = (
    r"[+-]?(?:[0-9](?:\.[0-9]*)?[eE]\+?(?:29[0-9]|30[0-7])"
    r"|1(?:\.(?:[0-6][0-9]*|7(?:[0-8][0-9]*|9(?:[0-6][0-9]*)?)?|7976931348623157)?)?[eE]\+?308)"
)
"""What is left up to the largest number there is, as programs write it: one digit in front."""
_ZEROS_INTEGER = r"[+-]?[0-9]{1,19}"
_ZEROS_FLOAT = r"[+-]?[0-9]{1,19}(?:\.[0-9]*)?"


@dataclass(frozen=True)
class _Grouping:
    """How digits are grouped: the pattern of the groups, and the characters between them."""

    groups: str
    characters: str


def _thirds(separator: str, characters: str) -> _Grouping:
    return _Grouping(rf"[1-9][0-9]{{0,2}}(?:{separator}[0-9]{{3}}){{1,5}}", characters)


_THOUSANDS = {
    "thousands comma": _thirds(",", ","),
    "thousands dot": _thirds(r"\.", "."),
    "thousands space": _thirds(r"[ \x{a0}\x{2007}\x{2009}\x{202f}]", " \u00a0\u2007\u2009\u202f"),
    "thousands apostrophe": _thirds(r"['’]", "'’"),
    "thousands indian": _Grouping(r"[1-9][0-9]?(?:,[0-9]{2}){0,6},[0-9]{3}", ","),
}


@dataclass(frozen=True)
class _Style:
    """A number format taken apart."""

    thousands: str | None = None
    currency: str | None = None
    marks: frozenset[str] = frozenset()

    @property
    def point(self) -> str:
        return "," if "decimal comma" in self.marks else "."


class UnknownFormat(ValueError):
    """A column's format is not one of its type's formats."""


def number_reading(column_type: ColumnType, format: str | None, cell: str) -> str:  # noqa: A002
    """The expression that reads a cleaned cell as a number; NULL when it does not fit.

    Raises:
        UnknownFormat: the format is not one of the module's description.
    """
    style = _style(format)
    for sign in SIGN_STYLES:
        if sign in style.marks:
            cell = _SIGNED[sign].format(cell=cell)
    if "percent" in style.marks:
        cell = rf"nullif(regexp_replace({cell}, '\s?%$', ''), {cell})"
    if style.currency is not None:
        cell = _without_currency(style.currency, cell)
    return _bare(column_type, style, cell)


def currency_of(cell: str) -> str:
    """The currency sign before or after the number in a cleaned cell, or an empty text."""
    signs = "|".join(_escaped(sign) for sign in CURRENCY_SIGNS)
    pattern = rf"^[(]?[+-]?\s?({signs})\s?[+-]?[0-9.]|[0-9.]\s?({signs})[)-]?$"
    groups = literal(pattern)
    return f"concat(regexp_extract({cell}, {groups}, 1), regexp_extract({cell}, {groups}, 2))"


def sign_counts(cell: str) -> dict[str, str]:
    """Aggregates that count the cells written in each sign style."""
    return {
        "parentheses negative": rf"count_if(regexp_full_match({cell}, '[(].*[0-9].*[)]'))",
        "trailing minus": f"count_if(regexp_full_match({cell}, '[^-]*[0-9].*-'))",
        "unicode minus": f"count_if({cell}[1] = '\N{MINUS SIGN}')",
    }


_SIGNED = {
    "parentheses negative": r"regexp_replace({cell}, '^[(]\s?(.*[0-9].*[^\s])\s?[)]$|^[(]([0-9])[)]$', '-\1\2')",
    "trailing minus": r"regexp_replace({cell}, '^([^-]*[^-\s])\s?-$', '-\1')",
    "unicode minus": "replace({cell}, '\N{MINUS SIGN}', '-')",
}


def _style(format: str | None) -> _Style:  # noqa: A002
    style = _Style()
    for token in filter(None, (part.strip() for part in (format or "").split(","))):
        if token in _THOUSANDS:
            style = replace(style, thousands=token)
        elif token.startswith("currency ") and token.removeprefix("currency "):
            style = replace(style, currency=token.removeprefix("currency "))
        elif token in _MARKS:
            style = replace(style, marks=style.marks | {token})
        else:
            raise UnknownFormat(f"{token!r} is not a number format")
    return style


_MARKS = {"decimal comma", "leading zeros", "percent", *SIGN_STYLES}


def _escaped(sign: str) -> str:
    return "".join("\\" + character if character in "$." else character for character in sign)


def _without_currency(sign: str, cell: str) -> str:
    escaped = "".join(rf"\x{{{ord(character):x}}}" for character in sign)
    before = rf"regexp_replace({cell}, '^([+-]?)\s?{escaped}\s?', '\1')"
    return rf"regexp_replace({before}, '\s?{escaped}$', '')"


def _bare(column_type: ColumnType, style: _Style, cell: str) -> str:
    """A number without its unit; its sign is in front."""
    target = "BIGINT" if column_type == "integer" else "DOUBLE"
    if style.point == "." and style.thousands is None:
        plain, zeros = (
            (_INTEGER, _ZEROS_INTEGER)
            if column_type == "integer"
            else (f"{_FLOAT}|{_HUGE}", _ZEROS_FLOAT)
        )
        pattern = f"{plain}|{zeros}" if "leading zeros" in style.marks else plain
        return f"CASE WHEN {_fits(cell, pattern)} THEN TRY_CAST({cell} AS {target}) END"
    grouping = _THOUSANDS[style.thousands] if style.thousands else _Grouping("0", "")
    groups, ungrouped = grouping.groups, "0|[1-9][0-9]{0,16}"
    if "leading zeros" in style.marks:
        ungrouped = "[0-9]{1,19}"
    # After a plus, ungrouped digits are few: +15553522926 is a phone number.
    whole = rf"(?:-?(?:{groups}|{ungrouped})|\+(?:{groups}|0|[1-9][0-9]{{0,5}}))"
    point = "," if style.point == "," else r"\."
    pattern = whole
    if column_type == "float":
        pattern = rf"(?:{whole}(?:{point}[0-9]*)?|[+-]?{point}[0-9]+)(?:[eE][+-]?[0-9]{{1,2}})?"
    # translate() removes the thousands separators and turns the decimal comma into a point.
    swaps = ("," if style.point == "," else "") + grouping.characters
    digits = f"translate({cell}, {literal(swaps)}, {literal('.' if style.point == ',' else '')})"
    return f"CASE WHEN {_fits(cell, pattern)} THEN TRY_CAST({digits} AS {target}) END"


def _fits(cell: str, pattern: str) -> str:
    return f"regexp_full_match({cell}, {literal(pattern)})"
