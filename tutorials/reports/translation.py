"""What a tutorial that translates tells at its end: scores, examples good and bad, BLEU by length."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from data import StudyError
from data.parallel import LONGEST, Pairs
from tutorials.common import checkpoint, plots
from tutorials.common.device import predicting
from tutorials.common.run import Run
from tutorials.reports import translation_plots
from tutorials.text import translation_metrics as scores
from tutorials.text.translator import Net, Translator, load_translator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def results(run: Run, translator: Translator, split: str, pairs: Pairs, width: int, alpha: float) -> dict[str, float]:
    """The scores of a part, `split/bleu` … by a beam and `split/greedy_bleu` without one; ten translations on the
    console, the best and the worst on the dashboard, BLEU by length as a figure."""
    sources, references = scores.distinct(pairs)
    hypotheses = translator(sources, width, alpha)
    metrics = {f"{split}/{name}": value for name, value in scores.measure(hypotheses, references).items()}
    metrics[f"{split}/greedy_bleu"] = scores.measure(translator(sources), references)["bleu"]
    run.say(f"{split}: {len(sources):,} different sources, {len(pairs):,} references\n{scores.signatures(references)}")
    for number in np.random.default_rng(run.options.seed).choice(len(sources), min(10, len(sources)), replace=False):
        run.say(f"> {sources[number]}\n= {' / '.join(references[number])}\n< {hypotheses[number]}\n")
    if run.logger:
        run.logger.text("translations", scores.gallery(sources, hypotheses, references), run.step)
    if run.options.data == "tiny":
        return metrics  # all of the twin's sentences are short, and translated alike
    groups = scores.bleu_by_length(hypotheses, references, [len(text.split()) for text in sources])
    names = [f"{name}\n{count:,} sentences" for name, (_, count) in groups.items()]
    values = [value for value, _ in groups.values()]
    run.figure("bleu_by_length", translation_plots.columns(values, names, "words of the source", "BLEU"))
    return metrics


def commonest(train: Pairs, split: str, pairs: Pairs) -> dict[str, float]:
    """The scores of one who always says what the training part says most often."""
    sources, references = scores.distinct(pairs)
    said = Counter(train.target).most_common(1)[0][0]
    return {f"{split}/{name}": value for name, value in scores.measure([said] * len(sources), references).items()}


def attention_maps(translator: Translator, sentences: Sequence[str], outputs: Sequence[str] | None = None) -> "Figure":
    """Where the net looked while it wrote these translations, or its greedy ones."""
    maps, (read, write) = [], translator.languages
    for source, output in zip(sentences, outputs or translator(sentences), strict=True):
        shares = translator.attention(source, output).numpy()
        maps.append(plots.Heat(shares, [*write.cut(output), "end"], [*read.cut(source), "end"]))
    return translation_plots.word_maps(maps)


def unknown_words(translator: Translator, text: str, net: Path | str, example: str) -> list[str]:
    """What of a text the `net`, named by its path, does not know; raises StudyError, with an example of a command, for
    a text of which it knows nothing and for one that is too long."""
    read = translator.languages[0]
    if len(text) > LONGEST:
        raise StudyError(
            f"the text has {len(text):,} characters. Give at most {LONGEST:,}, ideally one sentence: {example}"
        )
    if not read.knows(text):
        what = f"no word of {text!r} is known to the net" if text else "the text has no words"
        raise StudyError(f"--text: {what} of {net}. Give a sentence: {example}")
    return read.unknown(text)


COMMANDS = {
    "seq2seq": 'make translate-fr TEXT="Je suis fatigué."',
    "translation": 'make translate-de TEXT="Ein Hund läuft."',
}


def translate_text(
    tutorial: str,
    kind: Callable[..., Net],
    options: Any,
    prepare: Callable[[str, SimpleNamespace], str] = lambda text, _: text.strip(),
) -> None:
    """Print the translation of --text by the saved net of a tutorial, what of it the net does not know, and where the
    net looked. `prepare` makes the text what a net, trained with such options, reads.

    Raises StudyError, with an example of a right command, for a text of which the net knows nothing.
    """
    with predicting():
        path = checkpoint.find_best(tutorial, options.run_dir)
        translator, trained = load_translator(path, tutorial, kind)
        text = prepare(options.text, trained)
        net = checkpoint.describe(path, tutorial)
        if checkpoint.knows_twin(path, tutorial):  # not among what a script takes for the translation
            print(f"by the net of {net}", file=sys.stderr)
        if unknown := unknown_words(translator, text, net, COMMANDS[tutorial]):
            print(f"unknown to the net, which knows {len(translator.languages[0]):,} tokens: {', '.join(unknown)}")
        (output,) = translator([text], options.beam, options.length_penalty)
        print(output)
        if getattr(trained, "attention", "") != "none":
            picture = path.parent / "figures" / "translation.png" if options.figure else None
            show_attention(translator, text, output, picture)


def show_attention(translator: Translator, text: str, output: str, picture: Path | None) -> None:
    """Print the source tokens that weigh most for each token of a translation, and draw all weights as a `picture`."""
    read, write = translator.languages
    source, written = [*read.cut(text), "end"], [*write.cut(output), "end"]
    print("\nattention weights of 0.1 and more:")
    for token, weights in zip(written, translator.attention(text, output).numpy(), strict=True):
        largest = [f"{source[i]} {weights[i]:.2f}" for i in np.argsort(-weights) if weights[i] >= 0.1]
        print(f"  {token:<{max(map(len, written))}}  {', '.join(largest)}".rstrip())
    if picture:
        plots.save(attention_maps(translator, [text], [output]), picture)
        print(f"all weights: {picture}")


def scores_as_trained(translator: Translator, train: Pairs, split: str, pairs: Pairs) -> dict[str, float]:
    """The scores of a net that was trained to read the padding of its sources when it finds as much of it again: the
    original translates without, which is not what its net has learned."""
    width = max(len(translator.languages[0].encode(source)) for source in train.source)
    sources, references = scores.distinct(pairs)
    padded = Translator(translator.net, translator.languages, translator.limit, width)(sources)
    return {f"{split}/padded_{name}": value for name, value in scores.measure(padded, references).items()}


def printed_losses(run: Run) -> dict[str, float]:
    """The training loss as the original prints it, the mean of the last five epochs over all places, and over words."""
    if not run.logger:
        return {}
    tags, first = plots.read_curves(run.folder / "metrics.jsonl"), run.step * (1 - 5 / run.options.epochs)
    losses = {"train/nll_padded": "loss/train", "train/nll": "word_loss/train"}
    losses = {name: tags[tag] for name, tag in losses.items() if tag in tags}  # a record may have been lost
    return {name: float(np.mean(np.array(values)[np.array(at) > first])) for name, (at, values) in losses.items()}


def head_maps(translator: Translator, source: str) -> "Figure":
    """Where each head of each decoder layer looks in the source, one row of maps for each layer."""
    read, write = translator.languages
    output = translator([source])[0]
    with torch.no_grad():
        looks = translator.net.attention_by_head(*translator.encode(source, output))[0]
    maps = [
        plots.Heat(shares.cpu().numpy(), [*write.cut(output), "end"], [*read.cut(source), "end"],
                     f"layer {layer}, head {head}")
        for layer, heads in enumerate(looks, 1) for head, shares in enumerate(heads, 1)
    ]  # fmt: skip
    return translation_plots.word_maps(maps, len(looks[0]))


def beam_widths(
    translator: Translator, pairs: Pairs, alpha: float, widths: Sequence[int] = (1, 2, 3, 5, 8)
) -> "Figure":
    """BLEU of the validation pairs against the beam's width: the test part has no say in the choice."""
    sources, references = scores.distinct(pairs)
    values = [scores.measure(translator(sources, width, alpha), references)["bleu"] for width in widths]
    return plots.panels(plots.Panel("validation BLEU", {"": (widths, values)}, "width of the beam"))


def written_lengths(translator: Translator, pairs: Pairs) -> "Figure":
    """Words of each translation against words of its reference; what is below the diagonal is too short."""
    right = [len(text.split()) for text in pairs.target]
    ours = [len(text.split()) for text in translator(pairs.source)]
    return translation_plots.against(right, ours, "words of the reference", "words of the greedy translation")
