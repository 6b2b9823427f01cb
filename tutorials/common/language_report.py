"""What can be seen of a language model: what it writes, what leaks from later words, where its heads look."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tutorials.common import figures
from tutorials.common.run import Run
from tutorials.common.transformer import encoder_step
from tutorials.common.writing import Style, race, write

# T tokens, V words


def show_writing(run: Run, net: torch.nn.Module, words: Sequence[str], tokens: Tensor, start: int = 12) -> None:
    """Texts at several temperatures that go on from the beginning of a text (tokens,); what keeping saves."""
    beginning = tokens[:start].tolist()
    given, lines = " ".join(words[token] for token in beginning), []
    for temperature in (0.0, 0.7, 1.0):
        written = write(net, beginning, 60, Style(temperature, seed=run.options.seed))
        lines.append(f"temperature {temperature}: {given} | {' '.join(words[token] for token in written)}")
    seconds = race(net, beginning)
    lines.append(f"200 words: {seconds[True]:.2f} s with kept keys and values, {seconds[False]:.2f} s by reading all "
                 f"again for every word, {seconds[False] / seconds[True]:.1f} times as long")  # fmt: skip
    run.say("\n".join(lines))
    run.journal.text("writing", "\n\n".join(lines), run.step)


@torch.no_grad()
def show_leak(run: Run, net: torch.nn.Module, size: int, tokens: Tensor, length: int = 24) -> None:
    """What the change of one token changes: with the mask only what comes later, without it everything."""
    row = tokens[:length].to(run.device)
    changed = row.repeat(length, 1)
    changed.diagonal().add_(1).remainder_(size)  # in row t, token t is another
    heats, causal = [], net.causal
    numbers = [number if number % 4 == 0 else "" for number in range(length)]
    for net.causal, title in ((True, "with the mask"), (False, "without: it reads what it should guess")):
        moved = (net.encode(changed) - net.encode(row[None])).norm(dim=2).cpu().numpy()  # (changed token, place)
        heats.append(figures.Heat(np.where(moved > 0, moved / moved.max(), np.nan), numbers, numbers, title))
    net.causal = causal
    leak = np.nan_to_num(np.tril(heats[0].values, -1)).max()
    run.say(f"largest effect of a token on an earlier place, with the mask: {leak:.1e}")
    label = "change of the output, share of the largest"
    run.figure("leak", figures.heat_maps(heats, "place in the window (rows: the token that was changed)", label))


@torch.no_grad()
def show_attention(run: Run, net: torch.nn.Module, words: Sequence[str], tokens: Tensor, length: int = 12) -> None:
    """Where each head of each layer looks in the first words of a text."""
    row, maps = tokens[:length], []
    encoder_step(net.encoder, net.embed(row[None].to(run.device)), maps=maps)
    names = [words[token] for token in row.tolist()]
    heats = []
    for layer, heads in enumerate(maps, start=1):
        for number, weights in enumerate(heads[0].cpu().numpy(), start=1):
            seen = np.where(np.tri(length) > 0, weights, np.nan)
            heats.append(
                figures.Heat(seen, names if number == 1 else [""] * length, [], f"layer {layer}, head {number}")
            )
    run.figure("attention", figures.heat_maps(heats, "", "weight of attention", columns=run.options.heads))
