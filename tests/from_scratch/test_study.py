"""The frame of the studies: records, tables, and going on after an interruption."""

import json
import os
import signal
import time

import pytest

from tests.processes import finish, record, run_to_end, start
from tests.studies import slow_study, study

NETS = ("rules/adam", "rules/rmsprop")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "whole"
    code, printed = run_to_end(study, folder)
    assert code == 0, printed
    return folder


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_a_study_leaves_curves_tables_and_figures(whole):
    metrics = summary(whole)["metrics"]
    assert set(metrics) == {"adam/val_accuracy", "rmsprop/val_accuracy"} and min(metrics.values()) > 0.6
    rows = [[name, metrics[f"{name}/val_accuracy"]] for name in ("adam", "rmsprop")]
    assert summary(whole)["tables"]["rules"] == {"head": ["rule", "best"], "rows": rows}
    assert (whole / "figures" / "curves.png").stat().st_size > 5000
    assert not list(whole.rglob("checkpoint.npz")) and not (whole / "unwatched").exists()
    for net in NETS:
        lines = record(whole / net)
        assert [line["step"] for line in lines] == [1, 10, 15, 20, 30, 40, 45]
        assert lines[-1].keys() == {"step", "epoch", "loss/train", "accuracy/train", "accuracy/val", "lr"}
        assert list((whole / net).glob("events.*"))


def test_epochs_caps_every_training(tmp_path):
    assert run_to_end(study, tmp_path / "short", "--epochs", "1")[0] == 0
    assert [record(tmp_path / "short" / net)[-1]["step"] for net in NETS] == [15, 15]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_goes_on_to_the_same_bits(whole, tmp_path, number):
    folder, output = tmp_path / "stopped", tmp_path / "out.txt"
    process = start(slow_study, "--run-dir", str(folder), "--save-every", "0.05", output=output)
    while not (folder / NETS[1] / "checkpoint.npz").exists():  # the second net has begun
        time.sleep(0.01)
        assert process.is_alive(), output.read_text()
    os.kill(process.pid, number)
    code = finish(process)
    assert not (folder / "summary.json").exists()
    if number != signal.SIGKILL:
        printed = output.read_text()
        assert code == 128 + number and "Traceback" not in printed
        assert "stopped at step" in printed and "To continue:" in printed and "--resume" in printed
    code, printed = run_to_end(study, folder, "--resume")
    assert code == 0, printed
    for net in NETS:
        assert record(folder / net) == record(whole / net)
    assert summary(folder)["metrics"] == summary(whole)["metrics"]


def test_what_is_finished_is_left_alone_and_what_cannot_be_continued_refused(whole, tmp_path):
    code, printed = run_to_end(study, whole, "--resume")
    assert code == 0 and printed.count("\n") == 1 and "finished already" in printed
    folder = tmp_path / "other"
    process = start(slow_study, "--run-dir", str(folder), output=tmp_path / "out.txt")
    while not (folder / NETS[0] / "metrics.jsonl").exists():
        time.sleep(0.01)
        assert process.is_alive(), (tmp_path / "out.txt").read_text()
    process.kill()
    finish(process)
    code, printed = run_to_end(study, folder, "--resume", "--seed", "3")
    assert code == 1 and "seed: 0 in the checkpoint, 3 now" in printed
    assert run_to_end(study, folder, "--threads", "0")[0] == 2
