"""Translation with a sequence to sequence network and attention: French to English, one GRU reads, another writes.

Original: "NLP From Scratch: Translation with a Sequence to Sequence Network and Attention", the PyTorch tutorials.
Attention: D. Bahdanau et al., 2015 (additive), and T. Luong et al., 2015 (multiplicative).
"""

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from data import eng_fra, parallel
from data.parallel import Pairs, Parallel
from tutorials.common import plots
from tutorials.common.device import unwrap
from tutorials.common.options import TextFileOptions, parse
from tutorials.common.published import losses_by_step
from tutorials.common.run import Run
from tutorials.reports import translation as report
from tutorials.text import translation_metrics as scores
from tutorials.text.decoding import NEVER
from tutorials.text.pairs import encode, leave_out_long, training_loader
from tutorials.text.translator import Translator, load_translator
from tutorials.text.vocabulary import BOS, EOS, PAD, UNK, Subwords, Vocabulary

# N sentences, S source tokens, T target tokens, H hidden, V target words, M tokens that are no padding


@dataclass
class Seq2SeqOptions(TextFileOptions):
    """Translation with a sequence to sequence network and attention."""

    batch_size: int = 32
    """Batch size, over all processes together."""
    lr: float = 1e-3
    """Learning rate; with a schedule, its peak."""
    schedule: Literal["constant", "one_cycle"] = "constant"
    """Learning-rate schedule: constant, or OneCycleLR."""
    weight_decay: float = 0.0
    """Weight decay (AdamW)."""
    hidden_size: int = 128
    """Hidden size of the GRUs, and size of the embeddings and the attention."""
    bidirectional: bool = False
    """Use a bidirectional encoder, with half of the hidden size in each direction."""
    attention: Literal["bahdanau", "luong", "none"] = "bahdanau"
    """Attention of the decoder: additive (Bahdanau), multiplicative (Luong), or none."""
    dropout: float = 0.1
    """Dropout probability of the embeddings."""
    output_dropout: float = 0.0
    """Dropout probability of the decoder's output layer."""
    word_dropout: float = 0.0
    """Word dropout: probability that a source or target word is replaced by the unknown token in training."""
    label_smoothing: float = 0.0
    """Label smoothing."""
    tied: bool = False
    """Tie the weights of the decoder's embedding and output layer."""
    teacher_forcing: float = 1.0
    """Teacher-forcing ratio: probability that the decoder reads the reference words of a batch, not its own."""
    count_padding: bool = False
    """Include padding in encoder, attention and loss, as the original does."""
    held_out: int = 0
    """Pairs in the validation split, and as many in the test split; they share no sentence with the training split."""
    beam: int = 1
    """Beam size for the test; 1 is greedy decoding."""
    length_penalty: float = 1.0
    """Length penalty: beams are ranked by log-probability / length to this power."""
    whole: bool = False
    """Use the whole corpus as written, in subwords, instead of only short normalized sentences like "i am …"."""
    pairs: Path | None = None
    """Train on your own pairs, in subwords: a tab-separated file of source and target sentences."""
    subwords: int = 4000
    """Size of each language's subword vocabulary, with --whole and --pairs."""
    longest: int = 40
    """Maximum number of tokens, EOS among them, in either sentence of a training pair."""
    text: str | None = None
    """Do not train: translate this text, with the saved net of --run-dir or else the newest one."""
    figure: bool = False
    """With --text: also save a figure of the attention, as figures/translation.png beside the saved net."""

    own = ("pairs",)
    keeping = TextFileOptions.keeping | {"text", "figure"}
    limits = TextFileOptions.limits | {
        "batch_size": (1, inf), "lr": (0, inf), "weight_decay": (0, inf), "hidden_size": (2, 8192), "dropout": (0, 1),
        "output_dropout": (0, 1), "word_dropout": (0, 1), "label_smoothing": (0, 1), "teacher_forcing": (0, 1),
        "held_out": (0, inf), "beam": (1, 100),
        "length_penalty": (0, 10), "subwords": (100, 100_000), "longest": (2, 4000),
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(f"--hidden-size must be even with --bidirectional, not {self.hidden_size}")


RECIPES = {
    "original": dict(epochs=80, count_padding=True),
    "study": dict(epochs=18, batch_size=64, lr=2e-3, schedule="one_cycle", weight_decay=0.01, hidden_size=256,
                  bidirectional=True, dropout=0.4, output_dropout=0.4, word_dropout=0.1, label_smoothing=0.1,
                  tied=True, held_out=1000, beam=5),
}  # fmt: skip
PUBLISHED = {"train/nll_padded": 0.0291}
MAX_WORDS = 10  # sentences that are kept have fewer
PREFIXES = (
    "i am ", "i m ", "he is", "he s ", "she is", "she s ", "you are", "you re ", "we are", "we re ", "they are",
    "they re ",
)  # fmt: skip
LEAST_BLEU = 5  # below it BLEU says little: repeating a common word earns some
# Sentences whose attention the original shows; the tiny twin shows test sentences of its own.
EXAMPLES = (
    "il n est pas aussi grand que son pere", "je suis trop fatigue pour conduire",
    "je suis desole si c est une question idiote", "je suis reellement fiere de vous",
)  # fmt: skip


def main() -> None:
    options = parse(Seq2SeqOptions, RECIPES)
    if options.text is not None:
        return report.translate_text("seq2seq", Seq2Seq, options, as_trained)
    with Run("seq2seq", options) as run:
        parts = load_pairs(run)
        languages = [build_vocabulary(options, texts) for texts in (parts.train.source, parts.train.target)]
        net = run.distribute(Seq2Seq(*map(len, languages), options))
        train(run, net, parts, languages)
        translator, _ = load_translator(run.folder / "best.safetensors", "seq2seq", Seq2Seq)
        translator.net.to(run.device)
        test(run, translator, parts)


# 1. Normalize, filter and split the pairs, number the words


def normalize(text: str) -> str:
    """Lower case without accents; only letters, ! and ?, with one blank between words."""
    apart = unicodedata.normalize("NFD", text.lower())  # a letter, and then its accents
    plain = "".join(char for char in apart if unicodedata.category(char) != "Mn")
    return re.sub(r"[^a-z!?]+", " ", re.sub(r"([!?])", r" \1", plain)).strip()


def as_trained(text: str, trained: SimpleNamespace) -> str:
    """A text as a net with these options reads it."""
    return normalize(text) if is_filtered(trained) else text.strip()


def is_filtered(options: Seq2SeqOptions) -> bool:
    """Whether the pairs are the original's: normalized, short, with a verb of being; and whole words, not subwords."""
    return not (options.whole or options.pairs)


def load_pairs(run: Run) -> Parallel:
    """Training, validation and test pairs; no sentence of the last two, source or target, is in the first."""
    options = run.options
    own = options.pairs
    pairs = run.load_data("eng_fra", own and partial(parallel.read_table, own, options.encoding))
    if is_filtered(options):
        pairs = filter_pairs(Pairs(tuple(map(normalize, pairs.source)), tuple(map(normalize, pairs.target))))
    parts = parallel.split(pairs, options.held_out, eng_fra.key)
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in vars(parts).items() if len(part))
    run.say(f"{len(pairs):,} pairs: {sizes}")
    if line := scores.describe_bleu(pairs):
        run.say(line)
    return parts


