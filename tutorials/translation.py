"""German to English with nn.Transformer, on Multi30k's captions of photographs.

Original: "Language Translation with nn.Transformer and torchtext", the PyTorch tutorials.
Net: A. Vaswani et al., "Attention Is All You Need", 2017. A small one is enough for Multi30k, with strong dropout:
Z. Wu et al., "Good for Misconceived Reasons", 2021.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.nn.utils.rnn import pad_sequence

from data import parallel
from data.parallel import Pairs, Parallel
from tutorials.common import plots
from tutorials.common.autocast import Autocast
from tutorials.common.device import unwrap
from tutorials.common.fast_dropout import use_fast_dropout
from tutorials.common.muon import ChainedOptimizer, Muon, layer_matrices
from tutorials.common.options import TextFileOptions, parse
from tutorials.common.published import losses_by_step
from tutorials.common.run import Run
from tutorials.reports import translation as report
from tutorials.reports import translation_plots
from tutorials.text import translation_metrics as scores
from tutorials.text.decoding import NEVER
from tutorials.text.pairs import Pair, encode, encode_with_dropout, leave_out_long, swap_half, training_loader
from tutorials.text.transformer import attention_for_training, decoder_memory, decoder_step
from tutorials.text.translator import Translator, load_translator
from tutorials.text.vocabulary import BOS, EOS, PAD, Subwords, Vocabulary, Words

# N sentences, S source tokens, T target tokens, E features (d_model), V target vocabulary, M tokens that are no padding


@dataclass
class TranslationOptions(TextFileOptions):
    """German to English with nn.Transformer."""

    d_model: int = 512
    """Number of features of the embeddings and of every layer (d_model)."""
    heads: int = 8
    """Number of attention heads."""
    layers: int = 3
    """Number of layers in the encoder and in the decoder."""
    dim_feedforward: int = 512
    """Hidden size of the feed-forward networks."""
    dropout: float = 0.1
    """Dropout probability, in every layer and after the positional encoding."""
    fast_dropout: bool = False
    """Draw dropout masks from random bytes, which is faster on a CPU."""
    norm_first: bool = False
    """Pre-norm instead of post-norm: layer normalization before attention and feed-forward networks."""
    subwords: int = 0
    """Size of a subword vocabulary shared by both languages, with tied embeddings; 0: words of each language."""
    bpe_dropout: float = 0.0
    """BPE-dropout: probability of leaving out a merge of subwords in training; needs --subwords and --by-length."""
    bidirectional_share: float = 0.0
    """Bidirectional training: fraction of the epochs, at the beginning, in which half of the pairs are reversed; needs
    --subwords and --by-length."""
    batch_size: int = 128
    """Batch size, over all processes together."""
    by_length: bool = False
    """Bucket the pairs by length, so that batches hold little padding."""
    optimizer: Literal["adam", "muon"] = "adam"
    """Adam; or Muon for the layers' weight matrices, with Adam at a quarter of the learning rate for the rest."""
    lr: float = 1e-4
    """Learning rate; with a schedule, its peak."""
    schedule: Literal["constant", "linear"] = "constant"
    """Learning-rate schedule: constant, or linear warmup followed by linear decay to zero."""
    warmup_steps: int = 200
    """Warmup steps of the linear schedule."""
    weight_decay: float = 0.0
    """Weight decay of Muon."""
    label_smoothing: float = 0.0
    """Label smoothing."""
    grad_clip: float = inf
    """Gradient-clipping norm; inf: no clipping."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of autocast; bfloat16 only where it is fast: on a GPU, or a processor with avx512_bf16."""
    beam: int = 1
    """Beam size for the test; 1 is greedy decoding."""
    length_penalty: float = 1.0
    """Length penalty: beams are ranked by log-probability / length to this power."""
    mbr: int = 0
    """Also test with minimum Bayes risk decoding, over at least this many hypotheses per sentence; 0: off."""
    source: Path | None = None
    """Train on your own pairs: a text file of source sentences, one per line; needs --target."""
    target: Path | None = None
    """The translations of the sentences of --source, line by line."""
    held_out: int = 1000
    """Pairs in the validation set, and as many in the test set, with --source and --target."""
    longest: int = 100
    """Maximum number of tokens in a sentence, EOS among them; longer training pairs are left out."""
    text: str | None = None
    """Do not train: translate this text, with the saved net of --run-dir or else the newest one."""
    figure: bool = False
    """With --text: also save a figure of the attention, as figures/translation.png beside the saved net."""

    own = ("source",)
    keeping = TextFileOptions.keeping | {"text", "figure"}
    limits = TextFileOptions.limits | {
        "d_model": (2, 8192), "heads": (1, 128), "layers": (1, 64), "dim_feedforward": (1, 65536),
        "dropout": (0, 0.95), "bpe_dropout": (0, 0.95), "bidirectional_share": (0, 1), "subwords": (0, 100_000),
        "batch_size": (1, inf), "lr": (0, inf), "warmup_steps": (1, inf), "weight_decay": (0, inf),
        "label_smoothing": (0, 1), "grad_clip": (1e-9, inf), "beam": (1, 100), "mbr": (0, 100),
        "length_penalty": (0, 10), "held_out": (1, inf), "longest": (2, 4000),
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        if self.d_model % self.heads:
            raise ValueError(f"--heads must divide --d-model {self.d_model}, but is {self.heads}")
        if (self.source is None) != (self.target is None):
            raise ValueError("--source and --target go together")
        for name in ("bpe-dropout", "bidirectional-share"):
            if getattr(self, name.replace("-", "_")) and not (self.subwords and self.by_length):
                raise ValueError(f"--{name} needs --subwords and --by-length; without them give --{name} 0")


RECIPES = {
    # The page of 2021, whose losses are known; later ones train two epochs more. With bfloat16 an epoch takes 0.6 of
    # the time, and losses agree with float32's to three digits.
    "original": dict(epochs=16, precision="bfloat16"),
    "study": dict(epochs=22, bidirectional_share=0.3, d_model=192, heads=4, layers=3, dim_feedforward=512, dropout=0.3,
                  fast_dropout=True, norm_first=True, subwords=4000, by_length=True, optimizer="muon", lr=0.02,
                  schedule="linear", warmup_steps=200, weight_decay=0.1, label_smoothing=0.1, grad_clip=1.0,
                  precision="bfloat16", beam=5, mbr=32),
    "study-tiny": dict(epochs=8, d_model=48, heads=4, layers=2, dim_feedforward=96, dropout=0.0, norm_first=True,
                       subwords=300, batch_size=32, by_length=True, optimizer="muon", lr=0.02, schedule="linear",
                       warmup_steps=30, grad_clip=1.0, beam=5, mbr=4, log_every=20),
}  # fmt: skip
PUBLISHED = {"val/loss_epoch_16": 1.873}  # the page's last edition printed nothing
EXAMPLES = ("Eine Gruppe von Menschen steht vor einem Iglu.",)  # the original's own sentence


def main() -> None:
    options = parse(TranslationOptions, RECIPES)
    if options.text is not None:
        return report.translate_text("translation", Translation, options)
    with Run("translation", options) as run:
        parts = load_pairs(run)
        languages = build_vocabularies(run, parts.train)
        net = run.distribute(Translation(*map(len, languages), options))
        train(run, net, parts, languages)
        translator, _ = load_translator(run.folder / "best.safetensors", "translation", Translation)
        translator.net.to(run.device)
        test(run, translator, parts)


# 1. Pairs of sentences, and the words or subwords of both languages


def load_pairs(run: Run) -> Parallel:
    """Training, validation and test pairs: the published parts, or your own files, split."""
    options = run.options
    if options.source:
        read = partial(parallel.read_files, options.source, options.target, options.encoding)
        pairs = run.load_data("multi30k", read)
        parts = parallel.split(pairs, options.held_out)
    else:
        parts = run.load_data("multi30k")
    sizes = zip(vars(parts).values(), ("train on", "validate", "test with"), strict=True)
    run.say(", ".join(f"{len(part):,} pairs to {use}" for part, use in sizes))
    if line := scores.describe_bleu(parts.train):
        run.say(line)
    return parts


def build_vocabularies(run: Run, pairs: Pairs) -> tuple[Vocabulary, Vocabulary]:
    """The vocabularies of source and target, from the training sentences alone; of subwords both share one. The
    original's words are spaCy's; ours, split at blanks and punctuation, need no download."""
    if run.options.subwords:
        shared = Subwords.learn(pairs.source + pairs.target, run.options.subwords)
        languages = shared, shared
    else:
        languages = Words.build(pairs.source), Words.build(pairs.target)
    run.say("{:,} tokens of the source language, {:,} of the target".format(*map(len, languages)))
    return languages


def collate(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
    """A batch: sources (N, S), their lengths (N,), what the decoder reads and what it should write, both (N, T).

    What it reads begins with BOS, and what it should write is the same one position further on, and ends with EOS.
    """
    source, target = (pad_sequence(side, batch_first=True, padding_value=PAD) for side in zip(*pairs, strict=True))
    return source, (source != PAD).sum(1), F.pad(target, (1, -1), value=BOS), target


# 2. The net


class PositionalEncoding(nn.Module):
    """Add sin and cos of t / 10000^(2k/E) at position t, then dropout: (N, T, E) -> (N, T, E)."""

    def __init__(self, d_model: int, dropout: float, max_len: int = 5000) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        position = torch.arange(max_len)[:, None]
        angle = position * torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000) / d_model))  # (max_len, E / 2)
        table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :d_model]
        self.register_buffer("table", table, persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """`start` is the position of x's first token. Raises IndexError beyond the table's end."""
        if start + x.shape[1] > len(self.table):
            raise IndexError(f"position {start + x.shape[1]:,} is beyond the {len(self.table):,} that there are")
        return self.dropout(x + self.table[start : start + x.shape[1]])


def causal_mask(T: int, device: torch.device | None = None) -> Tensor:
    """(T, T), True above the diagonal: no position may attend to a later one."""
    return torch.ones(T, T, dtype=torch.bool, device=device).triu(1)


class Translation(nn.Module):
    """nn.Transformer between embeddings with positional encoding and a linear layer for the logits."""

    def __init__(self, source_words: int, target_words: int, options: TranslationOptions) -> None:
        super().__init__()
        E = options.d_model
        sizes = E, options.heads, options.dim_feedforward, options.dropout
        layer = nn.TransformerEncoderLayer(*sizes, batch_first=True, norm_first=options.norm_first)
        encoder = nn.TransformerEncoder(layer, options.layers, nn.LayerNorm(E), enable_nested_tensor=False)
        self.transformer = nn.Transformer(
            *sizes[:2], options.layers, options.layers, *sizes[2:],
            custom_encoder=encoder, batch_first=True, norm_first=options.norm_first,
        )  # fmt: skip
        self.source, self.target = nn.Embedding(source_words, E), nn.Embedding(target_words, E)
        self.positions = PositionalEncoding(E, options.dropout)
        self.out = nn.Linear(E, target_words)
        for weight in self.parameters():
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)
        if options.subwords:
            nn.init.normal_(self.target.weight, std=E**-0.5)
            self.source.weight = self.out.weight = self.target.weight

    def embed(self, table: nn.Embedding, tokens: Tensor, start: int = 0) -> Tensor:
        return self.positions(table(tokens) * math.sqrt(table.embedding_dim), start)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output (N, S, E), and where there is padding (N, S)."""
        padding = torch.arange(source.shape[1], device=source.device) >= lengths[:, None]
        return self.transformer.encoder(self.embed(self.source, source), src_key_padding_mask=padding), padding

    def forward(self, source: Tensor, lengths: Tensor, inputs: Tensor, target_mask: Tensor) -> Tensor:
        """Logits (M, V) at the M positions of `target_mask` (N, T). Padding comes last: nothing attends to it."""
        memory, padding = self.encode(source, lengths)
        states = self.transformer.decoder(
            self.embed(self.target, inputs), memory, causal_mask(inputs.shape[1], inputs.device),
            memory_key_padding_mask=padding, tgt_is_causal=True,
        )  # fmt: skip
        return self.out(states[target_mask])

    def start_decoding(self, source: Tensor, lengths: Tensor) -> tuple[None, dict]:
        """No state yet, and each decoder layer's keys and values of the source."""
        return None, decoder_memory(self.transformer.decoder, *self.encode(source, lengths))

    def step(self, tokens: Tensor, past: list | None, memory: dict) -> tuple[Tensor, list]:
        """Logits (N, V) after the tokens (N,); keys and values of all before them are in `past`."""
        start = past[0][0].shape[2] if past else 0  # tokens so far: the first layer's keys are (N, h, T, d)
        x = self.embed(self.target, tokens[:, None], start)
        states, past = decoder_step(self.transformer.decoder, x, past, memory)
        return self.out(states[:, 0]), past

    def attention_by_head(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Attention weights of each head of each layer, from `inputs` to the source: (N, layers, heads, T, S)."""
        maps: list[Tensor] = []
        _, memory = self.start_decoding(source, lengths)
        decoder_step(self.transformer.decoder, self.embed(self.target, inputs), None, memory, maps)
        return torch.stack(maps, 1)

    def attention(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Their mean over all layers and heads: (N, T, S)."""
        return self.attention_by_head(source, lengths, inputs).mean((1, 2))


# 3. Training


def train(run: Run, net: nn.Module, parts: Parallel, languages: tuple[Vocabulary, Vocabulary]) -> None:
    """Train for all epochs; keep the weights with the lowest validation loss per token."""
    options = run.options
    kept = leave_out_long(run, parts.train, languages)
    pairs = encode(kept, languages)

    def draw(epoch: int, seed: int) -> Sequence[Pair]:
        """The pairs of an epoch: cut into other subwords in each of them, and at first in both directions."""
        p, both = options.bpe_dropout, epoch < options.bidirectional_share * options.epochs
        drawn = encode_with_dropout(kept, languages, p, seed) if p else pairs
        return swap_half(drawn, seed) if both else drawn

    trainloader = training_loader(run, pairs, collate, options.by_length, draw)
    criterion = nn.CrossEntropyLoss(label_smoothing=options.label_smoothing)
    optimizer = make_optimizer(net, options)
    steps = options.epochs * len(trainloader)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(step, options, steps))
    autocast = Autocast(run.device, options.precision == "bfloat16", run.say)
    if options.fast_dropout:
        use_fast_dropout(net)
    run.track(net=net, autocast=autocast, optimizer=optimizer, scheduler=scheduler)
    longest = max(len(target) for _, target in pairs)
    about = {"languages": [words.to_json() for words in languages], "limit": longest + 5}
    for _epoch in run.epochs():
        net.train()
        for source, lengths, inputs, target in run.batches(trainloader):
            target_mask = target != PAD
            optimizer.zero_grad()
            with autocast(), attention_for_training(run.device):
                logits = net(source, lengths, inputs, target_mask).float()
            loss = criterion(logits, target[target_mask])
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), options.grad_clip)
            with autocast():  # Muon multiplies matrices, too
                optimizer.step()
            scheduler.step()
            # without label smoothing, as in validation
            run.log("train", loss=F.cross_entropy(logits.detach(), target[target_mask]))
        run.histograms()
        translator = Translator(unwrap(net), languages, about["limit"])
        loss = translator.loss(parts.val, collate)
        run.log("val", loss=loss, bleu=greedy_bleu(translator, parts.val))
        run.keep_best(-loss, **about)


