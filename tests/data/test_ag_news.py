"""AG_NEWS and any csv file of labels and texts: what is read, how it is found out, what is refused and where."""

import csv
import io
import multiprocessing
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import data
from data import StudyError, tokens
from data.ag_news import CLASSES, Layout, Skipped, Table, find_layout, label_order, rows

WORDS = re.compile(r"\w+").findall


def table(content: str | bytes) -> Table:
    return Table(Path("some.csv"), content if isinstance(content, bytes) else content.encode())


def read(content: str | bytes, layout: Layout | None = None) -> list[tuple[int, str, str]]:
    return list(rows(table(content), layout or find_layout(table(content))))


def test_the_official_layout_with_quotes_escapes_and_lines_in_fields():
    content = '"3","A ""title""","first\\second #39;s"\n"4","t","over\ntwo lines"\n\n"1","x","y"\n'
    assert read(content, Layout()) == [
        (1, "3", 'A "title" first\\second #39;s'),
        (2, "4", "t over\ntwo lines"),
        (5, "1", "x y"),
    ]


def test_a_label_outside_1_to_4_is_named_with_file_and_line():
    for label in ("5", "0", "World", "1.0"):
        with pytest.raises(StudyError, match=r"some\.csv, line 3: the label is"):
            read(f'"1","a\nb","c"\n"{label}","d","e"\n', Layout())


def test_short_and_empty_rows_are_counted_with_the_first_of_their_lines():
    skipped = Skipped()
    content = '"1","a","b"\n"2","only a title"\n"2","",""\n"3"\n"","no","label"\n"4","c","d"\n'
    assert [line for line, *_ in rows(table(content), Layout(), skipped)] == [1, 6]
    assert str(skipped) == (
        "2 rows of too few fields (the first in line 2), 1 rows without text (the first in line 3), "
        "1 rows without label (the first in line 5)"
    )


def test_quotes_that_do_not_fit_are_named_with_file_and_line():
    for bad in ('"2","never closed\n"3","c","d"\n', '"2","say "no" now","b"\n'):
        with pytest.raises(StudyError, match=r"some\.csv, line 2: not csv"):
            read('"1","a","b"\n' + bad, Layout())


@pytest.mark.parametrize(
    "content, label, texts, header",
    [
        ("text,label\ngood film,1\nbad film,0\nfine film,1\nawful film,0\n", 1, (0,), True),
        ("good film,1\nbad film,0\nfine film,1\nawful film,0\n", 1, (0,), False),
        ("Sentiment,Review\npos,good\nneg,bad\npos,fine\n", 0, (1,), True),
        ("pos,good film\nneg,bad film\npos,fine film\nneg,dull film\n", 0, (1,), False),
        ("1,title one,text one\n2,title two,text two\n1,title three,text three\n", 0, (1, 2), False),
        ("id,words,kind\n1,a b,x\n2,c d,y\n3,e f,x\n4,g h,y\n5,i j,x\n6,k l,y\n7,m,x\n8,n,x\n9,o,y\n", 2, (0, 1), True),
    ],
)
def test_header_and_columns_are_found(content, label, texts, header):
    found = find_layout(table(content))
    assert (found.label, found.texts, found.header, found.labels) == (label, texts, header, ())


def test_columns_can_be_named():
    content = "id,stars,review,language\n" + "".join(f"{n},{n % 3},words {n},en\n" for n in range(30))
    for columns in (("stars", "review"), ("2", "3")):
        found = find_layout(table(content), columns)
        assert (found.label, found.texts, found.header) == (1, (2,), True)
    with pytest.raises(StudyError, match=r"--columns color: some\.csv has no such column"):
        find_layout(table(content), ("color",))


def test_what_is_no_table_of_labels_and_texts_is_refused():
    for content in ("", "one column\nof text\n", "just a line of text"):
        with pytest.raises(StudyError, match="no rows of a label and a text"):
            find_layout(table(content))
    with pytest.raises(StudyError, match=r"different values in .* too many for labels"):
        find_layout(table("".join(f"text {n},other {n}\n" for n in range(50))))
    with pytest.raises(StudyError, match=r"missing\.csv: cannot be read \(No such file"):
        find_layout(Table(Path("missing.csv")))


def test_a_byte_order_mark_and_a_named_encoding_are_heard():
    content = "1,crème brûlée\n0,plain\n1,more\n0,again\n"
    for encoding, named, read_as in (
        ("utf-8-sig", "utf-8", "utf-8-sig"),
        ("utf-16", "utf-8", "utf-16"),
        ("cp1252", "cp1252", "cp1252"),
    ):
        some = table(content.encode(encoding))
        layout = find_layout(some, encoding=named)
        assert layout.encoding == read_as and next(rows(some, layout)) == (1, "1", "crème brûlée")
    with pytest.raises(StudyError, match=r"some\.csv, line 1: byte 0xe8 is not UTF-8\. Name .* --encoding"):
        find_layout(table(content.encode("cp1252")))


def test_a_field_of_any_length_is_read():
    content = f'1,"{"tea " * 45_000}"\n0,plain\n1,more\n0,again\n'
    assert len(read(content)[0][2]) == 180_000


