"""Text files of whatever encoding: read whole or refused in one line, whatever their bytes are."""

import ast
import io
import os
import random
from pathlib import Path

import pytest

from data import StudyError, imagenet, names, parallel
from data.ag_news import Skipped, Table, find_layout, rows
from data.text import check_encoding, find_encoding, read_json, read_text
from data.tokens import tokenized

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp949", "euc-kr", "johab"])
def test_korean_in_all_its_encodings(tmp_path, encoding):
    (path := tmp_path / "a.txt").write_bytes("한국어\r\n둘\n".encode(encoding))
    assert read_text(path, encoding) == "한국어\r\n둘\n"
    if encoding.startswith("utf"):
        assert read_text(path) == "한국어\r\n둘\n"
    else:
        with pytest.raises(StudyError, match=r"a\.txt, line 1: byte 0x.. is not UTF-8\. .*--encoding"):
            read_text(path)


def test_what_is_wrong_is_named_with_its_line():
    far = "語\n" * 400_000  # over the first million bytes
    for content, encoding, told in (
        (far.encode() + b"\xff", "utf-8", "line 400,001: byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbfa\nb\xff", "utf-8", "line 2: byte 0xff is not UTF-8"),
        ((far + "a").encode("utf-16")[:-1], "utf-8", "line 400,001: byte 0x61 is not UTF-16"),
        ("a\nb".encode("utf-16-le"), "utf-8", r"line 1: the character U\+0000 is in no text"),
        (b"a\n\x81 b", "cp1252", "line 2: byte 0x81 is not CP1252"),
        (b"a\n+2AA-", "utf-7", r"line 2: the character U\+D800 is in no text"),
    ):
        with pytest.raises(StudyError, match=rf"^a\.txt, {told}\. Name the file's encoding"):
            find_encoding(io.BytesIO(content), Path("a.txt"), encoding)


def test_what_is_no_encoding_is_refused():
    for name in ("utf-8", "CP949", "shift_jis", "latin-1"):
        check_encoding(name)
    for name in ("klingon", "rot13", "hex", "idna", "undefined", "", "a\0b"):
        with pytest.raises(ValueError, match="--encoding must be the name of an encoding"):
            check_encoding(name)


def test_json_nested_too_deep(tmp_path):
    (path := tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(StudyError, match=r"deep\.json is not readable JSON"):
        read_json(path)
    with pytest.raises(StudyError, match=r"deep\.json is not readable JSON"):
        imagenet.read_index(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_class_whose_name_is_not_utf8(tmp_path):
    for name in (b"French.txt", b"Fran\xe7ais.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("Anne\n")
    with pytest.raises(StudyError, match=r"the name 'Fran\\udce7ais\.txt' in it is not UTF-8"):
        names.read_folder(tmp_path)


def test_no_file_is_read_or_written_in_the_machines_own_encoding():
    for package in ("tutorials", "from_scratch", "comparisons", "data", "docs"):
        for file in (file for file in (ROOT / package).rglob("*.py") if "test_" not in file.name):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("read_text", "write_text"):
                    encoding = {keyword.arg for keyword in node.keywords} & {"encoding"}
                    assert encoding, f"{file}, line {node.lineno}: without an encoding"


# Files of chance

PIECES = [
    b"\t",
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xe8",
    b"+-5",
    b"\xc2\xb2",
    b"[",
    b"{",
]
PIECES += [b'"":', b"9" * 400, "오늘".encode("cp949"), "오늘".encode(), "\u2028\x85".encode(), b"\xed\xa0\x80"]
SEEDS = [
    b"label,text\n" + b"".join(b"%d,some text %d\n" % (n % 2, n) for n in range(12)),
    b'ham,"so ""he"" said"\nspam,"two\nlines"\n' * 4,
    "1\t하나\n2\tzwei\n".encode() * 4,
    "1,a\n0,b\n".encode("utf-16") * 3,
    "Anne\nJos\u00e9\n".encode() * 3,
    b'{"0": ["n01440764", "tench"]}',
]


def mutate(draw: random.Random) -> bytes:
    """A file that was good, with pieces put in, cut out, doubled, and bytes changed."""
    content = bytearray(draw.choice(SEEDS))
    for _ in range(draw.randrange(8)):
        place, end = sorted((draw.randrange(len(content) + 1), draw.randrange(len(content) + 1)))
        match draw.randrange(5):
            case 0:
                content[place:place] = draw.choice(PIECES) * draw.choice((1, 1, 1, 3, 50))
            case 1:
                del content[place : min(end, place + draw.choice((1, 2, 200)))]
            case 2:
                content[place:place] = content[place:end][:200]
            case 3:
                content[place : place + 1] = bytes([draw.randrange(256)])
            case 4:
                content = bytearray(draw.randbytes(draw.randrange(60))) if draw.random() < 0.2 else content
    return bytes(content)


def read_by_all(folder: Path, content: bytes, encoding: str) -> int:
    """How many of the readers take a file; any failure but StudyError is raised."""
    for name in ("A.txt", "B.txt"):
        (folder / name).write_bytes(content)
    table, path = Table(Path("a.tsv" if b"\t" in content else "a.csv"), content), folder / "A.txt"
    readers = [
        lambda: tokenized([(table, find_layout(table, (), encoding))], str.split, "words", folder),
        lambda: list(rows(table, find_layout(table, ("1", "2"), encoding), Skipped())),
        lambda: names.read_folder(folder, encoding),
        lambda: parallel.read_table(path, encoding),
        lambda: parallel.read_files(path, folder / "B.txt", encoding),
        lambda: imagenet.read_index(path),
    ]
    taken = 0
    for reader in readers:
        try:
            reader()
            taken += 1
        except StudyError as error:
            assert "\n" not in str(error).strip()
    return taken


def test_no_reader_fails_but_in_words(tmp_path, count=300):
    draw, taken = random.Random(0), 0
    for _ in range(count):
        encoding = draw.choice(("utf-8", "utf-8", "cp949", "utf-16", "shift_jis", "iso2022_kr"))
        taken += read_by_all(tmp_path, mutate(draw), encoding)
    assert count / 10 < taken < 5 * count, "the files are all good or all bad"
