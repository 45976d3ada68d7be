"""Columns that tell of a person are marked as such, and people have the last word on it."""

from pathlib import Path

import pytest
from text_tables import engine, write_text_table

from nika_pipelines.intake.column_types import infer_columns
from nika_pipelines.intake.contract_file import ColumnRule, Contract, load_contract, save_contract
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.reading_options import NOTHING_SAID, ColumnOption, ReadingOptions
from nika_pipelines.intake.records import Column, IntakeReport
from nika_pipelines.intake.take_in import take_in
from nika_pipelines.settings import Settings


def column_of(folder: Path, name: str, cells: list[str]) -> Column:
    text = write_text_table(folder / "text.parquet", [name], [(cell,) for cell in cells])
    with engine() as con:
        return infer_columns(con, text, [name], [name], Settings())[0][0]


@pytest.mark.parametrize(
    "name, cells, meaning",
    [
        ("contact", ["ann@example.org", "bo@example.net"], "email"),
        ("mobile", ["+49 171 5550101", "+49 171 5550102"], "phone"),
        ("last_name", ["Larsen", "Okafor"], "name"),
        ("ref", ["DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19"], "id"),
        ("x", ["078-05-1120", "219-09-9999"], "id"),
        ("paid_with", ["4111 1111 1111 1111", "5500 0000 0000 0004"], "id"),
        ("SSN", ["780511201", "219099999"], "id"),
        ("Passport No.", ["C01X00T47", "C01X00T48"], "id"),
        ("Steuer-ID", ["65929970489", "86095742719"], "id"),
    ],
)
def test_what_tells_of_a_person_is_personal(
    tmp_path: Path, name: str, cells: list[str], meaning: str
) -> None:
    column = column_of(tmp_path, name, cells)

    assert column.personal
    assert column.semantic_type == meaning


@pytest.mark.parametrize(
    "name, cells",
    [
        ("order_id", ["A-1", "A-2"]),
        ("tax", ["19", "7"]),
        ("ean", ["4006381333931", "4006381333948"]),
        ("product_name", ["Lamp", "Chair"]),
        ("part", ["AB12-CD", "AB13-CD"]),
        ("licence", ["CC-BY", "MIT"]),
        ("when", ["2024-01-02", "2024-01-03"]),
    ],
)
def test_what_tells_of_a_thing_is_not(tmp_path: Path, name: str, cells: list[str]) -> None:
    assert not column_of(tmp_path, name, cells).personal


PEOPLE = [
    *("Anna Schmidt", "Bohdan Melnyk", "Chloé O’Neill", "Dmytro Koval", "Eva von Berg"),
    *("Frank Meyer-Lutz", "Müller, Jörg", "Іван Франко", "Łucja Żak", "Ana de la Cruz"),
]
PHONES = [f"0{150 + n} {2_466_266 + 7_919 * n}" for n in range(20)]
CITIES = ["New York", "San Francisco", "Bad Homburg", "Los Angeles", "Kyiv", "São Paulo"]


@pytest.mark.parametrize(
    "name",
    [
        *("contact person", "Kontaktperson", "Ansprechpartner/in", "Mitarbeiter", "driver"),
        *("salesperson", "Sales Rep", "assigned_to", "assignedTo", "author", "Sachbearbeiter"),
        *("Kunde", "manager", "user", "teacher", "nom", "Prénom", "apellido", "ПІБ", "ім'я"),
        *("Імʼя", "Прізвище", "ФИО", "Имя клиента", "фамилия", "imię", "Nazwisko", "姓名"),
        *("Product Owner", "Projektleiter", "driver 2", "created by", "Ответственный", "Водій"),
        *("regional_manager", "ACCOUNT MANAGER", "customerName", "nom du client", "name"),
    ],
)
def test_names_are_known_by_header_and_form(tmp_path: Path, name: str) -> None:
    column = column_of(tmp_path, name, PEOPLE * 3)

    assert (column.semantic_type, column.personal) == ("name", True)


@pytest.mark.parametrize(
    "name, cells",
    [
        ("Mitarbeiter", ["Müller", "Schmidt", "Yılmaz", "Kaya", "Nowak", "Öztürk"]),
        ("Имя", ["Анна", "Богдан", "Ева"]),
        ("nazwisko", ["Żak", "Łoś", "Nowak"]),
        ("名前", ["山田太郎", "佐藤花子"]),
    ],
)
def test_single_names_are_known_below_a_clear_header(
    tmp_path: Path, name: str, cells: list[str]
) -> None:
    assert column_of(tmp_path, name, cells).semantic_type == "name"


@pytest.mark.parametrize(
    "name",
    [
        *("tel", "Handy", "mobil", "Rufnummer", "contact_no", "Kontakt", "whatsapp", "number"),
        *("Téléphone", "Телефон", "моб. телефон", "Factura", "x"),
    ],
)
@pytest.mark.parametrize(
    "cells",
    [
        PHONES,
        [f"030/{123_456 + 7_919 * n}" for n in range(20)],
        [f"(0{201 + n}) {44_321 + 7_919 * n}" for n in range(20)],
        [f"06 12 34 {n + 10} {n + 20}" for n in range(20)],
        [f"(067) 123-{n + 10}-67" for n in range(20)],
        [f"415-555-{1_000 + n}" for n in range(20)],
        [*PHONES[:12], *(f"+49 170 {5_550_100 + n}" for n in range(6)), "keine", "-"],
    ],
)
def test_phones_are_known_by_their_form(tmp_path: Path, name: str, cells: list[str]) -> None:
    column = column_of(tmp_path, name, cells)

    assert (column.semantic_type, column.personal) == ("phone", True)


