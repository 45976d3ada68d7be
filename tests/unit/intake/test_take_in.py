"""From a file to its table: no row is lost, and the contract of the first file binds the next."""

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from text_tables import stored

from nika_pipelines.intake import contract_check, contract_file, contract_history, typed_table
from nika_pipelines.intake import take_in as module
from nika_pipelines.intake.codes import FILE_CODES, IntakeFault, UploadRejected
from nika_pipelines.intake.documents import reason_document
from nika_pipelines.intake.records import IntakeReport
from nika_pipelines.intake.take_in import inspect, take_in
from nika_pipelines.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
HANDMADE = ROOT / "tests" / "fixtures" / "handmade"
SHOPS = "shop,amount,kind\n" + "".join(f"s{n},{n}.5,{'ab'[n % 2]}\n" for n in range(100))


def schema(name: str) -> Any:
    return json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text("utf-8"))


def take(folder: Path, text: str, number: int = 1) -> IntakeReport:
    """Take in one file of the dataset ``shops``; its folder is named by the number."""
    source = folder / f"shops_{number}.csv"
    source.write_text(text, encoding="utf-8", newline="")
    out = folder / str(number)
    out.mkdir()
    return take_in(source, source.name, out, Settings(), folder / "contracts/shops.yaml", "shops")


def rejects_of(report: IntakeReport) -> list[tuple[Any, ...]]:
    return stored(report.rejects_parquet)


def test_a_file_becomes_a_table_its_rejects_and_a_document(tmp_path: Path) -> None:
    text = SHOPS.replace("s41,41.5", '"s\n41",oops')
    told: list[str] = []
    source = tmp_path / "shops.csv"
    source.write_text(text, encoding="utf-8", newline="")
    out = tmp_path / "out"
    out.mkdir()

    report = take_in(
        source, "shops.csv", out, Settings(), None, "shops", lambda name, _: told.append(name)
    )

    assert sorted(path.name for path in out.iterdir()) == [
        "intake.json",
        "rejects.parquet",
        "table.parquet",
    ]
    assert told == ["reading", "typing", "casting", "contract", "writing"]
    assert report.n_rows == len(stored(report.table_parquet)) == 99
    assert stored(report.table_parquet)[40:42] == [("s40", 40.5, "a"), ("s42", 42.5, "a")]
    assert rejects_of(report) == [(43, "amount", "CAST", "not float", "oops", 42)]
    assert report.rejects_by_code == {"CAST": 1}
    assert report.balance.closes
    assert (report.balance.accepted, report.balance.rejected) == (99, 1)
    assert report.balance.rejected_lines == 2
    document = json.loads((out / "intake.json").read_text("utf-8"))
    jsonschema.validate(document, schema("intake"))
    assert document["n_rows"] == 100
    assert document["rejects"][0]["raw"] == "oops"


def test_the_first_file_writes_the_contract_and_the_next_is_read_by_it(tmp_path: Path) -> None:
    take(tmp_path, SHOPS)
    contract = contract_file.load_contract(tmp_path / "contracts/shops.yaml")
    assert (contract.version, contract.status) == (1, "inferred")

    # On its own this file would have whole amounts; the contract says float.
    report = take(tmp_path, "kind,amount,shop\na,7,s1\nb,500,s2\n", 2)

    assert [column.name for column in report.columns] == ["kind", "amount", "shop"]
    assert stored(report.table_parquet) == [("a", 7.0, "s1"), ("b", 500.0, "s2")]
    assert [warning.code for warning in report.warnings] == ["NEW_VALUES"]
    assert "500.0" in report.warnings[0].message
    assert not report.rejects_by_code


def test_an_accepted_contract_rejects_the_rows_that_break_it(tmp_path: Path) -> None:
    take(tmp_path, SHOPS)
    contract_history.accept(tmp_path / "contracts/shops.yaml")
    rows = [f"t{n},{n},a" for n in range(20)]
    rows[3] = "t3,oops,a"
    rows[5] = "t5,900,zebra"
    rows[9] = "t8,9,a"
    text = "shop,amount,kind\n" + "\n".join(rows) + "\n"

    report = take(tmp_path, text, 2)

    assert (report.contract_version, report.contract_status) == (2, "accepted")
    # The new ids are fine, t8 comes twice, and 0 is below the smallest amount so far.
    assert [(line, column, code) for line, column, code, *_ in rejects_of(report)] == [
        (2, "amount", "CONTRACT"),
        (5, "amount", "CAST"),
        (7, "amount", "CONTRACT"),
        (11, "shop", "DUPLICATE"),
    ]
    reason, raw, row = rejects_of(report)[2][3:]
    assert "amount: le 99.5" in reason
    assert "kind: isin a, b" in reason
    assert (raw, row) == ("900", 6)
    assert report.n_rows == len(stored(report.table_parquet)) == 16
    assert (report.balance.rejected, report.balance.closes) == (4, True)
    assert [row[0] for row in stored(report.table_parquet)][:4] == ["t1", "t2", "t4", "t6"]


