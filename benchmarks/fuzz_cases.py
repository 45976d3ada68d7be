"""One case of the fuzzer: a seed, what was done to it, and how it is taken in.

A case is drawn from (seed of the run, number of the case) and nothing else.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzz_seeds import Seed, SeedPool, zipped, zstd

Mutation = Callable[[bytes, Random], bytes]
Wrapping = Callable[[bytes, Mutation, Random], bytes]

LARGEST = 990_000
"""The promise on time is for files below 1 MB."""
TOKENS = (
    *(b'"', b'""', b"'", b"`", b"\\", b'\\"', b",", b";", b"\t", b"|", b"||", b":", b"~"),
    *(b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r\n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\n\n\n"),
    *(b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\xc2\xa0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"),
    *(b"\0", b"\0" * 80, b"\x1a", b"\x7f", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff"),
    *(b"NaN", b"inf", b"-Infinity", b"1e999", b"-0", b"9223372036854775808", b"0x1F", b"1_000"),
    *(b"99999999999999999999999999999999999999", b"1,234,567.89", b"1.234.567,89", b"12%"),
    *(b"9999-12-31", b"0000-00-00", b"2024-02-30", b"31/12/1", b"24:00:00", b"+294247-01-10"),
    *(b"=HYPERLINK(1)", b"@SUM", b"NULL", b"N/A", b"-", b"true", b"sep=;\n", b"#", b"Total"),
    *(b"_nika_line", b"line", b"column0", b"SELECT 1;--", b"{", b"}", b"[", b"]", b"null", b"{{"),
    *("é".encode(), "漢字".encode(), "🦆".encode(), "a\u0301".encode(), "İ".encode()),
)
EXTENSIONS = (
    *(".csv", ".CSV", ".tsv", ".txt", ".csv.gz", ".csv.zst", ".gz", ".json", ".jsonl", ".parquet"),
    *(".xlsx", ".xls", ".xlsb", ".ods", ".xlsm", ".dat", "", ".csv.exe"),
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "cp437", "shift_jis")


@dataclass(frozen=True)
class Case:
    """What is taken in.

    Attributes:
        number: its number in the run.
        filename: the name under which the bytes come.
        content: the bytes.
        way: ``table``, or ``inspect`` for what the command of that name does.
        contract: none, ``first`` (the file makes it), or that of its seed: ``inferred``,
            ``accepted`` or ``mutated``.
        origin: the seed, which the contract is made of.
        sidecar: content of a sidecar, or null.
        story: what was done to it.
    """

    number: int
    filename: str
    content: bytes
    way: str
    contract: str
    origin: Seed
    sidecar: bytes | None
    contract_seed: int
    story: list[str] = field(default_factory=list)


def draw_case(pool: SeedPool, run_seed: int, number: int) -> Case:
    """The case of this number."""
    rng = Random(f"{run_seed}/{number}")
    origin = pool.draw(rng)
    story = [origin.name]
    content = _mutated(origin, pool, rng, story)[:LARGEST]
    extension = origin.extension
    if rng.random() < 0.04:
        extension = rng.choice(EXTENSIONS)
        story.append(f"named {extension}")
    return Case(
        number=number,
        filename=f"{Path(origin.name).name.split('.')[0]}{extension}",
        content=content,
        way="inspect" if rng.random() < 0.1 else "table",
        contract=rng.choices(
            ("none", "first", "inferred", "accepted", "mutated"), (45, 20, 15, 10, 10)
        )[0],
        origin=origin,
        sidecar=_sidecar(rng) if rng.random() < 0.15 else None,
        contract_seed=rng.getrandbits(32),
        story=story,
    )


def mutated_text(text: str, seed: int) -> bytes:
    """A YAML document with one to three small mutations."""
    rng = Random(seed)
    content = text.encode()
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(_SMALL)(content, rng)
    return content


# The bytes


def _mutated(origin: Seed, pool: SeedPool, rng: Random, story: list[str]) -> bytes:
    """The seed after none to five mutations, inside its wrapping or over all of it."""
    content = origin.content
    rounds = rng.choices(range(6), (4, 40, 25, 15, 10, 6))[0]
    for _ in range(rounds):
        if rng.random() < 0.05:
            story.append("glue")
            content = _glued(content, pool, rng)
            continue
        wrap = _wrapping(origin.extension) if rng.random() < 0.6 else None
        mutation = rng.choices(_MUTATIONS, _WEIGHTS)[0]
        story.append(f"{mutation.__name__}{' inside' if wrap else ''}")
        content = _applied(content, mutation, wrap, rng)[: 2 * LARGEST]
    return content


def _applied(content: bytes, mutation: Mutation, wrap: Wrapping | None, rng: Random) -> bytes:
    if wrap is None:
        return mutation(content, rng)
    try:
        return wrap(content, mutation, rng)
    except Exception:  # An earlier mutation has broken the wrapping, in one of its many ways.
        return mutation(content, rng)


def _wrapping(extension: str) -> Wrapping | None:
    if extension.endswith((".xlsx", ".ods")):
        return _inside_zip
    if extension.endswith(".gz"):
        return _inside_gzip
    if extension.endswith(".zst"):
        return _inside_zstd
    return _inside_json if extension in (".json", ".jsonl", ".ndjson") else None


def _inside_zip(content: bytes, mutation: Mutation, rng: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()[:50]}
    if not parts:
        return mutation(content, rng)
    name = rng.choice(sorted(parts))
    if rng.random() < 0.1:
        parts[mutation(name.encode(), rng).decode("latin-1")] = parts.pop(name)
    else:
        parts[name] = mutation(parts[name], rng)
    return zipped(parts)


def _inside_gzip(content: bytes, mutation: Mutation, rng: Random) -> bytes:
    return gzip.compress(mutation(gzip.decompress(content), rng), 1, mtime=0)


def _inside_zstd(content: bytes, mutation: Mutation, rng: Random) -> bytes:
    import pyarrow as pa

    with pa.CompressedInputStream(io.BytesIO(content), "zstd") as stream:
        return zstd(mutation(stream.read(LARGEST), rng))


def _inside_json(content: bytes, mutation: Mutation, rng: Random) -> bytes:
    """Change one value and keep the document valid."""
    lines = content.splitlines()
    place = rng.randrange(len(lines))
    document = json.loads(lines[place])
    _change_value(document, mutation, rng)
    lines[place] = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"\n".join(lines) + b"\n"


def _change_value(document: Any, mutation: Mutation, rng: Random) -> None:
    """Replace a value somewhere in a document."""
    if not isinstance(document, dict | list):
        raise TypeError("nothing to change inside")
    spoilt = mutation(b"word", rng)[:2_000].decode("utf-8", "replace")
    values: list[Any] = [
        None,
        True,
        -1,
        1e308,
        10**30,
        "",
        spoilt,
        [],
        {},
        [[]],
        {"a": {"a": [1]}},
        "1,5",
    ]
    inner = document
    while True:
        keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        if not keys:
            return
        key = rng.choice(list(keys))
        if isinstance(inner[key], dict | list) and inner[key] and rng.random() < 0.8:
            inner = inner[key]
            continue
        if isinstance(inner, dict) and rng.random() < 0.3:
            inner[spoilt] = inner.pop(key)
        else:
            inner[key] = rng.choice(values)
        return


# Mutations


def _glued(content: bytes, pool: SeedPool, rng: Random) -> bytes:
    other = rng.choice(pool.quick).content
    return content + rng.choice((b"", b"\n", b"\n\n")) + other


def flip_bytes(content: bytes, rng: Random) -> bytes:
    """Some bytes become others."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 50)) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def flip_bit(content: bytes, rng: Random) -> bytes:
    """One bit is turned over."""
    changed = bytearray(content)
    if changed:
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_out(content: bytes, rng: Random) -> bytes:
    """A piece is missing."""
    start, end = _piece(content, rng)
    return content[:start] + content[end:]


