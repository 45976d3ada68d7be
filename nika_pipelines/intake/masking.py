"""Personal values made unreadable, in a form that still tells what kind of value was there.

Belongs here: the masks, and which text of a table gets one. Does not belong here: which columns
are personal (`semantic_types`), or where the texts are shown.

A mask is always the same for the same value and cannot be undone: at most a first letter, a
domain's ending, a country code and the last two digits of a long number are left. The stored
tables are never masked, because they are the data.
"""

import re
import traceback
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nika_pipelines.intake.codes import IntakeFault, UploadRejected
from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings

HIDDEN = "***"

_SHORT = 4
"""Words with fewer characters are hidden whole: their first letter would be much of them."""
_LONG_NUMBER = 8
"""Numbers with fewer digits are hidden whole: their last two would be much of them."""
_MOST_WORDS = 4
_MOST_DAY_DIGITS = 8
_FRAMES_TOLD = 20

_QUOTE_NO_VALUES = (
    *(IntakeFault, UploadRejected, OSError),
    *(TypeError, AttributeError, NameError, ImportError),
)
"""Errors whose quotes are names of columns, files and types."""

_QUOTED = re.compile(r"""(?<!\w)['"](?:.*['"](?!\w)|.*)""")
"""From the first quote to the last, because a value may hold quotes itself; not that of "can't"."""
_EMAIL = re.compile(r"([^\s@]+)@([^\s@]+)")
_ENDING = re.compile(r"\.[A-Za-z]{2,6}$")
_COUNTRY = re.compile(r"\s*\(?((?:\+|00)[1-9][0-9]{0,2})(?=[ ()./-])")
_IN_ADDRESS = r"[^\s@<>\"'(),;:|\[\]]"
_PERSONAL_SHAPES = re.compile(
    # An address begins where a word does: tried at every letter, a long cell takes minutes.
    rf"(?<!{_IN_ADDRESS}){_IN_ADDRESS}+@{_IN_ADDRESS}+\.(?:(?!\.){_IN_ADDRESS}){{2,}}"
    r"|(?<![\w+])\+[1-9][0-9 ()./-]{5,20}[0-9]"
    r"|(?<![\w.,-])00[1-9][0-9][0-9 ()/-]{6,18}[0-9](?![\w-])"
    r"|(?<!\w)[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"
    r"|(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])"
    r"|(?<![\w-])[0-9]{4}(?P<gap>[ -])[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}(?![\w-])"
)
_CLOCK = re.compile(r"[T ][0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?")
_WORD = re.compile(r"[^\W\d_]{3,}")
_PLACEHOLDERS = frozenset(
    {"nan", "null", "none", "nil", "empty", "unknown", "missing", "tbd", "tba", "inf", "infinity"}
    | {"true", "false", "yes", "eur", "usd", "gbp", "chf"}
)
"""Words that stand where a number should, and name nobody."""


@dataclass(frozen=True)
class Masking:
    """How the values of one table are shown to people.

    Attributes:
        personal: its personal columns.
        is_on: whether anything is masked (setting ``mask_personal_data``).
        cleared: columns whose values are shown whatever they look like, because a person said so.
    """

    personal: frozenset[str]
    is_on: bool = True
    cleared: frozenset[str] = frozenset()

    @classmethod
    def of(cls, columns: Iterable[Column], settings: Settings) -> "Masking":
        """The masking of a table with these columns."""
        listed = list(columns)
        return cls(
            frozenset(column.name for column in listed if column.personal),
            settings.mask_personal_data,
            frozenset(column.name for column in listed if column.cleared),
        )

    def hides(self, column: str) -> bool:
        """Whether the values of a column are masked."""
        return self.is_on and column in self.personal

    def cell(self, column: str, value: Any) -> Any:
        """A cell as it may be shown; in other columns what looks like a person's is masked too."""
        if not self.is_on or value is None or column in self.cleared:
            return value
        if column in self.personal:
            return masked_value(value)
        return masked_text(value) if isinstance(value, str) else value

    def rejected(self, column: str | None, raw: str | None, delimiter: str | None) -> str | None:
        """The text of a rejected row, or of the cell at fault, as it may be shown.

        Cells of a bad row may stand in another's place. So when the table has personal columns,
        only the structure of a whole row is shown, and a word in a column of numbers is masked.

        Args:
            column: the column at fault; None when the whole row is bad.
            raw: its text.
            delimiter: what separates the cells of a row.
        """
        if not self.is_on or raw is None or column in self.cleared:
            return raw
        if column is not None and column in self.personal:
            return masked_value(raw)
        if not self.personal:
            return masked_text(raw)
        return _structure(raw, delimiter) if column is None else _stray(raw)


