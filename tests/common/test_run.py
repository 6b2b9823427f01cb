"""Runs end, stop, break and go on as promised."""

import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from data import StudyError
from tests.processes import KILLED, finish, needs_signals, record, run_ranks, run_to_end, same, start
from tests.trainings import train
from tutorials.common import checkpoint, console, device, fonts, options, plots


def run(folder: Path, *argv: str) -> tuple[int, str]:
    return run_to_end(train, folder, *argv)


def stamp(path: Path) -> int:
    """When a file was written; 0 while it is not there, as between two renames."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def kill_after(folder: Path, seconds: float, *argv: str, number: int = 0) -> int:
    """Start a run and kill it, or send it a signal, so many seconds after its own first checkpoint: its exit code."""
    newest = folder / "last.safetensors"
    before = stamp(newest)
    process = start(train, "--run-dir", str(folder), *argv, output=folder.with_suffix(".txt"))
    while process.is_alive() and stamp(newest) <= before:
        time.sleep(0.002)
    time.sleep(seconds)
    if process.is_alive():
        os.kill(process.pid, number) if number else process.kill()
    return finish(process)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run(folder)[0] == 0
    return folder


def test_a_run_leaves_what_it_promises(whole):
    names = {path.name for path in whole.iterdir()}
    assert {"metrics.jsonl", "summary.json", "last.safetensors", "best.safetensors"} <= names
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["name"] == "small" and summary["parameters"] == 5 * 16 + 16 + 16 * 2 + 2
    assert summary["metrics"]["val/accuracy"] > 0.8
    assert summary["seconds"]["train"] <= summary["seconds"]["total"]
    tags = set().union(*record(whole))
    assert tags == {"step", "epoch", "loss/train", "lr", "grad_norm", "accuracy/val"}
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    first, *rest = (line for line in lines if "loss/train" in line)
    assert "samples_per_second" not in first and all(line["samples_per_second"] > 0 for line in rest)


def test_a_curve_begins_at_the_first_step(whole):
    """The first step's loss stands alone, and the next point is the mean of the steps behind it."""
    steps, losses = plots.read_curves(whole / "metrics.jsonl")["loss/train"]
    assert steps == [1, *range(7, 100, 7), 100]
    assert losses[0] > 2 * losses[-1]
    axes = plots.curves(whole / "metrics.jsonl").axes[0]
    assert axes.lines[0].get_xdata()[0] == 1


def test_another_seed_gives_another_run(whole, tmp_path):
    run(tmp_path / "other", "--seed", "1")
    assert record(tmp_path / "other") != record(whole)


def test_dashboard_has_the_record(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole)).Reload()
    for tag in ("loss/train", "accuracy/val", "lr", "grad_norm", "samples_per_second"):
        points = [(event.step, event.value) for event in events.Scalars(tag)]
        lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
        assert points == [(line["step"], pytest.approx(line[tag], rel=1e-6)) for line in lines if tag in line]


@pytest.mark.parametrize(
    "plain, kills",
    [pytest.param(False, 20, id="run loader", marks=pytest.mark.slow), pytest.param(True, 5, id="plain DataLoader")],
)
def test_kill_9_at_random_moments_changes_no_bit(tmp_path, plain, kills):
    argv = ["--epochs", "16", *(["--plain"] if plain else [])]
    assert run(tmp_path / "calm", *argv)[0] == 0
    rng, folder, steps = random.Random(plain), tmp_path / "killed", []
    for _ in range(kills):
        more = ["--pause", "0.004", "--save-every", "0.02", "--resume"]
        assert kill_after(folder, rng.uniform(0, 0.06), *argv, *more) == KILLED
        paths = [folder / f"{name}.safetensors" for name in checkpoint.NAMES]
        steps.append(checkpoint.load(next(path for path in paths if path.exists()))["step"])
    assert steps == sorted(steps) and len(set(steps)) >= 0.7 * kills and steps[-1] < 400
    assert run(folder, *argv, "--resume")[0] == 0
    same(tmp_path / "calm", folder)


