"""How the text of a cell becomes a date or a timestamp: DuckDB expressions for every format.

Belongs here: shapes of dates, month names, clocks, zones. Does not belong here: which format a
column has (`column_types`), cells without a value (`cell_readings`).

Formats in strptime notation, ``%d.%m.%Y``, are read generously: one digit or two, any of the
separators that people use beside month names, months in nine languages. A timestamp has the same
followed by ``time``, ``time am/pm`` or ``time offset``; without its time it is midnight. Any other
strptime format that names year, month and day is read to the letter, where a person asks for it.
"""

import re
from dataclasses import dataclass

from nika_pipelines.intake.number_readings import UnknownFormat
from nika_pipelines.sql import literal

_MONTHS = (
    "jan january januar jänner janvier janv enero ene gennaio gen janeiro januari",
    "feb february februar février févr fevrier febrero febbraio fevereiro fev februari",
    "mar march märz mär mrz maerz mars marzo março marco maart mrt",
    "apr april avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei maj",
    "jun june juni juin junio giugno giu junho",
    "jul july juli juillet juil julio luglio lug julho",
    "aug august août aout agosto ago augustus augusti",
    "sep sept september septembre septiembre settembre set setembro",
    "oct october okt oktober octobre octubre ottobre ott outubro out",
    "nov november novembre noviembre novembro",
    "dec december dez dezember décembre déc decembre diciembre dic dicembre dezembro",
)
"""Names of each month in English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish and
Danish; no name means two months."""

_CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
_OFFSET = r"(Z|UTC|GMT|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)"
# Any word: the names themselves would make a pattern that is dear to compile for each column.
_MONTH = r"([^0-9\s./,-]{3,10})\.?"
_WEEKDAY = r"(?i:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?[.,]{0,2} )?"
_ORDINAL = r"(?:st|nd|rd|th|\.)?"
_GAP = r"[ ./-]{0,2}"


@dataclass(frozen=True)
class _DateShape:
    """One way to write a date: its pattern, and which of its groups are year, month and day."""

    pattern: str
    order: tuple[int, int, int]
    named_month: bool = False
    two_digit_year: bool = False


def _digits(separator: str, order: str, year: str) -> _DateShape:
    groups = {"y": f"([0-9]{{{year}}})", "m": "([0-9]{1,2})", "d": "([0-9]{1,2})"}
    places = (order.index("y") + 1, order.index("m") + 1, order.index("d") + 1)
    return _DateShape(
        separator.join(groups[part] for part in order), places, two_digit_year=year == "2"
    )


_DATE_SHAPES = {
    "%Y-%m-%d": _digits("-", "ymd", "4"),
    "%Y/%m/%d": _digits("/", "ymd", "4"),
    "%Y.%m.%d": _digits(r"\.", "ymd", "4"),
    "%d.%m.%Y": _digits(r"\.", "dmy", "4"),
    "%d/%m/%Y": _digits("/", "dmy", "4"),
    "%m/%d/%Y": _digits("/", "mdy", "4"),
    "%d-%m-%Y": _digits("-", "dmy", "4"),
    "%m-%d-%Y": _digits("-", "mdy", "4"),
    "%d.%m.%y": _digits(r"\.", "dmy", "2"),
    "%d/%m/%y": _digits("/", "dmy", "2"),
    "%m/%d/%y": _digits("/", "mdy", "2"),
    "%d-%m-%y": _digits("-", "dmy", "2"),
    "%m-%d-%y": _digits("-", "mdy", "2"),
    "%d %b %Y": _DateShape(
        rf"{_WEEKDAY}([0-9]{{1,2}}){_ORDINAL}{_GAP}(?:de |of )?{_MONTH},?{_GAP}(?:de )?([0-9]{{4}})",
        (3, 2, 1),
        named_month=True,
    ),
    "%d %b %y": _DateShape(
        rf"([0-9]{{1,2}}){_ORDINAL}[ -]{_MONTH},?[ -]([0-9]{{2}})",
        (3, 2, 1),
        named_month=True,
        two_digit_year=True,
    ),
    "%b %d %Y": _DateShape(
        rf"{_WEEKDAY}{_MONTH}[ -]([0-9]{{1,2}}){_ORDINAL},?[ -]([0-9]{{4}})",
        (3, 1, 2),
        named_month=True,
    ),
    "%Y %b %d": _DateShape(
        rf"([0-9]{{4}})[ ./-]{_MONTH}[ ./-]([0-9]{{1,2}})", (1, 2, 3), named_month=True
    ),
    "%Y%m%d": _DateShape(r"((?:19|20)[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])", (1, 2, 3)),
}
_ISO = _DATE_SHAPES["%Y-%m-%d"]
"""The shape that DuckDB reads by itself, which saves taking it apart."""
COMPACT_DATE = "%Y%m%d"
"""Eight digits; only a column that is called a date is read so."""
DATE_FORMATS = tuple(shape for shape in _DATE_SHAPES if shape != COMPACT_DATE)
TIMESTAMP_FORMATS = (
    *(f"{date} time" for date in DATE_FORMATS),
    *(f"{date} time am/pm" for date in DATE_FORMATS),
    *(f"{date} time offset" for date in DATE_FORMATS if not _DATE_SHAPES[date].two_digit_year),
)
_DIRECTIVE = re.compile(r"%(-?[A-Za-z%])")
_DATE_DIRECTIVES = frozenset(["Y", "y", "m", "-m", "d", "-d", "b", "B", "j", "-j", "a", "A", "%"])
_CLOCK_DIRECTIVES = frozenset(["H", "-H", "I", "-I", "M", "-M", "S", "-S", "f", "n", "p", "z"])


