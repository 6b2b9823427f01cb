"""What can be seen of a language model: how it learns, what leaks from later words, where its heads look, its prose."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tutorials.common import plots, summary
from tutorials.common.plots import Panel
from tutorials.common.run import Run
from tutorials.text.generation import Style, write
from tutorials.text.transformer import encoder_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# T tokens, V words

RECIPES = ("study", "original")


def look_inside(run: Run, net: torch.nn.Module, words: Sequence[str], tokens: Tensor) -> None:
    """All that can be shown of a trained net, by a text (tokens,) that it has not seen."""
    record = run.folder / "metrics.jsonl"
    run.figure("curves", plots.curves(record, "perplexity"))
    run.figure("perplexity_by_time", perplexity_by_time(run.folder, run.options.recipe, run.options.tokenizer))
    run.figure("leak", leak(run, net, len(words), tokens))
    if not net.causal and plots.read_curves(record):  # a record may have been lost
        run.figure("leak_perplexity", leak_perplexity(record, run.options.tokenizer == "basic_english"))
    run.figure("attention", attention(net, words, tokens[:12].to(run.device)))
    show_writing(run, net, words, tokens)


def perplexity_by_time(folder: Path, recipe: str, tokenizer: str = "basic_english") -> "Figure":
    """Validation perplexity against time; of both recipes when the other one's run lies in the folder of like name and
    has the same tokens."""
    lines = {}
    for name in RECIPES:
        place = folder.with_name(folder.name.replace(recipe, name))
        record = place / "metrics.jsonl"
        other = (summary.read_json(place / "summary.json") or {}).get("options", {}).get("tokenizer", tokenizer)
        if record.exists() and (name == recipe or (place != folder and other == tokenizer)):
            tags = plots.read_curves(record)
            if "cpu_minutes/val" in tags:
                lines[f"{name} recipe"] = tags["cpu_minutes/val"][1], tags["perplexity/val"][1]
    axes = {
        "xlim": (0, None),
        "title": "lowest: " + ", ".join(f"{name} {min(y):.1f}" for name, (_, y) in lines.items()),
    }
    panel = Panel("validation perplexity", lines, "processor time of training (minutes)", axes=axes)
    return plots.panels(panel, width=6.5, height=4)


def leak_perplexity(record: Path, published: bool) -> "Figure":
    """How the perplexity of a net without its mask falls to what no honest net reaches; with the `published` figures,
    which are of the original's tokens."""
    tags = plots.read_curves(record)
    steps, nats = tags["loss/train"]
    lines = {
        "no mask, training text": (steps, np.exp(nats)),
        "no mask, validation text": tags["perplexity/val"],
    }
    if published:
        lines["no mask, published 2023: 2.9"] = (steps[0], steps[-1]), (2.9, 2.9)
        lines["mask, published: 240"] = (steps[0], steps[-1]), (240.24, 240.24)
    ticks = (1, 3, 10, 30, 100, 300, 1000)
    axes = {"yscale": "log", "yticks": ticks, "yticklabels": ticks}
    panel = Panel("perplexity", lines, "step", axes=axes)
    return plots.panels(panel, width=7, height=3.8)


@torch.no_grad()
def leak(run: Run, net: torch.nn.Module, size: int, tokens: Tensor, length: int = 16) -> "Figure":
    """What the change of one token changes: with the mask only what comes later, without it everything."""
    from matplotlib.colors import LogNorm

    row = tokens[:length].to(run.device)
    changed = row.repeat(length + 1, 1)
    changed[:length].diagonal().add_(1).remainder_(size)  # in row t, token t is another; the last stays as it is
    figure, causal = plots.new_figure(9.5, 4.2), net.causal
    titles = ("with the mask", "without: it reads what it should guess")
    for axes, net.causal, title in zip(figure.subplots(1, 2, sharey=True), (True, False), titles, strict=True):
        states = net.encode(changed)
        moved = (states[:length] - states[length]).norm(dim=2).cpu().numpy()  # (changed token, place)
        moved /= moved.max()
        effect = f"{title.split(':')[0]}: {np.tril(moved, -1).max():.1e}"
        run.say(f"largest effect of a token on an earlier place, {effect} of the largest of all")
        seen = np.where(moved > 1e-6, moved, np.nan)  # less is rounding
        picture = axes.imshow(seen, cmap="viridis_r", norm=LogNorm(1e-3, 1))
        axes.set(title=title, xlabel="position in the window")
        axes.spines[:].set_visible(False)
    figure.axes[0].set_ylabel("the token that was changed")
    figure.colorbar(picture, ax=figure.axes, label="change of the output,\nshare of the largest", extend="min")
    net.causal = causal
    return figure


@torch.no_grad()
def attention(net: torch.nn.Module, words: Sequence[str], row: Tensor) -> "Figure":
    """Where each head of each layer looks, from each token (T,) of a beginning (rows) to those before it (columns)."""
    maps: list[Tensor] = []
    encoder_step(net.encoder, net.embed(row[None]), maps=maps)
    layers, heads, count = len(maps), maps[0].shape[1], len(row)
    names, side = [words[token] for token in row.tolist()], 0.13 * count  # inches
    figure = plots.new_figure(heads * (side + 0.15) + 2, layers * (side + 0.35) + 0.9)
    places = figure.subplots(layers, heads, squeeze=False, sharex=True, sharey=True)
    for (layer, head), axes in np.ndenumerate(places):
        weights = maps[layer][0, head].cpu().numpy()
        seen = np.where(np.tri(count) > 0, weights, np.nan)
        picture = axes.imshow(seen, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8, pad=3)
        axes.tick_params(length=0, labelsize=7)
        axes.spines[:].set_visible(False)
    places[-1, 0].set_xticks(range(count), names)
    places[-1, 0].set_yticks(range(count), names)
    for axes in places[-1]:
        axes.tick_params(axis="x", rotation=90)
    figure.supylabel("from this word", fontsize=9)
    figure.supxlabel("to this one", fontsize=9)
    figure.colorbar(picture, ax=places, label="attention weight", shrink=min(1, 2.2 / (layers * side)), aspect=14)
    return figure


def show_writing(run: Run, net: torch.nn.Module, words: Sequence[str], tokens: Tensor, start: int = 12) -> None:
    """Texts at several temperatures that go on from the beginning of a text (tokens,)."""
    beginning = tokens[:start].tolist()
    given, lines = " ".join(words[token] for token in beginning), []
    for temperature in (0.0, 0.7, 1.0):
        written = write(net, beginning, 60, Style(temperature, seed=run.options.seed))
        lines.append(f"temperature {temperature}: {given} | {' '.join(words[token] for token in written)}")
    run.say("\n".join(lines))
    run.logger.text("writing", "\n\n".join(lines), run.step)
