"""The PDF back end, read back with an independent reader."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from nika_pipelines.reports.chart_specs import Histogram, Severity
from nika_pipelines.reports.document import (
    Block,
    BulletList,
    Document,
    Figure,
    Finding,
    Heading,
    KeepTogether,
    Kpi,
    KpiStrip,
    Note,
    Number,
    PageBreak,
    Paragraph,
    Run,
    Table,
    TableColumn,
    TableRow,
)
from nika_pipelines.reports.pdf import render_pdf

CREATED = datetime(2026, 11, 22, 1, 33, tzinfo=UTC)
HISTOGRAM = Histogram("spread", (0.0, 1.0, 2.0), (3, 4), "v")


def document(*blocks: Block, title: str = "A title") -> Document:
    return Document(
        title=title,
        subtitle="a subtitle",
        blocks=blocks,
        running_head=("Nika", "file.csv"),
        foot=("SHA-256 0123456789ab\u2026", "run 7f31"),
    )


def long_table(rows: int) -> Table:
    return Table(
        (TableColumn("Name"), TableColumn("Figure", "right"), TableColumn("Text", wrap=True)),
        tuple(
            TableRow(
                (f"name-{row}", Number(f"{row:,}", row), "words " * 9), f"note {row}", f"id/{row}"
            )
            for row in range(rows)
        ),
        more="7 more in result.json.",
    )


EVERYTHING: tuple[Block, ...] = (
    Note("The verdict.", "good", "Good"),
    KpiStrip((Kpi("1,234", "rows"), Kpi("2", "critical", Severity.CRITICAL))),
    Heading("First", 1),
    Paragraph((Run("Some "), Run("strong", strong=True), Run(" words."))),
    BulletList(("one", "two")),
    Figure(HISTOGRAM, "a caption"),
    Figure(HISTOGRAM, "left", narrow=True),
    Figure(HISTOGRAM, "right", narrow=True),
    Heading("Second", 2),
    Finding("1", Severity.HIGH, "Too hot", "It is hot.", (("value", "99"),), "Cool it."),
    KeepTogether((Paragraph("kept"), Paragraph("together"))),
    PageBreak(),
    long_table(120),
)


def text_of(path: Path) -> list[str]:
    return [page.extract_text() for page in PdfReader(path).pages]


def fonts_of(reader: PdfReader) -> list[dict[str, object]]:
    fonts = [page["/Resources"]["/Font"] for page in reader.pages]  # type: ignore[index]
    return [font.get_object() for by_name in fonts for font in by_name.values()]


def test_every_block_is_in_the_text_layer(tmp_path: Path) -> None:
    pages = text_of(render_pdf(document(*EVERYTHING), tmp_path / "a.pdf", CREATED))
    text = "\n".join(pages)
    for expected in (
        "A title", "The verdict.", "1,234", "strong", "a caption", "Too hot",
        "Cool it.", "together", "name-0", "name-119", "id/119", "7 more in result.json.",
    ):  # fmt: skip
        assert expected in text


def test_every_page_says_its_number_and_repeats_the_head_of_the_table(tmp_path: Path) -> None:
    pages = text_of(render_pdf(document(*EVERYTHING), tmp_path / "a.pdf", CREATED))
    assert len(pages) >= 4
    for index, page in enumerate(pages, start=1):
        assert f"Page {index} of {len(pages)}" in page
        assert "file.csv" in page
        assert "run 7f31" in page
    assert all("Figure" in page for page in pages[1:])


def test_all_fonts_are_embedded_subsets_of_one_family(tmp_path: Path) -> None:
    reader = PdfReader(render_pdf(document(*EVERYTHING), tmp_path / "a.pdf", CREATED))
    fonts = fonts_of(reader)
    assert fonts
    for font in fonts:
        assert "Inter" in str(font["/BaseFont"])
        assert "/FontFile2" in font["/FontDescriptor"]  # type: ignore[operator]


def test_outline_language_and_metadata_are_set(tmp_path: Path) -> None:
    reader = PdfReader(render_pdf(document(*EVERYTHING), tmp_path / "a.pdf", CREATED))
    titles = [entry.title for entry in reader.outline if not isinstance(entry, list)]
    assert titles == ["First"]
    assert reader.metadata is not None
    assert reader.metadata.title == "A title"
    assert reader.metadata.creation_date == CREATED
    assert reader.trailer["/Root"]["/Lang"] == "en-GB"  # type: ignore[index]


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    first = render_pdf(document(*EVERYTHING), tmp_path / "a.pdf", CREATED)
    second = render_pdf(document(*EVERYTHING), tmp_path / "b.pdf", CREATED)
    assert first.read_bytes() == second.read_bytes()


def test_source_date_epoch_overrides_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = render_pdf(document(*EVERYTHING), tmp_path / "a.pdf", CREATED)
    later = render_pdf(document(*EVERYTHING), tmp_path / "b.pdf", datetime.now(UTC))
    assert first.read_bytes() == later.read_bytes()
    metadata = PdfReader(first).metadata
    assert metadata is not None
    assert metadata.creation_date == datetime.fromtimestamp(1_700_000_000, UTC)


def test_markup_in_text_is_printed_and_not_obeyed(tmp_path: Path) -> None:
    hostile = '<b>x</b> </para> <img src="file:///etc/passwd"/> &lt; ${7*7}'
    target = render_pdf(document(Paragraph(hostile), title=hostile), tmp_path / "a.pdf", CREATED)
    (page,) = text_of(target)
    assert page.count("<b>x</b> </para>") == 2
    assert "&lt; ${7*7}" in page


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_in_any_place_gives_a_readable_file(tmp_path: Path, a: str, b: str) -> None:
    blocks = (
        Note(a, title=b), Heading(b), Paragraph(a), KpiStrip((Kpi(a, b),)), Figure(HISTOGRAM, a),
        Finding(a, Severity.LOW, b, a, ((a, b),), b),
        Table((TableColumn(a), TableColumn(b, wrap=True)), (TableRow((a, b), b, a),), more=a),
    )  # fmt: skip
    target = render_pdf(document(*blocks, title=a), tmp_path / "a.pdf", CREATED)
    assert PdfReader(target).pages


def test_a_very_long_string_is_cut_visibly(tmp_path: Path) -> None:
    table = Table((TableColumn("x" * 10_000), TableColumn("b")), (TableRow(("y" * 10_000, "z")),))
    blocks = (Note("n" * 10_000), Paragraph("p " * 10_000), table)
    pages = text_of(render_pdf(document(*blocks), tmp_path / "a.pdf", CREATED))
    assert len(pages) <= 3
    assert "(+9,200 characters)" in "".join(pages)


def test_a_failed_rendering_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = render_pdf(document(Paragraph("old")), tmp_path / "a.pdf", CREATED)
    before = target.read_bytes()

    def broken(self: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("reportlab.pdfgen.canvas.Canvas.save", broken)
    with pytest.raises(OSError, match="disk full"):
        render_pdf(document(Paragraph("new")), target, CREATED)
    assert target.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.pdf"]


def test_a_heading_never_stands_alone_at_the_foot_of_a_page(tmp_path: Path) -> None:
    for lines_before in range(40, 56):
        filler = tuple(Paragraph(f"line {n}", muted=True) for n in range(lines_before))
        blocks = (*filler, Heading("Lonely?"), Paragraph("Company."))
        pages = text_of(render_pdf(document(*blocks), tmp_path / "a.pdf", CREATED))
        assert any("Lonely?" in page and "Company." in page for page in pages)


def test_an_empty_document_is_one_page(tmp_path: Path) -> None:
    assert len(text_of(render_pdf(document(), tmp_path / "a.pdf", CREATED))) == 1
