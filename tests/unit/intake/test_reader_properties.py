"""Whatever the csv module writes comes back; whatever bytes arrive, the balance closes."""

import csv
import io
import tempfile
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import LINE_COLUMN, Dialect, TextTable
from nika_pipelines.settings import Settings

SETTINGS = Settings()
MODERATE = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
CELLS = st.text(
    alphabet=st.one_of(
        st.sampled_from(" \"',;\t|\n\\é漢x1"),
        st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]),
    ),
    max_size=12,
).map(lambda cell: cell.replace("\0", "").replace("\r", ""))
WORDS = st.sampled_from(["North", "South, East", 'the "old" mill', "O'Brien", "", "two\nlines"])


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str]) -> list[list[str]]:
    """A header and rows: a number, a word and free cells in each."""
    width = draw(st.integers(min_value=0, max_value=4))
    count = draw(st.integers(min_value=2, max_value=12))
    header = ["id", "word", *(f"free {place}" for place in range(width))]
    rows = [
        [str(number), "word", *(draw(cells) for _ in range(width))]
        for number in range(1, count + 1)
    ]
    return [header, *rows]


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    escape = draw(st.sampled_from([None, None, "\\"]))
    quote = draw(st.sampled_from(['"', "'"]))
    return Dialect(draw(st.sampled_from([",", ";", "\t", "|", "^", "~"])), quote, escape)


def written(table: list[list[str]], dialect: Dialect, quoting: int, line_end: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(
        text,
        delimiter=dialect.delimiter or ",",
        quotechar=dialect.quotechar,
        escapechar=dialect.escapechar,
        doublequote=dialect.escapechar is None,
        quoting=quoting,  # type: ignore[arg-type]
        lineterminator=line_end,
    ).writerows(table)
    return text.getvalue().encode()


def options_of(dialect: Dialect) -> ReadingOptions:
    return ReadingOptions(
        delimiter=dialect.delimiter,
        quotechar=dialect.quotechar or "",
        escapechar=dialect.escapechar or "",
    )


def read(content: bytes, dialect: Dialect | None = None) -> tuple[TextTable, list[list[str]]]:
    """The text table of some bytes, and its rows with NULL as the empty text."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload.csv"
        source.write_bytes(content)
        options = NOTHING_SAID if dialect is None else options_of(dialect)
        table = read_text_table(source, "upload.csv", Path(folder), SETTINGS, options=options)
        rows = duckdb.execute(f"FROM '{table.parquet}'").fetchall()
        rejects = duckdb.execute(f"SELECT count(*) FROM '{table.rejects_parquet}'").fetchall()
    assert len(rows) == table.balance.accepted
    assert rejects == [(table.balance.rejected,)]
    assert [row[-1] for row in rows] == sorted({row[-1] for row in rows})
    return table, [[cell or "" for cell in row[:-1]] for row in rows]


@MODERATE
@given(
    table=tables(CELLS),
    dialect=dialects(),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_table_written_in_a_known_dialect_is_read_back(
    table: list[list[str]], dialect: Dialect, quoting: int, line_end: str
) -> None:
    if dialect.escapechar and quoting == csv.QUOTE_MINIMAL:
        quoting = csv.QUOTE_ALL
    text, rows = read(written(table, dialect, quoting, line_end), dialect)

    while len(text.names) < len(table[0]):  # a last column without any value is left out
        assert not any(row.pop() for row in table[1:])
        table[0].pop()
    assert [text.names, *rows] == table
    assert text.balance.closes
    assert text.balance.rejected == 0


@MODERATE
@given(
    table=tables(WORDS),
    delimiter=st.sampled_from([",", ";", "\t", "|", "^", "~"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_natural_table_is_read_back_without_being_told_the_dialect(
    table: list[list[str]], delimiter: str, quoting: int, line_end: str
) -> None:
    text, rows = read(written(table, Dialect(delimiter, '"'), quoting, line_end))

    assert text.dialect.delimiter == delimiter
    assert [text.names, *rows] == table


@MODERATE
@given(
    table=tables(WORDS),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([b"", b'"', b",", b"\n", b"\r", b"\xff", b"x"])),
        max_size=6,
    ),
)
def test_damaged_bytes_are_refused_or_accounted_for_line_by_line(
    table: list[list[str]], edits: list[tuple[float, bytes]]
) -> None:
    content = written(table, Dialect(",", '"'), csv.QUOTE_MINIMAL, "\n")
    for where, put in edits:
        place = int(where * len(content))
        content = content[:place] + put + content[place + 1 :]

    try:
        text, _ = read(content)
    except UploadRejected as refusal:
        assert refusal.code != "INTERNAL"
    else:
        assert text.balance.closes


@MODERATE
@given(
    content=st.binary(max_size=200) | st.text(alphabet='a1,;"\n\r\t |', max_size=80).map(str.encode)
)
def test_arbitrary_bytes_never_end_in_another_error(content: bytes) -> None:
    try:
        text, _ = read(content)
    except UploadRejected as refusal:
        assert refusal.code != "INTERNAL"
    else:
        assert text.balance.closes
        assert LINE_COLUMN not in text.names