def date_reading(format: str, cell: str) -> str:  # noqa: A002
    """The expression that reads a cleaned cell as a date.

    Raises:
        UnknownFormat: the format is neither known nor strptime notation of a date.
    """
    shape = _DATE_SHAPES.get(format)
    if shape is None:
        if _directives(format) & _CLOCK_DIRECTIVES:
            raise UnknownFormat(f"{format!r} has a time; its type is timestamp")
        return f"CAST(try_strptime({cell}, {literal(format)}) AS DATE)"
    pattern = literal(shape.pattern)
    text = _iso(shape, cell, pattern)
    return f"CASE WHEN regexp_full_match({cell}, {pattern}) THEN TRY_CAST({text} AS DATE) END"


def timestamp_reading(format: str, cell: str) -> str:  # noqa: A002
    """The expression that reads a cleaned cell as a timestamp; offsets are taken off: UTC.

    Raises:
        UnknownFormat: the format is neither known nor strptime notation of a date and time.
    """
    day, _, clock = format.partition(" time")
    shape = _DATE_SHAPES.get(day)
    if shape is None:
        _directives(format)
        # A text with %z gives a time with a zone, which the session, in UTC, casts right.
        return f"CAST(try_strptime({cell}, {literal(format)}) AS TIMESTAMP)"
    if format not in (f"{day} time", f"{day} time am/pm", f"{day} time offset"):
        raise UnknownFormat(f"{format!r} is not one of {', '.join(TIMESTAMP_FORMATS)}")
    return _CLOCKS[clock](shape, cell)


def date_pattern(format: str) -> str:  # noqa: A002
    """The pattern of a date format without its end, for Python's `re` as well as for RE2."""
    try:
        return _DATE_SHAPES[format].pattern
    except KeyError:
        raise UnknownFormat(f"{format!r} is not one of {', '.join(DATE_FORMATS)}") from None


def _directives(format: str) -> set[str]:  # noqa: A002
    """The directives of a strptime format that a person gave."""
    found = set(_DIRECTIVE.findall(format))
    unknown = found - _DATE_DIRECTIVES - _CLOCK_DIRECTIVES
    dated = found & {"Y", "y"} and (
        (found & {"m", "-m", "b", "B"} and found & {"d", "-d"}) or found & {"j", "-j"}
    )
    if unknown or not dated or "%" in _DIRECTIVE.sub("", format):
        raise UnknownFormat(
            f"{format!r} is neither one of {', '.join(DATE_FORMATS)}, "
            "nor strptime notation with year, month and day"
        )
    return found


def _naive(shape: _DateShape, cell: str) -> str:
    if shape is _ISO:
        return _iso_naive(cell)
    pattern = literal(rf"{shape.pattern}(?:(?:[ T:]|, |,)+(?:at |um )?({_CLOCK}))?")
    text = f"replace(rtrim({_iso(shape, cell, pattern, _TIME)}), ',', '.')"
    return f"CASE WHEN regexp_full_match({cell}, {pattern}) THEN TRY_CAST({text} AS TIMESTAMP) END"


