"""The vectorised scan agrees with an automaton that walks byte by byte."""

import re
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nika_pipelines.intake.record_scan import Marks, blocks, cut_block

COMMA = Marks(delimiter=ord(","), quote=ord('"'))
SLASH = Marks(delimiter=ord(","), quote=ord('"'), escape=ord("\\"))


def walk(text: str, escape: str | None = None) -> list[tuple[int, int]]:
    """The oracle: (cells, physical lines) of each record."""
    records: list[tuple[int, int]] = []
    cells, lines, inside, place, begun = 1, 1, False, 0, False
    while place < len(text):
        character = text[place]
        begun = True
        if character == escape and text[place + 1 : place + 2] in set('\\,"\r\n') - {""}:
            if text[place + 1] in "\r\n" and text[place + 1 : place + 3] != "\r\n":
                lines += 1
            place += 2
        elif character == '"':
            inside, place = quotes(text, place, inside, escape)
        elif character == "\r" and text[place + 1 : place + 2] == "\n":
            place += 1
        elif character in "\r\n":
            place += 1
            if inside:
                lines += 1
            else:
                records.append((cells, lines))
                cells, lines, begun = 1, 1, False
        else:
            cells += character == "," and not inside
            place += 1
    if begun:
        records.append((cells, lines - text.endswith(("\n", "\r"))))
    return records


def quotes(text: str, place: int, inside: bool, escape: str | None) -> tuple[bool, int]:
    """The state behind a run of quotes."""
    behind = place
    while text[behind : behind + 1] == '"':
        behind += 1
    before = re.sub(r" {1,8}$", "", text[:place])
    after = re.sub(r"^ {1,8}", "", text[behind:])
    opens = not before or before[-1] in ",\r\n"
    closes = not after or after[0] in ",\r\n"
    if (behind - place) % 2 == 0:
        return inside, behind
    if opens and closes:
        return not inside, behind
    return (opens or closes) and opens if opens != closes else inside, behind


TEXTS = st.text(alphabet='a," \n\r', max_size=60)


@settings(deadline=None)
@given(text=TEXTS)
@example(text='a,"b\n"c,d')
@example(text='1,5" pipe,3\n')
@example(text='1,"He said "hi", ok",3\n2,b,c\n')
@example(text='"a""b","c\r\nd"\r\n')
@example(text='"open\nnever,closed\n')
def test_cells_and_lines_of_records_are_those_of_the_automaton(text: str) -> None:
    cut = cut_block(text.encode(), COMMA, final=True)

    assert list(zip(cut.fields.tolist(), cut.lines.tolist(), strict=True)) == walk(text)


@settings(deadline=None)
@given(text=st.text(alphabet='a,"\\\n\r', max_size=50))
@example(text='1,"say \\"hi\\", ok"\n')
def test_a_byte_behind_an_escape_cuts_nothing(text: str) -> None:
    cut = cut_block(text.encode(), SLASH, final=True)

    assert list(zip(cut.fields.tolist(), cut.lines.tolist(), strict=True)) == walk(text, "\\")


@settings(deadline=None)
@given(text=TEXTS, size=st.integers(min_value=1, max_value=9))
def test_the_size_of_the_blocks_does_not_matter(text: str, size: int, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    path: Path = tmp_path_factory.mktemp("scan") / "file.csv"
    path.write_bytes(text.encode())

    pieces = [cut for _, _, cut in blocks(path, COMMA, size)]

    whole = cut_block(text.encode(), COMMA, final=True)
    assert [f for cut in pieces for f in cut.fields.tolist()] == whole.fields.tolist()
    assert [n for cut in pieces for n in cut.lines.tolist()] == whole.lines.tolist()


def test_a_stray_quote_inside_a_cell_swallows_nothing() -> None:
    cut = cut_block(b'id,name\n1,5" pipe\n2,6" pipe\n', COMMA, final=True)

    assert cut.fields.tolist() == [2, 2, 2]
