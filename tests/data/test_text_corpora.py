"""Corpora for translation and language models: read whole or refused by file and line, split so that nothing leaks."""

import json
import re

import numpy as np
import pytest

import data
from data import StudyError, eng_fra, multi30k, parallel, wikitext2
from data.parallel import Pairs
from tutorials.text import translation_metrics as metrics
from tutorials.text.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, Subwords, Vocabulary, from_json

# Reading


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_line_aligned_files(tmp_path):
    source = write(tmp_path / "a.de", "\ufeffEin Haus.\r\nZwei\u2028Häuser.\n\n")
    target = write(tmp_path / "a.en", "A house.\nTwo\tbooks.\n")
    assert parallel.read_files(source, target) == Pairs(("Ein Haus.", "Zwei\u2028Häuser."), ("A house.", "Two\tbooks."))


def test_a_table(tmp_path):
    table = write(tmp_path / "a.tsv", "Va !\tGo.\tCC-BY 2.0\nAu feu !\tFire!\n")
    assert parallel.read_table(table) == Pairs(("Va !", "Au feu !"), ("Go.", "Fire!"))


@pytest.mark.parametrize(
    "source, target, told",
    [
        ("eins\nzwei\ndrei\n", "one\ntwo\n", r"a\.de has 3 lines and .*a\.en 2: from line 3 on"),
        ("eins\n\ndrei\n", "one\ntwo\nthree\n", r"a\.de, line 2 is empty \(1 such lines\)"),
        ("eins\nzwei\n", "one\n \n \nfour", r"a\.en, line 2 is empty \(2 such"),
        ("eins\nzwei\n", b"one\ntw\xf6\n", r"a\.en, line 2: byte 0xf6 is not UTF-8"),
        ("eins\n".encode("utf-16")[:-1], "one\n", r"a\.de, line 1: byte 0x0a is not UTF-16"),
        ("eins\n", "one " * 1001, r"a\.en, line 1 has a sentence of 4,003 characters, more than 4,000"),
        ("eins\n", "\n\n", r"a\.en is empty"),
    ],
)
def test_files_that_do_not_fit_are_named_with_the_line(tmp_path, source, target, told):
    with pytest.raises(StudyError, match=told):
        parallel.read_files(write(tmp_path / "a.de", source), write(tmp_path / "a.en", target))


@pytest.mark.parametrize(
    "content, told",
    [
        ("eins\tone\nzwei two\n", "line 2 has no tab"),
        ("eins\tone\n\tbare\n", "line 2 has"),
        ("a\tb\n\nc\td", "line 2 has"),
    ],
)
def test_tables_that_do_not_fit_are_named_with_the_line(tmp_path, content, told):
    with pytest.raises(StudyError, match=told):
        parallel.read_table(write(tmp_path / "a.tsv", content))
    with pytest.raises(StudyError, match=r"cannot read .*nowhere"):
        parallel.read_table(tmp_path / "nowhere.tsv")


# Splitting


def test_no_sentence_is_in_two_parts_however_it_is_written():
    rng = np.random.default_rng(0)
    sources = [f"s{number}" for number in rng.integers(0, 400, 600)]
    targets = [
        ("I'm {}.", "i am {}", "I AM {}!")[k].format(number) for k, number in rng.integers(0, (3, 400), (600, 2))
    ]
    pairs = Pairs(tuple(sources), tuple(targets))
    parts = parallel.split(pairs, 50, eng_fra.key)
    assert all(45 <= len(part) <= 50 for part in (parts.val, parts.test))  # a group that does not fit is passed over
    together = [pair for part in vars(parts).values() for pair in zip(part.source, part.target, strict=True)]
    assert sorted(together) == sorted(zip(sources, targets, strict=True))
    for side in ("source", "target"):
        train, val, test = ({eng_fra.key(text) for text in getattr(part, side)} for part in vars(parts).values())
        assert not train & val and not train & test and not val & test
    assert parallel.split(pairs, 50, eng_fra.key) == parts


def test_pairs_are_grouped_through_others():
    pairs = Pairs(("a", "b", "b", "c", "d"), ("1", "1", "2", "2", "3"))
    assert len(set(parallel.groups(pairs)[:4])) == 1 and len(set(parallel.groups(pairs))) == 2