def _half_days(shape: _DateShape, cell: str) -> str:
    pattern = literal(rf"{shape.pattern}(?:(?:[ T]|, |,)+({_CLOCK}) ?([AaPp])\.?[Mm]\.?)?")
    half = f"upper(regexp_extract({cell}, {pattern}, 5))"
    text = f"concat({_iso(shape, cell, pattern, _TIME)}, ' ', {half}, 'M')"
    clocks = ("  M", " %I:%M %p", " %I:%M:%S %p", " %I:%M:%S.%f %p")
    formats = ", ".join(literal("%Y-%m-%d" + clock) for clock in clocks)
    return (
        f"CASE WHEN regexp_full_match({cell}, {pattern}) "
        f"THEN CAST(try_strptime({text}, [{formats}]) AS TIMESTAMP) END"
    )


def _with_offset(shape: _DateShape, cell: str) -> str:
    if shape is _ISO:
        return _iso_with_offset(cell)
    pattern = literal(rf"{shape.pattern}[ T:]+({_CLOCK}) ?{_OFFSET}")
    text = f"replace({_iso(shape, cell, pattern, _TIME)}, ',', '.')"
    offset = f"regexp_extract({cell}, {pattern}, 5)"
    hours = f"coalesce(TRY_CAST({offset}[2:3] AS INTEGER), 0)"
    minutes = f"coalesce(TRY_CAST(right(replace({offset}, ':', ''), -3) AS INTEGER), 0)"
    sign = f"CASE WHEN {offset}[1] = '-' THEN -1 ELSE 1 END"
    return (
        f"CASE WHEN regexp_full_match({cell}, {pattern}) "
        f"THEN TRY_CAST({text} AS TIMESTAMP) - to_minutes({sign} * (60 * {hours} + {minutes})) END"
    )


def _iso_with_offset(cell: str) -> str:
    pattern = literal(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T]{_CLOCK} ?{_OFFSET}")
    text = f"replace({cell}, ',', '.')"
    for written, meant in ((" Z", "Z"), (" UTC", "Z"), ("UTC", "Z"), (" GMT", "Z"), ("GMT", "Z"),
                           (" +", "+"), (" -", "-")):  # fmt: skip
        text = f"replace({text}, '{written}', '{meant}')"
    # A cast to TIMESTAMP would silently drop the offset; via TIMESTAMPTZ it is applied.
    return (
        f"CASE WHEN regexp_full_match({cell}, {pattern}) "
        f"THEN TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END"
    )


def _iso_naive(cell: str) -> str:
    pattern = literal(rf"{_ISO.pattern}(?:(?:T| +){_CLOCK})?")
    text = f"replace({cell}, ',', '.')"
    return f"CASE WHEN regexp_full_match({cell}, {pattern}) THEN TRY_CAST({text} AS TIMESTAMP) END"


_TIME = r"\4"
_CLOCKS = {"": _naive, " am/pm": _half_days, " offset": _with_offset}


def _iso(shape: _DateShape, cell: str, pattern: str, clock: str = "") -> str:
    """The ISO text of a cell that matches the pattern: its date, and its clock's group if given."""
    if shape is _ISO and not clock:
        return cell
    year, month, day = shape.order
    if not (shape.named_month or shape.two_digit_year):
        iso = rf"\{year}-\{month}-\{day}"
        return f"regexp_replace({cell}, {pattern}, '{iso}{clock and rf' {clock}'}')"
    years = f"regexp_extract({cell}, {pattern}, {year})"
    if shape.two_digit_year:
        # The POSIX pivot: 69 to 99 are of the last century.
        years = f"concat(CASE WHEN {years} >= '69' THEN '19' ELSE '20' END, {years})"
    months = f"regexp_extract({cell}, {pattern}, {month})"
    if shape.named_month:
        months = _month_number(f"lower({months})")
    days = f"regexp_extract({cell}, {pattern}, {day})"
    time = f", ' ', regexp_extract({cell}, {pattern}, {clock[1:]})" if clock else ""
    return f"concat({years}, '-', {months}, '-', {days}{time})"


def _month_number(name: str) -> str:
    """Two digits for the name of a month, NULL for another word; the name is evaluated once."""
    names = [
        (word, f"{number:02}") for number, words in enumerate(_MONTHS, 1) for word in words.split()
    ]
    listed = ", ".join(literal(word) for word, _ in names)
    numbers = ", ".join(literal(number) for _, number in names)
    return f"list_extract([{numbers}], list_position([{listed}], {name}))"
