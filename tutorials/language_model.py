"""A language model on WikiText-2: windows of text, a causal TransformerEncoder, perplexity, writing, looking inside.

Original: "Language Modeling with nn.Transformer and torchtext", the PyTorch tutorials, of 2023; removed in 2024.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import exp, inf, log, sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

from tutorials.common import checkpoint
from tutorials.common.autocast import Autocast
from tutorials.common.device import unwrap
from tutorials.common.fast_dropout import use_fast_dropout
from tutorials.common.muon import ChainedOptimizer, Muon, layer_matrices
from tutorials.common.options import Options, parse
from tutorials.common.run import Run
from tutorials.reports.language_model import look_inside
from tutorials.text import tokenizer
from tutorials.text.adaptive_softmax import AdaptiveWords
from tutorials.text.continuous_cache import fit_memory
from tutorials.text.dynamic_evaluation import fit_dynamic_evaluation
from tutorials.text.generation import write_on
from tutorials.text.perplexity import bits_per_character, blind_guess, measure, read
from tutorials.text.transformer import attention_for_training, encoder_step

# N windows, T tokens of each, E features (d_model), V words


@dataclass
class LanguageModelOptions(Options):
    """A language model on WikiText-2."""

    batch_size: int = 20
    """Batch size, over all processes together."""
    length: int = 35
    """Sequence length (bptt): tokens in a window, and the longest context of the net."""
    tokenizer: Literal["basic_english", "wikitext"] = "basic_english"
    """Tokenizer: basic_english, as in the original, or wikitext, the standard one: cased, with end-of-line tokens."""
    shuffle: bool = False
    """Shuffle the windows, with new start positions in each epoch, instead of reading columns of text in order."""
    d_model: int = 200
    """Number of features of the embeddings and of every layer (d_model)."""
    dim_feedforward: int = 200
    """Hidden size of the feed-forward networks."""
    layers: int = 2
    """Number of encoder layers."""
    heads: int = 2
    """Number of attention heads."""
    dropout: float = 0.2
    """Dropout probability."""
    fast_dropout: bool = False
    """Draw dropout masks from random bytes, which is faster on a CPU, and do not drop attention weights."""
    norm_first: bool = False
    """Pre-norm instead of post-norm, with a final layer normalization, GELU, and independently initialized layers."""
    frequent: int = 0
    """Adaptive softmax: number of words in the most frequent cluster, with full embeddings; 0: full softmax, untied."""
    tied: bool = True
    """With --frequent, tie the weights of input embedding and output layer."""
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    """muon: Muon for the layers' weight matrices, with AdamW at a quarter of the learning rate for the rest."""
    lr: float = 5.0
    """Learning rate; with the linear schedule, its peak."""
    schedule: Literal["exponential", "linear"] = "exponential"
    """Learning-rate schedule: exponential (times 0.95 each epoch), or linear (warmup, constant, decay to zero)."""
    weight_decay: float = 0.0
    """Weight decay."""
    grad_clip: float = 0.5
    """Gradient-clipping norm."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of autocast; bfloat16 only where it is fast: on a GPU, or a processor with avx512_bf16."""
    causal: bool = True
    """Use a causal mask; without it the net sees the word that it should predict, as in the original of mid-2023."""
    dynamic_evaluation: bool = False
    """Also test the net while it goes on learning from the test text."""
    text: str | None = None
    """Do not train: generate text after this prompt, with the saved net of --run-dir or else the newest one."""
    tokens: int = 60
    """Number of tokens to generate."""
    temperature: float = 0.8
    """Sampling temperature; 0 is greedy decoding."""
    top_k: int = 0
    """Top-k sampling: sample from the k most probable words; 0: from all."""
    top_p: float = 0.9
    """Nucleus (top-p) sampling: sample from the most probable words whose probabilities add up to p."""

    keeping = Options.keeping | {"text", "tokens", "temperature", "top_k", "top_p"}
    limits = Options.limits | {"dim_feedforward": (1, 65536), "layers": (1, 64), "heads": (1, 128)}
    limits |= {"batch_size": (1, inf)} | dict.fromkeys(
        ("frequent", "lr", "grad_clip", "weight_decay", "top_k"), (0, inf)
    )
    limits |= {"length": (2, 2048), "d_model": (2, 8192), "tokens": (1, 4000)}
    limits |= {"dropout": (0, 0.99), "temperature": (0, 100), "top_p": (0, 1)}

    def check(self) -> None:
        super().check()
        if self.d_model % self.heads:
            raise ValueError(f"--heads must divide --d-model {self.d_model}, but is {self.heads}")


