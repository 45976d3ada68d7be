"""Packed files: gzip and zstd are unpacked under limits, then read like any other file."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.names import dataset_name, safe_name
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import TextTable
from nika_pipelines.settings import Settings

TABLE = b"shop,amount\n" + b"".join(b"s%d,%d\n" % (n % 7, n) for n in range(500))


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


PACKERS = {".gz": gzip.compress, ".zst": zstd}
PACKED = pytest.mark.parametrize("suffix", list(PACKERS))


def read(folder: Path, name: str, content: bytes, **limits: object) -> TextTable:
    source = folder / "upload"
    source.write_bytes(content)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return read_text_table(source, name, out, Settings(**limits))  # type: ignore[arg-type]


def refusal_of(folder: Path, name: str, content: bytes, **limits: object) -> UploadRejected:
    with pytest.raises(UploadRejected) as refusal:
        read(folder, name, content, **limits)
    assert list((folder / "out").iterdir()) == []
    return refusal.value


@PACKED
@pytest.mark.parametrize("inner", [".csv", ".TSV", ".txt"])
def test_a_packed_text_is_read_like_the_text(suffix: str, inner: str, tmp_path: Path) -> None:
    content = TABLE if inner != ".TSV" else TABLE.replace(b",", b"\t")

    table = read(tmp_path, f"sales{inner}{suffix}", PACKERS[suffix](content))

    assert table.names == ["shop", "amount"]
    assert table.balance.accepted == 500
    assert table.balance.closes
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "rejects.parquet",
        "text.parquet",
    ]


@PACKED
def test_members_that_follow_each_other_are_one_text(suffix: str, tmp_path: Path) -> None:
    pack = PACKERS[suffix]
    table = read(tmp_path, f"a.csv{suffix}", pack(TABLE[:1_000]) + pack(TABLE[1_000:]))
    assert table.balance.accepted == 500


def test_the_zero_padding_of_a_tape_behind_gzip_is_harmless(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv.gz", gzip.compress(TABLE) + bytes(512))
    assert table.balance.accepted == 500


@PACKED
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_cut_off_stream_is_refused(suffix: str, kept: float, tmp_path: Path) -> None:
    packed = PACKERS[suffix](TABLE)
    refusal = refusal_of(tmp_path, f"a.csv{suffix}", packed[: max(12, int(len(packed) * kept))])
    assert refusal.code == "UNSUPPORTED_FORMAT"
    assert refusal.details["detected"].startswith("truncated")


@PACKED
def test_a_stream_with_something_else_behind_it_is_refused(suffix: str, tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, f"a.csv{suffix}", PACKERS[suffix](TABLE) + b"shop,amount\n")
    assert refusal.code == "UNSUPPORTED_FORMAT"
    assert "something else follows" in refusal.message


@PACKED
def test_a_damaged_stream_is_refused(suffix: str, tmp_path: Path) -> None:
    packed = bytearray(PACKERS[suffix](TABLE))
    packed[6:24] = b"\xff" * 18
    assert refusal_of(tmp_path, f"a.csv{suffix}", bytes(packed)).code == "UNSUPPORTED_FORMAT"


@PACKED
def test_a_bomb_is_stopped_while_it_unpacks(suffix: str, tmp_path: Path) -> None:
    bomb = PACKERS[suffix](b"a,b\n" * 10_000_000)
    assert len(bomb) < 200_000
    refusal = refusal_of(tmp_path, f"a.csv{suffix}", bomb)
    assert refusal.code == "ZIP_BOMB"
    assert refusal.details["detected"] > refusal.details["limit"]


@PACKED
def test_small_files_may_be_packed_very_well(suffix: str, tmp_path: Path) -> None:
    table = read(tmp_path, f"a.csv{suffix}", PACKERS[suffix](b"a,b\n" + b"1,2\n" * 400_000))
    assert table.balance.accepted == 400_000


def test_the_largest_file_counts_unpacked(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, "a.csv.gz", gzip.compress(TABLE), max_file_bytes=3_000)
    assert refusal.code == "TOO_LARGE"


@pytest.mark.parametrize(
    "name", ["a.gz", "a.csv.gz.gz", "a.xlsx.gz", "a.parquet.zst", "a.tar.gz", ".csv.gz.zst"]
)
def test_only_text_and_json_are_taken_packed(name: str, tmp_path: Path) -> None:
    packed = gzip.compress(TABLE) if name.endswith("gz") else zstd(TABLE)
    refusal = refusal_of(tmp_path, name, packed)
    assert refusal.code == "UNSUPPORTED_FORMAT"
    assert "csv.gz" in refusal.details["supported_formats"]


@PACKED
def test_a_packed_file_inside_a_packed_one_is_a_mismatch(suffix: str, tmp_path: Path) -> None:
    pack = PACKERS[suffix]
    refusal = refusal_of(tmp_path, f"a.csv{suffix}", pack(pack(TABLE)))
    assert refusal.code == "MAGIC_MISMATCH"


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.csv", gzip.compress(TABLE)),
        ("a.csv", zstd(TABLE)),
        ("a.csv.gz", TABLE),
        ("a.csv.gz", zstd(TABLE)),
        ("a.csv.zst", gzip.compress(TABLE)),
    ],
)
def test_content_packed_otherwise_than_the_name_says_is_a_mismatch(
    name: str, content: bytes, tmp_path: Path
) -> None:
    assert refusal_of(tmp_path, name, content).code == "MAGIC_MISMATCH"


@PACKED
def test_a_packed_nothing_is_empty(suffix: str, tmp_path: Path) -> None:
    assert refusal_of(tmp_path, f"a.csv{suffix}", PACKERS[suffix](b"")).code == "EMPTY_FILE"


def test_both_endings_belong_to_the_name(tmp_path: Path) -> None:
    assert dataset_name("Sales_2024-05.csv.gz") == dataset_name("sales.csv") == "sales"
    assert dataset_name("sales.csv.zst") == "sales"
    assert safe_name("sales.csv.gz") == "sales.csv.gz"
