"""The text tutorials on what a person brings: small, odd, long, of other scripts and encodings."""

import json
import random
from pathlib import Path

import pytest
import torch

from tests.programs import NAMES, SENTIMENT, SEQ2SEQ, TRANSLATION, Program
from tutorials import char_rnn, text_sentiment, translation
from tutorials.common import checkpoint, plots
from tutorials.text.ngrams import buckets_for

ENGLISH = [
    (who, what, thing) for who in ("I", "You", "We") for what in ("like", "see") for thing in ("tea", "rice", "fish")
]
WORDS = dict(I="我", You="你", We="我们", like="喜欢", see="看见", tea="茶", rice="米饭", fish="鱼", now="现在")


def pairs(count: int) -> list[tuple[str, str]]:
    """English and Chinese, which has no blanks between words."""
    rows = [(*words, end) for end in ("", "now") for words in ENGLISH][:count]
    return [(" ".join(filter(None, row)), "".join(WORDS.get(word, "") for word in row) + "。") for row in rows]


def learn(program: Program, folder: Path, *argv: str) -> tuple[dict, str]:
    """The metrics of a run that came to its end, and what it printed."""
    code, printed = program.run(folder, *program.small, *argv)
    assert code == 0 and "Traceback" not in printed and "Warning" not in printed, printed
    return json.loads((folder / "summary.json").read_text())["metrics"], printed


@pytest.fixture(params=["study", pytest.param("original", marks=pytest.mark.slow)])
def recipe(request) -> list[str]:
    return ["--recipe", request.param, "--epochs", "2"]


def test_a_text_without_features_scores_as_zeros_do():
    torch.manual_seed(0)
    for idf in (True, False):
        options = dict(idf=idf, word_dropout=0.5, embed_dim=4)
        net = text_sentiment.TextClassificationModel(6, 2, options)
        torch.nn.init.normal_(net.fc.bias)
        texts = [(0, torch.tensor(words, dtype=torch.int32)) for words in ([1, 2], [], [3], [], [])]
        _, features, offsets = text_sentiment.collate_batch(texts)
        logits = net.eval()(features, offsets)
        alone = [net(words, torch.zeros(1, dtype=torch.int32))[0] for _, words in texts]
        torch.testing.assert_close(logits, torch.stack(alone))
        torch.testing.assert_close(logits[[1, 3, 4]], net.fc.bias.expand(3, 2))
        net.train()(features[:0], torch.zeros(3, dtype=torch.int32)).sum().backward()  # all words dropped


def test_messages_with_prices_and_a_long_one(tmp_path, recipe):
    draw = random.Random(0)
    words = {"ham": ["see", "you", "home", "$$", "now", "$5"], "spam": ["win", "a", "free", "$", "prize", "_", "$$"]}
    rows = [
        (label, " ".join(draw.choices(words[label], k=draw.choice((1, 2, 9))))) for label in words for _ in range(40)
    ]
    rows.append(("ham", "later " * 30_000))
    (tmp_path / "a $sms$.csv").write_bytes("".join(f'{label},"{text} é"\n' for label, text in rows).encode("cp1252"))
    argv = ["--csv", str(tmp_path / "a $sms$.csv"), "--encoding", "cp1252", *recipe]
    metrics, printed = learn(SENTIMENT, tmp_path / "run", *argv)
    assert "read as cp1252" in printed and metrics["test/accuracy"] > 0.6
    assert printed.count("batches of") == ("study" in recipe), "of 256 for 69 texts, or of 64"


def test_three_names_a_class(tmp_path, recipe):
    (tmp_path / "names").mkdir()
    for label, end in (("가나", "a"), ("나다", "o")):
        (tmp_path / f"names/{label}.txt").write_bytes(f"Ab{end}가\nCd{end}\nEf{end}\n".encode("cp949"))
    argv = ["--folder", str(tmp_path / "names"), "--encoding", "cp949", *recipe]
    metrics, printed = learn(NAMES, tmp_path / "run", *argv)
    assert 0 <= metrics["test/accuracy"] <= 1 and "batches of" in printed


def test_pairs_of_a_language_without_blanks(tmp_path, recipe):
    rows = pairs(36 if "study" in recipe else 10)
    (tmp_path / "a.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-16")
    metrics, printed = learn(SEQ2SEQ, tmp_path / "run", "--pairs", str(tmp_path / "a.tsv"), "--lr", "0.01", *recipe)
    assert "tok:zh" in printed and {"test/bleu", "train/bleu"} & metrics.keys()


def test_pairs_that_are_all_alike(tmp_path):
    (tmp_path / "a.tsv").write_text("one\tone\n" * 12)
    argv = ["--pairs", str(tmp_path / "a.tsv"), "--recipe", "original", "--epochs", "1"]
    assert learn(SEQ2SEQ, tmp_path / "run", *argv)[0]["train/exact_match"] >= 0
    code, printed = SEQ2SEQ.run(tmp_path / "study", *argv[:2])
    assert code == 1 and "no part of the 12 pairs can be held out" in printed


def test_two_files_of_a_language_without_blanks(tmp_path, recipe):
    for side, name in enumerate(("en", "zh")):
        (tmp_path / name).write_text("\n".join(row[side] for row in pairs(36)), encoding="gb18030")
    files = ["--source", str(tmp_path / "en"), "--target", str(tmp_path / "zh"), "--encoding", "gb18030"]
    metrics, printed = learn(TRANSLATION, tmp_path / "run", *files, *recipe)
    assert "tok:zh" in printed and "batches of 30" in printed and metrics["test/loss"] > 0


def test_while_bleu_is_low_the_kept_net_is_that_of_the_least_loss(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"{n}{n}\t{n * 7}.{n * 3}\n" for n in range(60)))
    argv = ["--pairs", str(tmp_path / "a.tsv"), "--epochs", "6", "--lr", "0.003", "--held-out", "4", "--data", "tiny"]
    learn(SEQ2SEQ, tmp_path / "run", *argv)
    curves = plots.read_curves(tmp_path / "run/metrics.jsonl")
    losses, bleu = curves["loss/val"][1], curves["bleu/val"][1]
    scores = [one if one >= 5 else -loss for one, loss in zip(bleu, losses, strict=True)]
    assert min(bleu) < 5, "the text is too easy"
    _, about = checkpoint.load_best(tmp_path / "run/best.safetensors", "seq2seq")
    assert about["epoch"] == scores.index(max(scores)) + 1


def test_what_is_too_large_is_refused(tmp_path):
    assert buckets_for(10**6) == 2**20 == buckets_for(10**6, 32) and buckets_for(10**6, 200) * 200 <= 2**25
    net = char_rnn.CharRNN(char_rnn.NamesOptions(), 2)
    with pytest.raises(char_rnn.StudyError, match=r"100,000 letters\. Give at most 200"):
        char_rnn.read_name("a" * 100_000, net)
    translator = translation.Translator(None, [translation.Words.build(["a"])] * 2, 5)
    with pytest.raises(char_rnn.StudyError, match=r"the text has 10,000 characters\. Give at most 4,000"):
        translation.report.unknown_words(translator, "a " * 5000, tmp_path / "run/best", "make translate-de")


def test_a_learning_rate_beyond_float32_is_told_in_one_line(tmp_path):
    code, printed = NAMES.run(tmp_path / "run", *NAMES.small, "--lr", "1e38")
    assert code == 1 and "Try a lower" in printed and "Traceback" not in printed
