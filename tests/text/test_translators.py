"""What both translators keep to: neither padding nor the rest of a batch changes what a pair of sentences counts."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tests.text.translators import KINDS, LANGUAGES, PAIRS, gru, loss_and_gradients, transformer
from tutorials import seq2seq, translation
from tutorials.text.pairs import encode
from tutorials.text.vocabulary import PAD

NETS = {f"{kind}, bidirectional {both}": (partial(gru, kind, bidirectional=both), seq2seq.collate)
        for kind in KINDS for both in (False, True)}  # fmt: skip
NETS |= {f"norm_first {first}": (partial(transformer, norm_first=first), translation.collate)
         for first in (False, True)}  # fmt: skip


@pytest.mark.parametrize(("build", "collate"), NETS.values(), ids=NETS)
def test_a_batch_is_its_items_one_by_one_and_more_padding_changes_nothing(build, collate):
    net, pairs = build(), encode(PAIRS, LANGUAGES)
    source, lengths, inputs, target = batch = collate(pairs)
    loss, gradients = loss_and_gradients(net, batch)
    singly = [loss_and_gradients(net, collate([pair])) for pair in pairs]
    assert torch.allclose(sum(one for one, _ in singly), loss, rtol=1e-12)
    for whole, *parts in zip(gradients, *(one for _, one in singly), strict=True):
        assert torch.allclose(sum(parts), whole, rtol=1e-9, atol=1e-12)
    wider = (F.pad(source, (0, 5)), lengths, F.pad(inputs, (0, 3)), F.pad(target, (0, 3)))
    more, padded = loss_and_gradients(net, wider)
    assert torch.allclose(more, loss, rtol=1e-12)
    assert all(torch.allclose(*both, rtol=1e-9, atol=1e-12) for both in zip(padded, gradients, strict=True))
    real = target != PAD
    alone = [net(*collate([pairs[n]])[:3], torch.ones(1, int(real[n].sum()), dtype=torch.bool)) for n in range(4)]
    assert torch.allclose(torch.cat(alone), net(source, lengths, inputs, real), atol=1e-12)
