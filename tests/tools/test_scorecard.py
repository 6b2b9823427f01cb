"""The scorecard keeps what official runs wrote and holds it against the originals; make study tells who failed."""

import ast
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import StudyError
from docs import script
from tutorials.common import plots, published
from tutorials.common.published import ORIGINALS, Figure, Original
from tutorials.tools import scorecard, scorecard_page
from tutorials.tools.run_all import PROGRAMS
from tutorials.translation import PUBLISHED

ROOT = Path(__file__).parents[2]
THING = {"thing": Original((Figure("test/accuracy", 0.5, 0.1), Figure("test/loss", lower_is_better=True)), "a page", 3)}


def summary(**changes) -> dict:
    return {
        "name": "thing", "recipe": "study", "data": "official", "seed": 0, "device": "cpu", "threads": 2,
        "seconds": {"train": 60.0, "total": 90.0}, "changed": {}, "processes": 1, "versions": {"torch": "2.3.1"},
        "metrics": {"test/accuracy": 0.7}, "published": {"test/accuracy": 0.5},
        "chance": {"test/accuracy": 0.1},
    } | changes  # fmt: skip


def write(folder, content: dict) -> None:
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(content))


def test_summaries_of_official_runs_are_kept_and_averaged(tmp_path):
    runs, results = tmp_path / "runs", tmp_path / "results"
    for seed, accuracy in enumerate((0.70, 0.72, 0.74)):
        write(runs / f"thing-official-study-seed{seed}", summary(seed=seed, metrics={"test/accuracy": accuracy}))
    write(runs / "thing-official-study-seed0.1", summary(metrics={"test/accuracy": 0.0}))  # an older one, moved aside
    write(runs / "thing-official-study-seed7", summary(seed=7, changed={"epochs": 1}))  # not the recipe
    write(runs / "thing-tiny-study-seed0", summary(data="tiny"))
    scorecard.keep_summaries(runs, results)
    assert len(list(results.iterdir())) == 3
    (accuracy, loss) = scorecard.rows(scorecard.read_summaries(results), THING)
    assert accuracy["not_run"] == {"original": "not run yet"} and not loss["ours"]
    (ours,) = accuracy["ours"]
    assert ours["seeds"] == [0, 1, 2] and ours["mean"] == pytest.approx(0.72) and ours["recipe"] == "study"
    assert ours["difference"] == {"deviations": 2.2, "of": "the original's"}
    assert ours["minutes"] == {"train": 1.0, "total": 1.5}
    table = scorecard.table(scorecard.read_summaries(results), THING)
    assert "| `thing` | test/accuracy | 0.500 ± 0.100 | not run | 0.720 ± 0.020 (n = 3), +2.2 sd | 3.0 → 1.5 |" in table
    assert "cpu with 2 threads; torch 2.3.1" in table


def test_a_run_of_other_weights_has_a_row_of_its_own(tmp_path):
    other = {"model": "squeezenet1_0", "weights_file": ["squeezenet1_0=/home/me/weights/a.pth"], "lr": 0.1}
    write(tmp_path / "small", summary(changed=other, options=other, metrics={"test/accuracy": 0.93}))
    scorecard.keep_other(tmp_path / "small", "with SqueezeNet's weights", tmp_path)
    others = scorecard.read_summaries(tmp_path / "others")
    assert others[0]["changed"] == other | {"weights_file": ["squeezenet1_0=a.pth"]}
    whole = scorecard_page.whole(scorecard.rows([], THING), others)
    row = "| `thing` | with SqueezeNet's weights | study | 0 | test/accuracy 0.930 | 1.0, 1.5 | cpu with 2 threads |"
    assert row in whole
    plain = scorecard_page.plain(scorecard.rows([], THING), THING, {"thing": "tutorials.thing"}, others)
    assert "| with SqueezeNet's weights: 93.0 % right; not run on the official data: not run yet | 1.5 |" in plain
    with pytest.raises(StudyError, match="none has no summary"):
        scorecard.keep_other(tmp_path / "none", "nothing", tmp_path)