RECIPES = {
    "original": dict(epochs=3, log_every=200),
    "study": dict(epochs=12, batch_size=32, length=128, shuffle=True, d_model=192, dim_feedforward=768, layers=4,
                  heads=4, norm_first=True, frequent=4000, optimizer="muon", lr=0.02, schedule="linear",
                  weight_decay=0.1, grad_clip=1.0, precision="bfloat16"),
    "study-tiny": dict(batch_size=16, length=32, d_model=48, dim_feedforward=96, layers=2, heads=2, dropout=0.0,
                       frequent=40, lr=0.05, epochs=5, log_every=20, precision="float32", dynamic_evaluation=True),
}  # fmt: skip
PUBLISHED = {"val/perplexity_by_chunks": 261.07, "test/perplexity_by_chunks": 240.24}


def main() -> None:
    options = parse(LanguageModelOptions, RECIPES)
    if options.text is not None:
        return write_on(options, load_net)
    with Run("language-model", options) as run:
        words, parts = load_text(run)
        net = run.distribute(LanguageModel(len(words), options))
        train(run, net, words, parts)
        if run.is_main:  # the others wait
            net = load_net(run.folder / "best.safetensors")[0].to(run.device)
            metrics, chance = test(net, words, parts, options)
            look_inside(run, net, words, parts["val"])
            comparable = options.data == "official" and options.causal and options.tokenizer == "basic_english"
            run.finish(metrics, PUBLISHED if comparable else {}, chance)


# 1. Text as one long row of numbers, and windows of it


def load_text(run: Run) -> tuple[list[str], dict[str, Tensor]]:
    """<unk>, number 0, and the training text's words, the most frequent first; each part as numbers (tokens,)."""
    corpus, tokenize = run.load_data("wikitext2"), tokenizer.tokenizer(run.options.tokenizer)
    tokens = {part: list(chain.from_iterable(map(tokenize, lines))) for part, lines in vars(corpus).items()}
    counts = Counter(word for word in tokens["train"] if word != tokenizer.UNKNOWN)
    words = [tokenizer.UNKNOWN, *sorted(counts, key=lambda word: (-counts[word], word))]
    numbers = tokenizer.vocabulary(words)
    parts = {part: torch.tensor(numbers(tokens[part])) for part in tokens}
    run.say(f"{len(words):,} words; tokens: " + ", ".join(f"{len(parts[part]):,} of {part}" for part in parts))
    return words, parts


class Windows(torch.utils.data.Dataset):
    """Windows of a text (tokens,): inputs and the same one token later, each (N, T).

    In columns, as in the original, a batch takes one window from each of `columns` equal parts of the text, and the
    next goes on below; an end that fills no column is left out. Shuffled windows begin elsewhere in every epoch.
    """

    def __init__(self, tokens: Tensor, length: int, columns: int = 0, seed: int = 0) -> None:
        self.tokens, self.length, self.columns, self.seed = tokens, length, columns, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        if self.columns:
            height = len(self.tokens) // self.columns
            tops = torch.arange(0, height - 1, self.length)
            self.starts = (tops[:, None] + height * torch.arange(self.columns)).flatten()
            self.lengths = torch.clamp(height - 1 - tops, max=self.length).repeat_interleave(self.columns)
        else:
            generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
            offset = int(torch.randint(self.length, (), generator=generator))
            count = (len(self.tokens) - self.length) // self.length  # the same in every epoch
            self.starts = offset + self.length * torch.arange(count)
            self.lengths = torch.full_like(self.starts, self.length)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        places = self.starts[indices][:, None] + torch.arange(int(self.lengths[indices[0]]))  # (N, T)
        return self.tokens[places], self.tokens[places + 1]


# 2. The net


