"""How the text of one cell becomes a value: DuckDB expressions for every supported format.

Belongs here: the null tokens, and per column type the formats with the one expression that reads
them. Does not belong here: which format a column has (`column_types`), or running anything.

A *reading* is an expression over the cleaned cell that gives the value, or NULL when the cell does
not fit. The vote counts readings and the cast stores them, so that the two can never disagree.

Formats (kept in `Column.format`, and therefore in the contract):

* numbers: null (plain), or a comma-separated list of ``decimal comma``, ``thousands comma``,
  ``thousands dot``, ``thousands space``, ``thousands apostrophe``, ``percent``, ``currency <sign>``;
* booleans: the pair of words, ``yes/no``;
* dates: strptime notation, ``%d.%m.%Y``; timestamps: the same followed by ``time``,
  ``time am/pm`` or (ISO only) ``time offset``. A timestamp without its time is midnight.
"""

from dataclasses import dataclass

from nika_pipelines.intake.records import Column, ColumnType
from nika_pipelines.sql import literal

MISSING_EVERYWHERE = ("", "null", "(null)", "n/a", "#n/a", "n.a.", "nan", "<na>", "\\n", "-", "--")
"""Cells (trimmed, lower case) that mean "no value" in a column of any type."""

MISSING_IN_TYPED = (
    *MISSING_EVERYWHERE,
    *("na", "none", "nil", ".", "?", "#value!", "#div/0!", "#ref!", "#num!"),
    *("0000-00-00", "0000-00-00 00:00:00"),
)
"""The same for numbers, dates and booleans. In text columns `NA` (Namibia, North America) and
`None` are ordinary words and stay."""

BOOLEAN_PAIRS = (
    ("true", "false"),
    ("yes", "no"),
    ("ja", "nein"),
    ("oui", "non"),
    ("si", "no"),
    ("sí", "no"),
    ("wahr", "falsch"),
    ("vrai", "faux"),
    ("on", "off"),
    ("t", "f"),
    ("y", "n"),
    ("j", "n"),
)
"""Words of yes and no. ``0/1`` is not among them: it stays an integer."""

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
)
CURRENCY_SIGNS = (
    *("US$", "R$", "$", "€", "£", "¥", "₹", "₩", "₽", "₺", "₫", "₪", "฿", "₴", "₦"),
    *("USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "AUD", "CAD", "SEK", "NOK", "DKK"),
    *("PLN", "CZK", "HUF", "BRL", "ZAR", "kr", "zł", "Fr."),
)
LEADING_ZERO_OR_LONG = r"[+-]?(?:0[0-9]+|[0-9]{18,})"
"""Digits that arithmetic would damage: one such cell keeps its whole column text."""

_WHITE_SPACE = " \t\r\n\u00a0\u2007\u202f\ufeff"
_LONGEST_TOKEN = max(len(token.encode()) for token in MISSING_IN_TYPED)
_INTEGER = r"(?:-?(?:0|[1-9][0-9]{0,16})|\+(?:0|[1-9][0-9]{0,5}))"
_FLOAT = (
    r"(?:-?(?:0|[1-9][0-9]{0,16})(?:\.[0-9]*)?|\+(?:0|[1-9][0-9]{0,5})(?:\.[0-9]*)?"
    r"|[+-]?\.[0-9]+)(?:[eE](?:\+?(?:1?[0-9]{1,2}|2[0-8][0-9])|-[0-9]{1,3}))?"
)
"""Exponents end where the value could become infinite."""
_THOUSANDS = {
    "thousands comma": (",", ","),
    "thousands dot": (r"\.", "."),
    "thousands space": (r"[ \x{a0}\x{2007}\x{2009}\x{202f}]", " \u00a0\u2007\u2009\u202f"),
    "thousands apostrophe": (r"['’]", "'’"),
}
_CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
_OFFSET = r"(?:Z| UTC|[+-][0-9]{2}(?::?[0-9]{2})?)"
_MONTH = r"([A-Za-z]{3})[a-z]{0,6}\.?"


@dataclass(frozen=True)
class _DateShape:
    """One way to write a date: its pattern (three groups) and the ISO text they make."""

    pattern: str
    iso: str
    strptime: str | None = None
    two_digit_year: bool = False


_DATE_SHAPES = {
    "%Y-%m-%d": _DateShape(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})", r"\1-\2-\3"),
    "%Y/%m/%d": _DateShape(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})", r"\1-\2-\3"),
    "%Y.%m.%d": _DateShape(r"([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})", r"\1-\2-\3"),
    "%d.%m.%Y": _DateShape(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})", r"\3-\2-\1"),
    "%d/%m/%Y": _DateShape(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", r"\3-\2-\1"),
    "%m/%d/%Y": _DateShape(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", r"\3-\1-\2"),
    "%d-%m-%Y": _DateShape(r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})", r"\3-\2-\1"),
    "%m-%d-%Y": _DateShape(r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})", r"\3-\1-\2"),
    "%d.%m.%y": _DateShape(
        r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{2})", r"\3-\2-\1", two_digit_year=True
    ),
    "%d/%m/%y": _DateShape(
        r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{2})", r"\3-\2-\1", two_digit_year=True
    ),
    "%m/%d/%y": _DateShape(
        r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{2})", r"\3-\1-\2", two_digit_year=True
    ),
    "%d-%m-%y": _DateShape(
        r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{2})", r"\3-\2-\1", two_digit_year=True
    ),
    "%m-%d-%y": _DateShape(
        r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{2})", r"\3-\1-\2", two_digit_year=True
    ),
    "%d %b %Y": _DateShape(
        rf"([0-9]{{1,2}})\.?[ -]{_MONTH},?[ -]([0-9]{{4}})", r"\1 \2 \3", "%d %b %Y"
    ),
    "%d %b %y": _DateShape(
        rf"([0-9]{{1,2}})\.?[ -]{_MONTH},?[ -]([0-9]{{2}})", r"\1 \2 \3", "%d %b %y"
    ),
    "%b %d %Y": _DateShape(
        rf"{_MONTH}[ -]([0-9]{{1,2}}),?[ -]([0-9]{{4}})", r"\1 \2 \3", "%b %d %Y"
    ),
}
DATE_FORMATS = tuple(_DATE_SHAPES)
TIMESTAMP_FORMATS = (
    *(f"{date} time" for date in DATE_FORMATS),
    *(f"{date} time am/pm" for date in DATE_FORMATS if _DATE_SHAPES[date].strptime is None),
    "%Y-%m-%d time offset",
)


