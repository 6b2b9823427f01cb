"""The frame of the studies: records, tables, and going on after an interruption."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest

from data import cifar10, tiny
from from_scratch.studies.study import Study, StudyOptions
from tests.processes import finish, needs_signals, record, run_to_end, start, summary
from tests.studies import slow_study, study
from tutorials.common.options import parse
from tutorials.common.plots import Panel, panels

NETS = ("rules/adam", "rules/rmsprop")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "whole"
    code, printed = run_to_end(study, folder)
    assert code == 0, printed
    return folder


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


@pytest.mark.parametrize("number", [0, pytest.param(signal.SIGINT, marks=needs_signals)])
def test_an_interrupted_study_goes_on_to_the_same_bits(whole, tmp_path, number):
    folder, output = tmp_path / "stopped", tmp_path / "out.txt"
    process = start(slow_study, "--run-dir", str(folder), "--save-every", "0.05", output=output)
    while not (folder / NETS[1] / "checkpoint.npz").exists():  # the second net has begun
        time.sleep(0.01)
        assert process.is_alive(), output.read_text()
    os.kill(process.pid, number) if number else process.kill()
    code = finish(process)
    assert not (folder / "summary.json").exists()
    if number:
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


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A study that was stopped before its summary, in this process."""
    folder = tmp_path_factory.mktemp("study") / "stopped"

    def stop(*arguments) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Study, "finish", stop)
        study("--run-dir", str(folder))
    return folder


def without(key: str):
    """A checkpoint without one of its parts."""

    def damage(path) -> None:
        with np.load(path) as file:
            arrays = dict(file)
        state = json.loads(str(arrays["state"]))
        del state[key]
        np.savez(path, **arrays | {"state": np.array(json.dumps(state))})

    return damage


CHECKPOINT = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "its middle altered": lambda path: path.write_bytes(
        path.read_bytes()[:3000] + bytes(64) + path.read_bytes()[3064:]
    ),
    "without its parameters": without("params"),
    "without its generators": without("generators"),
}


@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_damaged_checkpoint_trains_that_net_anew_to_the_same_figures(name, stopped, whole, tmp_path, capsys):
    shutil.copytree(stopped, tmp_path / "run")
    CHECKPOINT[name](tmp_path / "run" / NETS[1] / "checkpoint.npz")
    study("--run-dir", str(tmp_path / "run"), "--resume")
    printed = "".join(capsys.readouterr())
    assert printed.count("this net is trained anew") == 1 and "Traceback" not in printed
    assert summary(tmp_path / "run")["metrics"] == summary(whole)["metrics"]
    for net in NETS:
        assert record(tmp_path / "run" / net) == record(whole / net)


def test_a_damaged_record_of_a_study_loses_no_more_than_its_line(stopped, tmp_path, capsys, line=b"\xff{"):
    shutil.copytree(stopped, tmp_path / "run")
    path = tmp_path / "run" / NETS[0] / "metrics.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], line, *lines[2:]]) + b"\n")
    study("--run-dir", str(tmp_path / "run"), "--resume")
    assert "1 damaged lines are left out" in capsys.readouterr().out
    assert path.read_bytes().splitlines() == [lines[0], *lines[2:]]


def test_a_study_that_does_not_know_what_it_is_says_so(stopped, tmp_path, capsys, content=b"{"):
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run" / "identity.json").write_bytes(content)
    with pytest.raises(SystemExit, match="1"):
        study("--run-dir", str(tmp_path / "run"), "--resume")
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "identity.json is damaged" in error and "Leave out --resume" in error
    study("--run-dir", str(tmp_path / "run"), "--epochs", "1")
    assert (tmp_path / "run.1" / "identity.json").read_bytes() == content


def test_a_study_goes_on_with_the_same_data_only(tmp_path, capsys, monkeypatch):
    real = tiny.cifar10
    for seed in (0, 1):
        monkeypatch.setattr(tiny, "cifar10", lambda hint, other=seed: real(seed=other))
        argv = ["small", "--run-dir", str(tmp_path / "run"), *["--resume"] * seed]
        monkeypatch.setattr("sys.argv", argv)
        with pytest.raises(SystemExit) as ended, Study("small", parse(StudyOptions, {})) as one:
            assert isinstance(one.load_data("cifar10"), cifar10.Cifar10)
            one.logger.figure("any", panels(Panel("loss", {"": [1, 2]})), 0)
            raise KeyboardInterrupt
        assert ended.value.code == (1 if seed else 130)
    assert "the data have changed since the run" in capsys.readouterr().err
