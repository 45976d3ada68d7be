"""Untrusted text made safe to show on one line: no controls, no bidi tricks, no endless strings.

Belongs here: what holds for every back end. Escaping for a format (XML, HTML) belongs to the back
end that writes the format, and missing glyphs belong to `typeface`.
"""

import re
import unicodedata

REPLACEMENT = "\ufffd"
"""Stands in for a character that must not or cannot be shown."""

DEFAULT_LIMIT = 400
"""Characters of one string shown unless the caller asks for another limit."""

_SPACES = {"\t": " ", "\n": " \u21b5 ", "\r": "", "\u2028": " \u21b5 ", "\u2029": " \u21b5 "}
# Controls, lone surrogates, private use, unassigned, and format characters: bidi overrides and
# isolates could turn a cell's text around, zero-width ones could hide a difference.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SOFT_HYPHEN = "\u00ad"
_PLAIN = re.compile(r"[ -~]*")


def shown(value: object, limit: int = DEFAULT_LIMIT) -> str:
    """The text of a value as a reader may see it, on one line.

    Line breaks become a visible arrow, hidden characters the replacement character, and a string
    longer than ``limit`` ends with the number of characters that were cut.
    """
    text = "" if value is None else str(value)
    cut = max(len(text) - limit, 0)
    if cut:
        text = text[:limit]
    if not _PLAIN.fullmatch(text):
        composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
        text = "".join(map(_visible, composed))
    return f"{text}\u2026 (+{cut:,} characters)" if cut else text


def _visible(character: str) -> str:
    if character in _SPACES:
        return _SPACES[character]
    if character == _SOFT_HYPHEN:
        return "-"
    if unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return REPLACEMENT
    return " " if character.isspace() else character