class UnknownFormat(ValueError):
    """A column's format is not one of its type's formats."""


def trimmed(raw: str) -> str:
    """A cell without surrounding white space of any kind; the common case costs two looks."""
    return (
        f"CASE WHEN {raw}[1] BETWEEN '!' AND '~' AND {raw}[-1] BETWEEN '!' AND '~' "
        f"THEN {raw} ELSE trim({raw}, {literal(_WHITE_SPACE)}) END"
    )


def without_tokens(cell: str) -> str:
    """The cleaned cell of a typed column: a trimmed cell, NULL where it has no value."""
    return (
        f"CASE WHEN strlen({cell}) <= {_LONGEST_TOKEN} "
        f"AND lower({cell}) IN {_token_list(MISSING_IN_TYPED)} THEN NULL ELSE {cell} END"
    )


def kept(column: str) -> str:
    """The cell of a text column exactly as written; NULL where it has no value."""
    white = literal(_WHITE_SPACE)
    blank = f"ascii({column}) NOT BETWEEN 33 AND 126 AND trim({column}, {white}) = ''"
    return (
        f"CASE WHEN strlen({column}) <= {_LONGEST_TOKEN} "
        f"AND lower(trim({column}, {white})) IN {_token_list(MISSING_EVERYWHERE)} THEN NULL "
        f"WHEN {blank} THEN NULL ELSE {column} END"
    )