@needs_signals
def test_an_interrupted_run_saves_says_how_to_go_on_and_does(whole, tmp_path):
    folder, number = tmp_path / "stopped", signal.SIGTERM
    assert kill_after(folder, 0.05, "--pause", "0.01", "--save-every", "0.1", number=number) == 128 + number
    printed = folder.with_suffix(".txt").read_text()
    assert "stopped at step" in printed and "To continue:" in printed and "--resume" in printed
    assert "Traceback" not in printed
    assert 0 < checkpoint.load(folder / "last.safetensors")["step"] < 100
    assert run(folder, "--resume")[0] == 0
    assert record(folder) == record(whole)


def stop_while_drawing(number: int, *argv: str) -> None:
    """Train to the end, and be sent a signal before the summary."""
    from tutorials.common.run import Run

    Run.finish = lambda *arguments: os.kill(os.getpid(), number) or time.sleep(5)
    train(*argv)


@needs_signals
def test_a_signal_after_the_training_ends_in_one_line_too(whole, tmp_path):
    folder, output, number = tmp_path / "drawing", tmp_path / "out.txt", signal.SIGINT
    assert finish(start(stop_while_drawing, number, "--run-dir", str(folder), output=output)) == 128 + number
    last = output.read_text().splitlines()[-1]
    assert last.startswith("stopped. To continue:") and "Traceback" not in output.read_text()
    code, printed = run(folder, "--resume")
    assert code == 0 and "trained already" in printed and record(folder) == record(whole)


def test_a_finished_run_can_be_resumed_and_tells_its_whole_time(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "again")
    before = json.loads((whole / "summary.json").read_text())
    assert run(tmp_path / "again", "--resume")[0] == 0
    after = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert after["metrics"] == before["metrics"] and after["seconds"]["train"] == before["seconds"]["train"]
    assert after["seconds"]["total"] >= after["seconds"]["train"]


def test_a_lost_record_does_not_stop_a_run(whole, tmp_path):
    folder = tmp_path / "lost"
    kill_after(folder, 0.05, "--pause", "0.01", "--save-every", "0.1")
    (folder / "metrics.jsonl").unlink()
    assert run(folder, "--resume")[0] == 0
    lines = record(folder)
    assert lines == record(whole)[-len(lines) :]


@pytest.mark.slow
def test_two_processes_go_the_way_of_one_and_resume_to_the_bit(whole, tmp_path):
    argv = ["--pause", "0.004", "--save-every", "0.05"]
    assert run_ranks(train, tmp_path / "calm") == [0, 0]
    assert run_ranks(train, tmp_path / "killed", *argv, kill=0.15) == [KILLED] * 2
    assert run_ranks(train, tmp_path / "killed", "--resume") == [0, 0]
    same(tmp_path / "calm", tmp_path / "killed")
    # Two processes drop out other units than one, so the curves differ; their steps do not.
    assert [line["step"] for line in record(tmp_path / "calm")] == [line["step"] for line in record(whole)]
    assert tmp_path.joinpath("calm.1.txt").read_text() == ""  # only the first process talks


def test_a_broken_checkpoint_gives_way_to_the_one_before(whole, tmp_path):
    folder = tmp_path / "broken"
    kill_after(folder, 0.2, "--pause", "0.01", "--save-every", "0.05")
    last = folder / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-100])
    code, printed = run(folder, "--resume")
    assert code == 0 and "cut short" in printed and "Continuing from the one before it" in printed
    assert record(folder) == record(whole)


def test_a_broken_checkpoint_never_takes_the_good_ones_place(tmp_path):
    folder = tmp_path / "broken"
    kill_after(folder, 0.1, "--pause", "0.01", "--save-every", "0.05")
    last, previous = (folder / f"{name}.safetensors" for name in checkpoint.NAMES)
    last.write_bytes(last.read_bytes()[:-100])
    good = checkpoint.load(previous)["step"]
    kill_after(folder, 0, "--pause", "0.01", "--save-every", "0.05", "--resume")  # one or two saves later
    assert checkpoint.load(previous)["step"] >= good