@pytest.mark.parametrize(
    "figure, values, told",
    [
        (Figure("m", 0.5, low=0.4, high=0.6), [0.45], "0.4-0.6: 0.450, within"),
        (Figure("m", 0.5, low=0.4, high=0.6), [0.6, 0.8], "0.4-0.6: 0.700 ± 0.141, above"),
        (Figure("m", 0.5), [0.6, 0.8], "0.5: 0.700 ± 0.141, +1.4 sd¹"),  # in deviations of ours
        (Figure("m", 240.24), [100.5], "240.24: 100.50"),  # nothing is known of the spread
        (Figure("m", 0.5, 0.1), [0.3], "0.500 ± 0.100: 0.300, -2.0 sd"),
        (Figure("m"), [0.3], "-: 0.300"),
        (Figure("m", 0.0291), [0.0291, 0.0299], "0.0291: 0.0295 ± 0.0006, +0.7 sd¹"),  # small figures keep digits
    ],
)
def test_a_difference_is_told_in_what_is_known_of_the_spread(figure, values, told):
    runs = [summary(name="thing", seed=seed, metrics={"m": value}) for seed, value in enumerate(values)]
    (row,) = scorecard.rows(runs, {"thing": Original((figure,), "a page")})
    shown = scorecard_page.cell(row["ours"][0]).replace(f" (n = {len(values)})", "")
    assert f"{scorecard_page.theirs(row)}: {shown}" == told


def test_what_has_not_been_run_says_why():
    page = Original((Figure("test/bleu", 30.0), Figure("test/loss")), "a page", needs="takes a week")
    table = scorecard.table([summary()], THING | {"other": page})
    assert "| `other` | test/bleu 30 | takes a week |" in table and table.count("`other`") == 1
    whole = scorecard_page.whole(scorecard.rows([summary()], THING | {"other": page}))
    assert whole.count("not run: takes a week") == 4  # two metrics by two recipes
    table = scorecard.table([summary(name="other", metrics={"test/bleu": 0.0295})], {"other": page})
    assert "| `other` `RECIPE=original` | test/bleu 30 | takes a week |" in table and "| 0.0295 (n = 1) |" in table
    assert "a page" in whole and "torch 2.3.1" in whole


def test_runs_on_different_machines_are_not_averaged():
    fast = {"device": "cuda", "metrics": {"test/accuracy": 0.9}}
    runs = [summary(), summary(seed=1, **fast, device_name="A"), summary(seed=2, **fast, device_name="B"),
            summary(seed=3, **fast, device_name="B"), summary(seed=4, versions={"torch": "2.6"})]  # fmt: skip
    row, _ = scorecard.rows(runs, THING)
    told = [(one["device"], one["mean"], one["seeds"]) for one in row["ours"]]
    assert told == [("cpu", 0.7, [0]), ("cpu", 0.7, [4]), ("cuda", 0.9, [1]), ("cuda", 0.9, [2, 3])]
    shown = scorecard.table(runs, THING)
    assert "| 0.900 ± 0.000 (n = 2), +4.0 sd; " in shown  # the most seeds, and then all others
    assert "0.900 (n = 1), +4.0 sd on cuda A with 2 threads" in shown and "with torch 2.6" in shown


def test_a_kept_seed_is_replaced_on_request_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run, kept = tmp_path / "runs/thing-official-study-seed0", Path("docs/results/thing-official-study-seed0.json")
    for readme in scorecard.READMES:
        readme.write_text(f"{scorecard.BEGIN}\n{scorecard.END}", encoding="utf-8")
    scorecard.ANSWERS.parent.mkdir()
    scorecard.ANSWERS.touch()
    write(run, summary())
    scorecard.main([])
    before, stamps = kept.read_bytes(), [path.stat().st_mtime_ns for path in (kept, *scorecard.READMES)]
    (run / "summary.json").write_text(json.dumps(summary(threads=1, metrics={"test/accuracy": 0.9})))
    capsys.readouterr()
    scorecard.main([])
    told = capsys.readouterr().out.splitlines()[0]
    assert kept.read_bytes() == before and "is kept" in told and "make scorecard REPLACE=1" in told
    assert [path.stat().st_mtime_ns for path in (kept, *scorecard.READMES)] == stamps, "nothing changed, yet written"
    scorecard.main(["--replace"])
    assert json.loads(kept.read_text())["metrics"] == {"test/accuracy": 0.9}


def test_own_data_and_damaged_summaries_are_no_official_runs(tmp_path, capsys):
    write(tmp_path / "thing-my-official-study-seed0", summary(data="my-official"))
    write(tmp_path / "thing-official-study-seed1", summary(seed=1))
    (tmp_path / "thing-official-study-seed1/summary.json").write_text("{")
    assert scorecard.keep_summaries(tmp_path, tmp_path / "results") == []
    assert not (tmp_path / "results").exists() and capsys.readouterr().err.count("is damaged") == 1


# Figures