def reading(column_type: ColumnType, format: str | None, cell: str) -> str:  # noqa: A002
    """The expression that reads a cleaned cell as a type; NULL when the cell does not fit.

    Args:
        column_type: any type but ``text``, which `kept` reads.
        format: one of the formats of the type (see the module's description); null is the plain
            one: ISO for dates and timestamps.
        cell: reference to the cleaned cell, as `without_tokens` makes it.

    Raises:
        UnknownFormat: the format is not one of the type's.
    """
    if column_type == "boolean":
        return _boolean(format or "true/false", cell)
    if column_type == "date":
        return _date(format or "%Y-%m-%d", cell)
    if column_type == "timestamp":
        return _timestamp(format or "%Y-%m-%d time", cell)
    if column_type in ("integer", "float"):
        return _number(column_type, format, cell)
    raise UnknownFormat(f"type {column_type!r} has no formats")


def value_of(column: Column, cell: str, raw: str) -> str:
    """The stored value of a column: a reading of the cleaned cell, or the raw text itself."""
    return kept(raw) if column.type == "text" else reading(column.type, column.format, cell)


def type_of_format(format: str) -> ColumnType | None:  # noqa: A002
    """The type that a format belongs to; numbers are read as floats. None if it is unknown."""
    kinds: tuple[ColumnType, ...] = ("timestamp", "date", "boolean", "float")
    for kind in kinds:
        try:
            reading(kind, format, "cell")
        except UnknownFormat:
            continue
        return kind
    return None


def currency_of(cell: str) -> str:
    """The currency sign before or after the number in a cleaned cell, or an empty text."""
    signs = "|".join(_escaped(sign) for sign in CURRENCY_SIGNS)
    pattern = rf"^[+-]?\s?({signs})\s?[+-]?[0-9.]|[0-9.]\s?({signs})$"
    groups = literal(pattern)
    return f"concat(regexp_extract({cell}, {groups}, 1), regexp_extract({cell}, {groups}, 2))"


def date_pattern(format: str) -> str:  # noqa: A002
    """The pattern of a date format without its end, for Python's `re` as well as for RE2."""
    return _shape(format).pattern


def _token_list(tokens: tuple[str, ...]) -> str:
    return "(" + ", ".join(literal(token) for token in tokens) + ")"


def _fits(cell: str, pattern: str) -> str:
    return f"regexp_full_match({cell}, {literal(pattern)})"


def _escaped(sign: str) -> str:
    return "".join("\\" + character if character in "$." else character for character in sign)


def _boolean(words: str, cell: str) -> str:
    yes, slash, no = words.lower().partition("/")
    if not (yes and slash and no) or yes == no:
        raise UnknownFormat(f"{words!r} is not a pair of words such as 'yes/no'")
    return f"CASE lower({cell}) WHEN {literal(yes)} THEN true WHEN {literal(no)} THEN false END"


def _number(column_type: ColumnType, format: str | None, cell: str) -> str:  # noqa: A002
    decimal_comma, thousands = False, None
    for token in filter(None, (part.strip() for part in (format or "").split(","))):
        if token == "decimal comma":  # noqa: S105
            decimal_comma = True
        elif token in _THOUSANDS:
            thousands = token
        elif token == "percent":  # noqa: S105
            cell = rf"nullif(regexp_replace({cell}, '\s?%$', ''), {cell})"
        elif token.startswith("currency ") and token.removeprefix("currency "):
            cell = _without_currency(token.removeprefix("currency "), cell)
        else:
            raise UnknownFormat(f"{token!r} is not a number format")
    return _plain_number(column_type, decimal_comma, thousands, cell)


def _without_currency(sign: str, cell: str) -> str:
    escaped = "".join(rf"\x{{{ord(character):x}}}" for character in sign)
    before = rf"regexp_replace({cell}, '^([+-]?)\s?{escaped}\s?', '\1')"
    return rf"regexp_replace({before}, '\s?{escaped}$', '')"