def test_labels_that_look_like_numbers_to_some_rules_only():
    order = sorted(["b", "²", "+-5", "--1", "-2", "+10", ".5", "9" * 400, "٣"], key=label_order)
    assert order == ["-2", ".5", "+10", "9" * 400, "+-5", "--1", "b", "²", "٣"]
    for label in ("²", "+-5", "--1"):
        assert read("".join(f"{label},text {n}\n1,other\n" for n in range(5)))[0][1] == label
    for column in ("²", "9" * 5000, "0", "-1"):
        with pytest.raises(StudyError, match="has no such column"):
            find_layout(table("1,a\n2,b\n" * 4), (column,))


def build(root: Path, *tables: tuple[Table, Layout], tokenize=WORDS, name: str = "words") -> tokens.Corpus:
    return tokens.tokenized(tables, tokenize, name, root)


def test_flat_arrays_hold_every_word_of_every_row(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "BUFFER", 7)  # many small writes
    twin = data.load("ag_news", "tiny")
    corpus = build(tmp_path, (twin.train, twin.layout), (twin.test, twin.layout))
    assert isinstance(corpus.words, np.memmap) and corpus.words.dtype == np.int32
    assert corpus.bounds == [0, 2000, 2500] and corpus.tables[0]["labels"] == ["1", "2", "3", "4"]
    expected = [row for part in (twin.train, twin.test) for row in rows(part, twin.layout)]
    for number, (line, label, text) in enumerate(expected):
        words = corpus.words[corpus.offsets[number] : corpus.offsets[number + 1]]
        assert [corpus.lexicon[word] for word in words] == WORDS(text)
        assert (corpus.lines[number], corpus.labels[number]) == (line, int(label) - 1)


def test_digests_are_equal_for_equal_words_only(tmp_path):
    some = table("a,one two\nb,one  two!\na,one two three\nb,two one\n")
    digests = build(tmp_path, (some, Layout(0, (1,), labels=()))).digests
    assert digests[0] == digests[1] and len(set(digests.tolist())) == 3


def test_built_once_and_anew_when_anything_changes(tmp_path):
    layout, count = Layout(0, (1,), labels=()), []

    def counting(text: str) -> list[str]:
        count.append(text)
        return text.split()

    path = tmp_path / "own.csv"
    path.write_text("a,one\nb,two\n")
    for content, columns, name, calls in (
        ("a,one\nb,two\n", layout, "split", 2),
        ("a,one\nb,two\n", layout, "split", 2),  # nothing has changed
        ("a,one\nb,six\n", layout, "split", 4),  # as many bytes
        ("a,one\nb,two\n", layout, "other", 6),
        ("a,one\nb,two\n", Layout(1, (0,), labels=()), "other", 8),
    ):
        path.write_text(content)
        build(tmp_path, (Table(path), columns), tokenize=counting, name=name)
        assert len(count) == calls


def build_in_a_process(root: Path) -> list[int]:
    twin = data.load("ag_news", "tiny")
    return build(root, (twin.train, twin.layout)).bounds


def test_two_processes_at_once_do_no_harm(tmp_path):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(build_in_a_process, [tmp_path, tmp_path], chunksize=1) == [[0, 2000]] * 2
    assert len(list((tmp_path / "tokenized").iterdir())) == 1 and not list((tmp_path / ".partial").iterdir())


def test_damaged_arrays_are_named(tmp_path):
    some = (table("a,one two\nb,two three\n"), Layout(0, (1,), labels=()))
    build(tmp_path, some)
    [folder] = (tmp_path / "tokenized").iterdir()
    (folder / "words.int32").write_bytes(b"1234")
    with pytest.raises(StudyError, match=r"damaged \(1 words, not 4\)\. Remove it"):
        build(tmp_path, some)
    shutil.rmtree(folder)
    assert len(build(tmp_path, some).words) == 4


def test_rows_are_left_out_where_that_is_safe_and_not_in_heaps(tmp_path):
    layout = Layout(0, (1,), labels=())
    corpus = build(tmp_path, (table("a,one\nb,!!!\na\nb,two\n"), layout))
    assert corpus.lines.tolist() == [1, 4]
    assert "1 rows without a word (the first in line 2)" in corpus.tables[0]["skipped"]
    with pytest.raises(StudyError, match=r"some\.csv: 2 rows can be used; left out: 20 rows of too few fields"):
        build(tmp_path, (table("a,one\nb,two\n" + "a\n" * 20), layout))
    with pytest.raises(StudyError, match="0 rows can be used"):
        build(tmp_path, (table("a,\n"), layout))


def test_labels_are_numbered_by_size_or_alphabet(tmp_path):
    corpus = build(tmp_path, (table("10,a\n9,b\n-1,c\nnone,d\n"), Layout(0, (1,), labels=())))
    assert corpus.tables[0]["labels"] == ["-1", "9", "10", "none"] and corpus.labels.tolist() == [2, 1, 0, 3]


def test_the_twin_is_of_the_official_form():
    twin = data.load("ag_news", "tiny")
    assert twin.classes == CLASSES
    for part, count in ((twin.train, 2000), (twin.test, 500)):
        read = list(csv.reader(io.StringIO(part.content.decode())))
        assert len(read) == count and {len(row) for row in read} == {3}
        assert np.bincount([int(row[0]) for row in read]).tolist() == [0] + [count // 4] * 4


def test_the_official_test_file(real_data):
    official = Table(real_data / "ag_news_csv/test.csv")
    read = list(rows(official, Layout()))
    assert len(read) == 7600 and read[-1][0] == 7600
    assert np.unique([label for _, label, _ in read], return_counts=True)[1].tolist() == [1900] * 4
    assert find_layout(official) == Layout(labels=())