def draw(path: Path, width: int, height: int, seed: int) -> None:
    """A picture that compresses badly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    Image.fromarray(pixels.repeat(20, 0).repeat(20, 1)).save(path)


def test_the_figures_of_the_kept_study_run_of_seed_0_are_kept_small(tmp_path):
    runs, results, figures = (tmp_path / name for name in ("runs", "results", "figures"))
    for name, changes in {
        "thing-official-study-seed0": {},
        "thing-official-study-seed1": {"seed": 1},
        "thing-official-original-seed0": {"recipe": "original"},
        "thing-tiny-study-seed0": {"data": "tiny"},
        "other-official-study-seed0": {"name": "other", "changed": {"epochs": 1}},
    }.items():
        write(runs / name, summary(**changes))
        draw(runs / name / "figures/big.png", 1600, 800, seed=0)
        draw(runs / name / "figures/small.png", 80, 40, seed=1)
        draw(runs / name / "figures/grad_cam.png", 80, 40, seed=2)  # photographs are not kept
    scorecard.keep_summaries(runs, results)
    run = runs / "thing-official-study-seed0"
    assert scorecard.keep_figures(runs, results, figures) == [run]
    names = {path.relative_to(figures).as_posix() for path in figures.rglob("*.*")}
    assert names == {"thing/big.png", "thing/small.png", "thing/source.json"}
    source = json.loads((figures / "thing/source.json").read_text())
    assert source == {name: summary()[name] for name in scorecard.SOURCE if name != "title"}
    assert (figures / "thing/big.png").stat().st_size <= scorecard.MOST_BYTES
    assert Image.open(figures / "thing/big.png").width <= 1000 and Image.open(figures / "thing/small.png").width == 80
    assert scorecard.keep_figures(runs, results, figures) == []  # nothing new

    (run / "figures/small.png").unlink()
    (run / "summary.json").write_text(json.dumps(summary(metrics={"test/bleu": 9.0})))
    assert scorecard.keep_figures(runs, results, figures) == []  # the kept summary is of another recipe
    (run / "summary.json").write_text(json.dumps(summary(seconds={"train": 1.0, "total": 2.0})))
    assert scorecard.keep_figures(runs, results, figures) == [run]
    assert not (figures / "thing/small.png").exists()


def test_figures_of_other_options_are_kept_until_there_are_those_of_the_study_recipe(tmp_path):
    runs, results, figures = (tmp_path / name for name in ("runs", "results", "figures"))
    larger, study = runs / "larger", runs / "thing-official-study-seed0"
    write(larger, summary(changed={"width": 9}, options={"width": 9}))
    results.mkdir()
    (results / "thing-official-study-seed0.json").write_text(json.dumps(summary()))  # its run was not made here
    draw(larger / "figures/small.png", 80, 40, seed=0)
    scorecard.keep_other(larger, "a larger net", results)
    assert scorecard.keep_figures(runs, results, figures) == [larger]
    assert json.loads((figures / "thing/source.json").read_text())["title"] == "a larger net"
    write(study, summary())
    draw(study / "figures/small.png", 80, 40, seed=1)
    assert scorecard.keep_figures(runs, results, figures) == [study]
    assert scorecard.keep_figures(runs, results, figures) == []  # the others' do not come back


def test_the_answers_show_a_figure_once_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "*Measured*.\n\n<!-- figure thing/big: What\nit shows -->\n\nMore.\n"
    assert scorecard.show_figures(text, Path("docs/figures")) == text
    draw(Path("docs/figures/thing/big.png"), 80, 40, seed=0)
    shown = scorecard.show_figures(text, Path("docs/figures"))
    assert shown == text.replace("-->\n", "-->\n![What it shows](../docs/figures/thing/big.png)\n")
    assert scorecard.show_figures(shown, Path("docs/figures")) == shown
    Path("docs/figures/thing/big.png").unlink()
    assert scorecard.show_figures(shown, Path("docs/figures")) == text


def test_the_answers_name_figures_that_are_drawn():
    modules = {program.target: program.module for program in PROGRAMS}
    places = scorecard.PLACE.findall((ROOT / scorecard.ANSWERS).read_text(encoding="utf-8"))
    assert len(places) > 10
    for _, place, _ in places:
        target, name = place.split("/")
        source = script.module(modules[target])
        drawn = re.findall(r"\.figure\(\s*f?\"(.+?)\"", source.read_text(encoding="utf-8"))
        assert any(re.fullmatch(re.sub(r"\{.*?\}", ".+", one), name) for one in drawn), place


# The committed results


def test_nothing_that_the_scorecard_writes_is_stale(monkeypatch):
    monkeypatch.chdir(ROOT)
    for path, content in scorecard.written(scorecard.read_summaries(scorecard.RESULTS)).items():
        assert path.read_text(encoding="utf-8") == content, f"{path} is stale: run make scorecard"


def test_the_facts_of_the_originals_are_those_that_the_runs_were_held_against():
    assert list(ORIGINALS) == [one.target for one in PROGRAMS]
    told = {(run["name"], metric): value for run in scorecard.read_summaries(ROOT / scorecard.RESULTS)
            for metric, value in run["published"].items()}  # fmt: skip
    for one in PROGRAMS:
        for line in ast.parse((ROOT / f"{one.module.replace('.', '/')}.py").read_text(encoding="utf-8")).body:
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "PUBLISHED":
                told |= {(one.target, metric): value for metric, value in ast.literal_eval(line.value).items()}
    compared = 0
    for target, original in ORIGINALS.items():
        for figure in original.figures:
            known = told.get((target, figure.metric))
            compared += known is not None
            assert known is None or figure.mean == known, (target, figure.metric)
            assert known is not None or figure.mean is None or target == "pretrained", (target, figure.metric)
            assert figure.low is None or figure.low <= figure.mean <= figure.high
    assert compared > 15


def test_the_originals_losses_lie_where_they_were_measured(tmp_path):
    half, end = (published.losses_by_step("translation", steps, epochs) for steps, epochs in ((20, 2), (160, 16)))
    assert half == {"train": {5: 5.316, 15: 3.727}, "val": {10: 4.065, 20: 3.285}}
    assert list(end["val"].items())[-1] == (160, PUBLISHED["val/loss_epoch_16"])
    assert list(published.losses_by_step("seq2seq", 80, 80)["train"].items())[-1] == (77.5, 0.0291)
    (tmp_path / "metrics.jsonl").write_text('{"step": 20, "epoch": 2, "seconds": 1, "loss/train": 3.5}\n')
    loss, _ = plots.curves(tmp_path / "metrics.jsonl", "bleu", half).axes  # BLEU was not measured
    assert [line.get_label() for line in loss.lines] == ["train", "train, published", "val, published"]
    assert loss.lines[1].get_xydata().tolist() == [[5, 5.316], [15, 3.727]]


def test_what_is_published_of_pretrained_models_is_what_torchvision_says():
    from tutorials.vision import models

    for figure in ORIGINALS["pretrained"].figures:
        model = figure.metric.partition("/")[0]
        scores = models.find_weights(model, None).meta["_metrics"]["ImageNet-1K"]
        assert figure.mean == pytest.approx(scores["acc@1"] / 100)


def test_every_headline_of_a_committed_run_is_in_it():
    for row in scorecard.rows(scorecard.read_summaries(ROOT / scorecard.RESULTS)):
        assert bool(row["ours"]) == row["ran"], (row["target"], row["metric"])


# Several seeds


def test_seeds_are_averaged_from_their_newest_runs(tmp_path):
    for seed, accuracy in enumerate((0.2, 0.4)):
        write(tmp_path / f"thing-tiny-study-seed{seed}", summary(seed=seed, metrics={"test/accuracy": accuracy}))
    old = tmp_path / "thing-official-study-seed0"
    write(old, summary(metrics={"test/accuracy": 0.9}, data="official"))
    os.utime(old / "summary.json", (0, 0))
    write(tmp_path / "thing-tiny-study-seed0.1", summary(metrics={"test/accuracy": 0.9}))  # moved aside
    told = scorecard.over_seeds(tmp_path, "thing", 2)
    assert told == "thing, official data, recipe study, 2 seeds: test/accuracy 0.300 ± 0.141"
    write(tmp_path / "more/thing-tiny-study-seed0", summary())
    write(tmp_path / "more/thing-tiny-study-seed1", summary(seed=1, threads=1))
    mixed = scorecard.over_seeds(tmp_path / "more", "thing", 2)
    assert mixed.endswith("(mixed: cpu with 2 threads, torch 2.3.1; cpu with 1 thread, torch 2.3.1)")
    for wrong in (["--seeds", "0", "thing"], ["--seeds", "2"], ["thing"]):
        with pytest.raises(SystemExit, match="2"):
            scorecard.main(wrong)
    with pytest.raises(SystemExit, match="no finished run of seed 2"):
        scorecard.over_seeds(tmp_path, "thing", 3)
    write(tmp_path / "thing-tiny-original-seed2", summary(seed=2, recipe="original"))
    with pytest.raises(SystemExit, match="differ"):
        scorecard.over_seeds(tmp_path, "thing", 3)


# The README


def test_the_table_goes_between_its_markers_and_nowhere_else():
    text = f"before\n{scorecard.BEGIN}\nold\n{scorecard.END}\nafter\n"
    once = scorecard.replace_table(text, "new")
    assert once == f"before\n{scorecard.BEGIN}\nnew\n{scorecard.END}\nafter\n"
    assert scorecard.replace_table(once, "new") == once
    with pytest.raises(SystemExit, match="markers"):
        scorecard.replace_table("no markers", "new")
