"""Files whose lines are in different encodings: read line by line where that is unambiguous."""

from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.mixed_lines import decode_lines
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import LINE_COLUMN, TextTable
from nika_pipelines.settings import Settings

CITIES = ["Besançon", "Nîmes", "Orléans", "Genève", "Châlons", "Alès"]


def read(tmp_path: Path, content: bytes) -> TextTable:
    source, out = tmp_path / "upload.csv", tmp_path / "out"
    source.write_bytes(content)
    out.mkdir(exist_ok=True)
    table = read_text_table(source, source.name, out, Settings())
    assert table.balance.closes
    return table


def cities(count: int, encoding: str, end: str = "\n") -> bytes:
    lines = (f"{n},{CITIES[n % len(CITIES)]},{n}{end}" for n in range(count))
    return "".join(lines).encode(encoding)


def towns(table: TextTable) -> list[str]:
    query = f"SELECT town FROM '{table.parquet}' ORDER BY {LINE_COLUMN}"
    return [town for (town,) in duckdb.execute(query).fetchall()]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("chunk", [11, 1_048_576])
def test_two_exports_glued_together_are_read_line_by_line(
    end: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nika_pipelines.intake.encoding.CHUNK_BYTES", chunk)
    head = f"id,town,n{end}".encode()

    table = read(tmp_path, head + cities(60, "utf-8", end) + cities(60, "cp1252", end))

    assert towns(table) == [CITIES[n % 6] for n in range(60)] * 2
    assert table.encoding == "utf-8"
    [warning] = [one for one in table.warnings if "encoding" in one.message]
    assert warning.code == "FORMAT_MISMATCH"
    assert "60 of 121 lines are " in warning.message
    assert "line 62, 63, 64" in warning.message


def test_a_byte_order_mark_before_mixed_lines_is_no_text(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfid,town,n\n" + cities(40, "utf-8") + cities(6, "cp1252")

    table = read(tmp_path, content)

    assert table.names[0] == "id"
    assert towns(table)[-6:] == CITIES


def test_a_line_in_no_encoding_costs_its_row_only(tmp_path: Path) -> None:
    content = b"id,town,n\n" + cities(50, "utf-8") + b"x,K\xc3\x28ln\x81\x9d,1\n" + b"y,Rom,2\n"

    table = read(tmp_path, content)

    rejects = duckdb.execute(f"SELECT line, code, raw FROM '{table.rejects_parquet}'").fetchall()
    assert rejects == [(52, "INVALID_ENCODING", "x,K\\xc3(ln\\x81\\x9d,1")]
    assert len(towns(table)) == 51
    assert any("line 52" in warning.message for warning in table.warnings)


def test_many_lines_that_too_little_tells_about_refuse_the_file(tmp_path: Path) -> None:
    content = b"id,town,n\n" + cities(3, "utf-8") + cities(3, "cp1252")

    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, content)

    assert (refusal.value.code, refusal.value.details["line"]) == ("MIXED_ENCODING", 5)


def test_a_file_that_turns_into_noise_is_refused(tmp_path: Path) -> None:
    draw = Random(5)
    noise = b"".join(bytes(draw.choices(range(128, 256), k=20)) + b",1,2\n" for _ in range(40))

    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, b"id,town,n\n" + cities(60, "utf-8") + noise)

    assert refusal.value.code == "MIXED_ENCODING"


@given(
    st.lists(st.binary(max_size=12).filter(lambda b: not set(b"\r\n\0") & set(b)), max_size=30),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.integers(1, 40),
)
def test_every_line_is_kept_whatever_it_holds_and_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes, size: int
) -> None:
    content = b"".join(line + end for line in lines)
    target = tmp_path_factory.mktemp("mixed") / "copy.txt"
    plain = b"padding" + end
    content += plain * 200  # so that odd lines are few

    chunks = (content[at : at + size] for at in range(0, len(content), size))
    count = decode_lines(chunks, target, "cp1252")

    copy = target.read_bytes()
    assert count.lines == len(lines) + 200
    assert copy.decode("utf-8").count(end.decode()) == len(lines) + 200
    odd = [n for n, line in enumerate(lines, start=1) if not _is_utf8(line)]
    assert count.decoded + len(count.undecodable) == len(odd)
    assert set(count.undecodable) <= set(odd)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