def truncate(content: bytes, rng: Random) -> bytes:
    """The copy broke off."""
    return content[: rng.randint(0, len(content))]


def behead(content: bytes, rng: Random) -> bytes:
    """The beginning is missing."""
    return content[rng.randint(0, len(content)) :]


def repeat_piece(content: bytes, rng: Random) -> bytes:
    """A piece comes several times."""
    start, end = _piece(content, rng)
    return content[:end] + content[start:end] * rng.choice((1, 1, 2, 20)) + content[end:]


def repeat_all(content: bytes, rng: Random) -> bytes:
    """The whole comes several times."""
    return content * rng.choice((2, 3, 20))


def swap_pieces(content: bytes, rng: Random) -> bytes:
    """A piece has moved elsewhere."""
    start, end = _piece(content, rng)
    rest = content[:start] + content[end:]
    place = rng.randint(0, len(rest))
    return rest[:place] + content[start:end] + rest[place:]


def insert_token(content: bytes, rng: Random) -> bytes:
    """Marks, line ends, byte order marks, NULs or special values where none should be."""
    for _ in range(rng.choice((1, 1, 2, 10))):
        place = rng.randint(0, len(content))
        content = content[:place] + rng.choice(TOKENS) + content[place:]
    return content


def insert_noise(content: bytes, rng: Random) -> bytes:
    """Random bytes in the middle."""
    place = rng.randint(0, len(content))
    return content[:place] + rng.randbytes(rng.choice((1, 4, 64, 5_000))) + content[place:]


def prepend_token(content: bytes, rng: Random) -> bytes:
    """Something before the first byte."""
    return rng.choice(TOKENS) + content


