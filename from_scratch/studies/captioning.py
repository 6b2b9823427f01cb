"""Captions of photographs: overfit fifty, look at samples, then train captioners and compare them with the commonest
caption; words against characters.

Sources: CS231n assignment 3, RNN_Captioning, LSTM_Captioning and Transformer_Captioning. Flickr8k stands in for COCO.
"""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sacrebleu.metrics import BLEU

from data.captions import END, NULL, START, Captions, Split, decode, encode
from data.pictures import open_picture
from from_scratch.captioning_solver import CaptioningSolver
from from_scratch.classifiers.rnn import CaptioningRNN
from from_scratch.classifiers.transformer import CaptioningTransformer
from from_scratch.rnn_layers import temporal_softmax_loss
from from_scratch.studies import sequence_questions
from from_scratch.studies.beam_search import beam_search
from from_scratch.studies.shared import net_errors, peak, rise_and_fall
from from_scratch.studies.study import Study, StudyOptions
from tutorials.common.options import parse
from tutorials.common.plots import NEUTRAL, Panel, new_figure, panels

# N pictures, T places of a caption, D features, W word vector, H hidden units, V vocabulary

PUBLISHED = {"overfit/rnn_loss": 0.082, "overfit/lstm_loss": 0.13, "overfit/transformer_loss": 0.020}


@dataclass(frozen=True)
class Captioner:
    """One captioner of the comparison: its cell and level, sizes, and how it is trained."""

    kind: str  # rnn, lstm or transformer
    level: str  # word or char
    hidden: int
    wordvec: int
    lr: float
    epochs: int

    @property
    def name(self) -> str:
        return f"{self.kind} {'words' if self.level == 'word' else 'characters'}"


CAPTIONERS = {
    "official": (
        Captioner("rnn", "word", 256, 256, 1e-3, 6),
        Captioner("lstm", "word", 256, 256, 2e-3, 6),
        Captioner("transformer", "word", 1024, 256, 1e-3, 6),
        Captioner("lstm", "char", 256, 64, 3e-3, 6),
    ),
    "tiny": (
        Captioner("rnn", "word", 64, 32, 3e-3, 8),
        Captioner("lstm", "word", 64, 32, 1e-2, 8),
        Captioner("transformer", "word", 256, 64, 3e-3, 8),
        Captioner("lstm", "char", 64, 32, 1e-2, 16),
    ),
}
# The notebooks' overfitting: hidden units, learning rate, its decay per epoch, epochs, and the loss to come below.
OVERFIT = {
    "rnn": (512, 5e-3, 0.97, 50, 0.1),  # the notebook decays by 0.95, which is too fast for 2,540 words: 0.15-0.21
    "lstm": (512, 5e-3, 0.995, 50, 0.5),
    "transformer": (2048, 1e-3, 1.0, 100, 0.03),
}
SHRINK = {"official": 1, "tiny": 2}  # the twin has a vocabulary of 38 words
BEAMS = (1, 2, 3, 5, 10)
ALPHAS = (0.7, 1.0, 1.5)  # length penalties


def main() -> None:
    with Study("captioning", parse(StudyOptions, {})) as study:
        captions = study.load_data("captions")
        data = {level: encode(captions, level) for level in ("word", "char")}
        show_pictures(study, captions)
        check_temporal_softmax(study)
        check_gradients(study)
        metrics = overfit(study, captions, data["word"])
        sequence_questions.open_gates(study)
        sequence_questions.scale_scores(study)
        sequence_questions.time_attention(study)
        sequence_questions.count_heads(study, data["word"])
        nets = {recipe: train(study, recipe, data[recipe.level]) for recipe in CAPTIONERS[study.options.data]}
        metrics |= compare(study, captions, data, nets)
        study.finish(metrics, PUBLISHED, {"test/bleu": metrics["commonest caption/test_bleu"]})


def build(kind: str, data: dict, hidden: int, wordvec: int, rng: np.random.Generator, heads: int = 4):
    """A captioner for the vocabulary of `data`; of a transformer, `hidden` is the width between its linear layers."""
    features = data["train_features"].shape[1]
    if kind == "transformer":
        longest = data["train_captions"].shape[1]
        return CaptioningTransformer(data["word_to_idx"], features, wordvec, heads, 2, longest, hidden, rng=rng)
    return CaptioningRNN(data["word_to_idx"], features, wordvec, hidden, kind, rng=rng)


# Experiment 25: look at the data


