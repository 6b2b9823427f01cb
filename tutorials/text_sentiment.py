"""Classifying texts with EmbeddingBag over words and n-grams: AG_NEWS, or any csv file of labels and texts.

Original: "Text classification with the torchtext library", the PyTorch tutorials, which lost its n-grams in 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, nn, optim
from torch.utils.data import Dataset

from data import StudyError
from data.tokens import Corpus
from tutorials.common import checkpoint
from tutorials.common.device import predicting, unwrap
from tutorials.common.options import parse
from tutorials.common.run import Run
from tutorials.reports.text_sentiment import learning_curve, show
from tutorials.text import tokenizer
from tutorials.text.classification_data import RowsOptions, load_texts
from tutorials.text.ngrams import Ngrams, buckets_for, count_words

# N texts in a batch, S features of all of them together, F features in all, D embedding, C classes


@dataclass
class TextOptions(RowsOptions):
    """Classify texts: AG_NEWS, or with --csv any file of labels and texts."""

    embed_dim: int = 64
    """Embedding size; never less than the number of classes."""
    idf: bool = False
    """Weight features by inverse document frequency and L2-normalize each text, instead of averaging embeddings."""
    bayes: float = 0.0
    """Initialize with naive Bayes log-count ratios, scaled by this; 0: random initialization."""
    schedule: Literal["plateau", "linear"] = "plateau"
    """Learning-rate schedule: plateau (divide by 10 when validation accuracy is below its best), or linear decay."""
    word_dropout: float = 0.0
    """Fraction of the features dropped in each training step."""
    lr: float = 5.0
    """Initial learning rate."""
    grad_clip: float = 0.0
    """Gradient-clipping norm; 0: no clipping."""
    batch_size: int = 64
    """Batch size, over all processes together."""
    curve: int = 0
    """Additional points of the learning curve: models trained on a half, a quarter, … of the training set."""

    limits = RowsOptions.limits | {
        "embed_dim": (1, 4096), "bayes": (0, inf), "word_dropout": (0, 0.99),
        "lr": (0, inf), "grad_clip": (0, inf), "batch_size": (1, inf), "curve": (0, 10)
    }  # fmt: skip


RECIPES = {
    "original": dict(epochs=10, val_words=True, grad_clip=0.1, log_every=500),
    "study": dict(epochs=5, distinct=True, ngrams=2, prefixes=(4, 5), embed_dim=8, idf=True, bayes=0.1,
                  schedule="linear", word_dropout=0.5, lr=20.0, batch_size=256, curve=4, log_every=5),
}  # fmt: skip
PUBLISHED = {"test/accuracy": 0.907}
TEST_SHARE = 0.1  # of the rows of your own file, where no test file is named


def main() -> None:
    options = parse(TextOptions, RECIPES)
    if options.text is not None:
        return classify(options.text, options.run_dir)
    with Run("sentiment", options) as run:
        corpus, classes, training_tables = load_texts(run)
        rows = split(run, corpus, training_tables)
        show_first(run, corpus, rows.train[0], classes)
        ngrams = text_pipeline(run, corpus, rows, len(classes))
        table = ngrams.table(corpus.lexicon)
        datasets = [TextDataset(corpus, part, ngrams, table) for part in (rows.train, rows.val, rows.test)]
        trainset, valset, _ = datasets
        net = run.distribute(make_net(options, ngrams, len(classes), trainset))
        train(run, net, trainset, valset, classes)
        test(run, load_net(run.folder / "best.safetensors")[0].to(run.device), datasets, classes)


# 1. Split, tokenizer and vocabulary, 2. text and label pipelines


@dataclass(frozen=True)
class Rows:
    """Indices of a corpus's texts."""

    train: ndarray
    val: ndarray
    test: ndarray


def split(run: Run, corpus: Corpus, training_tables: int) -> Rows:
    """Training, validation and test rows. No text of the test rows is in another part, whatever a file holds."""
    options, end = run.options, corpus.bounds[training_tables]
    rows, test = np.arange(end), np.arange(end, corpus.bounds[-1])
    if training_tables == len(corpus.tables):  # no test file: the same test rows for every seed
        order = np.random.default_rng(0).permutation(end)
        test, rows = (np.sort(part) for part in np.split(order, [int(end * TEST_SHARE)]))
    overlap = np.isin(corpus.digests[rows], corpus.digests[test])
    rows = rows[~overlap]
    run.say(f"{overlap.sum():,} training texts are test texts too, and left out")
    if options.distinct:
        once = np.sort(np.unique(corpus.digests[rows], return_index=True)[1])
        run.say(f"{len(rows) - len(once):,} duplicate training texts are left out")
        rows = rows[once]
    order = np.random.default_rng(options.seed).permutation(len(rows))
    val, train = (rows[np.sort(part)] for part in np.split(order, [round(len(rows) * options.val_share)]))
    if not (len(train) and len(val) and len(test)):
        raise StudyError(
            f"{options.csv[0] if options.csv else 'AG_NEWS'}: too few texts: {len(train)} to train on, {len(val)} to "
            f"validate, {len(test)} to test."
        )
    run.say(f"{len(train):,} texts to train on, {len(val):,} to validate, {len(test):,} to test")
    return Rows(train, val, test)