def replace_token(content: bytes, rng: Random) -> bytes:
    """One kind of mark becomes another, everywhere or a few times."""
    old = rng.choice((b",", b";", b"\t", b"\n", b"\r\n", b'"', b".", b"-", b"0", b" ", b"<", b">"))
    return content.replace(old, rng.choice(TOKENS), rng.choice((-1, 1, 3)))


def other_line_ends(content: bytes, rng: Random) -> bytes:
    """Line ends are swapped, or only some of them."""
    new = rng.choice((b"\r\n", b"\r", b"\n", b"\r\r\n", b"\n\n", b"\x0b"))
    return content.replace(b"\r\n", b"\n").replace(b"\n", new, rng.choice((-1, -1, 2)))


def reencode(content: bytes, rng: Random) -> bytes:
    """Read in one encoding, written in another."""
    text = content.decode(rng.choice(ENCODINGS), "replace")
    return text.encode(rng.choice(ENCODINGS), "replace")


def reencode_tail(content: bytes, rng: Random) -> bytes:
    """From some byte on, another encoding."""
    place = rng.randint(0, len(content))
    return content[:place] + reencode(content[place:], rng)


def long_cell(content: bytes, rng: Random) -> bytes:
    """A cell of thousands of characters, quoted or not."""
    length = rng.choice((1_000, 70_000, 70_000, 900_000))
    cell = rng.choice((b"x", b"9", b'""', b"a\n", b"\xc3\xa9", b", ", b"((", b"[", b" "))
    cell = cell * (length // len(cell))
    if rng.random() < 0.5:
        cell = b'"' + cell + b'"'
    place = rng.randint(0, len(content))
    return content[:place] + cell + content[place:]


def many_cells(content: bytes, rng: Random) -> bytes:
    """A line with very many delimiters."""
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    lines[place] += rng.choice((b",", b";", b"\t", b'"",')) * rng.choice((3, 500, 3_000, 200_000))
    return b"\n".join(lines)


def shuffle_lines(content: bytes, rng: Random) -> bytes:
    """The lines in another order."""
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def drop_lines(content: bytes, rng: Random) -> bytes:
    """Some lines are missing."""
    return b"\n".join(line for line in content.split(b"\n") if rng.random() < 0.7)


def pad(content: bytes, rng: Random) -> bytes:
    """Padding at the end, as after an interrupted copy."""
    return content + rng.choice((b"\0", b" ", b"\n", b"\x1a", b",")) * rng.choice((1, 64, 4_096))


def _piece(content: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randint(0, len(content))
    return start, min(len(content), start + rng.choice((1, 3, 20, 300, 5_000)))


_SMALL: tuple[Mutation, ...] = (
    flip_bytes,
    cut_out,
    insert_token,
    replace_token,
    swap_pieces,
    repeat_piece,
    truncate,
    shuffle_lines,
)
_MUTATIONS: tuple[Mutation, ...] = (
    *(insert_token, flip_bytes, replace_token, cut_out, repeat_piece, swap_pieces),
    *(flip_bit, truncate, behead, insert_noise, prepend_token, other_line_ends),
    *(reencode, reencode_tail, long_cell, many_cells, shuffle_lines, drop_lines, pad, repeat_all),
)
_WEIGHTS = (*(14, 8, 8, 8, 6, 6), *(5, 5, 4, 4, 4, 5), *(3, 3, 2, 2, 4, 4, 2, 2))


# The sidecar


def _sidecar(rng: Random) -> bytes:
    """Something said about the reading, right or wrong, sometimes no YAML at all."""
    choices: dict[str, tuple[Any, ...]] = {
        "encoding": ("utf-8", "cp1252", "utf-16", "utf-32", "utf-7", "idna", "ascii", "punycode"),
        "delimiter": (",", ";", "\t", "|", "||", "\x1f", "a", " ", "é", "abc", "\\", "'"),
        "quotechar": ('"', "'", "", "a", "\\", ","),
        "escapechar": ("", "\\", '"', "^"),
        "preamble_rows": (0, 1, 3, 40, 10**6),
        "header_rows": (0, 1, 2, 5, 10**6),
        "footer_rows": (0, 1, 2, 40, 10**6),
        "sheet": ("Sheet1", "only", "none such", "Übersicht"),
        "columns": (
            {"temperature": {"type": "float", "format": "decimal comma"}},
            {"day": {"type": "date", "format": "%d.%m.%Y"}, "count": "text"},
            {"Betrag": {"type": "float"}, "PLZ": {"type": "integer"}},
            {"id": {"type": "timestamp", "format": "%%%"}, "note": {"semantic_type": "id"}},
            {"day": {"type": "integer", "personal": True}},
        ),
    }
    drawn = rng.sample(sorted(choices), rng.choice((1, 1, 2, 3)))
    said = json.dumps({key: rng.choice(choices[key]) for key in drawn}, ensure_ascii=False)
    return said.encode() if rng.random() < 0.75 else mutated_text(said, rng.getrandbits(32))