def test_too_many_bad_rows_and_other_columns_break_the_contract(tmp_path: Path) -> None:
    take(tmp_path, SHOPS)

    with pytest.raises(UploadRejected, match="1 of 2 rows") as caught:
        take(tmp_path, "shop,amount,kind\ns1,5,a\ns2,oops,a\n", 2)
    assert caught.value.code == "CONTRACT_BROKEN"

    with pytest.raises(UploadRejected, match="missing: 'kind'"):
        take(tmp_path, "shop,amount\ns1,5\n", 3)
    assert not list((tmp_path / "2").glob("*.csv"))


def test_a_first_file_that_is_overtaken_is_read_by_the_contract_of_the_quicker_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = module.settle_columns

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(module, "settle_columns", infer)
        take(tmp_path, SHOPS, 2)
        return infer(*arguments)

    monkeypatch.setattr(module, "settle_columns", overtaken)

    # On its own this file would have whole amounts; the quicker one's contract says float.
    report = take(tmp_path, "shop,amount,kind\n" + "s1,7,a\n" * 20 + "s2,oops,a\n", 1)

    contract = contract_file.load_contract(tmp_path / "contracts/shops.yaml")
    assert [(rule.name, rule.type) for rule in contract.columns][1] == ("amount", "float")
    assert contract.columns[1].le == 99.5
    assert stored(report.table_parquet) == [("s1", 7.0, "a")] * 20
    assert report.rejects_by_code == {"CAST": 1}
    assert len(rejects_of(report)) == 1
    assert [warning.code for warning in report.warnings] == ["NEW_VALUES"]


def test_a_file_that_breaks_an_accepted_contract_all_over_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(tmp_path, SHOPS)
    contract_history.accept(tmp_path / "contracts/shops.yaml")
    monkeypatch.setattr(contract_check, "_CELLS_PER_BATCH", 1)
    rows = "".join(f"t{n},{n + 500}.5,a\n" for n in range(5_000))

    with pytest.raises(UploadRejected, match="At least 2,000 of 5,000 rows") as caught:
        take(tmp_path, "shop,amount,kind\n" + rows, 2)

    assert caught.value.code == "CONTRACT_BROKEN"
    assert (
        "line 2 (row 1), column 'amount': '500.5' (amount: le 99.5, the largest value allowed)"
        in caught.value.message
    )


def test_a_refused_first_file_leaves_no_contract(tmp_path: Path) -> None:
    with pytest.raises(UploadRejected):
        take(tmp_path, "")

    assert not (tmp_path / "contracts").exists()


def test_a_mistake_in_the_contract_is_told_with_file_and_key(tmp_path: Path) -> None:
    take(tmp_path, SHOPS)
    path = tmp_path / "contracts/shops.yaml"
    path.write_text(path.read_text("utf-8").replace("type: float", "type: flat"), "utf-8")

    with pytest.raises(
        UploadRejected, match=r"shops\.yaml: columns\[1\] \(amount\)\.type"
    ) as caught:
        take(tmp_path, SHOPS, 2)

    assert caught.value.code == "CONTRACT_BROKEN"


def test_a_wide_table_is_cast_in_slices_without_losing_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typed_table, "SLICE_COLUMNS", 3)
    names = ["misfit", *(f"c{n}" for n in range(1, 8))]
    rows = [[f"{row}.{n}" for n in range(8)] for row in range(1, 3000)]
    rows[20][0], rows[20][7] = "bad", "worse"
    rows[2500][4] = "bad"
    text = "\n".join(",".join(row) for row in [names, *rows]) + "\n"

    report = take(tmp_path, text)

    assert (report.n_rows, report.rejects_by_code) == (2997, {"CAST": 2})
    assert rejects_of(report) == [
        (22, "misfit", "CAST", "not float; all misfits: misfit, c7", "bad", 21),
        (2502, "c4", "CAST", "not float", "bad", 2501),
    ]
    good = [row for row in rows if "bad" not in row]
    assert stored(report.table_parquet) == [tuple(map(float, row)) for row in good]


def test_a_reject_keeps_at_most_one_kilobyte_of_text(tmp_path: Path) -> None:
    report = take(tmp_path, SHOPS.replace("41.5", "€" * 5_000))

    (reject,) = rejects_of(report)
    assert 0 < len(reject[4].encode()) <= 1_024


