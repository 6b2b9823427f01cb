"""Time the original's epochs on AG_NEWS against ours, on a generated csv of its format and size, in one process.

    python -m tutorials.tools.race_sentiment [--texts 120000] [--rounds 2]

The original tokenizes every text anew in each epoch inside `collate_fn`, and updates every vector of the table in every
step. Both models train by turns, an epoch each, so that other load on the machine affects both alike. Where
torchtext does not load, the original has our tokenizer and vocabulary, which take less time than torchtext's.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from data.ag_news import Layout, Table, rows
from data.tokens import tokenized
from tutorials import text_sentiment as ours
from tutorials.text import tokenizer
from tutorials.text.ngrams import Ngrams, buckets_for, count_words

WORDS, TITLE, BODY = 95_811, 7, 31  # of the official training file


def write_csv(path: Path, texts: int, rng: np.random.Generator) -> None:
    """Rows of label, title, description; words fall in frequency as in English, and some belong to one class."""
    lengths = np.maximum(2, rng.normal(5.6, 2.2, WORDS)).astype(int)
    letters = rng.choice(list("etaoinshrdlucmfwypvbgk"), lengths.sum())
    ends = np.cumsum(lengths)
    words = np.array(["".join(letters[end - n : end]) for n, end in zip(lengths, ends, strict=True)])
    with path.open("w", encoding="utf-8") as file:
        for label in rng.integers(0, 4, texts):
            # By the inverse of the distribution 1 / (rank + 2.7), Zipf's and Mandelbrot's.
            numbers = (np.exp(rng.random(TITLE + BODY) * np.log(WORDS / 2.7 + 1)) * 2.7 - 2.7).astype(int)
            rare = numbers > 300
            numbers[rare] += (label - numbers[rare]) % 4 * (rng.random(rare.sum()) < 0.3)
            title, body = np.split(words[np.minimum(numbers, WORDS - 1)], [TITLE])
            file.write(
                f'"{label + 1}","{" ".join(title).capitalize()}","{" ".join(body)} (AP), #39;{body[0]}. ""End"""\n'
            )


class Original:
    """The tutorial as it is published: its pipelines, its collate_fn, its model, its optimizer."""

    def __init__(self, path: Path) -> None:
        self.texts = [(int(label) - 1, words) for _, label, words in rows(Table(path), Layout())]
        self.tokenize = tokenizer.tokenizer()
        counts: dict[str, int] = {}
        for _, words in self.texts:
            for word in self.tokenize(words):
                counts[word] = counts.get(word, 0) + 1
        self.vocabulary = tokenizer.vocabulary(
            [tokenizer.UNKNOWN, *sorted(counts, key=lambda word: (-counts[word], word))]
        )
        self.embedding, self.fc = nn.EmbeddingBag(len(counts) + 1, 64, sparse=False), nn.Linear(64, 4)
        self.parameters = [*self.embedding.parameters(), *self.fc.parameters()]
        self.optimizer = torch.optim.SGD(self.parameters, lr=5.0)
        self.loader = DataLoader(self.texts, batch_size=64, shuffle=True, collate_fn=self.collate)

    def collate(self, batch: list[tuple[int, str]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        labels, texts, offsets = [], [], [0]
        for label, words in batch:
            labels.append(label)
            numbers = torch.tensor(self.vocabulary(self.tokenize(words)), dtype=torch.int64)
            texts.append(numbers)
            offsets.append(numbers.size(0))
        return torch.tensor(labels), torch.cat(texts), torch.tensor(offsets[:-1]).cumsum(0)

    def epoch(self) -> None:
        for labels, words, offsets in self.loader:
            self.optimizer.zero_grad()
            F.cross_entropy(self.fc(self.embedding(words, offsets)), labels).backward()
            nn.utils.clip_grad_norm_(self.parameters, 0.1)
            self.optimizer.step()


class Ours:
    """A recipe of the tutorial, with its own functions."""

    def __init__(self, path: Path, root: Path) -> None:
        self.options = ours.TextOptions(**ours.RECIPES["study"])
        begun = time.perf_counter()
        tokenize = tokenizer.tokenizer()
        corpus = tokenized([(Table(path), Layout())], tokenize, tokenizer.RULES, root)
        self.built = time.perf_counter() - begun
        everything = np.arange(len(corpus.labels))
        counts = count_words(corpus, everything)
        words = [tokenizer.UNKNOWN, *(corpus.lexicon[word] for word in np.argsort(-counts, kind="stable"))]
        ngrams = Ngrams(words, self.options.ngrams, buckets_for(len(everything)), tuple(self.options.prefixes))
        self.dataset = ours.TextDataset(corpus, everything, ngrams, ngrams.table(corpus.lexicon))
        self.net = ours.make_net(self.options, ngrams, 4, self.dataset)
        self.prepared = time.perf_counter() - begun
        steps = 100 * len(self.dataset) // self.options.batch_size
        self.optimizer, self.scheduler = ours.make_optimizer(self.net, self.options, steps)

    def epoch(self) -> None:
        self.net.train()
        for indices in torch.randperm(len(self.dataset)).split(self.options.batch_size):
            labels, features, offsets = ours.collate_batch([self.dataset[i] for i in indices.tolist()])
            self.optimizer.zero_grad()
            F.cross_entropy(self.net(features, offsets), labels).backward()
            if self.options.grad_clip:
                nn.utils.clip_grad_norm_(self.net.parameters(), self.options.grad_clip)
            self.optimizer.step()
            if self.options.schedule == "linear":
                self.scheduler.step()


def timed(function) -> float:
    """CPU seconds, which other load on the machine hardly changes."""
    begun = time.process_time()
    function()
    return time.process_time() - begun


def peak() -> float:
    """The peak memory of this process in MB; NaN on Windows, which has no such count."""
    try:
        import resource
    except ImportError:
        return math.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def race(folder: Path, texts: int, rounds: int) -> SimpleNamespace:
    """CPU seconds of all epochs, and seconds of tokenizing; prints the memory, too."""
    path = folder / "train.csv"
    write_csv(path, texts, np.random.default_rng(0))
    print(f"{path.stat().st_size / 1e6:.1f} MB, {texts:,} rows; {peak():.0f} MB of memory before anything is read")
    mine = Ours(path, folder)
    print(f"tokenized in {mine.built:.1f} s, ready after {mine.prepared:.1f} s; at most {peak():.0f} MB of memory")
    theirs = Original(path)
    print(
        f"vocabularies: {len(mine.dataset.ngrams.words):,} words, {theirs.embedding.num_embeddings:,} in the original"
    )
    result = SimpleNamespace(ours=[], original=[], built=mine.built)
    for number in range(rounds):
        result.ours.append(timed(mine.epoch))
        result.original.append(timed(theirs.epoch))
        ratio = result.original[-1] / result.ours[-1]
        print(f"epoch {number + 1}: original {result.original[-1]:.1f} s, study {result.ours[-1]:.1f} s: {ratio:.1f}x")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        race(Path(folder), arguments.texts, arguments.rounds)


if __name__ == "__main__":
    main()