def _plain_number(
    column_type: ColumnType, decimal_comma: bool, thousands: str | None, cell: str
) -> str:
    if not decimal_comma and thousands is None:
        if column_type == "integer":
            return f"CASE WHEN {_fits(cell, _INTEGER)} THEN TRY_CAST({cell} AS BIGINT) END"
        return f"CASE WHEN {_fits(cell, _FLOAT)} THEN TRY_CAST({cell} AS DOUBLE) END"
    separator, characters = _THOUSANDS[thousands] if thousands else ("", "")
    groups = rf"[1-9][0-9]{{0,2}}(?:{separator}[0-9]{{3}}){{1,5}}" if thousands else "0"
    # After a plus, ungrouped digits are few: +15553522926 is a phone number.
    whole = rf"(?:-?(?:{groups}|0|[1-9][0-9]{{0,16}})|\+(?:{groups}|0|[1-9][0-9]{{0,5}}))"
    point = "," if decimal_comma else r"\."
    pattern = whole
    if column_type == "float":
        pattern = rf"(?:{whole}(?:{point}[0-9]*)?|[+-]?{point}[0-9]+)(?:[eE][+-]?[0-9]{{1,2}})?"
    # translate() removes the thousands separators and turns the decimal comma into a point.
    swaps = ("," if decimal_comma else "") + characters
    digits = f"translate({cell}, {literal(swaps)}, {literal('.' if decimal_comma else '')})"
    target = "BIGINT" if column_type == "integer" else "DOUBLE"
    return f"CASE WHEN {_fits(cell, pattern)} THEN TRY_CAST({digits} AS {target}) END"


def _shape(format: str) -> _DateShape:  # noqa: A002
    try:
        return _DATE_SHAPES[format]
    except KeyError:
        raise UnknownFormat(f"{format!r} is not one of {', '.join(DATE_FORMATS)}") from None


def _iso(shape: _DateShape, cell: str, tail: str, target: str, tail_format: str = "") -> str:
    """Read a cell that matches the shape, followed by a tail whose clock is the last group."""
    pattern = literal(shape.pattern + tail)
    clock = r" \4" if tail else ""
    if shape.two_digit_year:
        # The POSIX pivot: 69 to 99 are of the last century.
        year = f"regexp_extract({cell}, {pattern}, 3)"
        century = f"CASE WHEN {year} >= '69' THEN '19' ELSE '20' END"
        text = f"concat({century}, regexp_replace({cell}, {pattern}, '{shape.iso}{clock}'))"
    else:
        text = f"regexp_replace({cell}, {pattern}, '{shape.iso}{clock}')"
    return f"CASE WHEN regexp_full_match({cell}, {pattern}) THEN {_parsed(shape, text, tail, target, tail_format)} END"


def _parsed(shape: _DateShape, text: str, tail: str, target: str, tail_format: str) -> str:
    text = f"rtrim({text})"
    if shape.strptime is None and not tail_format:
        return f"TRY_CAST({text} AS {target})"
    day = shape.strptime or "%Y-%m-%d"
    clocks = [""]
    if tail_format:
        clocks += [" %I:%M %p", " %I:%M:%S %p", " %I:%M:%S.%f %p"]
    elif tail:
        clocks += [" %H:%M:%S", " %H:%M", " %H:%M:%S.%f"]
    formats = ", ".join(literal(day + clock) for clock in clocks)
    return f"CAST(try_strptime({text}, [{formats}]) AS {target})"


def _date(format: str, cell: str) -> str:  # noqa: A002
    return _iso(_shape(format), cell, "", "DATE")


def _timestamp(format: str, cell: str) -> str:  # noqa: A002
    day, _, clock = format.partition(" time")
    shape = _shape(day)
    if clock == " offset" and day == "%Y-%m-%d":
        pattern = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T]{_CLOCK}{_OFFSET}"
        # A cast to TIMESTAMP would silently drop the offset; via TIMESTAMPTZ it is applied.
        value = f"TRY_CAST({cell} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
        return f"CASE WHEN {_fits(cell, pattern)} THEN {value} END"
    if clock == " am/pm":
        return _iso(shape, cell, rf"(?:[ T]+({_CLOCK} ?[AaPp][Mm]))?", "TIMESTAMP", "am/pm")
    if clock or not format.endswith(" time"):
        raise UnknownFormat(f"{format!r} is not one of {', '.join(TIMESTAMP_FORMATS)}")
    return _iso(shape, cell, rf"(?:(?:[ T]|, )+({_CLOCK}))?", "TIMESTAMP")
