"""How the text of one cell becomes a value: DuckDB expressions for every supported format.

Belongs here: the null tokens, and per column type the formats with the one expression that reads
them. Does not belong here: which format a column has (`column_types`), or running anything.

A *reading* is an expression over the cleaned cell that gives the value, or NULL when the cell does
not fit. The vote counts readings and the cast stores them, so that the two can never disagree.

Formats (kept in `Column.format`, and therefore in the contract): of numbers see `number_readings`, of
dates and timestamps `date_readings`; of booleans the pair of words, ``yes/no``.
"""

from nika_pipelines.intake.date_readings import date_reading, timestamp_reading
from nika_pipelines.intake.number_readings import UnknownFormat, number_reading
from nika_pipelines.intake.records import Column, ColumnType
from nika_pipelines.sql import literal

MISSING_EVERYWHERE = ("", "null", "(null)", "n/a", "#n/a", "n.a.", "nan", "<na>", "\\n", "-", "--")
"""Cells (trimmed, lower case) that mean "no value" in a column of any type."""

MISSING_IN_TYPED = (
    *MISSING_EVERYWHERE,
    *("na", "none", "nil", ".", "?", "#value!", "#div/0!", "#ref!", "#num!"),
    *("0000-00-00", "0000-00-00 00:00:00", "–", "—", "..", "...", "n.d.", "k.a.", "#na", "-nan"),
    *("#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "unknown", "missing"),
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
    ("ja", "nej"),
    ("ja", "nee"),
    ("sim", "não"),
    ("tak", "nie"),
    ("ano", "ne"),
    ("да", "нет"),
    ("是", "否"),
    ("wahr", "falsch"),
    ("vrai", "faux"),
    ("on", "off"),
    ("t", "f"),
    ("y", "n"),
    ("j", "n"),
)
"""Words of yes and no. ``0/1`` is not among them: it stays an integer."""

_WHITE_SPACE = " \t\r\n\u00a0\u2007\u202f\ufeff"
_LONGEST_TOKEN = max(len(token.encode()) for token in MISSING_IN_TYPED)


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
        return date_reading(format or "%Y-%m-%d", cell)
    if column_type == "timestamp":
        return timestamp_reading(format or "%Y-%m-%d time", cell)
    if column_type in ("integer", "float"):
        return number_reading(column_type, format, cell)
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


def _token_list(tokens: tuple[str, ...]) -> str:
    return "(" + ", ".join(literal(token) for token in tokens) + ")"


def _boolean(words: str, cell: str) -> str:
    yes, slash, no = words.lower().partition("/")
    if not (yes and slash and no) or yes == no or "%" in words:
        raise UnknownFormat(f"{words!r} is not a pair of words such as 'yes/no'")
    return f"CASE lower({cell}) WHEN {literal(yes)} THEN true WHEN {literal(no)} THEN false END"
