"""TensorBoard, as `make tensorboard` serves it, in a real browser: every tab shows what small runs recorded."""

import importlib
import json
import re
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from PIL import Image

from comparisons import race
from tests.processes import free_port
from tutorials.common.logger import Logger
from tutorials.tools import dashboard

ROOT = Path(__file__).parents[2]
RUNS = {
    "cifar10-tiny-study-seed0": ("tutorials.cifar10", "--epochs", "2"),
    "cifar10-tiny-original-seed1": ("tutorials.cifar10", "--epochs", "2", "--seed", "1", "--batch-size", "64"),
    "sentiment-tiny-study-seed0": ("tutorials.text_sentiment", "--epochs", "1"),
}
MORE = 40  # small trainings of one study: TensorBoard would tick no run of so many

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def runs(chromium, tmp_path_factory) -> Path:
    """A few runs, and many small ones."""
    runs = tmp_path_factory.mktemp("dashboard") / "runs"
    for name, (module, *options) in RUNS.items():
        with pytest.MonkeyPatch.context() as patch:
            recipe = name.split("-")[2]
            patch.setattr(sys, "argv", [module, *options, "--recipe", recipe, "--run-dir", str(runs / name)])
            importlib.import_module(module).main()
    assert race.main(["--steps", "4", "--batch", "4", "--run-dir", str(runs / "race-ThreeLayerConvNet")]) == 0
    for number in range(MORE):
        logger = Logger(runs / "small" / f"net_{number}" if number else runs / "small")
        logger.scalars({"samples_per_second": number}, 1, 1, 0)
        logger.close()
    return runs


@pytest.fixture(scope="module")
def address(runs):
    """Where their dashboards are served, by the very command of the Makefile."""
    port = free_port()
    command = subprocess.run(["make", "-n", "tensorboard"], cwd=ROOT, capture_output=True, text=True)
    (line,) = re.findall(r"tools\.launch 'tensorboard' (tutorials\.tools\.dashboard) RUNS PORT$", command.stdout, re.M)
    program = [sys.executable, "-m", line, f"--root={runs}", f"--port={port}"]
    server = subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield wait_for(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str, server: subprocess.Popen) -> str:
    """The address, once the server knows all runs."""
    for _ in range(240):
        assert server.poll() is None, "tensorboard ended"
        try:
            if len(json.load(urlopen(f"{address}/data/runs", timeout=5))) == len(RUNS) + 1:
                return address
        except URLError:
            pass
        time.sleep(0.5)
    raise AssertionError("tensorboard does not answer")


@pytest.fixture
def tab(chromium, address, request, tmp_path_factory):
    """Open a tab: tab("scalars"); errors in its console, and requests to other hosts, are failures. A picture of it is
    kept beside the runs."""
    page, said = chromium.new_page(viewport={"width": 1400, "height": 1000}), []

    def hear(message):
        said.extend([message.text] * (message.type == "error"))

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.extend([asked.url] * (not asked.url.startswith((address, "data:", "blob:")))))

    def open_tab(name: str):
        page.goto(f"{address}/#{name}")
        return page

    yield open_tab
    page.screenshot(path=tmp_path_factory.getbasetemp() / "screens" / f"{request.node.name}.png")
    page.close()
    assert not said, said


def seen(page, selector: str, text: str | re.Pattern = "", count: int = 1) -> None:
    """Wait until so many elements of a kind, with a text, are in sight."""
    page.locator(selector, has_text=text).nth(count - 1).wait_for(state="visible", timeout=60_000)


def test_runs_are_chosen_that_tensorboard_can_tick(runs, tmp_path, capsys):
    assert dashboard.logdir(runs, "small", tmp_path / "one") == tmp_path / "one"
    assert (tmp_path / "one/small/net_1").is_dir() and len(list((tmp_path / "one").iterdir())) == 1
    dashboard.logdir(runs, "", tmp_path / "all")
    assert {path.name for path in (tmp_path / "all").iterdir()} == {*RUNS, "race-ThreeLayerConvNet"}
    assert "at most 40 runs: small. Choose by a name: RUNS=small" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"no run below .* has 'nothing' in its name"):
        dashboard.logdir(runs, "nothing", tmp_path)