def show_pictures(study: Study, captions: Captions, count: int = 3) -> None:
    """Some training pictures with their captions."""
    chosen = present(captions.train)[:count]
    texts = ["\n".join(f"– {text}" for text in captions.train.references[i]) for i in chosen]
    study.figure("training_captions", captioned([captions.train.files[i] for i in chosen], texts, size=4))


def present(split: Split) -> list[int]:
    """The pictures whose file is here; all of them, if none is."""
    return [i for i, file in enumerate(split.files) if Path(file).exists()] or list(range(len(split.files)))


def captioned(files: Sequence[str], texts: Sequence[str], columns: int = 4, size: float = 3.0) -> Figure:
    """Pictures with text below; where a file is not here, a tile shows its name (the twin's scene)."""
    columns = min(columns, len(files))
    rows = -(-len(files) // columns)
    texts = ["\n".join(textwrap.fill(line, int(15 * size)) for line in text.split("\n")) for text in texts]
    lines = max(text.count("\n") + 1 for text in texts)
    height = 1.0 if any(Path(file).exists() for file in files) else 0.3
    figure = new_figure(columns * size, rows * (size * height + 0.17 * lines + 0.25))
    for axes, file, text in zip(figure.subplots(rows, columns, squeeze=False).flat, files, texts, strict=False):
        if Path(file).exists():
            axes.imshow(open_picture(Path(file)).resize((224, 224)))
        else:
            axes.text(0.5, 0.5, textwrap.fill(Path(file).name, 24), ha="center", va="center", color=NEUTRAL)
            axes.set_box_aspect(height)
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(text, fontsize=8, loc="left")
    for axes in figure.axes[len(files) :]:
        axes.axis("off")
    return figure


# Experiments 26 and 27: losses and gradients


def check_temporal_softmax(study: Study) -> None:
    """The loss of scores that say nothing is T log V for each caption, less what is masked."""
    rng, rows = np.random.default_rng(231), []
    for N, T, V, kept, wanted in ((100, 1, 10, 1.0, "2.3"), (100, 10, 10, 1.0, "23"), (5000, 10, 10, 0.1, "2.2-2.4")):
        scores, words = 0.001 * rng.standard_normal((N, T, V)), rng.integers(V, size=(N, T))
        loss, _ = temporal_softmax_loss(scores, words, rng.random((N, T)) <= kept)
        rows.append((N, T, V, kept, float(loss), wanted))
    study.table("temporal softmax loss", ("N", "T", "V", "kept", "loss", "notebook"), rows)


def check_gradients(study: Study) -> None:
    """Captioners of the notebooks' evenly spaced parameters: the printed loss, and the worst gradient."""
    words, rows = {"<NULL>": 0, "cat": 2, "dog": 3}, []
    N, D, W, H, T = 10, 20, 30, 40, 13
    for kind, wanted, ends in (("rnn", 9.83235591003, (-1.5, 0.3)), ("lstm", 9.82445935443, (-0.5, 1.7))):
        net = CaptioningRNN(words, D, W, H, kind, dtype=np.float64)
        for name, w in net.params.items():
            net.params[name] = np.linspace(-1.4, 1.3, w.size).reshape(w.shape)
        features = np.linspace(*ends, N * D).reshape(N, D)
        captions = np.arange(N * T).reshape(N, T) % 3
        rows.append((kind, float(net.loss(features, captions)[0]), wanted, worst_error(kind)))
    study.table("loss and gradients", ("captioner", "loss", "notebook", "worst error, as a share of the largest"), rows)


def worst_error(kind: str) -> float:
    """The largest error of a gradient against the numerical one, over all parameters of a small net."""
    np.random.seed(231)  # the notebook's
    words = {"<NULL>": 0, "cat": 2, "dog": 3}
    captions, features = np.random.randint(3, size=(2, 3)), np.random.randn(2, 4)
    net = CaptioningRNN(words, 4, 5, 6, kind, dtype=np.float64)
    return max(net_errors(net, features, captions, h=1e-6).values())


# Experiments 28, 29 and 31: overfit fifty captions, and sample


def overfit(study: Study, captions: Captions, data: dict, count: int = 50) -> dict[str, float]:
    """Fifty captions learned by heart: right for pictures that were seen, nonsense for others."""
    chosen = study.rng("fifty captions").choice(len(data["train_captions"]), count, replace=False)
    small = data | {f"train_{part}": data[f"train_{part}"][chosen] for part in ("captions", "image_idxs")}
    curves, metrics, nets = [], {}, {}
    shrink = SHRINK[study.options.data]
    for kind, (hidden, lr, decay, epochs, threshold) in OVERFIT.items():
        nets[kind] = build(kind, data, hidden // shrink, 256 // shrink, study.rng(f"overfit {kind}"), heads=2)
        options = dict(update_rule="adam", optim_config={"learning_rate": lr}, lr_decay=decay, batch_size=25)
        solver = study.train(f"overfit/{kind}", nets[kind], small, CaptioningSolver, num_epochs=epochs, **options)
        metrics[f"overfit/{kind}_loss"] = float(solver.loss_history[-1])
        steps = np.arange(1, len(solver.loss_history) + 1)
        log = {"yscale": "log", "title": f"{kind}: to come below {threshold:g}"}
        curves.append(Panel("training loss (nats)", {kind: (steps, solver.loss_history)}, "step", "", threshold, log))
    study.figure("overfit", panels(*curves))
    rows = [(kind, metrics[f"overfit/{kind}_loss"], row[-1]) for kind, row in OVERFIT.items()]
    study.table("overfitting fifty captions", ("captioner", "last loss", "notebook's threshold"), rows)
    show_samples(study, captions, small, nets["lstm"])
    return metrics


def show_samples(study: Study, captions: Captions, small: dict, net: CaptioningRNN) -> None:
    """Two pictures whose captions were learned, two that were not: sampled and true captions."""
    files, texts = [], []
    learned = small["train_image_idxs"]
    here = set(present(captions.train))
    rows = sorted(range(len(learned)), key=lambda row: learned[row] not in here)[:2]
    val = present(captions.val)[:2]
    shown = [("train", learned[row], small["train_captions"][row]) for row in rows]
    shown += [("val", i, small["val_captions"][5 * i]) for i in val]
    for split, i, caption in shown:
        sampled = net.sample(small[f"{split}_features"][i : i + 1])
        said, true = decode(np.stack([sampled[0], np.resize(caption, sampled.shape[1])]), small["idx_to_word"])
        files.append(getattr(captions, split).files[i])
        texts.append(f"{split}\nsampled: {said}\ntrue: {true}")
    study.figure("overfit_samples", captioned(files, texts))


# Experiment 30: captioners that are to describe pictures they have not seen


def train(study: Study, recipe: Captioner, data: dict) -> tuple:
    """The trained net, its solver and the seconds that the training took."""
    net = build(recipe.kind, data, recipe.hidden, recipe.wordvec, study.rng(f"weights of {recipe.name}"))
    before = study.seconds
    solver = study.train(f"captioners/{recipe.name}", net, data, CaptioningSolver, update_rule="adam",
                         optim_config={"learning_rate": recipe.lr}, schedule=rise_and_fall(0.05),
                         batch_size=100 if len(data["train_captions"]) > 10_000 else 25, num_epochs=recipe.epochs,
                         num_val_samples=1000)  # fmt: skip
    return net, solver, study.seconds - before


def caption(
    net: object, data: dict, split: str, level: str, beams: int = 0, alpha: float = 1.0, batch: int = 100
) -> list[str]:
    """A caption for every picture of the split: greedy, or by beam search."""
    features, length = data[f"{split}_features"], data["train_captions"].shape[1] - 1
    if not beams:
        return decode(net.sample(features, length), data["idx_to_word"], level)
    texts = []
    for first in range(0, len(features), batch):
        some = features[first : first + batch]
        state = net.begin(np.repeat(some, beams, axis=0))
        found = beam_search(net.step, state, START, END, (len(some), beams), length, alpha)
        texts += decode(found, data["idx_to_word"], level)
    return texts


def search(study: Study, captions: Captions, data: dict, net: object, level: str) -> tuple[float, list[str]]:
    """Test BLEU and captions of the best captioner by beam search; its width is chosen on the validation pictures."""
    scores = {(beams, alpha): bleu(caption(net, data, "val", level, beams, alpha), captions.val.references)
              for beams in BEAMS for alpha in (ALPHAS if beams > 1 else ALPHAS[:1])}  # fmt: skip
    rows = [[beams, *(scores.get((beams, alpha), "") for alpha in ALPHAS)] for beams in BEAMS]
    study.table("beam widths", ("beams", *(f"val BLEU-4, alpha {alpha}" for alpha in ALPHAS)), rows)
    best = max(scores, key=scores.get)
    study.say(f"the best on the validation pictures: {best[0]} beams, alpha {best[1]}")
    texts = caption(net, data, "test", level, *best)
    return bleu(texts, captions.test.references), texts


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4 in 0..100, by sacrebleu, against all captions of each picture; words are what blanks part."""
    streams = [list(stream) for stream in zip(*references, strict=True)]
    return BLEU(tokenize="none", force=True).corpus_score(list(texts), streams).score


def per_caption(net: object, data: dict) -> int:
    """What makes a model's loss that of a caption: a transformer's is a mean over places, the others' a sum."""
    return data["train_captions"].shape[1] - 1 if isinstance(net, CaptioningTransformer) else 1


def bits_per_character(net: object, data: dict, split: Split, level: str) -> float:
    """What a captioner needs for a validation caption, in bits for each of its characters and its end."""
    nats = per_caption(net, data) * CaptioningSolver(net, data).check_loss("val")
    counted = data["train_captions"].shape[1] - 1  # places: a longer caption is cut there
    between, tokens = (" ", str.split) if level == "word" else ("", list)
    texts = [tokens(text) for text in chain(*split.references)]
    return nats / np.log(2) / np.mean([len(between.join(text[:counted])) + (len(text) < counted) for text in texts])


def compare(study: Study, captions: Captions, data: dict, nets: dict) -> dict[str, float]:
    """BLEU of every captioner and of the commonest caption; words against characters; what they say."""
    commonest, _ = Counter(chain(*captions.train.references)).most_common(1)[0]
    baseline = [bleu([commonest] * len(split.files), split.references) for split in (captions.val, captions.test)]
    rows, said, levels = [("commonest caption", 0, 0.0, *baseline, commonest)], {}, []
    for recipe, (net, solver, seconds) in nets.items():
        coded = data[recipe.level]
        val, test = (caption(net, coded, split, recipe.level) for split in ("val", "test"))
        scores = bleu(val, captions.val.references), bleu(test, captions.test.references)
        size = sum(w.size for w in net.params.values())
        rows.append((recipe.name, size, seconds, *scores, Counter(test).most_common(1)[0][0]))
        said[recipe] = (scores, test)
        bits = bits_per_character(net, coded, captions.val, recipe.level)
        tokens = float((coded["train_captions"][:, 1:] != NULL).sum(1).mean())
        vocabulary, embedding = len(coded["idx_to_word"]), net.params["W_embed"].size + net.params["W_vocab"].size
        epoch = seconds / max(solver.epoch, 1)
        batch = coded["train_features"][coded["train_image_idxs"][:100]], coded["train_captions"][:100]
        step = peak(net.loss, *batch) / 2**20
        levels.append((recipe.name, vocabulary, embedding, tokens, step, epoch, bits, scores[0]))
    head = ("captioner", "parameters", "seconds", "val BLEU-4", "test BLEU-4", "what it says most often")
    study.table("captioners", head, rows)
    head = ("captioner", "vocabulary", "embedding and output weights", "tokens a caption", "step's peak, MiB",
            "seconds an epoch", "bits a character (val)", "val BLEU-4")  # fmt: skip
    study.table("words against characters", head, levels)
    best = max(said, key=lambda recipe: said[recipe][0][0])  # by validation
    study.say(f"\n{best.name} has the best BLEU on the validation pictures; of test pictures it says, for example:")
    beam_bleu, texts = search(study, captions, data[best.level], nets[best][0], best.level)
    show_test_captions(study, captions.test, texts)
    nats = {r.name: np.multiply(per_caption(net, data[r.level]), s.val_loss_history) for r, (net, s, _) in nets.items()}
    words = {recipe.name: nats[recipe.name] for recipe in nets if recipe.level == "word"}
    study.figure("validation_loss", panels(Panel("validation loss (nats a caption)", words), width=6))
    own = {f"{recipe.name}/test_bleu": scores[1] for recipe, (scores, _) in said.items()}
    metrics = {"test/bleu": said[best][0][1], "test/beam_bleu": beam_bleu}
    return metrics | {"commonest caption/test_bleu": baseline[1]} | own


def show_test_captions(study: Study, test: Split, texts: Sequence[str]) -> None:
    """Captions of test pictures: the four of highest BLEU, four from the middle, the four of lowest."""
    sentence = BLEU(tokenize="none", effective_order=True, force=True).sentence_score
    score = {i: sentence(texts[i], test.references[i]).score for i in present(test)}
    order = sorted(score, key=score.get, reverse=True)
    middle = len(order) // 2
    chosen = order[:4] + order[middle - 2 : middle + 2] + order[-4:]
    lines = [f"BLEU {score[i]:.0f}: {texts[i]}\ntrue: {test.references[i][0]}" for i in chosen]
    study.figure("test_captions", captioned([test.files[i] for i in chosen], lines))
    study.logger.text("captions", "\n".join(f"1. {line}".replace("\n", "; ") for line in lines), 0)
    for place in (0, 5, 11):
        study.say(f"{Path(test.files[chosen[place]]).name}: {lines[place]}")


if __name__ == "__main__":
    main()