class PositionalEncoding(nn.Module):
    """Add sin and cos of t / 10000^(2k/E) at position t, then dropout: (N, T, E) -> (N, T, E)."""

    def __init__(self, d_model: int, dropout: float, max_len: int = 5000) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        position = torch.arange(max_len)[:, None]
        angle = position * torch.exp(torch.arange(0, d_model, 2) * (-log(10_000) / d_model))  # (max_len, E / 2)
        table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :d_model]
        self.register_buffer("table", table, persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """`start` is the position of x's first token. Raises IndexError beyond the table's end."""
        if start + x.shape[1] > len(self.table):
            raise IndexError(f"position {start + x.shape[1]:,} is beyond the {len(self.table):,} that there are")
        return self.dropout(x + self.table[start : start + x.shape[1]])


class Words(nn.Module):
    """Words as vectors (nn.Embedding), and the logits of the next word (nn.Linear), as in the original; M = N T."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(size, width)
        self.out = nn.Linear(width, size)
        for weight in (self.table.weight, self.out.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(self.out.bias)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.table(tokens)  # (N, T, E)

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """The mean of -log p of the targets: (M, E) and (M,) -> ()."""
        return F.cross_entropy(self.out(x), targets)

    def nats(self, x: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (M, E) and (M,) -> (M,)."""
        return F.cross_entropy(self.out(x), targets, reduction="none")

    def log_prob(self, x: Tensor) -> Tensor:
        return self.out(x).log_softmax(-1)  # (M, V)


class LanguageModel(nn.Module):
    """Tokens (N, T) and the tokens that follow them -> the mean loss per token, in nats."""

    def __init__(self, size: int, options: LanguageModelOptions) -> None:
        super().__init__()
        width, modern, frequent = options.d_model, options.norm_first, options.frequent
        self.scale, self.length, self.causal = sqrt(width), options.length, options.causal
        adaptive = 0 < frequent < size
        self.words = AdaptiveWords(size, width, frequent, options.tied) if adaptive else Words(size, width)
        self.positions = PositionalEncoding(width, options.dropout)
        layer = nn.TransformerEncoderLayer(
            width, options.heads, options.dim_feedforward, options.dropout, "gelu" if modern else "relu",
            batch_first=True, norm_first=modern,
        )  # fmt: skip
        norm = nn.LayerNorm(width) if modern else None
        self.encoder = nn.TransformerEncoder(layer, options.layers, norm, enable_nested_tensor=False)
        self.dropout = nn.Dropout(options.dropout if modern else 0)
        for weight in self.encoder.layers.parameters() if modern else ():
            if weight.ndim > 1:  # torch copies its layer: as in the original, all would begin alike
                nn.init.xavier_uniform_(weight)

    def embed(self, tokens: Tensor, start: int = 0) -> Tensor:
        return self.positions(self.words.embed(tokens) * self.scale, start)

    def encode(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N, T, E)."""
        T, mask = tokens.shape[1], None
        if self.causal:  # True: hidden
            mask = torch.ones(T, T, dtype=torch.bool, device=tokens.device).triu(1)
        with attention_for_training(tokens.device):
            return self.dropout(self.encoder(self.embed(tokens), mask=mask, is_causal=self.causal))

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        return self.words.loss(self.encode(tokens).flatten(0, 1), targets.flatten())

    def step(self, tokens: Tensor, start: int, past: list | None) -> tuple[Tensor, list]:
        """Log-probabilities (N, V) of what follows the new tokens (N, T), which begin at `start`; and what to keep."""
        x, past = encoder_step(self.encoder, self.embed(tokens, start), past)
        return self.words.log_prob(x[:, -1]), past


# 3. Train


def make_optimizer(net: nn.Module, options: LanguageModelOptions) -> optim.Optimizer:
    """SGD or AdamW, or Muon for the layers' matrices and AdamW for embeddings, norms and biases."""
    if options.optimizer == "sgd":
        return optim.SGD(net.parameters(), options.lr, weight_decay=options.weight_decay)
    adamw = dict(betas=(0.9, 0.95), weight_decay=options.weight_decay)
    if options.optimizer == "adamw":
        return optim.AdamW(net.parameters(), options.lr, **adamw)
    matrices, others = layer_matrices(net)
    muon = Muon(matrices, options.lr, momentum=0.95, weight_decay=options.weight_decay)
    return ChainedOptimizer(muon, optim.AdamW(others, options.lr / 4, **adamw))


def lr_factor(step: int, options: LanguageModelOptions, steps: int) -> float:
    """The factor of the learning rate at a step, of `steps` in an epoch."""
    if options.schedule == "exponential":
        return 0.95 ** (step // steps)
    done = (step + 1) / (options.epochs * steps + 1)
    return min(1.0, done / 0.02, (1 - done) / 0.7)  # warmup for 2 % of the run, decay over its last 70 %


def set_dropout(net: LanguageModel, options: LanguageModelOptions) -> None:
    """With --fast-dropout, let a net that is to be trained drop by random bytes, and none of the attention weights."""
    if options.fast_dropout:
        use_fast_dropout(net)
        for layer in net.encoder.layers:
            layer.self_attn.dropout = 0.0


def train(run: Run, net: nn.Module, words: Sequence[str], parts: dict[str, Tensor]) -> None:
    """Train for all epochs and keep the net that is best on the validation text."""
    options = run.options
    windows = Windows(parts["train"], options.length, 0 if options.shuffle else options.batch_size, options.seed)
    trainloader = run.loader(windows, options.batch_size, shuffle=options.shuffle, collate_fn=tuple)
    optimizer, steps = make_optimizer(net, options), len(trainloader)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(step, options, steps))
    autocast = Autocast(run.device, options.precision == "bfloat16", run.say)
    set_dropout(unwrap(net), options)
    run.track(net=net, autocast=autocast, optimizer=optimizer, scheduler=scheduler)
    for _epoch in run.epochs():
        net.train()
        for inputs, targets in run.batches(trainloader):
            optimizer.zero_grad()
            with autocast():
                loss = net(inputs, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), options.grad_clip)
            with autocast():  # Muon multiplies matrices, too
                optimizer.step()
            scheduler.step()
            run.log("train", loss=loss)
        run.histograms()
        with autocast():
            nats = run.mean(measure(unwrap(net), parts["val"], share=run.place.share)[0])
        run.log("val", loss=nats, perplexity=exp(nats), cpu_minutes=run.processor_seconds / 60)
        run.keep_best(-nats, words=list(words))


