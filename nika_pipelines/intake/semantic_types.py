"""What the values of a column mean: an id, an amount of money, an e-mail address, a category.

Belongs here: the facts to count and the rules that read them, by name and by value. Does not
belong here: storage types (`column_types`), masking (reports).
"""

import re
from collections.abc import Mapping
from typing import Any

from nika_pipelines.intake.personal_words import (
    VALUE_PATTERNS,
    form_counts,
    header_words,
    holds_personal_json,
    is_phone_number,
    personal_meaning,
)
from nika_pipelines.intake.records import ColumnType, SemanticType
from nika_pipelines.sql import literal

PERSONAL_TYPES: frozenset[SemanticType] = frozenset({"email", "phone", "name"})
"""Meanings that are personal by themselves; ids are when they are numbers of a person."""

_USUAL_MEANINGS: dict[ColumnType, SemanticType] = {
    "text": "text",
    "integer": "measure",
    "float": "measure",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "date",
}
_NEARLY_ALL = 0.95
_MOST_CATEGORIES = 50
_LONGEST_CATEGORY = 64
_ORDERED_WORDS = (
    ("low", "medium", "high", "critical", "very low", "very high", "moderate"),
    ("small", "medium", "large", "xs", "s", "m", "l", "xl", "xxl"),
    ("bad", "poor", "fair", "good", "very good", "excellent"),
    ("never", "rarely", "sometimes", "often", "always"),
    (
        *("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
        *("neither agree nor disagree",),
    ),
    ("niedrig", "mittel", "hoch", "sehr hoch", "sehr niedrig"),
    ("bronze", "silver", "gold", "platinum"),
)
_WORD_PATTERNS = {
    **VALUE_PATTERNS,
    "uuid": r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
    "code": r"[A-Za-z0-9_./-]*[0-9][A-Za-z0-9_./-]*",
    "iban": r"[A-Z]{2}[0-9]{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}",
    "social_security": r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
    "card": r"[0-9]{4}(?:[ -][0-9]{4}){3}",
}

_ID_NAME = re.compile(
    r"(?:^|_)(?:id|ids|uuid|guid|key|nr|no|number|code|sku|ean|isbn|iban|ssn|acct|account)(?:_|$)"
)
_ID_NUMBER_NAME = re.compile(
    r"(?:^|_)(?:iban|ssn|nino|dni|nif|nie|cpf|pesel|bsn|curp|itin"
    r"|social_security(?:_(?:no|nr|number))?|sozialversicherungs_?(?:nr|nummer)"
    r"|(?:tax|taxpayer|steuer|fiscal)_?(?:id|nr|no|number|nummer|identification_number)"
    r"|national_(?:id|insurance)(?:_(?:no|nr|number))?|personal_(?:id|no|nr|number|code)"
    r"|(?:passport|reisepass|ausweis|identity_card|id_card)_?(?:id|nr|no|num|number|nummer)?"
    r"|(?:drivers?_)?licen[sc]e_(?:no|nr|number)|medicare_(?:id|no|nr|number)"
    r"|(?:credit_)?card_(?:no|nr|number)|kreditkarten_?(?:nr|nummer)"
    r"|(?:bank_)?account_(?:no|nr|number)|konto_?(?:nr|nummer))(?:_|$)"
)
_MONEY_NAME = re.compile(
    r"price|amount|cost|revenue|salary|income|(?:^|_)(?:fee|fare|budget|payment|tax|profit|wage)"
    r"s?(?:_|$)|preis|betrag|umsatz|kosten|prix|montant|(?:^|_)(?:eur|usd|gbp|chf)(?:_|$)"
)
_DATE_NAME = re.compile(
    r"(?:(?<!up)date|datum)(?:_|$)|(?:^|_)(?:date|datum|day|tag|fecha|data|dia|giorno|jour|dt|dob|ymd"
    r"|yyyymmdd|birthday|geburtstag|stichtag|valid_(?:from|to|until))(?:_|$)"
)
_ORDINAL_NAME = re.compile(
    r"(?:^|_)(?:rating|rank|level|grade|stars?|priority|severity|stage|tier|satisfaction|likert"
    r"|quarter|year|month|day|weekday|hour|jahr|monat)(?:_|$)"
)


def text_facts(position: int) -> dict[str, str]:
    """Aggregates over the cleaned cells of a column that may stay text, for `semantic_type`."""
    cell = f"t{position}"
    facts = form_counts(cell, _WORD_PATTERNS)
    for number, words in enumerate(_ORDERED_WORDS):
        listed = ", ".join(literal(word) for word in words)
        facts[f"ordered_{number}"] = f"count_if(lower({cell}) IN ({listed}))"
    return facts | {"cells": f"count({cell})", "length": f"avg(length({cell}))"}


def semantic_type(
    column_type: ColumnType, name: str, unit: str | None, facts: Mapping[str, Any]
) -> SemanticType:
    """Say what a column's values mean.

    Args:
        column_type: its storage type.
        name: its header.
        unit: its unit, if every value carried one.
        facts: ``filled`` and ``distinct`` for every type, ``low`` and ``high`` for numbers, and
            the counts of `text_facts` for text.
    """
    if column_type == "boolean":
        return "boolean"
    if column_type in ("date", "timestamp"):
        return "date"
    if column_type == "text":
        return _of_text(name, facts)
    return _of_number(column_type, name, unit, facts)


def usual_meaning(column_type: ColumnType) -> SemanticType:
    """What values of a type mean when nothing else is known."""
    return _USUAL_MEANINGS[column_type]


def is_personal(meaning: SemanticType, name: str, facts: Mapping[str, Any]) -> bool:
    """Whether a column tells of a person, so that it is masked where people look at it.

    Args:
        meaning: its semantic type.
        name: its header.
        facts: as for `semantic_type`.
    """
    if meaning in PERSONAL_TYPES or holds_personal_json(facts):
        return True
    return meaning == "id" and (
        _ID_NUMBER_NAME.search(header_words(name)) is not None or _looks_like_id_numbers(facts)
    )


def is_called_date(name: str) -> bool:
    """Whether a header says that its column holds days."""
    return _DATE_NAME.search(header_words(name)) is not None


def is_called_money(name: str) -> bool:
    """Whether a header says that its column holds amounts of money."""
    return _MONEY_NAME.search(header_words(name)) is not None


def is_called_id(name: str) -> bool:
    """Whether a header says that its column identifies something."""
    return _ID_NAME.search(header_words(name)) is not None


def _of_number(
    column_type: ColumnType, name: str, unit: str | None, facts: Mapping[str, Any]
) -> SemanticType:
    words = header_words(name)
    if unit not in (None, "%"):
        return "money"
    if column_type == "integer":
        if is_phone_number(name, facts):
            return "phone"
        if _ID_NUMBER_NAME.search(words) or _ID_NAME.search(words) or _counts_rows(facts):
            return "id"
        if _ORDINAL_NAME.search(words):
            return "ordinal"
        if facts["distinct"] <= 2 and facts["filled"] >= 10:
            return "category"
    return "money" if unit is None and _MONEY_NAME.search(words) else "measure"


def _counts_rows(facts: Mapping[str, Any]) -> bool:
    """Whether an integer column is the row number: 0 or 1 to n, each once."""
    low, high, filled = facts.get("low"), facts.get("high"), facts["filled"]
    return (
        filled >= 10
        and low in (0, 1)
        and high == low + filled - 1
        and facts["distinct"] >= _NEARLY_ALL * filled
    )


def _of_text(name: str, facts: Mapping[str, Any]) -> SemanticType:
    cells = facts.get("cells", 0)
    if not cells:
        return "text"
    personal = personal_meaning(name, facts)
    if personal:
        return personal
    words = header_words(name)
    share = {key: facts[key] / cells for key in ("uuid", "code")}
    unique = facts["distinct"] >= _NEARLY_ALL * facts["filled"]
    if _ID_NUMBER_NAME.search(words) or _looks_like_id_numbers(facts):
        return "id"
    if share["uuid"] >= _NEARLY_ALL or _ID_NAME.search(words):
        return "id"
    if unique and facts["filled"] >= 10 and share["code"] >= _NEARLY_ALL:
        return "id"
    if any(facts[f"ordered_{n}"] == cells for n in range(len(_ORDERED_WORDS))):
        return "ordinal"
    few = facts["distinct"] <= min(_MOST_CATEGORIES, max(2, facts["filled"] // 2))
    return "category" if few and (facts["length"] or 0) <= _LONGEST_CATEGORY else "text"


def _looks_like_id_numbers(facts: Mapping[str, Any]) -> bool:
    """Whether nearly all cells are bank accounts, social security or card numbers."""
    cells = facts.get("cells", 0)
    shapes = ("iban", "social_security", "card")
    return bool(cells) and any(facts[shape] >= _NEARLY_ALL * cells for shape in shapes)