def show_first(run: Run, corpus: Corpus, first: int, classes: Sequence[str]) -> None:
    """Print a text with its label, as the net gets it: as tokens."""
    tokens = [corpus.lexicon[word] for word in corpus.words[corpus.offsets[first] : corpus.offsets[first + 1]]]
    run.say(f"first training text, {classes[corpus.labels[first]]}: {' '.join(tokens[:30])}")


def text_pipeline(run: Run, corpus: Corpus, rows: Rows, classes: int) -> Ngrams:
    """Text -> features, with the vocabulary of the training texts, the most frequent word first."""
    options = run.options
    counts = count_words(corpus, np.concatenate([rows.train, rows.val]) if options.val_words else rows.train)
    order = sorted((-counts[number], corpus.lexicon[number]) for number in np.flatnonzero(counts))
    words = [tokenizer.UNKNOWN, *(word for _, word in order if word != tokenizer.UNKNOWN)]
    example = tokenizer.tokenizer()("here is an example")
    run.say(f"vocabulary: {len(words):,} words; {example} -> {tokenizer.vocabulary(words)(example)}")
    buckets = options.buckets or buckets_for(len(rows.train), classes)
    return Ngrams(words, options.ngrams, buckets, tuple(options.prefixes))


# 3. Data batch and iterator


class TextDataset(Dataset):
    """Some texts of a corpus, each a label and the indices of its features, which are computed once.

    All texts together are a sparse matrix (N, F) in CSR format: the features of text i are
    `indices[indptr[i] : indptr[i + 1]]`. What EmbeddingBag takes is the same: `indices` is its input, `indptr[:-1]`
    its offsets.
    """

    def __init__(self, corpus: Corpus, rows: ndarray, ngrams: Ngrams, table: ndarray) -> None:
        self.corpus, self.rows, self.ngrams, self.table = corpus, rows, ngrams, table
        self.labels = torch.from_numpy(corpus.labels[rows])
        indices, self.indptr = ngrams.csr(corpus, rows, table)
        self.indices = torch.from_numpy(indices)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[int, Tensor]:
        return int(self.corpus.labels[self.rows[i]]), self.indices[self.indptr[i] : self.indptr[i + 1]]

    def accuracy(self, logits: Tensor) -> float:
        return float((logits.argmax(1) == self.labels).float().mean())

    def count(self, classes: int) -> Tensor:
        """How often the texts of each class have each feature (F, C)."""
        labels = self.labels.repeat_interleave(torch.from_numpy(np.diff(self.indptr)))  # (S,)
        counts = torch.bincount(self.indices * classes + labels, minlength=self.ngrams.size * classes)
        return counts.view(-1, classes).float()