def test_no_good_checkpoint_is_an_error_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "broken"
    assert run(folder, "--epochs", "1")[0] == 0
    for name in checkpoint.NAMES:
        (folder / f"{name}.safetensors").write_bytes(b"no checkpoint")
    code, printed = run(folder, "--epochs", "1", "--resume")
    assert code == 1 and "No checkpoint is left" in printed and "Traceback" not in printed
    assert (folder / "summary.json").exists()


def test_a_checkpoint_of_other_options_is_refused(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    code, printed = run(tmp_path / "copy", "--lr", "0.01", "--resume")
    assert code == 1 and "lr: 0.05 in the checkpoint, 0.01 now" in printed


def test_resume_without_a_checkpoint_begins_says_so_and_gives_the_same_run(whole, tmp_path):
    code, printed = run(tmp_path / "new", "--resume")
    assert code == 0 and "no checkpoint yet; starting from the beginning" in printed
    same(whole, tmp_path / "new")


def test_an_earlier_run_is_kept(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    assert run(tmp_path / "run", "--epochs", "1")[0] == 0
    same(whole, tmp_path / "run.1")


def test_a_loss_that_is_not_finite_names_its_step_and_keeps_the_good_checkpoint(tmp_path):
    folder = tmp_path / "nan"
    code, printed = run(folder, "--nan-at", "31", "--save-every", "0")
    assert code == 1 and "not finite at step 31." in printed and "Traceback" not in printed
    good = checkpoint.load(folder / "last.safetensors")
    assert good["step"] == 30
    assert all(torch.isfinite(weight).all() for weight in good["tracked"]["net"].values())


def test_a_run_folder_has_one_writer(tmp_path):
    folder = tmp_path / "busy"
    process = start(train, "--run-dir", str(folder), "--pause", "0.05", output=tmp_path / "first.txt")
    while not (folder / "metrics.jsonl").exists():
        time.sleep(0.01)
    code, printed = run(folder)
    process.kill()
    assert code == 1 and "another process is writing this run" in printed


def full_disk(*argv: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
    train(*argv)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
def test_a_full_disk_gives_one_line(tmp_path):
    output = tmp_path / "full.txt"
    assert finish(start(full_disk, "--run-dir", str(tmp_path / "full"), output=output)) == 1
    lines = [line for line in output.read_text().splitlines() if not line.startswith("epoch")]
    assert len(lines) == 1 and "cannot write" in lines[0] and "--run-dir" in lines[0]


def test_a_folder_that_cannot_be_made_gives_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    code, printed = run(tmp_path / "out", "--run-dir", str(tmp_path / "file" / "run"))
    assert code == 1 and len(printed.splitlines()) == 1 and "cannot write" in printed


@pytest.mark.slow
def test_torchrun_passes_exit_codes_on_and_hides_its_own_words(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tutorials.tools.torchrun",
        "2",
        "tutorials.cifar10",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    missing = ["--data", "official", "--data-root", str(tmp_path / "none")]
    result = subprocess.run([*command, *missing], capture_output=True, text=True, env=environment)
    assert result.returncode == 1 and result.stderr.count("could not download") == 1, result.stderr
    assert "Traceback" not in result.stderr and "[rank1]" not in result.stderr
    result = subprocess.run([*command, "--epochs", "1"], capture_output=True, text=True, env=environment)
    assert result.returncode == 0 and result.stdout.count("test/accuracy") == 1, result.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["processes"] == 2


def test_a_device_that_is_not_there_is_named(tmp_path):
    code, printed = run(tmp_path / "gpu", "--device", "cuda")
    assert code == 1 and "--device cuda" in printed


def test_a_figure_becomes_the_same_bytes_each_time(tmp_path):
    for name in ("one", "two"):
        plots.save(plots.confusion(np.eye(3), ["a", "b", "c"]), tmp_path / name / "figure.png")
    for kind in ("png", "svg"):
        assert (tmp_path / f"one/figure.{kind}").read_bytes() == (tmp_path / f"two/figure.{kind}").read_bytes()


def test_what_data_say_is_never_mathematics_in_a_figure(tmp_path):
    panel = plots.Panel("$y", {"a $$ b": ([1, 2], [1, 100]), "$\\frac$": ([1, 2], [2, 3])}, axes={"yscale": "log"})
    for number, figure in enumerate((
        plots.panels(panel),
        plots.ranked({"for $5 $$": {"$ 5 $": 1.0, r"a\$b$": 2.0}}, "weight $x_$"),
        plots.confusion(np.eye(2), ["$a$", "b$$"]),
        plots.heat_maps([plots.Heat(np.eye(2), ["$a$", "$$"], ["$", "_$_$"], "$$", [["$$", "$a$"]] * 2)], "$x$", "$$"),
    )):  # fmt: skip
        plots.save(figure, tmp_path / f"{number}.png")
    written = [(tmp_path / f"{number}.svg").read_text(encoding="utf-8") for number in range(4)]
    powers = re.sub("<!--.*?-->", "", written[0], flags=re.DOTALL)
    assert "a $$ b" in powers and "mathdefault" not in powers and "for $5 $$" in written[1]
    assert r"a\$b$" in written[1] and "$a$" in written[2]


def test_signs_are_drawn_in_a_font_of_this_machine_or_one_line_says_which_to_install(tmp_path, capsys, recwarn):
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    fonts.fonts_with.cache_clear()
    fonts.name_package.cache_clear()
    sign = "\U00101234"  # that no font has but the one made here: U+E123 is in one of matplotlib's
    for _ in range(2):
        plots.save(plots.bars([1, 2], [sign, f"{sign} two"], "", 0, ""), tmp_path / "boxes.png")
    assert capsys.readouterr().out.count("fonts-noto-core") == 1 and not recwarn.list

    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "sign"])
    builder.setupCharacterMap({ord(sign): "sign"})
    builder.setupGlyf(dict.fromkeys((".notdef", "sign"), TTGlyphPen(None).glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", "sign"), (500, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Study Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "font.ttf")
    fonts.fonts_with.cache_clear()
    fontManager.addfont(tmp_path / "font.ttf")
    try:
        plots.save(plots.bars([1, 2], [sign, "two"], "", 0, ""), tmp_path / "signs.png")
    finally:
        fontManager.ttflist.pop()
        fonts.fonts_with.cache_clear()
    assert "Study Test" in (tmp_path / "signs.svg").read_text(encoding="utf-8")
    assert not capsys.readouterr().out and not recwarn.list


def test_no_number_of_classes_makes_a_figure_of_gigabytes():
    classes = [f"class {number}" for number in range(300)]
    figures = [
        plots.confusion(np.eye(300), classes),
        plots.bars([0.5] * 300, classes, "", 0.5, ""),
        plots.ranked({name: {"a": 1.0} for name in classes}, ""),
        plots.heat_maps([plots.Heat(np.zeros((900, 900)), ["a"] * 900, ["b"] * 900)], "", ""),
    ]
    assert max(figure.get_size_inches().max() for figure in figures) <= plots.MOST_INCHES
    (axes, _), texts = figures[0].axes, [text.get_text() for text in figures[0].axes[0].get_yticklabels()]
    assert not axes.texts and texts[:3] == ["class 0", "class 8", "class 16"]


# Bytes that no text has, and consoles that do not have every sign


def test_help_may_end_in_a_closed_pipe():
    code = "from tutorials.common import options; options.parse(options.Options, {}, ['--help'])"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_a_console_cannot_show_is_replaced(monkeypatch):
    for encoding, shown in (("cp949", "오 ?!".encode("cp949")), ("ascii", b"? ?!"), ("utf-8", "오 é!".encode())):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
        options.parse(options.Options, {}, [])
        console.say("오 é!")
        assert written.getvalue().strip() == shown


def test_a_byte_that_is_not_utf8_is_told_in_one_line(monkeypatch, capsys):
    for argv, root in ((["--run-dir=Gen\udce8ve"], ""), ([], "Gen\udce8ve")):
        monkeypatch.setattr(os, "environ", os.environ | {"STUDY_DATA": root})
        with pytest.raises(SystemExit) as left:
            options.parse(options.Options, {}, argv)
        line = capsys.readouterr().err
        assert left.value.code == 2 and line.count("\n") == 1 and "Gen\\udce8ve': byte 0xe8 is not UTF-8" in line


# Threads


@pytest.mark.slow
def test_the_threads_that_are_fastest_now_are_kept_on_resume(tmp_path):
    def told(*argv: str) -> list[str]:
        command = [sys.executable, "-c", "import sys; from tests.trainings import train; train(*sys.argv[1:])"]
        done = subprocess.run(
            [*command, "--run-dir", str(tmp_path / "run"), "--epochs", "1", *argv], cwd=Path(__file__).parents[2],
            env=os.environ | {"OMP_NUM_THREADS": "2"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return re.findall(r"small: CPU threads: (\d+)", done.stdout)

    [chosen] = told()
    assert (tmp_path / "run/threads").read_text() == chosen in ("1", "2")
    (tmp_path / "run/threads").write_text("3")
    assert told("--resume") == ["3"]
    (tmp_path / "run/threads").write_text("no number")
    assert told("--resume")[0] in ("1", "2")
    assert told("--threads", "2") == []


def test_the_fastest_of_some_numbers_of_threads(monkeypatch):
    clock, now = {4: 3.0, 3: 1.0, 1: 2.0}, [0.0]
    before = torch.get_num_threads()

    def tick() -> float:
        now[0] += clock.get(torch.get_num_threads(), 0.1)
        return now[0]

    monkeypatch.setattr(device.time, "perf_counter", tick)
    assert device.fastest_threads(4) == 3
    torch.set_num_threads(before)
    assert device.fastest_threads(1) == 1


# Devices


@pytest.mark.parametrize(
    ("capability", "archs", "runs"),
    [
        ((8, 6), ["sm_75", "sm_86"], True),
        ((8, 9), ["sm_75", "sm_86"], True),  # binary code of the same major version
        ((7, 0), ["sm_75", "sm_86", "sm_120"], False),
        ((12, 0), ["sm_50", "sm_90"], False),
        ((12, 0), ["sm_50", "compute_90"], True),  # the driver compiles it
        ((9, 1), ["sm_90a"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100", "sm_120"], True),
        ((8, 0), [], False),
    ],
)
def test_code_for_a_gpu(capability, archs, runs):
    assert device.runs_on(capability, archs) is runs


@pytest.mark.parametrize(
    ("capability", "old", "other"),
    [((12, 0), True, "without TORCHTEXT=1"), ((7, 0), False, "with TORCHTEXT=1"), ((13, 0), False, "A newer torch")],
)
def test_a_gpu_without_code_is_told_and_the_cpu_computes(monkeypatch, capsys, capability, old, other):
    monkeypatch.setattr(device, "accelerator", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "GeForce")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_120"] if not old else ["sm_50", "sm_90"])
    if old:
        monkeypatch.delattr(torch, "accelerator", raising=False)
    elif not hasattr(torch, "accelerator"):
        monkeypatch.setattr(torch, "accelerator", None, raising=False)
    assert device.choose("auto").type == "cpu"
    [told] = capsys.readouterr().err.splitlines()
    assert f"no code for the GeForce (compute capability {capability[0]}.0)" in told
    assert other in told and told.endswith("Computing on the CPU.")
    with pytest.raises(StudyError, match=r"--device cuda: torch .* has no code"):
        device.choose("cuda")
    assert device.choose("cpu").type == "cpu" and not capsys.readouterr().err