def test_few_pairs_hold_out_a_tenth_and_very_few_none():
    pairs = Pairs(tuple("abcdefghijklmnopqrstuvwxyz"), tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    assert [len(part) for part in vars(parallel.split(pairs, 1000)).values()] == [22, 2, 2]
    assert parallel.split(pairs, 0) == parallel.Parallel(pairs, pairs.part([]), pairs.part([]))
    with pytest.raises(StudyError, match="too few"):
        parallel.split(pairs.part(range(9)), 1000)
    with pytest.raises(StudyError, match="no part of the 40 pairs can be held out"):
        parallel.split(Pairs(("a",) * 40, tuple(map(str, range(40)))), 1000)


# French and English


def test_sentences_that_say_the_same_share_a_key():
    assert eng_fra.key("I'm here!") == eng_fra.key("i am here") == eng_fra.key("I m here") != eng_fra.key("he is here")


def test_the_real_pairs_are_counted_as_published(real_data):
    pairs = eng_fra.official(real_data)
    assert len(pairs) == 135_842 and (pairs.source[0], pairs.target[0]) == ("Va !", "Go.")


def test_the_real_captions_and_articles(real_data):
    captions = multi30k.official(real_data)
    assert [len(part) for part in vars(captions).values()] == [29_000, 1_014, 1_000]
    assert captions.test.source[0].startswith("Ein Mann mit einem orangefarbenen Hut")
    articles = wikitext2.official(real_data)
    assert [len(part) for part in vars(articles).values()] == [36_718, 3_760, 4_358]
    assert sum(len(line.split()) for line in articles.train) == 2_051_910
    assert articles.train[1] == " = Valkyria Chronicles III = "


def test_a_corpus_that_is_cut_short_is_refused(tmp_path, monkeypatch):
    for module, folder, names in (
        (multi30k, "multi30k", ["train.de", "train.en"]),
        (wikitext2, "wikitext-2", ["wiki.train.tokens"]),
        (eng_fra, ".", ["eng-fra.txt"]),
    ):
        monkeypatch.setattr(module, "fetch", lambda name, root: root)
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in names:
            write(tmp_path / folder / name, "a\tb\n" * 5)
        with pytest.raises(StudyError, match=r"5 (pairs|lines), not .* run again"):
            module.official(tmp_path)


# The twins


def test_the_french_twin_is_of_the_real_kind():
    pairs = data.load("eng_fra", "tiny")
    assert isinstance(pairs, Pairs) and len(pairs) == len(set(zip(pairs.source, pairs.target, strict=True)))
    said: dict[str, set] = {}
    for source, target in zip(pairs.source, pairs.target, strict=True):
        said.setdefault(source, set()).add(target)
    assert all(len(targets) == 1 for targets in said.values())  # a net can get every one of them right
    assert any(
        source.endswith("voiture verte.") and target.endswith("green car.")
        for source, target in zip(*vars(pairs).values(), strict=True)
    )


def test_the_german_twin_puts_verbs_last_and_agrees():
    parts = data.load("multi30k", "tiny")
    assert [len(part) for part in vars(parts).values()] == [2000, 100, 100]
    sources = parts.train.source
    assert any(re.search(r"weil \w+ \w+ \w+ \w+ (sieht|hält|kauft|trägt|malt)\.$", text) for text in sources)
    assert any(" einen " in text for text in sources) and not any(
        "Ein Frau" in text or "eine Hund" in text for text in sources
    )
    assert not set(parts.test.source) & set(parts.train.source)


def test_the_articles_twin_agrees_and_keeps_to_its_subject():
    articles = data.load("wikitext2", "tiny")
    text = "\n".join(articles.train)
    assert " = Wolf = " in articles.train and "<unk>" in text and " " in articles.train
    assert "Wolves live" in text and "Wolves lives" not in text and "wolf live " not in text
    assert len(text.split()) > 20_000 and set("".join(articles.test).split()) - {""}


# Words and subwords


def test_a_vocabulary_numbers_words_by_frequency():
    words = Vocabulary.build(["b a b", "c b a"])
    assert words.tokens == [*SPECIALS, "b", "a", "c"] and len(words) == 7
    assert words.encode("a x b") == [5, UNK, 4, EOS] and words.unknown("a x y x") == ["x", "y"]
    assert words.decode([BOS, 5, UNK, PAD, 4, EOS, 6]) == "a <unk> b"
    assert "<pad>" not in Vocabulary.build(["<pad> a"]).tokens[4:]


TEXTS = ["Ein Haus, zwei Häuser!", "Das Haus\u00a0ist alt.", "It's a house (old).", "häuser haus hausen"] * 3


def test_subwords_give_the_text_back_and_survive_json():
    words = Subwords.learn(TEXTS, 60)
    assert len(words) <= 60 and len(set(words.tokens)) == len(words)
    again = from_json(json.loads(json.dumps(words.to_json())))
    for text in [*TEXTS, "Hausalt, (ist) Eis!", "\u00a0alt\u00a0"]:
        assert words.decode(words.encode(text)) == text and again.encode(text) == words.encode(text)
    assert words.cut("Haus") == ["▁Haus"] and words.unknown("Haus ж") == ["ж"]
    plain = Vocabulary(["a"])
    assert type(from_json(plain.to_json())) is Vocabulary and from_json(plain.to_json()).tokens == plain.tokens


def test_subwords_are_learnt_alike_and_need_a_place_for_each_letter():
    assert Subwords.learn(TEXTS, 45).model == Subwords.learn(TEXTS, 45).model
    with pytest.raises(StudyError, match=r"--subwords: .* 20\. The texts hold \d+ different characters"):
        Subwords.learn(TEXTS, 20)


# Metrics


@pytest.mark.parametrize(
    "text, tokenizer",
    [
        ("我喜欢 PyTorch。", "zh"), ("私は学生です。", "char"), ("오늘 TV를 봤다.", "char"), ("สวัสดีครับ", "char"),
        ("He said 你好 and went home.", "13a"), ("Ça va ?", "13a"), ("123", "13a"), ("", "13a"),
    ],
)  # fmt: skip
def test_bleu_is_counted_by_the_targets_script(text, tokenizer):
    assert metrics.bleu_tokenizer([text]) == tokenizer
    told = metrics.describe_bleu(Pairs(("x",), (text,)))
    assert (f"tok:{tokenizer}" in told) == (tokenizer != "13a")


def test_languages_without_blanks_have_scores_between_0_and_100():
    references = [["今天我喜欢苹果。"], ["现在他们买书。"]]
    near, far = (
        metrics.measure(texts, references)["bleu"] for texts in (["今天我喜欢书。", "现在他们买书。"], ["茶", "鱼"])
    )
    assert 50 < near < 95 and far < 10 and "tok:zh" in metrics.signatures(references)
    assert metrics.bleu_by_length(["今天我喜欢书。", "x"], references, [3, 7], bins=2)["3"][0] > 30


def test_scores_of_translations():
    pairs = Pairs(("a", "a", "b"), ("i m very cold now", "i am so cold now", "he is in the house"))
    sources, references = metrics.distinct(pairs)
    assert (sources, references) == (["a", "b"], [["i m very cold now", "i am so cold now"], ["he is in the house"]])
    assert metrics.measure(["i am so cold now", "he is in the house"], references) == pytest.approx(
        {"bleu": 100, "chrf": 100, "exact_match": 1}
    )
    worse = metrics.measure(["i am so cold now", "he is in a boat"], references)
    assert worse["bleu"] < 80 and worse["chrf"] < 90 and worse["exact_match"] == 0.5
    assert "BLEU: nrefs:var" in metrics.signatures(references) and "tok:13a" in metrics.signatures(references)
    table = metrics.bleu_by_length(["i am so cold now", "x"], references, [3, 7], bins=2)
    assert list(table) == ["3", "7"] and table["3"] == (pytest.approx(100), 1) and table["7"][0] < 5
    told = metrics.gallery(sources, ["i am so cold now", "x"], references, count=1).splitlines()
    assert told[2].startswith("| bad | b | x |") and told[-1].startswith("| good | a | i am so cold now |")
    told = metrics.gallery(["a | b"], ["i | j"], [["i"]], count=1).splitlines()
    assert {line.count("|") for line in told} == {6}, "a sentence must not divide its cell"