def measure_by_chunks(net: nn.Module, tokens: Tensor, length: int = 35, columns: int = 10) -> Tensor:
    """Nats as the original measures them: in chunks of 35 tokens, whose first ones have next to nothing before them."""
    windows = Windows(tokens, length, columns)
    pairs = (windows.__getitems__(list(range(at, at + columns))) for at in range(0, len(windows), columns))
    return read(net, ((*pair, torch.ones_like(pair[1], dtype=torch.bool)) for pair in pairs))[0]


@checkpoint.fits("language-model")
def load_net(path: Path) -> tuple[LanguageModel, list[str]]:
    """The net that a run saved, on the CPU, and its words."""
    weights, about = checkpoint.load_best(path, "language-model")
    net = LanguageModel(len(about["words"]), SimpleNamespace(**about["options"]))
    net.load_state_dict(weights)
    return net.eval(), about["words"]


# 4. Test


def test(
    net: LanguageModel, words: Sequence[str], parts: dict[str, Tensor], options: LanguageModelOptions
) -> tuple[dict[str, float], ...]:
    """Perplexities computed the original's way, our way, and with two additions tuned on the validation text: a cache,
    and dynamic evaluation; and the perplexity of a unigram baseline. With WikiText's own tokens the names of
    perplexities begin with wikitext_."""
    same = options.tokenizer == "basic_english"  # the original's tokens
    name, metrics, memory = "perplexity" if same else "wikitext_perplexity", {}, None
    for part in ("val", "test"):
        nats, states = measure(net, parts[part])
        targets = parts[part][1:]
        memory = memory or fit_memory(nats, states, targets)
        metrics[f"{part}/{name}"] = exp(nats.mean())
        if same:
            metrics[f"{part}/perplexity_by_chunks"] = exp(measure_by_chunks(net, parts[part]).mean())
        metrics[f"{part}/{name}_with_cache"] = exp(memory.nats(nats, states, targets).mean())
        metrics[f"{part}/tokens"] = len(targets)
        metrics[f"{part}/bits_per_character"] = bits_per_character(nats, targets, words)
    if options.dynamic_evaluation:
        learning, memory = fit_dynamic_evaluation(net, parts["val"])
        nats, states = learning.read(net, parts["test"])
        metrics[f"test/{name}_dynamic"] = exp(nats.mean())
        metrics[f"test/{name}_dynamic_with_cache"] = exp(memory.nats(nats, states, parts["test"][1:]).mean())
    names = ("test/perplexity", "test/perplexity_by_chunks") if same else (f"test/{name}",)
    return metrics, dict.fromkeys(names, blind_guess(parts, len(words)))


if __name__ == "__main__":
    main()
