"""A contract is inferred once, edited by people, and means the same in Pandera and in SQL."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_tables import engine, write_text_table

from nika_pipelines.intake import contract as contracts
from nika_pipelines.intake import (
    contract_check,
    contract_file,
    contract_history,
    contract_inference,
)
from nika_pipelines.intake.codes import IntakeFault
from nika_pipelines.intake.column_types import infer_columns
from nika_pipelines.intake.contract_file import ColumnRule, Contract, ContractError
from nika_pipelines.intake.identity import contract_options
from nika_pipelines.intake.records import Column
from nika_pipelines.intake.typed_table import cast_table
from nika_pipelines.settings import Settings

few = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
HEAD = "schema_version: 1\ndataset: d\nversion: 1\nstatus: inferred\n"
RULES = Contract(
    "d",
    (
        ColumnRule("n", "integer", "measure", nullable=False, ge=0, le=10),
        ColumnRule("x", "float", "measure", ge=-1.5),
        ColumnRule("word", "text", "category", isin=("a", "b")),
        ColumnRule("code", "text", "id", unique=True, pattern="[a-z]+"),
        ColumnRule("day", "date", "date", le="2024-06-30"),
        ColumnRule("ok", "boolean", "boolean", nullable=False),
    ),
)
NAMES = [rule.name for rule in RULES.columns]


def table_of(folder: Path, rows: list[tuple[str | None, ...]]) -> Path:
    text = write_text_table(folder / "text.parquet", NAMES, rows)
    columns = [rule.column(rule.name) for rule in RULES.columns]
    with engine() as con:
        cast_table(con, text, columns, folder / "table.parquet", folder / "rejects.parquet")
    return folder / "table.parquet"


def infer(folder: Path, names: list[str], rows: list[tuple[str | None, ...]]) -> Any:
    text = write_text_table(folder / "text.parquet", names, rows)
    with engine() as con:
        columns, _ = infer_columns(con, text, names, names, Settings())
        cast_table(con, text, columns, folder / "table.parquet", folder / "rejects.parquet")
        contract = contract_inference.infer_contract("d", columns, con, folder / "table.parquet")
        return contract, contract_check.validate(contract, folder / "table.parquet", con)


cells = st.sampled_from([None, "0", "1", "-3", "17.25", "a", "B", "2024-05-01", "true", "no", ""])


@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=12))
@few
def test_an_inferred_contract_is_true_of_its_own_table(
    tmp_path: Path, rows: list[tuple[str | None, ...]]
) -> None:
    _, outcome = infer(tmp_path, ["a", "id", "rating"], rows)

    assert outcome.holds


def test_ranges_sets_and_uniqueness_are_promised_where_they_make_sense(tmp_path: Path) -> None:
    rows = [(f"K-{n}", str(n / 2), ["x", "y"][n % 2], f"2024-01-{n + 1:02}") for n in range(20)]

    contract, _ = infer(tmp_path, ["key", "size", "kind", "day"], rows)

    key, size, kind, day = contract.columns
    assert (key.unique, key.isin) == (True, None)
    assert (size.ge, size.le) == (0.0, 9.5)
    assert kind.isin == ("x", "y")
    assert (day.ge, day.le, day.nullable) == (None, None, False)


bounds = st.one_of(st.none(), st.integers(-5, 5))
texts = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)


@given(
    name=texts, low=bounds, high=bounds, unique=st.booleans(), nullable=st.booleans(),
    listed=st.one_of(st.none(), st.lists(texts, min_size=1, max_size=3, unique=True)),
    note=st.text(max_size=5, alphabet="ab: #'\"\n-"),
)  # fmt: skip
@few
def test_a_contract_survives_its_file(
    tmp_path: Path, name: str, low: int | None, high: int | None, unique: bool, nullable: bool,
    listed: list[str] | None, note: str,
) -> None:  # fmt: skip
    contract = Contract(
        "d",
        (
            ColumnRule(name, "integer", "measure", nullable=nullable, ge=low, le=high),
            ColumnRule(
                name + "2",
                "text",
                unique=unique,
                isin=tuple(listed) if listed else None,
                description=note,
            ),
            ColumnRule(name + "3", "date", format="%d.%m.%Y", ge="2024-01-01"),
        ),
        version=3,
        status="accepted",
    )

    contract_file.save_contract(contract, tmp_path / "d.yaml")

    assert contract_file.load_contract(tmp_path / "d.yaml") == contract
    assert [path.name for path in tmp_path.iterdir()] == ["d.yaml"]


@pytest.mark.parametrize(
    "text, key",
    [
        ("a: [", "the file"),
        ("- 1", "the file"),
        (HEAD, "columns"),
        (HEAD + "columns: []", "columns"),
        (HEAD.replace("1", "9", 1) + "columns: [{name: a, type: text}]", "schema_version"),
        (HEAD.replace("inferred", "maybe") + "columns: [{name: a, type: text}]", "status"),
        (HEAD + "colour: red\ncolumns: [{name: a, type: text}]", "colour"),
        (HEAD + "columns: [{type: text}]", "columns[0].name"),
        (HEAD + "columns: [{name: a}]", "columns[0] (a).type"),
        (HEAD + "columns: [{name: a, type: money}]", "columns[0] (a).type"),
        (HEAD + "columns: [{name: a, type: text, uniq: true}]", "columns[0] (a).uniq"),
        (HEAD + "columns: [{name: a, type: text, unique: 'yes'}]", "columns[0] (a).unique"),
        (HEAD + "columns: [{name: a, type: integer, ge: low}]", "columns[0] (a).ge"),
        (HEAD + "columns: [{name: a, type: date, le: soon}]", "columns[0] (a).le"),
        (HEAD + "columns: [{name: a, type: date, format: dd/mm}]", "columns[0] (a).format"),
        (HEAD + "columns: [{name: a, type: float, format: comma}]", "columns[0] (a).format"),
        (HEAD + "columns: [{name: a, type: text, isin: x}]", "columns[0] (a).isin"),
        (HEAD + "columns: [{name: a, type: text, isin: [1]}]", "columns[0] (a).isin"),
        (HEAD + "columns: [{name: a, type: text, pattern: '['}]", "columns[0] (a).pattern"),
        (HEAD + "columns: [{name: a, type: text}, {name: a, type: text}]", "columns[1].name"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "sales.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ContractError) as caught:
        contract_file.load_contract(path)

    assert caught.value.key == key
    assert str(caught.value).startswith(f"sales.yaml: {key}: ")


def test_a_date_without_quotes_is_a_date(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(HEAD + "columns: [{name: a, type: date, ge: 2024-01-31}]", encoding="utf-8")

    assert contract_file.load_contract(path).columns[0].ge == "2024-01-31"


def test_every_broken_rule_is_found_with_its_rows(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        [
            ("5", "0.5", "a", "k", "2024-01-01", "true"),
            (None, "-2", "c", "k", "2025-01-01", None),
            ("11", None, None, "K9", None, "false"),
        ],
    )

    with engine() as con:
        outcome = contract_check.validate(RULES, table, con)

    found = {(v.column, v.check): (list(v.rows), v.examples) for v in outcome.violations}
    assert found == {
        ("n", "nullable"): ([1], ("<NA>",)),
        ("n", "le"): ([2], ("11",)),
        ("x", "ge"): ([1], ("-2.0",)),
        ("word", "isin"): ([1], ("c",)),
        ("code", "pattern"): ([2], ("K9",)),
        ("code", "unique"): ([1], ("k",)),
        ("day", "le"): ([1], ("2025-01-01 00:00:00",)),
        ("ok", "nullable"): ([1], ("<NA>",)),
    }


values = st.tuples(
    st.sampled_from([None, "0", "5", "10", "11", "-1"]),
    st.sampled_from([None, "-1.5", "-1.6", "3"]),
    st.sampled_from([None, "a", "b", "c"]),
    st.sampled_from(["k", "kk", "K", "z"]),
    st.sampled_from([None, "2024-06-30", "2024-07-01"]),
    st.sampled_from([None, "true", "false"]),
)


@given(rows=st.lists(values, min_size=1, max_size=25))
@few
def test_batches_and_queries_find_what_pandera_finds_in_the_whole_frame(
    tmp_path: Path, rows: list[tuple[str | None, ...]]
) -> None:
    import pandera.errors

    table = table_of(tmp_path, rows)
    with engine() as con:
        ((_, frame),) = contract_check.frame_batches(RULES, table, con)
        outcome = contract_check.validate(RULES, table, con)

    expected: set[tuple[str, str, int]] = set()
    try:
        contract_check.to_pandera(RULES).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        renamed = {"not_nullable": "nullable", "field_uniqueness": "unique"}
        expected = {
            (case.column, renamed.get(case.check, case.check), int(case.index))
            for case in error.failure_cases.itertuples(index=False)
        }
    assert expected == {
        (violation.column, violation.check, int(row))
        for violation in outcome.violations
        for row in violation.rows
    }
    with engine() as con:
        counted = contract_check.count_violations(RULES, table, con)
    facts = [(v.column, v.check, v.count, v.examples) for v in outcome.violations]
    assert [(v.column, v.check, v.count, v.examples) for v in counted.violations] == facts
    assert all(len(v.rows) == v.count for v in outcome.violations)
    assert not any(len(v.rows) for v in counted.violations)


def test_violations_keep_their_place_across_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract_check, "_CELLS_PER_BATCH", 1)
    bad = {7, 1500, 2999}
    rows = [("99" if n in bad else "1", None, None, None, None, "true") for n in range(3000)]
    table = table_of(tmp_path, rows)

    with engine() as con:
        (violation,) = contract_check.validate(RULES, table, con).violations

    assert set(violation.rows) == bad


def test_no_more_rows_are_looked_at_once_enough_are_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract_check, "_CELLS_PER_BATCH", 1)
    rows = [("99", None, None, None, None, "true")] * 3000
    table = table_of(tmp_path, rows)

    with engine() as con:
        whole = contract_check.validate(RULES, table, con, most_bad_rows=3000)
        stopped = contract_check.validate(RULES, table, con, most_bad_rows=1500)

    assert (whole.complete, [v.count for v in whole.violations]) == (True, [3000])
    assert (stopped.complete, [v.count for v in stopped.violations]) == (False, [2000])


def test_a_table_of_other_types_is_our_fault(tmp_path: Path) -> None:
    table = table_of(tmp_path, [("5", "0.5", "a", "k", "2024-01-01", "true")])
    other = replace(RULES, columns=(ColumnRule("n", "float"), *RULES.columns[1:]))

    with engine() as con, pytest.raises(IntakeFault, match="not the contract's"):
        contract_check.count_violations(other, table, con)


def test_of_several_workers_one_creates_the_contract(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "north" / "d.yaml"
    drafts = [replace(RULES, version=n) for n in range(1, 17)]
    with ThreadPoolExecutor(8) as workers:
        told = list(workers.map(lambda one: contract_file.create_contract(one, path), drafts))

    (winner,) = (one for one, created in zip(drafts, told, strict=True) if created)
    assert contract_file.load_contract(path) == winner
    assert [one.name for one in path.parent.iterdir()] == ["d.yaml"]


def test_without_hard_links_a_contract_is_created_once_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "d.yaml"

    assert contract_file.create_contract(RULES, path)
    assert not contract_file.create_contract(replace(RULES, version=2), path)
    assert contract_file.load_contract(path) == RULES
    assert [one.name for one in tmp_path.iterdir()] == ["d.yaml"]


def test_other_columns_break_the_contract_and_another_order_does_not() -> None:
    assert not contracts.column_set(RULES, NAMES[::-1]).is_broken

    found = contracts.column_set(RULES, ["N.", *NAMES[1:-1], "colour"])
    refusal = contracts.broken_columns(RULES, found)

    assert refusal.code == "CONTRACT_BROKEN"
    assert refusal.details == {
        "missing_columns": ["n", "ok"],
        "extra_columns": ["N.", "colour"],
        "closest_columns": {"N.": "n"},
        "contract_version": 1,
    }
    assert "missing: 'n', 'ok'; not in the contract: 'N.', 'colour'" in refusal.message
    assert "'N.' resembles 'n'" in refusal.message


def test_a_difference_is_told_in_sentences() -> None:
    columns = [rule.column(rule.name) for rule in reversed(RULES.columns[1:])]
    columns = [replace(c, type="integer") if c.name == "x" else c for c in columns]

    difference = contracts.diff_contract(RULES, [*columns, Column("new", "text", "text")])

    assert difference.lines() == [
        "column 'n' is missing",
        "column 'new' is not in the contract",
        "column 'x' has type integer, the contract says float",
        "the columns come in another order",
    ]
    assert contracts.diff_contract(
        RULES, [rule.column(rule.name) for rule in RULES.columns]
    ).lines() == []  # fmt: skip


def test_accepting_makes_a_new_version_once(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    contract_file.save_contract(RULES, path)

    assert contract_history.accept(path).version == 2
    assert contract_history.accept(path).version == 2
    assert contract_file.load_contract(path) == replace(RULES, version=2, status="accepted")


@pytest.mark.parametrize(
    "text, place",
    [
        ("a: 1\n  b: [\n", "line 2, column 4: mapping values"),
        ('a: "x\n', "line 2, column 1: found unexpected end of stream"),
        ("a: 2024-13-45\n", "a value cannot be read: month must be in 1..12"),
        ("? [a]\n: b\n", "line 1, column 3: found unhashable key"),
    ],
)
def test_broken_yaml_is_told_on_one_line_with_its_place(
    tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "sales.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ContractError) as caught:
        contract_file.load_contract(path)

    assert str(caught.value).startswith(f"sales.yaml: the file: is not YAML: {place}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"[" * 30_000, b"version: !!bool maybe", b"version: 2026-13-45", b"a: &a [x]\nb: *a", b"\xff"],
)
def test_a_hostile_contract_is_an_error_with_its_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sales.yaml"
    path.write_bytes(content)

    with pytest.raises(ContractError, match=r"^sales\.yaml: "):
        contract_file.load_contract(path)


def test_the_version_that_will_apply_is_part_of_an_upload_s_options(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    assert contract_options(path) == "contract 1"

    contract_file.save_contract(RULES, path)
    assert contract_options(path) == "contract 1"
    contract_history.accept(path)
    assert contract_options(path) == "contract 2"

    path.write_text("a: [", encoding="utf-8")
    assert contract_options(path) == "contract unreadable"


def test_reading_the_version_loads_no_heavy_library() -> None:
    program = (
        "import sys; from pathlib import Path; from nika_pipelines.intake import identity; "
        "identity.contract_options(Path('none')); "
        "print(sorted({'pandas', 'pandera', 'duckdb', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_the_command_in_the_header_survives_a_dataset_with_spaces(tmp_path: Path) -> None:
    contract_file.save_contract(replace(RULES, dataset="my sales; rm"), tmp_path / "d.yaml")

    assert "`nika contract accept 'my sales; rm'`" in (tmp_path / "d.yaml").read_text("utf-8")


bounded = st.one_of(st.none(), st.integers(-1_000, 1_000))


@given(low=bounded, high=bounded)
@few
def test_slack_only_widens_and_never_crosses_zero(low: int | None, high: int | None) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    rule = ColumnRule("n", "integer", "measure", ge=low, le=high)

    (wide,) = contract_inference.with_slack(Contract("d", (rule,))).columns

    if low is None or high is None:
        assert wide == rule
        return
    assert isinstance(wide.ge, int)
    assert isinstance(wide.le, int)
    assert wide.ge <= low
    assert wide.le >= high
    assert (wide.ge >= 0) == (low >= 0)
    assert (wide.le <= 0) == (high <= 0)
