"""Where rows end: pieces of CSV and JSON lines hold exactly the rows that a reader of the whole file gives."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulklabel.model.errors import RecordError
from bulklabel.transforms.reading.tables import csv_rows, json_rows, row_ends
from bulklabel.transforms.reading.tables.row_ends import cut_rows

CSV_TEXT = st.text(alphabet='a,"\n\r; \t\0é', max_size=60)


def read_pieces(content: bytes, most: int, block: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows of each piece by itself; each piece has as many as it says."""
    monkeypatch.setattr(row_ends, "BLOCK_BYTES", block)
    source = io.BytesIO(content)
    header = csv_rows.read_header(source)
    rows: list[str] = []
    end = header.end
    for piece in cut_rows(source, header, most):
        assert piece.position == len(rows)
        assert end <= piece.start < piece.stop
        with io.BytesIO(content) as again:
            again.seek(piece.start)
            found = list(csv_rows.read_rows(again, header, piece.stop))
        assert len(found) == piece.rows <= most
        rows += map(repr, found)
        end = piece.stop
    return rows


@given(CSV_TEXT, st.integers(1, 4), st.sampled_from([1, 3, 7, 2**22]))
def test_pieces_of_csv_hold_the_rows_of_the_whole(text: str, most: int, block: int) -> None:
    content = b"x,y\n" + text.encode()
    source = io.BytesIO(content)
    whole = [repr(row) for row in csv_rows.read_rows(source, csv_rows.read_header(source))]
    with pytest.MonkeyPatch.context() as patch:
        assert read_pieces(content, most, block, patch) == whole


@given(st.text(alphabet='{}[]"1 \n\r\t\0\x1c,:é', max_size=60), st.integers(1, 4), st.sampled_from([1, 3, 2**22]))
def test_pieces_of_json_lines_hold_the_rows_of_the_whole(text: str, most: int, block: int) -> None:
    content = text.encode()
    whole = [repr(row) for row in json_rows.read_rows(io.BytesIO(content))]
    rows: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_ends, "BLOCK_BYTES", block)
        for piece in list(cut_rows(io.BytesIO(content), None, most)):
            source = io.BytesIO(content)
            source.seek(piece.start)
            found = [repr(row) for row in json_rows.read_rows(source, piece.stop)]
            assert (len(rows), len(found)) == (piece.position, piece.rows)
            rows += found
    assert rows == whole


def test_rows_are_cut_without_parsing_them_unless_a_quote_stands_within_a_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = b"x,y\n" + b'"a\n""b""",1\n' * 1000
    with monkeypatch.context() as patch:
        patch.setattr(row_ends, "_ends_by_parsing", None)
        assert len(read_pieces(plain, 64, 2**10, patch)) == 1000
    odd = plain + b'5" screen,2\n' * 3 + plain[4:]
    rows = read_pieces(odd, 64, 2**10, monkeypatch)
    assert (len(rows), rows[1001]) == (2003, "{'x': '5\" screen', 'y': '2'}")


def test_a_quote_that_is_never_closed_costs_the_rest_of_the_file_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b'x,y\na,1\nb,2\n"c,3\nd,4\n' + b"e,5\n" * 10
    *good, torn = read_pieces(content, 2, 2**10, monkeypatch)
    assert len(good) == 2
    assert "torn_file" in torn
    assert "never closed" in torn


def test_a_file_without_line_ends_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_ends, "BLOCK_BYTES", 100)
    monkeypatch.setattr(row_ends, "LONGEST_LINE", 1000)
    with pytest.raises(RecordError, match="a line has more than"):
        list(cut_rows(io.BytesIO(b"x" * 5000), None, 10))


@pytest.mark.parametrize(
    ("text", "names", "separator"),
    [
        ("path,labels\n", ("path", "labels"), ","),
        ("\ufeffpath;labels\r\n", ("path", "labels"), ";"),
        ("path\tlabels, all\n", ("path", "labels, all"), "\t"),
        ('\n\r\n"pa;th","a\nb"\n', ("pa;th", "a\nb"), ","),
        ("path", ("path",), ","),
        ("id, path, labels\n", ("id", "path", "labels"), ","),
        ("", (), ","),
    ],
)
def test_headers_as_programs_write_them(text: str, names: tuple[str, ...], separator: str) -> None:
    header = csv_rows.read_header(io.BytesIO(text.encode()))
    assert (header.names, header.separator, header.end) == (names, separator, len(text.encode()))


def test_spaces_behind_separators_are_no_part_of_a_cell() -> None:
    source = io.BytesIO(b'id, path\n1, "a, b.png"\n2,  c.png\n')
    rows = list(csv_rows.read_rows(source, csv_rows.read_header(source)))
    assert rows == [{"id": "1", "path": "a, b.png"}, {"id": "2", "path": "c.png"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [("path\n".encode("utf-16"), "UTF-16"), (b'"path\n', "never closed"), (b"id,path\r1,a.png\r", "carriage returns")],
)
def test_what_is_no_csv_is_said(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with (tmp_path / "a.csv").open("rb") as source, pytest.raises(RecordError, match=words):
        csv_rows.read_header(source)