def filter_pairs(pairs: Pairs) -> Pairs:
    """The short normalized pairs whose English begins with "i am", "he is" …, which the original keeps."""
    both = zip(pairs.source, pairs.target, strict=True)
    kept = [all(0 < len(text.split()) < MAX_WORDS for text in pair) and pair[1].startswith(PREFIXES) for pair in both]
    return pairs.part(np.flatnonzero(kept))


def build_vocabulary(options: Seq2SeqOptions, texts: Sequence[str]) -> Vocabulary:
    """The vocabulary of one language (the original's Lang), from its training sentences alone."""
    return Vocabulary.build(texts) if is_filtered(options) else Subwords.learn(texts, options.subwords)


def collate(pairs: Sequence[tuple[Tensor, Tensor]], width: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
    """A batch: sources (N, S), their lengths (N,), what the decoder reads and what it should write, both (N, T).

    What it reads begins with BOS, and what it should write is the same one position further on, and ends with EOS. With
    a `width` (S, T), every batch is as wide as that, and its padding is read like words, as in the original.
    """
    source, target = (pad_sequence(side, batch_first=True, padding_value=PAD) for side in zip(*pairs, strict=True))
    lengths = (source != PAD).sum(1)
    if width:
        source = F.pad(source, (0, width[0] - source.shape[1]), value=PAD)
        target = F.pad(target, (0, width[1] - target.shape[1]), value=PAD)
        lengths = torch.full_like(lengths, width[0])
    return source, lengths, F.pad(target, (1, -1), value=BOS), target


# 2. The encoder, and three decoders: without attention, with Luong's, with Bahdanau's


Memory = dict[str, Tensor]  # what the decoder needs of the source
Steps = tuple[Tensor, Tensor, Tensor | None]  # outputs (N, T, H), the next hidden (N, H), where it looked (N, T, S)


class Encoder(nn.Module):
    """Reads the source, without its padding (unless --count-padding): a sentence means the same in any batch."""

    def __init__(self, words: int, options: Seq2SeqOptions) -> None:
        super().__init__()
        H, directions = options.hidden_size, 1 + options.bidirectional
        self.embedding = nn.Embedding(words, H, padding_idx=None if options.count_padding else PAD)
        self.dropout = nn.Dropout(options.dropout)
        self.gru = nn.GRU(H, H // directions, batch_first=True, bidirectional=options.bidirectional)

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        embedded = self.dropout(self.embedding(source))
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, hidden = self.gru(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])  # (N, S, H)
        return outputs, torch.cat(tuple(hidden), 1)  # the last state of each direction: (N, H)


class Decoder(nn.Module):
    """Writes with the source's last state alone; inputs are words (N, T), one or many steps at once."""

    def __init__(self, words: int, options: Seq2SeqOptions) -> None:
        super().__init__()
        H = options.hidden_size
        self.embedding = nn.Embedding(words, H, padding_idx=None if options.count_padding else PAD)
        self.dropout = nn.Dropout(options.dropout)
        self.build(H)
        self.out_dropout = nn.Dropout(options.output_dropout)
        self.out = nn.Linear(H, words)
        if options.tied:
            nn.init.normal_(self.embedding.weight, std=H**-0.5)
            self.out.weight = self.embedding.weight

    def build(self, H: int) -> None:
        self.gru = nn.GRU(H, H, batch_first=True)

    def remember(self, outputs: Tensor, mask: Tensor) -> Memory:
        """What all steps need of the source: outputs (N, S, H), mask (N, S), 0 for words and -inf for padding."""
        return {}

    def forward(self, inputs: Tensor, hidden: Tensor, memory: Memory) -> Steps:
        outputs, hidden = self.gru(self.dropout(self.embedding(inputs)), hidden[None])
        return outputs, hidden[0], None


class LuongDecoder(Decoder):
    """Looks back after the GRU: what it sees changes the word, not the state, so that one call runs all T steps."""

    def build(self, H: int) -> None:
        super().build(H)
        self.key = nn.Linear(H, H, bias=False)
        self.combine = nn.Linear(2 * H, H)

    def remember(self, outputs: Tensor, mask: Tensor) -> Memory:
        return {"values": outputs, "keys": self.key(outputs), "mask": mask}

    def forward(self, inputs: Tensor, hidden: Tensor, memory: Memory) -> Steps:
        states, hidden, _ = super().forward(inputs, hidden, memory)
        energies = states @ memory["keys"].mT + memory["mask"][:, None]  # (N, T, S)
        weights = energies.softmax(-1)
        context = weights @ memory["values"]  # (N, T, H)
        return self.combine(torch.cat([states, context], -1)).tanh(), hidden, weights


class BahdanauDecoder(Decoder):
    """Attends before each step of its GRU: the context, a weighted mean of the source, goes into the state."""

    def build(self, H: int) -> None:
        self.query, self.key, self.energy = nn.Linear(H, H), nn.Linear(H, H), nn.Linear(H, 1)
        self.cell = nn.GRUCell(2 * H, H)  # its inputs: the embedded word, and the context

    def remember(self, outputs: Tensor, mask: Tensor) -> Memory:
        return {"values": outputs, "keys": self.key(outputs), "mask": mask}

    def forward(self, inputs: Tensor, hidden: Tensor, memory: Memory) -> Steps:
        embedded = self.dropout(self.embedding(inputs))  # (N, T, H)
        states, attention = [], []
        for word in embedded.unbind(1):  # (N, H)
            energies = self.energy(torch.tanh(self.query(hidden)[:, None] + memory["keys"])).squeeze(-1)  # (N, S)
            weights = F.softmax(energies + memory["mask"], dim=-1)
            context = (weights[:, None] @ memory["values"]).squeeze(1)  # (N, H)
            hidden = self.cell(torch.cat([word, context], dim=-1), hidden)
            states.append(hidden)
            attention.append(weights)
        return torch.stack(states, 1), hidden, torch.stack(attention, 1)


class Seq2Seq(nn.Module):
    """Encoder and decoder; 1,638,834 parameters with the original's words, four special tokens and its width."""

    def __init__(self, source_words: int, target_words: int, options: Seq2SeqOptions) -> None:
        super().__init__()
        kind = {"none": Decoder, "luong": LuongDecoder, "bahdanau": BahdanauDecoder}[options.attention]
        self.encoder, self.decoder = Encoder(source_words, options), kind(target_words, options)

    def start_decoding(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Memory]:
        """The decoder's first hidden state (N, H), and its memory of the source."""
        outputs, hidden = self.encoder(source, lengths)
        padding = torch.arange(source.shape[1], device=source.device) >= lengths[:, None]
        mask = torch.zeros_like(outputs[:, :, 0]).masked_fill(padding, -inf)
        return hidden, self.decoder.remember(outputs, mask)

    def score(self, outputs: Tensor) -> Tensor:
        """Scores (..., V) of the words, from the decoder's outputs (..., H)."""
        return self.decoder.out(self.decoder.out_dropout(outputs))

    def forward(
        self, source: Tensor, lengths: Tensor, inputs: Tensor, target_mask: Tensor, forced: bool = True
    ) -> Tensor:
        """Logits (M, V) at the M positions of `target_mask` (N, T); not `forced`, the decoder reads its own output."""
        hidden, memory = self.start_decoding(source, lengths)
        if forced:
            return self.score(self.decoder(inputs, hidden, memory)[0][target_mask])
        tokens, written = inputs[:, :1], []
        for _ in range(inputs.shape[1]):
            outputs, hidden, _ = self.decoder(tokens, hidden, memory)
            written.append(self.score(outputs))
            tokens = written[-1].argmax(-1)
        return torch.cat(written, 1)[target_mask]

    def attention(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor | None:
        """Where each step that reads `inputs` looks in the source: (N, T, S)."""
        return self.decoder(inputs, *self.start_decoding(source, lengths))[2]

    def step(self, tokens: Tensor, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """One step of decoding: scores (N, V) after the tokens (N,), and the next hidden state."""
        outputs, hidden, _ = self.decoder(tokens[:, None], hidden, memory)
        return self.score(outputs[:, 0]), hidden


# 3. Train with teacher forcing


def train(run: Run, net: nn.Module, parts: Parallel, languages: Sequence[Vocabulary]) -> None:
    """Train for all epochs; keep the weights with the best BLEU on the validation pairs, or while that is low, with the
    least loss; without such pairs, the last."""
    options = run.options
    trainset = encode(leave_out_long(run, parts.train, languages), languages)
    width = max(len(source) for source, _ in trainset), max(len(target) for _, target in trainset)
    to_batch = partial(collate, width=width if options.count_padding else None)
    # Filtered sentences are all of about the same length.
    trainloader = training_loader(run, trainset, to_batch, by_length=not is_filtered(options))
    optimizer = optim.AdamW(net.parameters(), options.lr, weight_decay=options.weight_decay)  # without decay: Adam
    steps = options.epochs * len(trainloader)
    if options.schedule == "one_cycle":
        scheduler = optim.lr_scheduler.OneCycleLR(optimizer, options.lr, steps)
    else:
        scheduler = optim.lr_scheduler.ConstantLR(optimizer, 1)
    run.track(net=net, optimizer=optimizer, scheduler=scheduler)
    about = {"languages": [words.to_json() for words in languages], "limit": width[1]}
    for epoch in run.epochs():
        net.train()
        for source, lengths, inputs, target in run.batches(trainloader):
            target_mask = torch.ones_like(target, dtype=torch.bool) if options.count_padding else target != PAD
            forced = random.random() < options.teacher_forcing
            source, inputs = word_dropout(source, options.word_dropout), word_dropout(inputs, options.word_dropout)
            optimizer.zero_grad()
            logits = net(source, lengths, inputs, target_mask, forced)
            loss = F.cross_entropy(logits, target[target_mask], label_smoothing=options.label_smoothing)
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses = F.cross_entropy(logits.detach(), target[target_mask], reduction="none")  # without label smoothing
            run.log("train", loss=losses.mean(), word_loss=losses[target[target_mask] != PAD].mean(), forced=forced)
        run.histograms()
        score = epoch
        if len(parts.val):
            score = validate(run, Translator(unwrap(net), languages, about["limit"]), parts.val)
        run.keep_best(score, **about)


def word_dropout(tokens: Tensor, p: float) -> Tensor:
    """Replace words by the unknown token with probability p, so that no sentence is recognized by one of its words."""
    dropped = torch.rand(tokens.shape, device=tokens.device) < p
    return tokens.masked_fill(dropped & (tokens > UNK), UNK)


def validate(run: Run, translator: Translator, pairs: Pairs) -> float:
    """BLEU of the greedy translations, or while that says nothing yet, minus the loss for each word; logs both."""
    sources, references = scores.distinct(pairs)
    bleu = scores.measure(greedy_decode(translator, sources), references)["bleu"]
    loss = translator.loss(pairs, collate)
    run.log("val", loss=loss, bleu=bleu)
    return bleu if bleu >= LEAST_BLEU else -loss


# 4. Translate, measure, and see where the decoder looked


@torch.no_grad()
def greedy_decode(translator: Translator, texts: Sequence[str]) -> list[str]:
    """Greedy decoding: the most likely next token again and again, for a batch of sentences at once.

    Calling the translator gives the same, sooner: there a sentence that has ended leaves the batch.
    """
    net, written = translator.net.eval(), []
    for source, lengths in translator.batches(texts):
        hidden, memory = net.start_decoding(source, lengths)
        tokens, ended, steps = torch.full_like(lengths, BOS), torch.zeros_like(lengths, dtype=torch.bool), []
        while not ended.all() and len(steps) < translator.limit:
            logits, hidden = net.step(tokens, hidden, memory)  # (N, V)
            logits[:, NEVER] = -inf
            tokens = logits.argmax(-1)
            steps.append(tokens)
            ended |= tokens == EOS
        written += torch.stack(steps, 1).tolist()
    return [translator.languages[1].decode(row) for row in written]  # up to its EOS


def test(run: Run, translator: Translator, parts: Parallel) -> None:
    """Scores on the test pairs or, where there are none, as in the original, on the training pairs; figures."""
    options = run.options
    published = PUBLISHED if options.data == "official" and is_filtered(options) else {}
    split, pairs = ("test", parts.test) if len(parts.test) else ("train", parts.train)
    metrics = report.results(run, translator, split, pairs, options.beam, options.length_penalty)
    metrics[f"{split}/loss"] = translator.loss(pairs, collate)
    if options.count_padding:
        metrics |= report.scores_as_trained(translator, parts.train, split, pairs) | report.printed_losses(run)
    if run.logger:
        theirs = losses_by_step("seq2seq", run.step, options.epochs) if published and options.count_padding else {}
        run.figure("curves", plots.curves(run.folder / "metrics.jsonl", "bleu", theirs))
        if options.attention != "none":
            shown = EXAMPLES if options.data == "official" and is_filtered(options) else ()
            run.figure("attention", report.attention_maps(translator, shown or sorted(pairs.source, key=len)[-4:]))
    run.finish(metrics, published, report.commonest(parts.train, split, pairs))


if __name__ == "__main__":
    main()
