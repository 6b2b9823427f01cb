"""`make demo`: a page of this machine on which the trained nets can be tried, with their answers and where they look.

Nothing is computed here: the tutorials' own functions load a net, as `checkpoint.find_best` does, and answer.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from data import StudyError, default_root, imagenet, load, tiny
from data.pictures import open_picture
from tutorials import char_rnn, cifar10, language_model, seq2seq, text_sentiment, transfer_learning, translation
from tutorials.common import checkpoint, plots
from tutorials.common.fonts import draw_as_written
from tutorials.common.image_grids import image_grid, overlay
from tutorials.common.interrupts import one_line_errors
from tutorials.reports import language_model as language_report
from tutorials.reports import text_sentiment as text_report
from tutorials.reports import translation as translation_report
from tutorials.text import saliency
from tutorials.text.generation import Style, read_beginning, write
from tutorials.text.translator import Translator, load_translator
from tutorials.tools.local_page import LOOPBACK, serve, uploaded
from tutorials.vision import models as model_zoo
from tutorials.vision.gradcam import grad_cam
from tutorials.vision.images import Preset

FRENCH = ("Je suis fatigué.", "Elle est très heureuse.", "Ils ne sont pas prêts.")
GERMAN = ("Ein Hund läuft.", "Zwei Kinder spielen im Park.", "Eine Frau liest ein Buch.")
NAMES = ("Satoshi", "Nguyen", "O'Neill", "Kowalski", "Papadopoulos")
NEWS = ("Stocks fell as oil prices rose again", "The striker scored twice in the final", "A probe lands on the moon")
BEGINNINGS = ("The history of the river", "The album was released in", "In the second half of the century")
# Where photographs lie that a net was tested on; the twin's pictures are drawn where they are not.
PHOTOGRAPHS = {"transfer": "hymenoptera_data/val", "pretrained": f"imagenette2-{imagenet.SIZE}/val"}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo", description="Try the trained nets on a page of this machine.")
    parser.add_argument("--port", type=port_number, default=7860, help="where to listen")
    parser.add_argument("--host", default=LOOPBACK[0], help="address to listen on (default: this machine only)")
    options = parser.parse_args(argv)
    with one_line_errors():
        return serve(build, options.host, options.port)


def port_number(given: str) -> int:
    if not (given.isdecimal() and 0 < int(given) < 2**16):
        raise argparse.ArgumentTypeError(f"must be a number in 1..65535, not {given}")
    return int(given)


# 1. What the nets answer: probabilities or a text, a figure, and a word on both


Answer = tuple[dict[str, float] | str, Figure | None, str]


def look(net: nn.Module, images: Tensor, shown: np.ndarray, classes: Sequence[str], layer: str | None = None) -> Answer:
    """Probabilities of the classes of an image (1, 3, H, W), and what in it, shown as (1, H, W, 3), speaks for one."""
    with torch.no_grad():
        shares = net(images)[0].softmax(0)
    winner = int(shares.argmax())
    maps = grad_cam(net, images, [winner], layer).numpy()
    titles = ["what the net sees", f"what speaks for {classes[winner]}"]
    figure = image_grid(np.concatenate([shown / 255, overlay(shown, maps)]), titles, size=2)
    return dict(zip(classes, shares.tolist(), strict=True)), figure, ""


def see(file: Path, path: Path) -> Answer:
    net, classes = cifar10.load_net(path)
    pixels = cifar10.read_picture(file)
    return look(net, cifar10.normalize(pixels), cifar10.viewable(pixels), classes, "conv2")


def see_with_transfer(file: Path, path: Path) -> Answer:
    net, preset, about = transfer_learning.load_net(path)
    picture = open_picture(file)
    images = transfer_learning.data_transforms(preset, 1)["val"](picture)[None]
    return look(net, images, preset.thumbnail(picture)[None], about["classes"])


def present() -> dict[str, Path]:
    """torchvision's weights that lie below the data root: nothing is downloaded for this page."""
    names = [name for family in model_zoo.FAMILIES.values() for name in family]
    files = {name: default_root() / model_zoo.weight_file(name).path for name in names}
    return {name: file for name, file in files.items() if file.is_file()}


