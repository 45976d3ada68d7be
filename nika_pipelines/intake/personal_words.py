"""How columns of names, phone numbers and e-mail addresses look: their headers and their values.

Belongs here: the words of headers in several languages, the forms of values, and the rule that
weighs both. Does not belong here: what else a column may mean (`semantic_types`), masks.

A header alone proves little: ``driver`` may name a person or a program. So words that only may
stand above people count where the values have the form of names, and hardly any word counts where
another says that a thing or a figure is meant (``author_count``, ``customer_city``).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from nika_pipelines.intake.records import SemanticType
from nika_pipelines.sql import literal

_NEARLY_ALL = 0.95
_MOST = 0.8
_MANY = 0.6
_HALF = 0.5
_COMPANIES = 0.3
_FEWEST_SINGLE_NAMES = 5
_SMALLEST_PHONE = 10**6
_SMALLEST_CONTACT = 10**8

_PART = r"\p{Lu}[\p{L}\p{M}'’ʼ.-]*"
_PARTICLE = r"(?: (?:von|van|vom|zu|zur|der|den|de|da|di|do|dos|del|la|le|bin|ibn|al|el|ter|ten|y))"
_PERSON_KEY = (
    r"(?:(?:full|first|last|given|family|middle|customer|client|contact|user|employee|person)[_ ]?)?name"
    r"|surname|(?:vor|nach|familien)name|pr[eé]nom|nom|apellidos?|nombre|imi[eę]|nazwisko"
    r"|имя|фамилия|фио|ім['’ʼ]?я|прізвище|піб|(?:customer|contact|user)?[_ ]?e[-_ ]?mail(?:[-_ ]?address)?"
    r"|(?:mobile|cell|tele|home|work)?[_ ]?phone(?:[_ ]?(?:number|no))?|telefon|mobile|handy|whatsapp|телефон"
)
VALUE_PATTERNS = {
    "email": r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}",
    "phone": r"(?:\+|00)[1-9][0-9 ()./-]{6,20}",
    "national_phone": (
        r"\(?0[1-9][0-9]{1,4}\)?[ ./-]{1,3}[0-9](?:[ ./-]?[0-9]){4,9}"
        r"|0[1-9](?:[ .][0-9]{2}){4}"
        r"|(?:8[ -]?)?\([0-9]{3,5}\) ?[0-9](?:[ -]?[0-9]){4,8}"
        r"|[2-9][0-9]{2}[ .-][0-9]{3}[ .-][0-9]{4}"
    ),
    "local_phone": r"\(?0?[0-9]{2,5}[)]?[ ./-]+[0-9]{2,5}(?:[ ./-]?[0-9]{2,5}){1,3}",
    "dial": r"[+(]?[0-9][0-9 ()./-]{5,20}(?: ?(?:x|ext\.?) ?[0-9]{1,5})?",
    "full_name": rf"{_PART},?{_PARTICLE}*(?: {_PART}){{1,3}}",
    "single_name": r"\p{Lu}[\p{L}\p{M}'’ʼ-]{2,}",
    "wordy": r"\p{L}[^0-9@/\\_=<>|]{0,60}",
    "company": (
        r".*[ ,.](?i:gmbh|mbh|inc|ltd|llc|llp|plc|ag|kg|ohg|ug|corp|corporation|company|co|sarl|sas"
        r"|s\.?a|s\.?l|s\.?r\.?l|spa|bv|nv|ab|oy|a/s|aps|group|holding|gruppe|stores?|bank|limited)\.?(?:[ ,&].*)?"
        r"|(?:ООО|ОАО|ЗАО|АО|ТОВ|ФОП|ПАТ|ПрАТ) .*"
    ),
    "person_json": rf'(?s)\s*[\[{{].*"(?i:{_PERSON_KEY})"\s*:\s*["\[{{].*',
}
"""Forms of whole cells; DuckDB counts how many cells have each."""


def header_words(name: str) -> str:
    """A header in snake case: ``customerID`` and ``Customer Id`` become ``customer_id``.

    Accents and apostrophes go, letters of every script stay: ``Prénom`` becomes ``prenom``.
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    apart = unicodedata.normalize("NFKD", split).casefold()
    letters = "".join(one for one in apart if not unicodedata.combining(one))
    return re.sub(r"[\W_]+", "_", re.sub(r"['’ʼ`]", "", letters)).strip("_")


