"""Runs end, stop, break and go on as promised."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.processes import finish, record, run_ranks, run_to_end, same, start
from tests.trainings import train
from tutorials.common import checkpoint


def run(folder: Path, *argv: str) -> tuple[int, str]:
    return run_to_end(train, folder, *argv)


def kill_after(folder: Path, seconds: float, *argv: str, number: int = signal.SIGKILL) -> int:
    """Start a run and send it a signal so many seconds after its first step: its exit code."""
    process = start(train, "--run-dir", str(folder), *argv, output=folder.with_suffix(".txt"))
    while process.is_alive() and not (folder / "metrics.jsonl").exists():
        time.sleep(0.002)
    time.sleep(seconds)
    if process.is_alive():
        os.kill(process.pid, number)
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
    assert all(line["samples_per_second"] > 0 for line in lines if "loss/train" in line)


def test_the_same_seed_gives_the_same_run_and_another_does_not(whole, tmp_path):
    run(tmp_path / "again")
    same(whole, tmp_path / "again")
    run(tmp_path / "other", "--seed", "1")
    assert record(tmp_path / "other") != record(whole)


def test_dashboard_has_the_record(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole)).Reload()
    for tag in ("loss/train", "accuracy/val", "lr", "grad_norm", "samples_per_second"):
        points = [(event.step, event.value) for event in events.Scalars(tag)]
        lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
        assert points == [(line["step"], pytest.approx(line[tag], rel=1e-6)) for line in lines if tag in line]


@pytest.mark.parametrize("plain", [False, True], ids=["run loader", "plain DataLoader"])
def test_kill_9_at_twenty_random_moments_changes_no_bit(tmp_path, plain):
    argv = ["--pause", "0.004", *(["--plain"] if plain else [])]
    assert run(tmp_path / "calm", *argv)[0] == 0
    rng, folder, killed = random.Random(plain), tmp_path / "killed", 0
    for _ in range(20):
        killed += kill_after(folder, rng.uniform(0, 0.1), *argv, "--save-every", "0.02", "--resume") == -signal.SIGKILL
    assert killed >= 15
    assert run(folder, *argv, "--resume")[0] == 0
    same(tmp_path / "calm", folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_says_how_to_go_on_and_does(whole, tmp_path, number):
    folder = tmp_path / "stopped"
    assert kill_after(folder, 0.1, "--pause", "0.01", number=number) == 128 + number
    printed = folder.with_suffix(".txt").read_text()
    assert "stopped at step" in printed and "To continue:" in printed and "--resume" in printed
    assert "Traceback" not in printed
    assert 0 < checkpoint.load(folder / "last.safetensors")["step"] < 100
    assert run(folder, "--pause", "0.01", "--resume")[0] == 0
    assert record(folder) == record(whole)


def test_two_processes_go_the_way_of_one_and_resume_to_the_bit(whole, tmp_path):
    argv = ["--pause", "0.004", "--save-every", "0.05"]
    assert run_ranks(train, tmp_path / "calm", *argv) == [0, 0]
    assert run_ranks(train, tmp_path / "killed", *argv, kill=0.15) == [-signal.SIGKILL] * 2
    assert run_ranks(train, tmp_path / "killed", *argv, "--resume") == [0, 0]
    same(tmp_path / "calm", tmp_path / "killed")
    # Two processes drop out other units than one, so the curves differ; their steps do not.
    assert [line["step"] for line in record(tmp_path / "calm")] == [line["step"] for line in record(whole)]
    assert tmp_path.joinpath("calm.1.txt").read_text() == ""  # only the first process talks


def test_a_broken_checkpoint_gives_way_to_the_one_before(whole, tmp_path):
    folder = tmp_path / "broken"
    kill_after(folder, 0.3, "--pause", "0.01", "--save-every", "0.05")
    last = folder / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-100])
    code, printed = run(folder, "--pause", "0.01", "--resume")
    assert code == 0 and "cut short" in printed and "Continuing from the one before it" in printed
    assert record(folder) == record(whole)


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


def test_resume_without_a_checkpoint_begins_and_says_so(whole, tmp_path):
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


def test_a_full_disk_gives_one_line(tmp_path):
    output = tmp_path / "full.txt"
    assert finish(start(full_disk, "--run-dir", str(tmp_path / "full"), output=output)) == 1
    lines = [line for line in output.read_text().splitlines() if not line.startswith("epoch")]
    assert len(lines) == 1 and "cannot write" in lines[0] and "--run-dir" in lines[0]


def test_a_folder_that_cannot_be_made_gives_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    code, printed = run(tmp_path / "out", "--run-dir", str(tmp_path / "file" / "run"))
    assert code == 1 and len(printed.splitlines()) == 1 and "cannot write" in printed


@pytest.mark.parametrize(
    "argv", [["--epochs", "0"], ["--save-every", "-1"], ["--nonsense"], ["--data", "huge"], ["--seed", "x"]]
)
def test_a_wrong_option_exits_with_2(tmp_path, argv):
    code, printed = run(tmp_path / "wrong", *argv)
    assert code == 2 and argv[0].lstrip("-") in printed and "Traceback" not in printed


def test_a_device_that_is_not_there_is_named(tmp_path):
    code, printed = run(tmp_path / "gpu", "--device", "cuda")
    assert code == 1 and "--device cuda" in printed
