"""How good translations are: BLEU and chrF by sacrebleu, exact matches, BLEU by length."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from data.parallel import Pairs
from tutorials.common.console import markdown_table

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

References = Sequence[Sequence[str]]  # of each hypothesis, one or more


def distinct(pairs: Pairs) -> tuple[list[str], list[list[str]]]:
    """Each source sentence once, with all its translations as references."""
    references: dict[str, list[str]] = {}
    for source, target in zip(pairs.source, pairs.target, strict=True):
        references.setdefault(source, []).append(target)
    return list(references), list(references.values())


# Beginnings of the Unicode names of letters in scripts without spaces between words, or before particles.
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


def bleu_tokenizer(texts: Sequence[str]) -> str:
    """sacrebleu's tokenizer that fits a language: `zh` for Chinese, `char` for Japanese, Korean, Thai …, else `13a`.

    Those of Japanese and Korean words would need MeCab, and the default takes a whole sentence for one word.
    """
    scripts = Counter(
        unicodedata.name(sign, "").split("-")[0].split(" ")[0] for sign in chain(*texts[:1000]) if sign.isalpha()
    )
    unspaced = {script: scripts[script] for script in UNSPACED if scripts[script]}
    if not unspaced or 4 * sum(unspaced.values()) < scripts.total():  # foreign names and quotations
        return "13a"
    return "zh" if unspaced.keys() == {"CJK"} else "char"


def describe_bleu(pairs: Pairs) -> str:
    """By what BLEU is counted, as a line to print; nothing where it is sacrebleu's default."""
    tokenizer = bleu_tokenizer(pairs.target)
    return (
        ""
        if tokenizer == "13a"
        else f"BLEU counts single characters: the target's script has sacrebleu's tok:{tokenizer}"
    )


def make(name: str, **options: bool | str) -> "Metric":
    """sacrebleu's metric, `BLEU` or `CHRF`, imported when it is needed: a translation needs none."""
    import sacrebleu

    return getattr(sacrebleu, name)(**options)


def make_bleu(references: References, **options: bool) -> "Metric":
    """BLEU by the tokenizer that fits the references."""
    return make("BLEU", tokenize=bleu_tokenizer([row[0] for row in references]), **options)


def score(metric: "Metric", hypotheses: Sequence[str], references: References) -> tuple[float, str]:
    """A corpus score in 0..100 and the signature that says how it was computed."""
    most = max(map(len, references))
    streams = [[row[number] if number < len(row) else None for row in references] for number in range(most)]
    value = metric.corpus_score(list(hypotheses), streams).score
    return value, str(metric.get_signature())


def measure(hypotheses: Sequence[str], references: References) -> dict[str, float]:
    """`bleu` and `chrf` (0..100), and `exact_match`, the share of hypotheses that equal one of their references."""
    exact = [hypothesis in row for hypothesis, row in zip(hypotheses, references, strict=True)]
    return {
        "bleu": score(make_bleu(references), hypotheses, references)[0],
        "chrf": score(make("CHRF"), hypotheses, references)[0],
        "exact_match": float(np.mean(exact)),
    }


def pairwise_bleu(texts: Sequence[str]) -> np.ndarray:
    """Sentence BLEU (M, M) of each text, a row, with each of them, a column, as its reference."""
    bleu = make_bleu([[text] for text in texts], effective_order=True)
    return np.array([[bleu.sentence_score(text, [reference]).score for reference in texts] for text in texts])


def signatures(references: References) -> str:
    """sacrebleu's signatures of both scores, to stand beside the numbers."""
    texts = [row[0] for row in references]
    metrics = {"BLEU": make_bleu(references), "CHRF": make("CHRF")}
    return "\n".join(f"{name}: {score(metric, texts, references)[1]}" for name, metric in metrics.items())


def bleu_by_length(
    hypotheses: Sequence[str], references: References, lengths: Sequence[int], bins: int = 5
) -> dict[str, tuple[float, int]]:
    """BLEU, and how many sentences, of up to `bins` groups of about as many sentences each, by length; each group is
    named by its shortest and longest length."""
    lengths = np.asarray(lengths)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, bins + 1)[1:], method="nearest"))
    group = np.searchsorted(edges, lengths)
    table, bleu = {}, make_bleu(references, effective_order=True)
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        low, high = lengths[rows].min(), lengths[rows].max()
        name = f"{low}" if low == high else f"{low}–{high}"
        value, _ = score(bleu, [hypotheses[i] for i in rows], [references[i] for i in rows])
        table[name] = (value, len(rows))
    return table


def gallery(sources: Sequence[str], hypotheses: Sequence[str], references: References, count: int = 10) -> str:
    """The worst translations by chrF, some from the middle, and the best, longest first, as a table in Markdown."""
    chrf = make("CHRF")
    both = zip(hypotheses, references, strict=True)
    values = np.array([chrf.sentence_score(text, list(row)).score for text, row in both])
    lengths = np.array([len(text) for text in hypotheses])
    order = np.lexsort((-lengths * (values > 50), values.round()))
    half = len(order) // 2
    chosen = {"bad": order[:count], "in between": order[half : half + count], "good": order[::-1][:count]}
    table = [[name, sources[i], hypotheses[i], " / ".join(references[i]), f"{values[i]:.0f}"]
             for name, rows in chosen.items() for i in rows]  # fmt: skip
    return markdown_table(["", "source", "translation", "reference", "chrF"], table)