def _listed(*lines: str) -> frozenset[str]:
    return frozenset(header_words(word) for line in lines for word in line.split())


_PHONE_NAME = re.compile(
    r"phone|telefon|telephon|rufnummer|whatsapp|msisdn|телефон"
    r"|(?:^|_)(?:tel|mobile|mobil|fax|handy|cell|gsm|natel|viber|durchwahl|portable|movil|celular"
    r"|komorka|puh|тел|моб|мобильныи|мобільнии|факс|电话|手机|電話)(?:_|$)"
)
_CONTACT_NUMBERS = _listed(
    "contact kontakt kontakty contacto number nummer numero num no nr call anschluss номер контакт",
    "home work private office business emergency main primary customer client kunden user",
)
_CONTACTS = _listed("contact kontakt kontakty contacto call контакт контакти контакты")
_SURE_NAME = re.compile(
    r"(?:^|_)(?:(?:full|first|last|middle|given|family|maiden|sur|customer|client|patient|employee"
    r"|contact|person|user|student|driver|owner|member)_?name|surname|vorname|nachname|prenom"
    r"|apellidos?)(?:_|$)"
)
_NAMES = _listed(
    "nom nombre nome naam namn navn familienname voornaam achternaam fornamn efternamn fornavn",
    "efternavn etternavn cognome apelido sobrenome imię nazwisko jméno příjmení фио піб пиб имя",
    "фамилия отчество ім'я прізвище 姓名 氏名 名前 이름 kundenname mitarbeitername patientenname",
    "ansprechpartnername benutzername forename surnames firstname lastname fullname",
)
_SURE_ROLES = _listed(
    "contactperson kontaktperson ansprechpartner ansprechpartnerin mitarbeiter mitarbeiterin",
    "employee driver fahrer fahrerin salesperson salesman saleswoman salesrep verkäufer verkäuferin",
    "assignee sachbearbeiter sachbearbeiterin bearbeiter teacher lehrer lehrerin student schüler",
    "patient patientin supervisor vorgesetzter betreuer berater nurse doctor arzt technician",
    "passenger guest tenant mieter applicant bewerber teilnehmer attendee employé conducteur",
    "enseignant professeur empleado profesor paciente medewerker contactpersoon pracownik kierowca",
    "nauczyciel pacjent сотрудник співробітник працівник водитель водій учитель вчитель пациент",
    "пацієнт ученик учень",
)
_ROLES = _SURE_ROLES | _listed(
    "contact kontakt person personne persona author autor auteur kunde kundin customer client",
    "cliente klient klant manager leiter leiterin user benutzer nutzer utilisateur usuario owner",
    "inhaber inhaberin holder cardholder rep representative vertreter seller vendeur vendedor buyer",
    "member mitglied lead chef boss agent consultant trainer coach instructor candidate reporter",
    "recipient empfänger sender absender participant speaker responsible responsable assigned",
    "verantwortlich verantwortlicher zuständig insured beneficiary contatto contacto operator",
    "клиент клієнт покупатель покупець менеджер контакт автор владелец власник студент",
    "ответственный відповідальний исполнитель виконавець пользователь користувач kierownik",
)
_ROLE_PHRASE = re.compile(
    r"^(?:(?:assigned|created|updated|modified|approved|requested|reported|handled|signed|written"
    r"|sold|edited|prepared|checked|reviewed)_(?:to|by)|erstellt_von|bearbeitet_von|contact_person"
    r"|contact_?name|sales_(?:rep|representative|person|agent)|point_of_contact"
    r"|контактное_лицо|контактна_особа|osoba_kontaktowa|persona_de_contacto)$"
)
_THINGS = _listed(
    "count number nr no num nummer anzahl total sum avg id ids uuid key code type typ kind version",
    "status state level rating score rank age alter gender sex date datum time day month year",
    "city stadt town country land region street address adresse zip plz postcode place location",
    "company firma unternehmen organisation organization department abteilung team group gruppe",
    "class category kategorie segment channel product produkt produit producto item article artikel",
    "brand file filename datei fichier path url link host server domain device browser software",
    "model language sprache currency amount price revenue sales_amount role title position job",
    "notes note comment comments remark feedback share percent flag active since",
    "файла файл товара товар товару продукта компании компанії організації город міста commune",
    "ville pays rue societe entreprise clientes empresa ciudad pais calle",
)

