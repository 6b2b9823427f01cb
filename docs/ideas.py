"""Every idea in its three places: by hand in NumPy, checked against torch, used by the tutorials."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comparisons.cases import CASES
from comparisons.nets import NET_CASES
from comparisons.public import FUNCTIONS, HELPERS, NETS
from docs.markdown import table
from docs.script import Script, Section, imported

# What is held against torch: every public function and net of from_scratch but helpers.
PROVED = {name: thing for name, thing in {**FUNCTIONS, **NETS}.items() if name not in HELPERS}


@dataclass(frozen=True)
class Idea:
    """`ours` matches the names in from_scratch, none where it is empty; `torchs` what the tutorials write for the same
    thing."""

    name: str
    ours: str
    torchs: str

    @property
    def page(self) -> str:
        return re.sub("[^a-z]+", "-", self.name.lower())

    @property
    def label(self) -> str:
        return f"idea-{self.page}"

    def things(self) -> dict[str, object]:
        """Functions and nets of from_scratch by name; of what fits several ideas, the first has it."""
        return {name: thing for name, thing in PROVED.items() if home(name) is self}

    def files(self) -> list[str]:
        return sorted({Path(inspect.getsourcefile(thing)).name for thing in self.things().values()})


# What comes first takes its functions: the more special ideas stand before the more general ones.
IDEAS = (
    Idea("Convolution", r"conv_.*|(get_)?im2col_.*|col2im_.*", r"nn\.Conv2d"),
    Idea("Pooling", r"max_pool_.*", r"nn\.MaxPool2d|\.amax\("),
    Idea("Batch normalization", r"(spatial_)?batchnorm_.*|standardize.*", r"BatchNorm|frozen_norms"),
    Idea("Layer and group normalization", r"layernorm_.*|(spatial_)?groupnorm_.*", r"nn\.LayerNorm|nn\.GroupNorm"),
    Idea("Affine layers", r"affine_.*|temporal_affine_.*", r"nn\.Linear|F\.linear"),
    Idea("Dropout", r"dropout_.*", r"nn\.Dropout"),
    Idea("Activations", r"(leaky_)?relu_.*|sigmoid.*|silu_.*|tanh_.*|gelu_.*|erf",
         r"F\.relu|\.relu\(|\.tanh\(|\.sigmoid\(|\"gelu\""),
    Idea("Losses", r".*_loss(_naive|_vectorized)?|sim|sim_positive_pairs|compute_sim_matrix",
         r"cross_entropy|CrossEntropyLoss"),
    Idea("Momentum", r"sgd.*|nesterov", r"optim\.SGD|Muon"),
    Idea("Adaptive update rules", r"adagrad|rmsprop|adamw?", r"optim\.(Adam|AdamW|Adagrad|RMSprop)\b"),
    Idea("Initialization", r"gaussian|xavier|he|orthogonal", r"nn\.init"),
    Idea("Embeddings", r"(word|patch)_embedding_.*|.*_patches", r"nn\.Embedding"),
    Idea("LSTM and gates", r"lstm_.*", r"nn\.(LSTM|GRU)"),
    Idea("Captioning", r"Captioning(RNN|Transformer)", r"Captioning"),
    Idea("Recurrent nets", r"rnn_.*", r"nn\.RNN|LinearRNN|class RNN"),
    Idea("Attention", r".*attention_.*|.*_heads", r"Attention|energies|nn\.TransformerEncoderLayer"),
    Idea("Positional encoding", r"positional_encoding", r"PositionalEncoding"),
    Idea("Vision transformer", r"VisionTransformer", r"VisionTransformer"),
    Idea("Transformers", r"feed_forward_.*|(en|de)coder_layer.*", r"nn\.Transformer"),
    Idea("Diffusion", r".*_beta_schedule|q_(sample|posterior)|predict_(start|noise)_from_.*|upsample_.*|modulate_.*|"
                      r"resnet_block_.*|embed_.*|unet_.*|GaussianDiffusion", r"Diffusion"),
    Idea("Language modeling", "", r"class Windows|is_causal=self|exp\(nats"),
    Idea("Beam search", "", r"options\.beam\b|greedy_decode\("),
    Idea("Transfer learning", "", r"(?<![.\w])replace_head\(|requires_grad = False|requires_grad_\(False"),
    Idea("Classifiers and whole nets", r"compute_distances_.*|predict_labels|(\w+\.)?[A-Z]\w+", r"\(nn\.Module\)"),
)  # fmt: skip


def home(name: str) -> Idea:
    """The idea of a name in from_scratch; raises ValueError when there is none, so that none is forgotten."""
    found = next((idea for idea in IDEAS if re.fullmatch(idea.ours, name)), None)
    if not found:
        raise ValueError(f"docs/ideas.py: no idea has {name}. Add it to a row of IDEAS.")
    return found


def cases(idea: Idea) -> list[str]:
    """The parity cases of functions and of nets that hold the idea's functions and nets against torch."""
    things = set(idea.things())
    found = [case.name for case in CASES if things & set(case.functions)]
    return found + [name for name, net in NET_CASES.items() if net.net in idea.things().values()]


def references(idea: Idea) -> list[Callable]:
    """What torch writes for the idea's nets where they are held against it."""
    return list(dict.fromkeys(case.reference for case in NET_CASES.values() if case.net in idea.things().values()))


def uses(idea: Idea, script: Script) -> list[tuple[Section, str]]:
    """The sections of a tutorial that use torch's side of the idea, each with the first line that does."""
    found = []
    for section in script.sections:
        lines = [
            line.strip()
            for line in script.text(section).splitlines()
            if re.search(idea.torchs, line) and not line.lstrip().startswith('"""')
        ]
        found += [(section, lines[0])] if lines else []
    return found


def used_by_hand(study: Path) -> list[Idea]:
    """The ideas whose NumPy functions or nets a study calls, or the studies' modules that it imports."""
    files = [study, *(path for path in imported(study) if path.parent == study.parent)]
    words = set(re.findall(r"\w+", "".join(path.read_text(encoding="utf-8") for path in files)))
    return [idea for idea in IDEAS if words & set(idea.things())]


def places(idea: Idea) -> list[tuple[Path, str, bool]]:
    """Where each function and class of the idea is: its file, its name, and whether it is the file's first."""
    found = sorted((Path(inspect.getsourcefile(thing)), inspect.getsourcelines(thing)[1], thing.__qualname__)
                   for thing in idea.things().values())  # fmt: skip
    before = [None, *(path for path, _, _ in found)]
    return [(path, name, path != last) for (path, _, name), last in zip(found, before, strict=False)]


def parity_rows(idea: Idea, report: Path) -> str:
    """The lines of the parity report's big table that are about the idea."""
    lines = [[cell.strip() for cell in line.strip("| \n").split(" | ")]
             for line in report.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]  # fmt: skip
    head = next(cells for cells in lines if cells[:3] == ["case", "function", "tensor"])
    rows = [cells for cells in lines if len(cells) == len(head) and cells[1] in idea.things()]
    return table(head, rows) if rows else ""