def see_with_imagenet(file: Path, _: Path, name: str) -> Answer:
    net = model_zoo.build(name).eval()
    weights = model_zoo.load_weights(net, name, present()[name])
    picture, transform = open_picture(file), weights.transforms()
    shown = Preset.of(transform).thumbnail(picture)[None]
    return look(net, transform(picture)[None], shown, weights.meta["categories"])


def tell_language(text: str, path: Path) -> Answer:
    net, classes = char_rnn.load_net(path)
    name, outside = char_rnn.read_name(text, net)
    with torch.no_grad():
        shares = net(*char_rnn.encode([name]))[0].softmax(0)
    mattered = saliency.saliency(net, [name], *char_rnn.encode([name]), classes)
    begun = char_rnn.encode([name[: end + 1] for end in range(len(name))])
    by_letter = saliency.letter_by_letter(net, name, *begun, classes)
    mattered = replace(mattered, rows=["gradient"], columns=list(name), cells=None, title="which letters mattered")
    heats = [replace(by_letter, title="probability, letter by letter"), mattered]
    figure = plots.heat_maps(heats, "letters", "probability, or gradient\nas a share of the largest", columns=1)
    note = f"Not in the net's alphabet: {' '.join(outside)}" if outside else ""
    return dict(zip(classes, shares.tolist(), strict=True)), figure, note


def tell_topic(text: str, path: Path) -> Answer:
    net, ngrams, about = text_sentiment.load_net(path)
    tokens, logits = text_sentiment.predict(net, ngrams, text)
    winner, classes = int(logits.argmax()), about["classes"]
    weights = text_report.weigh_words(net, ngrams, tokens, winner)
    figure = plots.ranked({f"for {classes[winner]}": weights}, "weight of words and their parts") if weights else None
    known = np.count_nonzero(ngrams.table(tokens)[:, 0])
    note = f"The net knows {known} of {len(tokens)} words."
    return dict(zip(classes, logits.softmax(0).tolist(), strict=True)), figure, note


def from_french(text: str, path: Path) -> Answer:
    translator, trained = load_translator(path, "seq2seq", seq2seq.Seq2Seq)
    text = seq2seq.as_trained(text, trained)
    return translate(translator, trained, text, path, FRENCH[0], trained.attention != "none")


def from_german(text: str, path: Path) -> Answer:
    return translate(*load_translator(path, "translation", translation.Translation), text.strip(), path, GERMAN[0])


def translate(translator: Translator, trained: Any, text: str, path: Path, example: str, looks: bool = True) -> Answer:
    """A translation as the net's test would make it."""
    unknown = translation_report.unknown_words(translator, text, path, example)
    written = translator([text], trained.beam, trained.length_penalty)
    figure = translation_report.attention_maps(translator, [text], written) if looks and written[0] else None
    return written[0], figure, f"Unknown to the net: {', '.join(unknown)}" if unknown else ""


def write_on(text: str, path: Path, temperature: float, seed: float) -> Answer:
    net, words = language_model.load_net(path)
    numbers, unknown = read_beginning(text, words)
    usual = language_model.LanguageModelOptions()
    written = write(net, numbers, usual.tokens, Style(temperature, usual.top_k, usual.top_p, int(seed)))
    few = torch.tensor(numbers[-16:])
    figure = language_report.attention(net, words, few) if len(few) > 1 else None
    said = f"{text.strip()} | {' '.join(words[token] for token in written)}"
    return said, figure, f"Unknown to the net: {', '.join(unknown)}" if unknown else ""


# 2. The page


