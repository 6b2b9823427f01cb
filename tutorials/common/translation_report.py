"""What a tutorial that translates tells at its end: scores, examples good and bad, BLEU by length."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from data.parallel import Pairs
from tutorials.common import figures
from tutorials.common import translation_metrics as scores
from tutorials.common.run import Run
from tutorials.common.translator import Translator


def report(run: Run, translator: Translator, split: str, pairs: Pairs, width: int, alpha: float) -> dict[str, float]:
    """The scores of a part, `split/bleu` … by a beam and `split/greedy_bleu` without one; ten translations on the
    console, the best and the worst on the dashboard, BLEU by length as a figure."""
    sources, references = scores.distinct(pairs)
    hypotheses = translator(sources, width, alpha)
    metrics = {f"{split}/{name}": value for name, value in scores.measure(hypotheses, references).items()}
    metrics[f"{split}/greedy_bleu"] = scores.measure(translator(sources), references)["bleu"]
    run.say(f"{split}: {len(sources):,} different sources, {len(pairs):,} references\n{scores.signatures(references)}")
    for number in np.random.default_rng(run.options.seed).choice(len(sources), min(10, len(sources)), replace=False):
        run.say(f"> {sources[number]}\n= {' / '.join(references[number])}\n< {hypotheses[number]}\n")
    if run.journal:
        run.journal.text("translations", scores.gallery(sources, hypotheses, references), run.step)
    groups = scores.bleu_by_length(hypotheses, references, [len(text.split()) for text in sources])
    names = [f"{name}\n{count:,} sentences" for name, (_, count) in groups.items()]
    values = [value for value, _ in groups.values()]
    run.figure("bleu_by_length", figures.columns(values, names, "words of the source", "BLEU"))
    return metrics


def commonest(train: Pairs, split: str, pairs: Pairs) -> dict[str, float]:
    """The scores of one who always says what the training part says most often."""
    sources, references = scores.distinct(pairs)
    said = Counter(train.target).most_common(1)[0][0]
    return {f"{split}/{name}": value for name, value in scores.measure([said] * len(sources), references).items()}


def attention_maps(translator: Translator, sentences: Sequence[str]) -> figures.Figure:
    """Where the net looked while it wrote its greedy translations."""
    maps, (read, write) = [], translator.languages
    for source, output in zip(sentences, translator(sentences), strict=True):
        shares = translator.look(source, output).numpy()
        maps.append(figures.Heat(shares, [*write.cut(output), "end"], [*read.cut(source), "end"]))
    return figures.word_maps(maps)


def printed_losses(run: Run) -> dict[str, float]:
    """The training loss as the original prints it, the mean of the last five epochs over all places, and over words."""
    if not run.journal:
        return {}
    tags, first = figures.read_curves(run.folder / "metrics.jsonl"), run.step * (1 - 5 / run.options.epochs)
    losses = {"train/nll_padded": tags["loss/train"], "train/nll": tags["word_loss/train"]}
    return {name: float(np.mean(np.array(values)[np.array(at) > first])) for name, (at, values) in losses.items()}