def collate_batch(batch: Sequence[tuple[int, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Labels (N,), the features of all texts in one row (S,), and the offsets (N,) at which each text begins in it."""
    labels, texts = zip(*batch, strict=True)
    offsets = torch.tensor([0] + [len(text) for text in texts[:-1]], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return torch.tensor(labels), torch.cat(texts), offsets


# 4. The model


class TextClassificationModel(nn.Module):
    """EmbeddingBag and a linear layer. With idf, features have tf-idf weights instead of equal ones."""

    def __init__(self, num_features: int, num_classes: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.weighted, self.word_dropout = options["idf"], options["word_dropout"]
        # A sparse gradient costs nothing for the features that a batch does not have.
        mode, sparse = ("sum", True) if self.weighted else ("mean", False)
        embed_dim = max(options["embed_dim"], num_classes)
        self.embedding = nn.EmbeddingBag(num_features, embed_dim, mode=mode, sparse=sparse)
        self.fc = nn.Linear(embed_dim, num_classes)
        self.register_buffer("idf", torch.ones(num_features if self.weighted else 0))
        self.init_weights()

    def init_weights(self) -> None:
        nn.init.uniform_(self.embedding.weight, -0.5, 0.5)
        nn.init.uniform_(self.fc.weight, -0.5, 0.5)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        if self.training and self.word_dropout:  # first of all: what is dropped costs no time
            kept = torch.rand(features.shape, device=features.device) >= self.word_dropout
            offsets = F.pad(kept.cumsum(0, dtype=offsets.dtype), (1, 0))[offsets]
            features = features[kept]
        weights = self.tfidf(features, offsets) if self.weighted else None
        return self.fc(self.embedding(features, offsets, per_sample_weights=weights))  # (N, D) -> logits (N, C)

    def tfidf(self, features: Tensor, offsets: Tensor) -> Tensor:
        """The weight of each feature (S,): its idf over the L2 norm of its text's."""
        idf, text = self.idf[features], torch.zeros_like(features)
        # Which text each is of; one place more, since texts without features may begin where all features end.
        text = F.pad(text, (0, 1)).index_add(0, offsets[1:], torch.ones_like(offsets[1:])).cumsum(0)[:-1]
        squares = idf.new_zeros(offsets.shape).index_add(0, text, idf.square())  # (N,)
        return idf * squares.clamp(min=1e-6).rsqrt()[text]


@torch.no_grad()
def make_net(options: TextOptions, ngrams: Ngrams, classes: int, trainset: TextDataset) -> TextClassificationModel:
    """A new model; with idf and bayes, initialized from the feature counts of the training texts.

    A feature that none of them has gets no weight. Source: S. Wang, C. Manning, "Baselines and Bigrams", ACL, 2012.
    """
    net = TextClassificationModel(ngrams.size, classes, vars(options))
    counts = trainset.count(classes) if options.idf or options.bayes else None  # (F, C)
    if options.idf:
        # In how many texts a feature occurs: a short text hardly has one twice, so its occurrences are counted.
        occurrences = counts.sum(1).clamp(max=len(trainset))
        net.idf.copy_(torch.where(occurrences > 0, ((len(trainset) + 1) / (occurrences + 1)).log() + 1, 0))
    if options.bayes:
        logs = ((counts + 1) / (counts + 1).sum(0)).log()
        ratios = (logs - logs.mean(1, keepdim=True)).where(counts.sum(1, keepdim=True) > 0, torch.zeros(()))
        nn.init.orthogonal_(net.fc.weight)  # so that the logits of an embedding are the ratios that it is made of
        torch.matmul(ratios * options.bayes, net.fc.weight, out=net.embedding.weight)
    return net


# 5. Train and evaluate


def make_optimizer(net: nn.Module, options: TextOptions, steps: int) -> tuple[optim.Optimizer, Any]:
    """SGD and its scheduler: stepped after each batch if linear, else by the original's rule."""
    if options.schedule == "linear":  # each step updates the linear layer, but of the embeddings few rows
        layer = {"params": net.fc.parameters(), "lr": options.lr / 10}
        optimizer = optim.SGD([{"params": net.embedding.parameters()}, layer], options.lr)
        return optimizer, optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    optimizer = optim.SGD(net.parameters(), options.lr)
    return optimizer, optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)


def train(run: Run, net: nn.Module, trainset: TextDataset, valset: TextDataset, classes: list[str]) -> None:
    """Train for all epochs; keep the last weights, or with the plateau schedule those best on the validation set."""
    options = run.options
    trainloader = run.loader(trainset, options.batch_size, shuffle=True, collate_fn=collate_batch)
    criterion = nn.CrossEntropyLoss()
    optimizer, scheduler = make_optimizer(unwrap(net), options, options.epochs * len(trainloader))
    run.track(net=net, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs():
        net.train()
        for labels, features, offsets in run.batches(trainloader):
            optimizer.zero_grad()
            logits = net(features, offsets)
            loss = criterion(logits, labels)
            loss.backward()
            if options.grad_clip:
                nn.utils.clip_grad_norm_(net.parameters(), options.grad_clip)
            optimizer.step()
            if options.schedule == "linear":
                scheduler.step()
            run.log("train", loss=loss, accuracy=(logits.argmax(1) == labels).float().mean())
        logits = evaluate(run, net, valset)
        accuracy = valset.accuracy(logits)
        run.log("val", loss=criterion(logits, valset.labels), accuracy=accuracy)
        if options.schedule == "plateau" and run.best_score is not None and accuracy < run.best_score:
            scheduler.step()  # the original lowers its learning rate only when validation accuracy falls
        # With linear decay the last weights are the ones meant: few validation texts would choose by chance.
        score = epoch if options.schedule == "linear" else accuracy
        run.keep_best(score, classes=classes, **trainset.ngrams.about())


@torch.no_grad()
def evaluate(run: Run, net: nn.Module, dataset: TextDataset) -> Tensor:
    """Logits (N, C) of all texts, in order, on the CPU."""
    net.eval()
    loader = run.loader(dataset, batch_size=1000, collate_fn=collate_batch)
    logits = torch.cat([net(features, offsets) for _, features, offsets in run.each(loader)])
    return run.gather(logits, len(dataset)).cpu()


@checkpoint.fits("sentiment")
def load_net(path: Path) -> tuple[TextClassificationModel, Ngrams, dict[str, Any]]:
    """The model that a run saved, on the CPU, its text pipeline, and what else the run saved about it."""
    weights, about = checkpoint.load_best(path, "sentiment")
    ngrams = Ngrams.of(about)
    net = TextClassificationModel(ngrams.size, len(about["classes"]), about["options"])
    net.load_state_dict(weights)
    return net.eval(), ngrams, about


# 6. Evaluate the model with the test dataset


def test(run: Run, net: nn.Module, datasets: Sequence[TextDataset], classes: list[str]) -> None:
    """Accuracy overall and for each class; figures and dashboard; the run's summary."""
    from torchmetrics.functional import classification  # slow to import

    trainset, valset, testset = datasets
    logits, labels, count = evaluate(run, net, testset), testset.labels, len(classes)
    matrix = classification.multiclass_confusion_matrix(logits, labels, num_classes=count).numpy()
    metrics = {
        "test/accuracy": matrix.trace() / matrix.sum(),
        "test/macro_f1": float(classification.multiclass_f1_score(logits, labels, num_classes=count, average="macro")),
        "test/loss": float(F.cross_entropy(logits, labels)),
    }
    for name, recall in zip(classes, matrix.diagonal() / matrix.sum(1).clip(1), strict=True):
        run.say(f"accuracy for class {name:9s} is {100 * recall:.1f} %")
    if run.logger:
        show(run, net, trainset, testset, logits, matrix, classes)
    if run.options.curve:  # by all processes, each of which trains the same models

        def learn(part: TextDataset) -> float:
            return valset.accuracy(evaluate(run, fit(run, part, count), valset))

        learning_curve(run, trainset, valset.accuracy(evaluate(run, net, valset)), learn)
    majority = matrix.sum(1).max() / matrix.sum()  # always the most frequent class
    chance = {"test/accuracy": majority, "test/macro_f1": 2 * majority / (1 + majority) / count}
    run.finish(metrics, PUBLISHED if run.options.data == "official" else {}, chance)


def fit(run: Run, trainset: TextDataset, classes: int) -> TextClassificationModel:
    """A model trained on some texts by the run's recipe, without its record."""
    options, size = run.options, run.options.batch_size
    steps = len(trainset) // size  # in an epoch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        net = make_net(options, trainset.ngrams, classes, trainset).to(run.device).train()
        optimizer, scheduler = make_optimizer(net, options, options.epochs * steps)
        for _ in range(options.epochs):
            for batch in torch.randperm(len(trainset)).split(size)[:steps]:
                labels, features, offsets = run.place.move(collate_batch([trainset[i] for i in batch.tolist()]))
                optimizer.zero_grad()
                F.cross_entropy(net(features, offsets), labels).backward()
                if options.grad_clip:
                    nn.utils.clip_grad_norm_(net.parameters(), options.grad_clip)
                optimizer.step()
                if options.schedule == "linear":
                    scheduler.step()
    return net


# 7. Test on any text


@torch.no_grad()
def predict(net: TextClassificationModel, ngrams: Ngrams, text: str) -> tuple[list[str], Tensor]:
    """The tokens of any text, and the logits (C,) of its classes; raises StudyError when it has no words."""
    tokens = tokenizer.tokenizer()(text)
    if not tokens:
        raise StudyError(f'--text {text!r}: there is no word in it. Give a headline or a report: TEXT="…".')
    features = torch.from_numpy(ngrams.features(ngrams.table(tokens)))
    return tokens, net(features, torch.tensor([0], dtype=torch.int32))[0]


def classify(text: str, folder: Path | None) -> None:
    """Print the probabilities of all classes of any text, with the saved model of a run folder."""
    with predicting():
        net, ngrams, about = load_net(path := checkpoint.find_best("sentiment", folder))
        tokens, logits = predict(net, ngrams, text)
        known = np.count_nonzero(ngrams.table(tokens)[:, 0])
        print(f"by the model of {checkpoint.describe(path, 'sentiment')}, which knows {known} of {len(tokens)} words:")
        for probability, label in zip(*logits.softmax(0).sort(descending=True), strict=True):
            print(f"  {probability:6.1%}  {about['classes'][label]}")


if __name__ == "__main__":
    main()