def test_addresses_in_most_cells_are_enough_whatever_the_header(tmp_path: Path) -> None:
    cells = [f"anna{n}@example.org" for n in range(7)] + ["none given", "unsubscribed", "?"]

    assert column_of(tmp_path, "z", cells).semantic_type == "email"


@pytest.mark.parametrize(
    "cell",
    [
        '{{"id": {n}, "name": "Anna Schmidt"}}',
        '{{"customer": {{"e-mail": "u{n}@example.org"}}}}',
        '[{{"phone" : "0170 55501{n}"}}]',
        '{{"Имя": "Анна {n}"}}',
    ],
)
def test_json_with_a_personal_key_is_personal(tmp_path: Path, cell: str) -> None:
    assert column_of(tmp_path, "raw", [cell.format(n=n) for n in range(12)]).personal


@pytest.mark.parametrize(
    "name, cells",
    [
        ("product_manager_count", [str(n) for n in range(20)]),
        ("user_id", [f"U{n:03}" for n in range(20)]),
        ("author_count", ["three", "four"] * 10),
        ("driver_version", ["Windows Ten", "Windows Eleven"] * 10),
        ("driver", ["PostgreSQL", "MySQL"] * 10),
        ("manager", ["yes", "no"] * 10),
        ("manager", ["Yes", "No", "Unknown"] * 10),
        ("user", ["Admin", "Guest"] * 10),
        ("customer", ["Acme Corp", "Blue Ocean GmbH", "Nova Trading Ltd.", "ТОВ Світ"] * 5),
        ("customer_city", CITIES * 3),
        ("city", CITIES * 3),
        ("Місто", CITIES * 3),
        ("product", ["Desk Lamp", "Office Chair", "Coffee Mug"] * 7),
        ("Nom du produit", ["Lampe Bleue", "Chaise Haute"] * 7),
        ("имя файла", ["Отчёт Май", "Отчёт Июнь"] * 7),
        ("company_name", ["Blue Ocean", "Nova Trading"] * 7),
        ("contact_type", ["Phone Call", "Home Visit"] * 7),
        ("number", [f"A{n}-{n}" for n in range(20)]),
        ("order_no", [f"0512-2024-{n + 100}" for n in range(20)]),
        ("isbn", [f"978-3-16-1484{n + 10}-0" for n in range(20)]),
        ("version", [f"{n}.{n}.{n}" for n in range(20)]),
        ("mobile", ["iPhone 12", "Pixel 8"] * 10),
        ("whatsapp", ["1", "0"] * 10),
        ("period", ["01.02.2024 - 05.03.2024", "02.02.2024 - 06.03.2024"] * 5),
        ("attributes", ['{"city": "Kyiv", "geo": [0, 1]}', '{"product_name": "Lamp"}'] * 5),
    ],
)
def test_business_columns_stay_visible(tmp_path: Path, name: str, cells: list[str]) -> None:
    assert not column_of(tmp_path, name, cells).personal


def test_what_was_said_about_a_column_holds_for_the_next_files_too(tmp_path: Path) -> None:
    source = tmp_path / "people.csv"
    source.write_text(
        "id,holder,email,bank\n"
        + "".join(
            f"{n},Holder {n},ann{n}@example.org,DE89 3704 0044 0532 0130 {n:02}\n"
            for n in range(12)
        ),
        "utf-8",
    )
    said = ReadingOptions(
        columns={
            "holder": ColumnOption(personal=True),
            "email": ColumnOption(personal=False),
            "bank": ColumnOption(personal=False),
        }
    )
    for number, options in enumerate([said, NOTHING_SAID]):
        out = tmp_path / str(number)
        out.mkdir()
        report = take_in(
            source, source.name, out, Settings(), tmp_path / "people.yaml", "people",
            options=options,
        )  # fmt: skip
        masking = Masking.of(IntakeReport.from_json(report.to_json(), out).columns, Settings())
        assert masking.cell("email", "ann1@example.org") == "ann1@example.org"
        assert masking.cell("bank", "DE89 3704 0044 0532 0130 00").startswith("DE89")
        assert masking.rejected("email", "ann1@example.org", ",") == "ann1@example.org"
        assert masking.cell("holder", "Holder 1") == "H*** ***"
        assert masking.cell("id", "ann1@example.org") == "a***@e***.org"


@pytest.mark.parametrize("said", [True, False])
def test_a_contract_overrules_and_keeps_what_was_said(tmp_path: Path, said: bool) -> None:
    rule = ColumnRule("x", "text", "category" if said else "email", personal=said)
    path = tmp_path / "people.yaml"
    save_contract(Contract("people", (rule,)), path)

    loaded = load_contract(path).columns[0]

    assert loaded.column("x").personal is said


def test_a_contract_that_says_nothing_goes_by_the_meaning() -> None:
    assert ColumnRule("x", "text", "email").column("x").personal
    assert not ColumnRule("x", "text", "id").column("x").personal
