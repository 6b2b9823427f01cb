"""Small nets of both translators, and what to translate with them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.parallel import Pairs
from tutorials import seq2seq, translation
from tutorials.text.vocabulary import PAD, Vocabulary

LANGUAGES = (Vocabulary(list("abcdefg")), Vocabulary(list("ABCDEFGHI")))
PAIRS = Pairs(("a b c d e f", "g", "c c", "f a b a"), ("A B", "C D E F G H I A", "I", "B A B"))
KINDS = ("bahdanau", "luong", "none")


def gru(kind: str = "bahdanau", **more) -> seq2seq.Seq2Seq:
    torch.manual_seed(0)
    options = seq2seq.Seq2SeqOptions(hidden_size=6, dropout=0.0, attention=kind, **more)
    return seq2seq.Seq2Seq(11, 13, options).double()


def transformer(**more) -> translation.Translation:
    torch.manual_seed(0)
    options = translation.TranslationOptions(d_model=12, heads=3, layers=2, dim_feedforward=10, dropout=0.0, **more)
    return translation.Translation(11, 13, options).double()


def loss_and_gradients(net: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    source, lengths, inputs, target = batch
    real = target != PAD
    loss = F.cross_entropy(net(source, lengths, inputs, real), target[real], reduction="sum")
    return loss, torch.autograd.grad(loss, list(net.parameters()))