def masked_value(value: object) -> str:
    """The mask of a personal value.

    >>> masked_value("anna.schmidt@example.org")
    'a***@e***.org'
    >>> masked_value("+49 170 1234512")
    '+49 *** **12'
    >>> masked_value("Julia Doe-Meyer")
    'J*** D***'
    >>> masked_value("Bo")
    '***'
    """
    text = unicodedata.normalize("NFC", str(value)).strip()
    if not text:
        return ""
    email = _EMAIL.fullmatch(text)
    if email is not None:
        return _masked_email(email[1], email[2])
    digits = sum(character.isdecimal() for character in text)
    letters = sum(character.isalpha() for character in text)
    if digits > 2 and digits >= letters:
        return _masked_number(text, digits)
    words = text.split()[:_MOST_WORDS]
    return " ".join(_masked_word(word) for word in words)


def masked_text(text: str) -> str:
    """Text in which e-mail addresses, phone, account, card and insurance numbers are masked."""
    return _PERSONAL_SHAPES.sub(lambda found: masked_value(found[0]), text)


def error_told(error: BaseException, *, masked: bool) -> str:
    """An error as type and message; libraries quote the values that they stumble over."""
    name, text = type(error).__name__, str(error)
    if masked and not isinstance(error, _QUOTE_NO_VALUES):
        first_line = text.partition("\n")[0]
        text = _QUOTED.sub(f"'{HIDDEN}'", first_line)
    return f"{name}: {masked_text(text) if masked else text}"


def frames_told(error: BaseException) -> str:
    """Where an error came from, without any value."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_TOLD:]
    return "".join(traceback.format_list(frames))


def _masked_email(local: str, domain: str) -> str:
    ending = _ENDING.search(domain)
    host = domain[: ending.start()] if ending else domain
    return f"{_masked_word(local)}@{_masked_word(host)}{ending[0] if ending else ''}"


def _masked_number(text: str, digits: int) -> str:
    if digits < _LONG_NUMBER:
        return HIDDEN
    country = _COUNTRY.match(text)
    last = [character for character in text if character.isdecimal()][-2:]
    return f"{country[1]} {HIDDEN} **{''.join(last)}" if country else f"{HIDDEN} **{''.join(last)}"


def _masked_word(word: str) -> str:
    # A script without capitals writes a family name in one character.
    is_cased = unicodedata.category(word[0]) in ("Lu", "Ll")
    return word[0] + HIDDEN if is_cased and len(word) >= _SHORT else HIDDEN


def _structure(raw: str, delimiter: str | None) -> str:
    """A row with its cells hidden, so that they can be counted and empty ones be seen."""
    raw = re.sub(r'"(?:[^"]|"")*"', HIDDEN, raw)
    cells = raw.split(delimiter) if delimiter else [raw]
    return (delimiter or "").join(HIDDEN if cell.strip() else "" for cell in cells)


def _stray(raw: str) -> str:
    """A cell that does not fit its column; it may have slipped there from a personal one."""
    words = {word.casefold() for word in _WORD.findall(raw)}
    digits = sum(character.isdecimal() for character in _CLOCK.sub("", raw))
    if words - _PLACEHOLDERS or digits > _MOST_DAY_DIGITS:
        return masked_value(raw)
    return masked_text(raw)
