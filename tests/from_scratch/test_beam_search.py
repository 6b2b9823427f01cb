"""Beam search finds what trying every caption finds, and with one beam what greedy sampling finds."""

from itertools import product

import numpy as np
import pytest

from data.captions import END, START
from from_scratch.classifiers.rnn import CaptioningRNN
from from_scratch.classifiers.transformer import CaptioningTransformer
from from_scratch.studies.beam_search import beam_search, log_softmax

WORDS = {"<NULL>": 0, "<START>": 1, "<END>": 2, "cat": 3, "dog": 4}
LENGTH = 3


def nets():
    rng = np.random.default_rng(5)
    options = {"dtype": np.float64, "rng": rng}
    made = {kind: CaptioningRNN(WORDS, 4, 6, 8, kind, **options) for kind in ("rnn", "lstm")}
    made["transformer"] = CaptioningTransformer(WORDS, 4, 8, 2, 2, 10, 16, **options)
    for net in made.values():  # far from even
        net.params = {name: w + 0.5 * rng.standard_normal(w.shape) for name, w in net.params.items()}
    return made


def search(net, features, beams, alpha=1.0, length=LENGTH):
    state = net.begin(np.repeat(features, beams, axis=0))
    return beam_search(net.step, state, START, END, (len(features), beams), length, alpha)


def value(net, features, caption, alpha):
    """log-probability / length^alpha of a caption, word by word."""
    words = list(caption)
    words = words[: words.index(END) + 1] if END in words else words
    state, total = net.begin(features), 0.0
    for before, word in zip([START, *words], words, strict=False):
        scores, state = net.step(np.array([before]), state)
        total += log_softmax(scores)[0, word]
    return total / len(words) ** alpha


@pytest.mark.parametrize("kind", ["rnn", "lstm", "transformer"])
@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_enough_beams_find_the_best_of_all_captions(kind, alpha, rng):
    net, features = nets()[kind], rng.standard_normal((4, 4))
    found = search(net, features, beams=len(WORDS) ** LENGTH, alpha=alpha)
    for one, caption in zip(features[:, None], found, strict=True):
        best = max(product(range(len(WORDS)), repeat=LENGTH), key=lambda words: value(net, one, words, alpha))
        cut = list(best[: best.index(END) + 1]) if END in best else list(best)
        assert caption.tolist() == cut + [END] * (LENGTH - len(cut))


@pytest.mark.parametrize("kind", ["rnn", "lstm", "transformer"])
def test_one_beam_is_greedy_and_more_are_no_worse(kind, rng):
    net, features = nets()[kind], rng.standard_normal((20, 4))
    greedy = net.sample(features, 8)
    ended = np.maximum.accumulate(greedy == END, axis=1)
    found = search(net, features, 1, alpha=0.0, length=8)  # by probability alone, the first end is the likeliest
    np.testing.assert_array_equal(found, np.where(ended, END, greedy))
    values = {
        beams: [value(net, one, caption, 1.0)
                for one, caption in zip(features[:, None], search(net, features, beams, length=8), strict=True)]
        for beams in (1, 5)
    }  # fmt: skip
    assert np.mean(values[5]) >= np.mean(values[1])
