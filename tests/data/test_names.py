"""Names: what is read from a folder, what is refused with file and line, and a split that leaks no name."""

from collections import Counter

import numpy as np
import pytest

import data
from data import StudyError
from data.names import ALPHABET, MARKS, Names, key, known_letters, official, read_folder, spell, split_grouped, to_ascii


@pytest.fixture
def files(tmp_path):
    """Write a folder of names: `files({"Elvish": b"..."})`."""

    def write(content: dict[str, bytes]):
        for name, lines in content.items():
            (tmp_path / f"{name}.txt").write_bytes(lines)
        return tmp_path

    return write


def test_accents_go_and_letters_stay():
    assert to_ascii("Ślusàrski") == "Slusarski" and to_ascii("O'Néàl") == "O'Neal"
    assert to_ascii("Groß Marszałek Ørsted Æbelø") == "Gross Marszalek Orsted AEbelo"
    assert to_ascii("S\u0301lusa\u0300rski") == "Slusarski"  # marks on their own
    assert spell("Ślu\u0307\u0323ł") == "S\u0301lu\u0307l\u0335"  # a dot below is no mark of any of the languages
    assert key("JOSÉ") == key("jose") == "jose"
    assert known_letters("Au-Yong3") == ("Au_Yong_", ["-", "3"])
    assert len(ALPHABET) == len(set(ALPHABET)) == 58


def test_a_folder_is_read_in_order_with_its_oddities_counted(files):
    path = files({"Beta": "\ufeffÁdám\r\n\r\n  Bo Li \r\nAu-Yong\n\n".encode(), "Alpha": "Ann\nAnn\n東京\n".encode()})
    names = read_folder(path)
    assert names.classes == ("Alpha", "Beta")
    assert names.names == ("Ann", "Ann", "A\u0301da\u0301m", "Bo Li", "Au_Yong")
    assert names.to_ascii().names == ("Ann", "Ann", "Adam", "Bo Li", "Au_Yong")
    assert names.labels.tolist() == [0, 0, 1, 1, 1] and names.labels.dtype == np.int64
    assert names.empty == 2  # the line of nothing, and the one without a letter that is known
    assert len(names.foreign) == 2
    assert "Alpha.txt, line 3: '東京'" in names.foreign[0]
    assert "Beta.txt, line 4: 'Au-Yong' has '-'" in names.foreign[1]


@pytest.mark.parametrize(
    "content, told",
    [
        (
            {"A": b"Ann\nBo\n", "B": b"Good\nB\xe9la\n"},
            "B.txt, line 2: byte 0xe9 is not UTF-8. Name the file's encoding",
        ),
        ({"A": b"Ann\n", "B": b"\n \n"}, "B.txt has no name in it"),
        ({"A": b"Ann\n", "B": b""}, "B.txt has no name in it"),
        ({"A": b"Ann\n", "B": "東京\n".encode()}, "B.txt has no name in it"),
        ({"A": b"Ann\n", "B": b"Bo\n" + b"b" * 201}, "B.txt, line 2 has 201 letters"),
        ({"A": b"Ann\n"}, "1 .txt file. Give a folder"),
        ({}, "0 .txt files. Give a folder"),
    ],
)
def test_bad_files_are_named_with_their_line(files, content, told):
    with pytest.raises(StudyError) as failure:
        read_folder(files(content))
    assert told in str(failure.value)


def test_what_is_no_folder_or_no_file_is_named(tmp_path):
    with pytest.raises(StudyError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "A.txt").mkdir()
    (tmp_path / "B.txt").write_text("Bo")
    with pytest.raises(StudyError, match=r"cannot read .*A\.txt"):
        read_folder(tmp_path)


def keys(names: Names) -> set[str]:
    return set(map(key, names.names))


def test_no_name_is_in_two_parts_and_each_counts_once():
    words = [f"{start}{end}" for start in "abcdefghij" for end in ("an", "eb", "ic", "od")]
    everything = [(word, 0) for word in words] + [(word.upper(), 0) for word in words[:9]]
    everything += [(word, 1) for word in words[:15]] + [(word + "x", 1) for word in words[:20]]
    names = Names(tuple(name for name, _ in everything), np.array([label for _, label in everything]), ("A", "B"))
    parts = split_grouped(names, seed=0, val=0.2, test=0.2)
    for one in range(3):
        for other in range(one):
            assert not keys(parts[one]) & keys(parts[other])
    pairs = [(name.casefold(), label) for part in parts for name, label in zip(part.names, part.labels, strict=True)]
    assert Counter(pairs) == dict.fromkeys({(name.casefold(), label) for name, label in everything}, 1)
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        for label in (0, 1):  # 40 and 35 names
            assert abs((part.labels == label).sum() - share * (40, 35)[label]) <= 4
    again, other = split_grouped(names, seed=0, val=0.2, test=0.2), split_grouped(names, seed=1, val=0.2, test=0.2)
    assert [part.names for part in again] == [part.names for part in parts] != [part.names for part in other]


def test_a_class_too_small_to_split_is_named():
    few = Names(("a", "b", "c", "d", "d"), np.array([0, 0, 0, 1, 1]), ("Large", "Small"))
    with pytest.raises(StudyError, match=r"Small needs three .* it has 1\."):
        split_grouped(few, seed=0)
    least = Names(("a", "b", "c", "d", "e", "f"), np.array([0, 0, 0, 1, 1, 1]), ("One", "Two"))
    assert [part.labels.tolist() for part in split_grouped(least, seed=0)] == [[0, 1]] * 3


def test_the_twin_is_of_the_official_type():
    twin = data.load("names", "tiny")
    assert isinstance(twin, Names) and twin.labels.dtype == np.int64 and len(twin.names) == len(twin.labels) == 1800
    assert all(type(name) is str and set(name) < set(ALPHABET) for name in twin.names)
    assert set(twin.labels) == set(range(len(twin.classes)))
    assert len(set(twin.names)) < 1700  # some come twice, as they do in the real data


def test_the_real_names(real_data):
    names = official(real_data)
    assert len(names.names) == 20_074 and len(names.classes) == 18 and max(map(len, names.to_ascii().names)) == 20
    counts = Counter(names.classes[label] for label in names.labels)
    assert (counts["Arabic"], counts["Vietnamese"], counts["Russian"]) == (2000, 73, 9408)
    assert all(set(name) <= set(ALPHABET + MARKS) for name in names.names)
    assert sum(bool(set(MARKS) & set(name)) for name in names.names) == 148
    told = "\n".join(names.foreign)
    assert "'Au-Yong' has '-'" in told and "Rafaj1" in told and "Groß" not in told
    assert "Slusarski" in names.to_ascii().names and "Marszalek" in names.to_ascii().names
    parts = split_grouped(names, seed=0)
    pairs = {(key(name), label) for name, label in zip(names.names, names.labels.tolist(), strict=True)}
    assert sum(len(part.names) for part in parts) == len(pairs) == 17_988
    assert not keys(parts[0]) & keys(parts[2]) and not keys(parts[1]) & (keys(parts[0]) | keys(parts[2]))
    for part in parts:
        assert set(part.labels) == set(range(18))
