"""The text tutorial: its features, its net, whole runs on the twin and on csv files of any kind, and on real news."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from data.ag_news import Layout, Table
from data.fingerprint import fingerprint
from data.tokens import tokenized
from tests import programs
from tests.processes import summary as summary_of
from tutorials import text_sentiment as tutorial
from tutorials.text.ngrams import Ngrams, gather_rows
from tutorials.tools import race_sentiment

PROGRAM = programs.SENTIMENT
run = PROGRAM.run


LINES = "a,the cat sat\nb,the cat sat on the mat\na,cat\nb,sat the cat\n"
WORDS = ["<unk>", "the", "cat", "sat", "mat"]


def corpus_of(tmp_path):
    return tokenized([(Table(Path("x.csv"), LINES.encode()), Layout(0, (1,), labels=()))], str.split, "", tmp_path)


def spelt(ngrams: Ngrams, corpus, rows: list[int]) -> list[list[tuple[int, str]]]:
    """The features of each text as (feature, its spelling)."""
    words, places = gather_rows(corpus, np.array(rows))
    grid = ngrams.grid(ngrams.table(corpus.lexicon), words, places)
    result = [[] for _ in rows]
    for place, column in np.argwhere(grid >= 0).tolist():
        run = [corpus.lexicon[word] for word in words[place : place + 3]]
        result[places[place]].append((int(grid[place, column]), ngrams.spell(column, run)))
    return result


def test_ngrams_are_those_of_each_text_and_the_same_wherever_it_stands(tmp_path):
    corpus, ngrams = corpus_of(tmp_path), Ngrams(WORDS, 3, 2**20, (2,))
    first, _, alone, turned = spelt(ngrams, corpus, [0, 1, 2, 3])
    assert [name for _, name in first] == [
        "the",
        "the cat",
        "the cat sat",
        "th…",
        "cat",
        "cat sat",
        "ca…",
        "sat",
        "sa…",
    ]
    assert [name for _, name in alone] == ["cat", "ca…"]
    assert spelt(ngrams, corpus, [3, 0])[1] == first
    # "on" is unknown, so no run of words goes over it: "sat on", "on the", "sat on the" are missing.
    names = [name for _, name in spelt(ngrams, corpus, [1])[0]]
    assert [name for name in names if " " in name] == ["the cat", "the cat sat", "cat sat", "the mat"]
    assert {name: feature for feature, name in first}["the cat"] == {name: f for f, name in turned}["the cat"]
    features = dict(name[::-1] for row in (first, turned) for name in row)
    assert len(set(features.values())) == len(features)  # nothing shares a bucket here
    assert features["sat"] == 3 and all(len(WORDS) <= features[name] < ngrams.size for name in features if " " in name)
    again = Ngrams(WORDS, 3, 2**20, (2,))
    assert spelt(again, corpus, [0])[0] == first


def test_batches_are_the_texts_in_order(tmp_path):
    corpus, ngrams = corpus_of(tmp_path), Ngrams(WORDS)
    dataset = tutorial.TextDataset(corpus, np.array([3, 1, 2, 0]), ngrams, ngrams.table(corpus.lexicon))
    labels, features, offsets = tutorial.collate_batch([dataset[i] for i in (1, 3, 2)])
    assert labels.tolist() == [1, 0, 0] and offsets.tolist() == [0, 6, 9]
    assert features.tolist() == [1, 2, 3, 0, 1, 4, 1, 2, 3, 2]


def test_all_texts_together_are_a_csr_matrix_whose_parts_embedding_bag_takes(tmp_path):
    corpus, ngrams = corpus_of(tmp_path), Ngrams(WORDS, 2, 64, (2,))
    dataset = tutorial.TextDataset(corpus, np.arange(4), ngrams, ngrams.table(corpus.lexicon))
    _, features, offsets = tutorial.collate_batch(list(dataset))
    assert torch.equal(features, dataset.indices) and offsets.tolist() == dataset.indptr[:-1].tolist()
    counts = csr_matrix((np.ones(len(features)), dataset.indices.numpy(), dataset.indptr), (4, ngrams.size)).toarray()
    per_class = np.stack([counts[[0, 2]].sum(0), counts[[1, 3]].sum(0)], 1)
    assert np.array_equal(dataset.count(2), per_class) and counts[0].sum() == 8


def test_tf_idf_weights_have_norm_one():
    options = {"idf": True, "embed_dim": 3, "word_dropout": 0.0}
    net = tutorial.TextClassificationModel(6, 2, options).eval()
    net.idf.copy_(torch.tensor([0.0, 1, 2, 3, 0, 5]))
    features, offsets = torch.tensor([1, 2, 2, 5, 0, 3, 4]), torch.tensor([0, 3, 4, 6])
    expected = torch.tensor([1 / 3, 2 / 3, 2 / 3, 1, 0, 1, 0])
    assert torch.allclose(net.tfidf(features, offsets), expected)
    embedded = (expected[:, None] * net.embedding.weight[features]).split([3, 1, 2, 1])
    assert torch.allclose(net(features, offsets), net.fc(torch.stack([part.sum(0) for part in embedded])), atol=1e-6)


def test_the_originals_net_is_the_published_one():
    net = tutorial.TextClassificationModel(95_811, 4, vars(tutorial.TextOptions(**tutorial.RECIPES["original"])))
    assert sum(weight.numel() for weight in net.parameters()) == 6_132_164
    features, offsets = torch.tensor([5, 7, 7, 1]), torch.tensor([0, 3])
    means = torch.stack([net.embedding.weight[[5, 7, 7]].mean(0), net.embedding.weight[1]])
    assert torch.allclose(net(features, offsets), net.fc(means), atol=1e-6)
    assert net.embedding.weight.abs().max() <= 0.5 and not net.fc.bias.any() and not net.embedding.sparse


def test_a_net_begins_as_naive_bayes(tmp_path):
    corpus, ngrams = corpus_of(tmp_path), Ngrams([*WORDS, "on", "unseen"])
    dataset = tutorial.TextDataset(corpus, np.arange(4), ngrams, ngrams.table(corpus.lexicon))
    options = tutorial.TextOptions(idf=True, bayes=0.5, embed_dim=8)
    net = tutorial.make_net(options, ngrams, 2, dataset)
    # "a": the cat sat, cat; "b": the cat sat on the mat, sat the cat
    counts = np.array([[0, 0], [1, 3], [2, 2], [1, 2], [0, 1], [0, 1], [0, 0]])
    logs = np.log((counts + 1) / (counts + 1).sum(0))
    expected = 0.5 * (logs - logs.mean(1, keepdims=True)) * (counts.sum(1) > 0)[:, None]
    got = net.embedding.weight @ net.fc.weight.T
    assert torch.allclose(got, torch.from_numpy(expected).float(), atol=1e-5)
    assert net.idf[[0, 6]].tolist() == [0, 0] and torch.allclose(net.idf[4], torch.tensor(5 / 2).log() + 1)


def test_the_study_recipe_learns_the_twin_and_leaves_everything(study):
    folder, printed = study
    assert summary_of(folder)["metrics"]["test/accuracy"] > 0.85
    assert summary_of(folder)["chance"]["test/accuracy"] == 0.25
    assert "['here', 'is', 'an', 'example'] -> [" in printed and len(re.findall("accuracy for class", printed)) == 4


def test_the_dashboard_shows_all_kinds(study, events):
    tags = events.Tags()
    assert {"accuracy/train", "accuracy/val"} <= set(tags["scalars"])
    assert {"pr/World", "errors/text_summary"} <= set(tags["tensors"]) and tags["graph"]
    [errors] = events.Tensors("errors/text_summary")
    said = errors.tensor_proto.string_val[0].decode()
    assert re.match(r"1\. \*\*\S+\*\*, classified as \*\*\S+\*\* \(confidence \d+%, line \d+\): \w", said)
    projector = next(study[0].glob("*/words"))
    assert any(line.endswith("(Sports)") for line in (projector / "metadata.tsv").read_text().splitlines())


def test_own_tables_are_known_by_their_bytes(tmp_path):
    def found(text: str) -> str:
        (tmp_path / "own.csv").write_text(text)
        return fingerprint([(Table(tmp_path / "own.csv"), Layout())], tmp_path)

    texts = [LINES, LINES + "a,the\n", LINES.replace("mat", "hat"), "b" + LINES[1:]]
    assert found(LINES) == found(LINES) and len(set(map(found, texts))) == 4


def test_your_own_text(study):
    code, printed = run(study[0], "--text", "Goalkeeper misses penalty in the playoffs, the league table says")
    assert code == 0 and printed.count("%") == 4 and printed.splitlines()[1].endswith("Sports")
    for nothing in ("", "  ", '"" :'):
        code, printed = run(study[0], "--text", nothing)
        assert code == 1 and "there is no word in it" in printed and "Traceback" not in printed
    assert run(study[0], "--text", "xyzzy qwrst")[0] == 0  # no word is known


def write(path: Path, rows: list[tuple[str, str]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    rng, rows = np.random.default_rng(seed), []
    for label in rng.permutation(np.arange(count) % 2):
        words = rng.choice(["café", "film", "plot", "actor", "scene", "the", "was", str(rng.integers(10**6))], 12)
        told = ["lovely", "superb", "warm"] if label else ["dull", "awful", "cold"]
        rows.append((" ".join([*words, told[rng.integers(3)]]), "good" if label else "bad"))
    return rows


def test_any_csv_of_texts_and_labels(tmp_path):
    rows = reviews(600, 0)
    path = write(tmp_path / "reviews.csv", [("review", "sentiment"), *rows, ("no label", ""), *rows[:40]], "cp1252")
    code, printed = run(tmp_path / "run", "--csv", str(path), "--encoding", "cp1252", *PROGRAM.small)
    assert code == 0, printed
    assert "label in column 2, text in 1, a header; read as cp1252" in printed
    assert "left out 1 rows without label (the first in line 602)" in printed
    assert summary_of(tmp_path / "run")["metrics"]["test/accuracy"] > 0.9
    assert "accuracy for class bad" in printed and "accuracy for class good" in printed
    left_out = [
        int(n) for n in re.findall(r"(\d+) (?:training texts are test texts|duplicate training texts)", printed)
    ]
    assert 30 <= sum(left_out) <= 40 and left_out[0] > 0  # a few copies lie within the test rows
    _, told = run(tmp_path / "run", "--text", "A superb scene")
    assert "good" in told.splitlines()[1]


@pytest.mark.slow
def test_no_text_of_the_test_file_is_trained_on(tmp_path):
    test = write(tmp_path / "test.csv", [(words, "1" if label == "good" else "0") for words, label in reviews(100, 1)])
    train = write(
        tmp_path / "train.csv", [*reviews(400, 0), *((w.upper() + "!", label) for w, label in reviews(100, 1))]
    )
    names = ("--classes", "awful", "fine")
    argv = ("--csv", str(train), "--test-csv", str(test), *PROGRAM.small)
    code, printed = run(tmp_path / "run", *argv, *names)
    assert code == 0, printed
    assert "0 training texts are test texts too" in printed  # the exclamation mark is a word
    write(train, [*reviews(400, 0), *((w.upper() + '  "', label) for w, label in reviews(100, 1))])
    code, printed = run(tmp_path / "again", *argv, *names)
    assert "100 training texts are test texts too" in printed and "380 texts to train on, 20 to validate" in printed
    code, printed = run(tmp_path / "unnamed", *argv)
    assert code == 1 and re.search(r"test\.csv, line \d+: the label '0' is in no training row", printed)


def test_the_race_runs(tmp_path):
    times = race_sentiment.race(tmp_path, texts=300, rounds=1)
    assert min(times.ours + times.original) > 0


@pytest.mark.slow
def test_real_news_are_learnt(real_data, tmp_path):
    subset = [str(real_data / f"ag_news_subset/{name}.csv") for name in ("train", "dev")]
    argv = ["--csv", *subset, "--test-csv", str(real_data / "ag_news_csv/test.csv"), "--curve", "0"]
    code, printed = run(tmp_path / "real", *argv, "--classes", "World", "Sports", "Business", "Sci/Tech")
    assert code == 0, printed
    assert "2 training texts are test texts too" in printed and "999 duplicate training texts" in printed
    assert summary_of(tmp_path / "real")["metrics"]["test/accuracy"] > 0.87