def test_scalars_have_the_curves_of_every_run(tab):
    page = tab("scalars")
    for name in (*RUNS, "race-ThreeLayerConvNet"):
        seen(page, "tf-runs-selector", name)
    for tag in ("loss/train", "loss/val", "accuracy/val", "lr"):
        page.locator("tf-tag-filterer input").fill(f"^{tag}$")
        seen(page, "tf-scalar-card", tag)
        for number in range(len(RUNS)):  # a curve of one point is no visible line
            page.locator("tf-scalar-card path.line[d^=M]").nth(number).wait_for(state="attached")


def test_custom_scalars_put_train_beside_validation_and_numpy_beside_torch(tab):
    page = tab("custom_scalars")
    for group in ("training beside validation", "NumPy beside torch"):
        seen(page, "tf-category-paginated-view", group)
    sides = {"accuracy": ("train", "val"), "milliseconds": ("numpy", "torch"), "gradients": ("W1", "b3")}
    for chart, tags in sides.items():
        card = page.locator("tf-custom-scalar-multi-line-chart-card", has_text=chart).first
        card.scroll_into_view_if_needed()
        card.locator("path.line[d^=M]").nth(1).wait_for(state="attached")
        for tag in tags:
            card.get_by_text(f"/{tag}").first.wait_for(state="attached")  # in the list below, which is folded


def test_images_are_the_figures(tab):
    page = tab("images")
    seen(page, "tf-image-loader", "figures/confusion")
    page.wait_for_function(
        """() => { const all = [], walk = n => { if (n.tagName === "IMG") all.push(n);
           for (const c of [...(n.shadowRoot?.children ?? []), ...n.children]) walk(c); };
           walk(document.body); return all.filter(i => i.naturalWidth > 200).length >= 3; }""",
        timeout=60_000,
    )


def test_histograms_show_weights_and_gradients(tab):
    page = tab("histograms")
    seen(page, "tf-histogram-loader", "gradients/conv1.weight")
    seen(page, "vz-histogram-timeseries path", count=4)


def test_pr_curves_are_there_for_each_class(tab):
    page = tab("pr_curves")
    for name in ("Business", "chequers"):
        page.locator("tf-tag-filterer input").fill(name)
        seen(page, "tf-pr-curve-card", f"pr/{name}")
        seen(page, "tf-pr-curve-card path.line")


def test_the_projector_has_labels_and_thumbnails(tab):
    page = tab("projector")
    inside = page.frame_locator("iframe").frame_locator("iframe")
    inside.locator(".numDataPoints", has_text="1000").first.wait_for(timeout=60_000)
    inside.get_by_text("cifar10-tiny").first.wait_for(state="attached")
    search = inside.locator("vz-projector-inspector-panel input").first
    search.fill("chequers")
    search.press("Enter")
    inside.get_by_text("Selected").first.wait_for()
    page.wait_for_timeout(2000)  # the points find their places
    picture = Image.open(BytesIO(inside.locator("#scatter canvas").first.screenshot())).convert("RGB")
    assert len(picture.getcolors(picture.width * picture.height)) > 5000  # dots without thumbnails have few


def test_hparams_compare_recipes_and_seeds(tab, runs):
    page = tab("hparams")
    seen(page, "tf-hparams-table-view", "cifar10-tiny-original-seed1")
    reached = [json.loads((runs / name / "summary.json").read_text())["metrics"]["test/accuracy"] for name in RUNS]
    for word in ("recipe", "seed", "test/accuracy", "original", "study", *(f"{value:#.5g}" for value in reached)):
        seen(page, "tf-hparams-table-view .table-header, tf-hparams-table-view .table-cell", word)


def test_texts_show_summaries_and_samples(tab):
    page = tab("text")
    for name, part in (("^summary", "--recipe original"), ("^summary", "torch 2"), ("errors", "classified as")):
        page.locator("tf-tag-filterer input").fill(name)
        seen(page, "tf-text-loader", part)
    page.locator("tf-tag-filterer input").fill("^summary")
    seen(page, "tf-text-loader table", "test/accuracy")