def test_inspect_writes_every_whole_row_as_text(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(
        b'id;text;when\n007;"say ""hi""";01.02.2024\n008;"two\nlines, here";\n009; x ;31.12.2024\n'
    )

    assert inspect(source, "in.csv", tmp_path, Settings())

    written = (tmp_path / "table.csv").read_bytes()
    assert written == (
        b'id,text,when\n007,"say ""hi""",01.02.2024\n008,"two\nlines, here",\n009, x ,31.12.2024\n'
    )
    document = json.loads((tmp_path / "intake.json").read_text("utf-8"))
    jsonschema.validate(document, schema("intake"))
    assert [column["type"] for column in document["columns"]] == ["text", "text", "date"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.csv",
        "intake.json",
        "table.csv",
    ]


def test_inspect_keeps_empty_cells_of_a_single_column(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('name\nanna\n""\nbert\n', encoding="utf-8")

    assert inspect(source, "in.csv", tmp_path, Settings())

    with (tmp_path / "table.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["name"], ["anna"], [""], ["bert"]]


@pytest.mark.parametrize("name", ["footer_total.csv", "formula.csv", "ids_leading_zero.csv"])
def test_inspect_reads_handmade_files_as_expected(tmp_path: Path, name: str) -> None:
    expected = json.loads((HANDMADE / "expect.json").read_text("utf-8"))[name]

    assert inspect(HANDMADE / name, name, tmp_path, Settings())

    document = json.loads((tmp_path / "intake.json").read_text("utf-8"))
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == expected["header"]
    assert len(rows) == document["n_rows"] == expected["rows"]


def test_inspect_of_a_refused_file_leaves_only_the_code(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "table.csv").write_text("of an earlier look", encoding="utf-8")

    assert not inspect(tmp_path / "empty.csv", "empty.csv", tmp_path, Settings())

    document = json.loads((tmp_path / "intake.json").read_text("utf-8"))
    jsonschema.validate(document, schema("intake"))
    assert (document["status"], document["error_code"]) == ("quarantined", "EMPTY_FILE")
    assert not (tmp_path / "table.csv").exists()


@pytest.mark.parametrize("code", sorted(FILE_CODES))
def test_a_reason_follows_its_schema_whatever_the_code(code: str) -> None:
    error = UploadRejected(code, "what is wrong", {"limit": float("inf"), "detected": {"a", "b"}})

    reason = reason_document(error, "u-1", "ugly\nname.csv", None, 0, "2024-01-01T00:00:00Z")

    jsonschema.validate(reason, schema("reason"))
    assert json.loads(json.dumps(reason, allow_nan=False)) == reason


def test_typing_that_loses_rows_is_our_fault_and_not_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.intake.typed_table import CastOutcome

    monkeypatch.setattr(module, "cast_table", lambda *_: CastOutcome(98, 1))

    with pytest.raises(IntakeFault, match="does not close") as caught:
        take(tmp_path, SHOPS)
    assert caught.value.details == {"expected": 100, "found": 98}

    with pytest.raises(IntakeFault):
        inspect(tmp_path / "shops_1.csv", "shops.csv", tmp_path, Settings())
    assert not (tmp_path / "intake.json").exists()


def test_new_values_are_told_in_words_and_a_little_beyond_the_range_not_at_all(
    tmp_path: Path,
) -> None:
    take(tmp_path, SHOPS)

    usual = take(tmp_path, "shop,amount,kind\ns1,110,a\ns2,0.1,b\n", 2)
    news = take(tmp_path, "shop,amount,kind\ns1,500,a\ns2,-0.5,c\ns1,900,\n", 3)

    assert not usual.warnings
    told = [warning.message for warning in news.warnings]
    assert "1 value below the 0.5 seen before, such as -0.5" in told[0]
    assert "2 values above the 99.5 seen before, such as 500.0, 900.0" in told[1]
    assert "1 value not seen before, such as 'c'" in " ".join(told)
    assert "1 empty cell, where none was before" in " ".join(told)
    assert "1 value that came before, such as 's1'" in " ".join(told)


def test_an_accepted_range_is_exact(tmp_path: Path) -> None:
    take(tmp_path, SHOPS)
    contract_history.accept(tmp_path / "contracts/shops.yaml")

    report = take(tmp_path, SHOPS.replace("99.5", "100.5"), 2)

    assert report.rejects_by_code == {"CONTRACT": 1}


def test_what_is_said_about_formulas_and_footers_is_true(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    rows = "".join(f"=1+{n},x{n},{n}\n" for n in range(30))
    source.write_text(f"code,name,n\n{rows}\nTotal,,435\n", encoding="utf-8")

    assert inspect(source, "in.csv", tmp_path, Settings())

    document = json.loads((tmp_path / "intake.json").read_text("utf-8"))
    told = {warning["code"]: warning["message"] for warning in document["warnings"]}
    lines = (tmp_path / "table.csv").read_text("utf-8").splitlines()
    assert "escaped" not in told["FORMULA_LIKE"]
    assert "exactly as written" in told["FORMULA_LIKE"]
    assert lines[1].startswith("=1+0")
    assert "The last row of the file is a total or a note" in told["FOOTER_KEPT"]
    assert "kept as text and flagged" in told["FOOTER_KEPT"]
    assert lines[-1].startswith("Total")


def test_the_rows_that_inspect_counts_are_those_of_its_table(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    rows = "".join(f"town {n},{n},{n * 3}\n" for n in range(200))
    source.write_text(f"town,a,b\n{rows}cut off\ntown,many,3\nTotal,4,5\n\nEnd\n", encoding="utf-8")

    assert inspect(source, "in.csv", tmp_path, Settings())

    document = json.loads((tmp_path / "intake.json").read_text("utf-8"))
    lines = (tmp_path / "table.csv").read_text("utf-8").splitlines()
    assert [reject["code"] for reject in document["rejects"]] == ["SHORT_ROW", "CAST"]
    assert (document["n_rows"], document["footer_rows"]) == (203, 2)
    assert len(lines) == 1 + document["n_rows"]