def make_optimizer(net: nn.Module, options: TranslationOptions) -> optim.Optimizer:
    """Adam, or Muon for the layers' matrices and Adam for embeddings, norms and biases."""
    adam = dict(betas=(0.9, 0.98), eps=1e-9)
    if options.optimizer == "adam":
        return optim.Adam(net.parameters(), options.lr, **adam)
    matrices, others = layer_matrices(net)
    muon = Muon(matrices, options.lr, momentum=0.95, weight_decay=options.weight_decay)
    return ChainedOptimizer(muon, optim.Adam(others, options.lr / 4, **adam))


def lr_factor(step: int, options: TranslationOptions, steps: int) -> float:
    """The factor of the learning rate: linear warmup, then linear decay over the rest of the `steps`; or always 1."""
    if options.schedule == "constant":
        return 1.0
    warmup = options.warmup_steps
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))


def greedy_bleu(translator: Translator, pairs: Pairs) -> float:
    """BLEU of the greedy translations."""
    sources, references = scores.distinct(pairs)
    return scores.measure(translator(sources), references)["bleu"]


# 4. Translate and measure


def test(run: Run, translator: Translator, parts: Parallel) -> None:
    """Metrics on the test pairs, and figures."""
    options = run.options
    published = PUBLISHED if options.data == "official" else {}
    metrics = report.results(run, translator, "test", parts.test, options.beam, options.length_penalty)
    if options.mbr:
        sources, references = scores.distinct(parts.test)
        output = translator.minimum_bayes_risk(sources, options.mbr)
        metrics["test/mbr_bleu"] = scores.measure(output, references)["bleu"]
    metrics |= {
        "test/loss": translator.loss(parts.test, collate),
        "val/loss": translator.loss(parts.val, collate),
    }
    if run.logger:
        _, losses = plots.read_curves(run.folder / "metrics.jsonl").get("loss/val", ((), ()))
        if len(losses) >= 16 and not options.subwords:  # a loss for each subword is not one for each word
            metrics["val/loss_epoch_16"] = losses[15]
        shown = EXAMPLES if options.data == "official" else ()
        shown = (*shown, *sorted(parts.test.source, key=len)[len(parts.test) // 2 :])[:4]
        run.say(f"greedy decoding:\n> {shown[0]}\n< {greedy_decode(translator, shown[0])}")
        theirs = losses_by_step("translation", run.step, options.epochs) if published and not options.subwords else {}
        run.figure("curves", plots.curves(run.folder / "metrics.jsonl", "bleu", theirs))
        run.figure("attention", report.attention_maps(translator, shown))
        run.figure("heads", report.head_maps(translator, shown[0]))
        run.figure("positions", translation_plots.positions(translator.net.positions.table[:100].cpu().numpy()))
        if options.data != "tiny":  # on the twin every width has a BLEU of 100
            run.figure("beam", report.beam_widths(translator, parts.val, options.length_penalty))
        run.figure("lengths", report.written_lengths(translator, parts.test))
    run.finish(metrics, published, report.commonest(parts.train, "test", parts.test))


@torch.no_grad()
def greedy_decode(translator: Translator, text: str) -> str:
    """Greedy decoding as in the original: the most likely next token, each by a pass over all tokens before it.

    Calling the translator gives the same sentences, many at once, with cached keys and values (`race_translation`).
    """
    net = translator.net.eval()
    source, lengths = next(translator.batches([text]))
    memory, _ = net.encode(source, lengths)  # (1, S, E)
    written = source.new_full((1, 1), BOS)
    while written.shape[1] <= translator.limit and written[0, -1] != EOS:
        inputs = net.embed(net.target, written)  # (1, T, E)
        states = net.transformer.decoder(inputs, memory, causal_mask(written.shape[1], source.device))
        logits = net.out(states[:, -1])  # (1, V)
        logits[:, NEVER] = -torch.inf
        written = torch.cat([written, logits.argmax(-1)[None]], 1)
    return translator.languages[1].decode(written[0, 1:].tolist())


if __name__ == "__main__":
    main()