@dataclass(frozen=True)
class Tab:
    """A net: its title, the target that trains it, what answers, and texts to try, the first of which stands there;
    `limit` in letters, 0 for a net that sees pictures."""

    title: str
    target: str
    answer: Callable[..., Answer]
    question: str = "A picture"
    limit: int = 0
    examples: tuple[str, ...] = ()
    find: Callable[[str], Path] = checkpoint.find_best

    def status(self) -> str:
        """Which net answers, or how to get one; asked whenever the page is loaded."""
        make = f"`make {self.target} DATA=official`"
        try:
            path = self.find(self.target)
        except StudyError:
            return f"**No net yet.** {make} trains one; `make {self.target}` does so on generated data, in a minute."
        twin = " It knows generated data only. For more: " + make if self.knows_twin() else ""
        return f"The net of `{path.parent}` answers.{twin}"

    def knows_twin(self) -> bool:
        """Whether the net that answers was trained on generated data."""
        return checkpoint.knows_twin(self.find(self.target), self.target)

    def pictures(self, count: int = 4) -> list[Image.Image]:
        """Test pictures to try: real ones where the net knows them and they are there, else the twin's."""
        root = default_root()
        with suppress(StudyError):  # there is no net, or the data are damaged
            if not self.knows_twin():
                if files := sorted((root / PHOTOGRAPHS.get(self.target, "none")).glob("*/*.[jJ]*")):
                    return [open_picture(file) for file in files[:: -(-len(files) // count)]]
                if self.target == "cifar10" and (root / "cifar-10-batches-py").is_dir():
                    return as_pictures(load("cifar10", "official", root).test_images[:count])
        if self.target == "transfer":
            return [open_picture(io.BytesIO(file)) for file in tiny.hymenoptera().test_files[:count]]
        if self.target == "pretrained":
            return [Image.fromarray(pixels) for pixels in tiny.imagenet().pictures[:count]]
        return as_pictures(tiny.cifar10().test_images[:count])

    def check(self, given: str | Path | None) -> str | Path:
        """What was given, if it is neither nothing nor too much; else raises StudyError."""
        if not given:
            raise StudyError(f"{self.target}: there is nothing to answer. Give {self.question.lower()}.")
        if self.limit and len(given) > self.limit:
            raise StudyError(
                f"{self.target}: {len(given):,} characters, more than {self.limit:,}. Give a shorter text."
            )
        return given


TABS = (
    Tab("CIFAR-10", "cifar10", see),
    Tab("Ants and bees", "transfer", see_with_transfer),
    Tab("ImageNet", "pretrained", see_with_imagenet, find=lambda _: default_root() / "weights" / "…"),
    Tab("Names", "names", tell_language, "A name", 40, NAMES),
    Tab("News", "sentiment", tell_topic, "A headline or a report", 2000, NEWS),
    Tab("French", "seq2seq", from_french, "A French sentence", 200, FRENCH),
    Tab("German", "translation", from_german, "A German sentence", 200, GERMAN),
    Tab("Writing", "language-model", write_on, "The beginning of a text", 500, BEGINNINGS),
)


def as_pictures(images: np.ndarray) -> list[Image.Image]:
    """CIFAR-10's images (N, 3, 32, 32) as pictures."""
    return [Image.fromarray(pixels) for pixels in cifar10.viewable(torch.from_numpy(images))]


def build(gr: ModuleType) -> Any:
    """The page. A net that is trained while it is served answers from then on; ImageNet's weights must be there."""
    models = list(present())
    with gr.Blocks(title="PyTorch study", analytics_enabled=False, delete_cache=(60, 300)) as page:
        gr.Markdown("# The trained nets\nEach tab asks a tutorial's net. Nothing leaves this machine.")
        with gr.Tabs():
            for tab in TABS:
                with gr.Tab(tab.title):
                    if tab.answer is see_with_imagenet and not models:
                        gr.Markdown("**No weights yet.** `make pretrained DATA=official` downloads torchvision's; then "
                                    "start this page again.")  # fmt: skip
                    else:
                        fill(gr, tab, models)
    return page.queue(max_size=16)


def fill(gr: ModuleType, tab: Tab, models: list[str]) -> None:
    """What a tab asks, and beside it what the net says and where it looks."""
    gr.Markdown(tab.status)
    with gr.Row():
        with gr.Column(scale=3):
            asked = text_field(gr, tab) if tab.limit else picture_fields(gr)
            settings = []
            if tab.answer is see_with_imagenet:
                settings = [gr.Dropdown(models, label="Model")]
            if tab.answer is write_on:
                settings = [gr.Slider(0, 2, 0.8, step=0.1, label="Temperature (0 takes the likeliest word)"),
                            gr.Slider(0, 99, 0, step=1, label="Seed")]  # fmt: skip
            given = tab.examples or save_pictures(tab.pictures())
            shown = gr.Dataset(
                components=[asked[0][0]], samples=[[one] for one in given], type="index", label="Examples"
            )
        with gr.Column(scale=3):
            writes = tab.answer in (from_french, from_german, write_on)
            said = (
                gr.Textbox(label="The net writes", lines=3)
                if writes
                else gr.Label(label="The net says", num_top_classes=5)
            )
            footer = gr.Markdown()
        with gr.Column(scale=4):
            figure = gr.Plot(show_label=False, visible=False, elem_classes="figure")
    about = dict(outputs=[said, figure, footer], api_visibility="private", concurrency_limit=1, concurrency_id="nets")
    for field, triggers in asked:
        gr.on(triggers, partial(ask, gr, tab), [field, *settings], **about)
    about["outputs"] = [asked[0][0], *about["outputs"]]
    shown.click(partial(ask_example, gr, tab, given), [shown, *settings], **about)


def text_field(gr: ModuleType, tab: Tab) -> list[tuple[Any, list]]:
    """Where a text is typed, and what asks the net about it."""
    field = gr.Textbox(tab.examples[0], label=tab.question, lines=1, max_lines=8, max_length=tab.limit)  # Enter asks
    return [(field, [gr.Button("Ask the net", variant="primary").click, field.submit])]


def picture_fields(gr: ModuleType) -> list[tuple[Any, list]]:
    """Where a picture is dropped, and where one is drawn, each with what asks the net about it."""
    with gr.Tab("Drop"):
        file = gr.Image(label="A picture", type="filepath", sources=["upload", "webcam", "clipboard"], height=260)
        file.preprocess = uploaded  # it is opened later, within our limits and with our messages
        ask_file = gr.Button("Ask the net", variant="primary")
    with gr.Tab("Draw"):
        drawn = gr.Sketchpad(label="A drawing", type="filepath", image_mode="RGB", format="png", canvas_size=(300, 300),
                             fixed_canvas=True, layers=False, height=420)  # fmt: skip
        drawn.preprocess = lambda sent: uploaded(sent and sent.composite)
        ask_drawn = gr.Button("Ask the net", variant="primary")
    return [(file, [ask_file.click]), (drawn, [ask_drawn.click])]


def save_pictures(pictures: Sequence[Image.Image]) -> list[str]:
    """Paths of the pictures as files that go with the page."""
    folder = Path(tempfile.mkdtemp())
    for number, picture in enumerate(pictures):
        enlarged = picture.resize([max(1, 256 // min(picture.size)) * side for side in picture.size], Image.NEAREST)
        enlarged.save(folder / f"{number}.png")
    return [str(path) for path in sorted(folder.iterdir())]


def ask(gr: ModuleType, tab: Tab, given: Any, *settings: Any) -> tuple[Any, Any, str]:
    """The net's answer; what the user can mend becomes a message on the page."""
    try:
        said, figure, footer = tab.answer(tab.check(given), tab.find(tab.target), *settings)
    except StudyError as error:
        said = str(error) if tab.limit else str(error).replace(str(given), Path(given or "").name)
        raise gr.Error(escape(said), print_exception=False) from None
    return said, gr.Plot(figure and draw_as_written(figure), visible=figure is not None), footer


def ask_example(gr: ModuleType, tab: Tab, given: Sequence[str], number: int, *settings: Any) -> tuple:
    """An example, to be shown where the user's own would stand, and the net's answer to it."""
    return given[number], *ask(gr, tab, given[number], *settings)


if __name__ == "__main__":
    sys.exit(main())