_MANAGED = _listed(
    "product project region department team group category channel country brand class company file"
)


def personal_meaning(name: str, facts: Mapping[str, Any]) -> SemanticType | None:
    """Which personal values a text column holds, if it does.

    Args:
        name: its header.
        facts: how many ``cells`` were looked at and how many have each of `VALUE_PATTERNS`; of the
            whole column ``filled`` and ``distinct``.
    """
    cells = facts["cells"]
    share = {form: facts[form] / cells for form in VALUE_PATTERNS}
    words = header_words(name)
    if share["email"] >= _HALF:
        return "email"
    if _is_phone(words, share, facts):
        return "phone"
    return "name" if _is_name(words, share, facts) else None


def is_phone_number(name: str, facts: Mapping[str, Any]) -> bool:
    """Whether a column of integers holds phone numbers; the header has to say so."""
    words = header_words(name)
    low, high = facts.get("low") or 0, facts.get("high") or 0
    if _PHONE_NAME.search(words):
        return bool(high >= _SMALLEST_PHONE)
    return _is_contact_number(words) and bool(low >= _SMALLEST_CONTACT)


def holds_personal_json(facts: Mapping[str, Any]) -> bool:
    """Whether cells are JSON with a key such as name, e-mail or phone."""
    return bool(facts.get("person_json"))


def form_counts(cell: str, patterns: Mapping[str, str]) -> dict[str, str]:
    """Aggregates that count the cells of each form."""
    return {
        form: f"count_if(regexp_full_match({cell}, {literal(pattern)}))"
        for form, pattern in patterns.items()
    }


def _is_phone(words: str, share: Mapping[str, float], facts: Mapping[str, Any]) -> bool:
    if share["phone"] >= _NEARLY_ALL:
        return True
    numbers = share["phone"] + share["national_phone"]
    if _PHONE_NAME.search(words):
        return max(share["dial"], numbers, share["local_phone"]) >= _HALF
    tokens = set(words.split("_"))
    if _is_contact_number(words):
        return max(numbers, share["local_phone"]) >= _MOST
    # Article numbers may have the form, but then the header rather says so.
    numbered = tokens & _THINGS and not tokens <= _CONTACT_NUMBERS
    various = facts["distinct"] >= _HALF * facts["filled"]
    return numbers >= _MOST and various and not numbered


def _is_contact_number(words: str) -> bool:
    tokens = set(words.split("_"))
    return bool(tokens & _CONTACTS) and tokens <= _CONTACT_NUMBERS


def _is_name(words: str, share: Mapping[str, float], facts: Mapping[str, Any]) -> bool:
    tokens = words.split("_")
    if _is_of_things(tokens):
        return False
    if _SURE_NAME.search(words):
        return True
    if _NAMES & set(tokens):
        return share["wordy"] >= _HALF and share["company"] < _COMPANIES
    if words == "name":
        return share["full_name"] >= _MOST and share["company"] < _COMPANIES
    roles = set(_heads(tokens))
    if not (roles & _ROLES or _ROLE_PHRASE.search(words)) or share["company"] >= _COMPANIES:
        return False
    if share["full_name"] >= _MANY:
        return True
    various = facts["distinct"] >= max(_FEWEST_SINGLE_NAMES, _COMPANIES * facts["filled"])
    sure = roles & _SURE_ROLES or _ROLE_PHRASE.search(words)
    return bool(sure) and share["single_name"] + share["full_name"] >= _MOST and various


def _is_of_things(tokens: list[str]) -> bool:
    """Whether a word says that no person is meant: ``customer_city``, but not ``product_owner``."""
    things = set(tokens) & _THINGS
    return bool(things - _MANAGED if tokens[-1] in _ROLES else things)


def _heads(tokens: Iterable[str]) -> list[str]:
    """The words that may be a header's noun: the last in most languages, the first in others."""
    listed = [re.sub(r"[0-9]+$", "", token) for token in tokens]
    # Compounds end with their noun: Projektleiter.
    compounds = [role for role in _SURE_ROLES | {"leiter"} if listed[-1].endswith(role)]
    return [listed[0], listed[-1], "_".join(listed), "".join(listed), *compounds]
