"""Files of weights from outside: which are opened, by which torch, and that none runs code; their conversion."""

import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from data import StudyError
from data.imagenet import IMAGENETTE
from tests.data.test_hymenoptera import folder as class_folders
from tests.processes import run_to_end
from tests.tutorials.test_pretrained import FAST, PROGRAM, SMALL
from tests.tutorials.test_transfer_learning import main as transfer
from tests.weights import publish, save_evil
from tutorials.common import weights
from tutorials.tools import convert
from tutorials.vision import models

PUBLISHED = "squeezenet1_0-b66bff10.pth"
STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def old_torch(monkeypatch):
    """As with torch 2.3, which the environment with torchtext has in earnest."""
    monkeypatch.setattr(weights, "SAFE", False)


def test_which_torch_is_safe():
    major, minor = map(int, torch.__version__.split(".")[:2])
    assert ((major, minor) >= (2, 10)) is weights.SAFE


# No file runs code


class Call:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


def evil_files(folder: Path) -> list[Path]:
    """Files that run code where they are opened carelessly: an archive of TorchScript, and pickles."""
    files = [folder / name for name in ("script.pth", "script.th", "zip.pth", "plain.pkl", "plain.safetensors")]
    for file in files[:2]:
        save_evil(file)
    torch.save({"weight": Call()}, files[2])
    for file in files[3:]:
        file.write_bytes(pickle.dumps(Call()))
    return files


def test_no_file_of_ones_own_runs_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in evil_files(tmp_path):
        with pytest.raises(StudyError) as failure:
            weights.read_state(file)
        told = str(failure.value)
        assert "\n" not in told and str(file) in told and len(told) < 400 + 2 * len(str(file))
        with pytest.raises(StudyError):
            convert.convert(file, tmp_path / "out.safetensors")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out.safetensors").exists()


def test_the_tutorials_run_no_code_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_evil(tmp_path / "evil.pth")
    images = str(class_folders(tmp_path / "images", 3))
    argv = ["--weights-file", "evil.pth", "--model", "resnet18", "--images", images, "--folds", "0", "--no-curve"]
    code, printed = run_to_end(transfer, tmp_path / "run", *argv)
    assert code == 1 and "evil.pth" in printed and "Traceback" not in printed
    argv = ["--weights-file", f"{SMALL}=evil.pth", "--image", str(next(Path(images).rglob("*.jpg")))]
    code, printed = run_to_end(PROGRAM.main, tmp_path / "run", *argv)
    assert code == 1 and "evil.pth" in printed and "Traceback" not in printed
    if not weights.SAFE:
        assert "make convert WEIGHTS=evil.pth" in printed and "make setup, without TORCHTEXT=1" in printed
    assert not (tmp_path / "ran").exists()


def test_a_forged_file_under_a_published_name_runs_no_code(tmp_path, monkeypatch):
    """Its first 8 digits are the published ones: with torchvision's check alone, half a minute of search finds such."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    save_evil(tmp_path / "weights" / PUBLISHED)
    publish(monkeypatch, tmp_path / "weights" / PUBLISHED, digits=8)
    with pytest.raises(StudyError) as failure:
        models.load_weights(models.build("squeezenet1_0"), "squeezenet1_0", root=tmp_path)
    assert "\n" not in str(failure.value) and PUBLISHED in str(failure.value)
    with pytest.raises(StudyError, match=PUBLISHED):
        weights.read_state(tmp_path / "weights" / PUBLISHED)
    assert not (tmp_path / "ran").exists()


# What is opened, and by which torch


def test_an_old_torch_opens_a_listed_file_and_no_other(tmp_path, monkeypatch, old_torch):
    path = tmp_path / PUBLISHED
    torch.save(STATE, path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    for digits in (0, 8, 63):
        publish(monkeypatch, path, digits)
        with pytest.raises(StudyError) as failure:
            weights.read_state(path)
        told = str(failure.value)
        assert "\n" not in told and f"make convert WEIGHTS={path}" in told and "safetensors" in told
        assert "make setup, without TORCHTEXT=1" in told
    monkeypatch.undo()
    monkeypatch.setattr(weights, "SAFE", False)
    publish(monkeypatch, path)
    assert equal(weights.read_state(path), STATE)
    copy = tmp_path / "under another name.pth"
    copy.write_bytes(path.read_bytes())
    assert equal(weights.read_state(copy), STATE)
    copy.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(StudyError, match="stays closed"):
        weights.read_state(copy)


def test_what_an_old_torch_will_not_open_is_not_downloaded_for_it(tmp_path, monkeypatch, old_torch):
    monkeypatch.setattr("data.fetch.download", lambda *_: pytest.fail("downloaded"))
    for name in ("vgg11", "mobilenet_v2"):
        with pytest.raises(StudyError, match="only 8 digits"):
            models.locate(name, root=tmp_path)
    with pytest.raises(StudyError, match=r"of vgg11-8a719046\.pth, densenet169-b2777c0a\.pth only 8 digits"):
        models.locate_all([("vgg11", None), ("resnet18", None), ("densenet169", None)], tmp_path)


def test_a_file_known_by_8_digits_is_said_to_be_so_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "SAFE", True)  # both files are the test's own
    path = tmp_path / "vgg11-8a719046.pth"
    torch.save(STATE, path)
    publish(monkeypatch, path, digits=8)
    for _ in range(2):
        assert equal(weights.read_state(path), STATE)
    told = "weights: vgg11-8a719046.pth matches only the 8 hash digits in its name, which do not prove who made it\n"
    assert capsys.readouterr().err == told
    publish(monkeypatch, path)
    weights.say_once.cache_clear()
    weights.read_state(path)
    assert not capsys.readouterr().err  # known whole


def test_files_of_either_format_that_cannot_be_read_are_told_in_one_line(tmp_path, monkeypatch):
    whole = safetensors.torch.save(STATE)
    torch.save(STATE, tmp_path / "whole.pth")
    torch.save(STATE, tmp_path / "older.pth", _use_new_zipfile_serialization=False)
    contents = {"empty.safetensors": b"", "no.safetensors": b"no weights at all", "cut.safetensors": whole[:-3],
                "renamed.safetensors": (tmp_path / "whole.pth").read_bytes(), "huge.safetensors": b"\xff" * 64,
                "empty.pth": b"", "no.pth": b"no weights", "renamed.pth": whole,
                "cut.pth": (tmp_path / "whole.pth").read_bytes()[:-99]}  # fmt: skip
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        publish(monkeypatch, path)
        with pytest.raises(StudyError, match="not a readable") as failure:
            weights.read_state(path)
        assert "\n" not in str(failure.value) and name in str(failure.value)
    for content in ([1, 2], {1: torch.zeros(1)}, {"state_dict": STATE}):
        torch.save(content, tmp_path / "other.pth")
        publish(monkeypatch, tmp_path / "other.pth")
        with pytest.raises(StudyError, match="holds no state dict"):
            weights.read_state(tmp_path / "other.pth")
    publish(monkeypatch, tmp_path / "older.pth")
    assert equal(weights.read_state(tmp_path / "older.pth"), STATE)


@pytest.mark.parametrize("name", [SMALL, "mnasnet0_5"])  # MNASNet's loading asks for the versions of modules
def test_safetensors_are_loaded_into_a_net(tmp_path, name):
    torch.manual_seed(0)
    net, other = models.build(name).eval(), models.build(name).eval()
    safetensors.torch.save_file(net.state_dict(), tmp_path / "own.safetensors")
    models.load_weights(other, name, tmp_path / "own.safetensors")
    assert equal(net.state_dict(), other.state_dict())
    with pytest.raises(StudyError, match="does not fit resnet18"):
        models.load_weights(models.build("resnet18"), "resnet18", tmp_path / "own.safetensors")


@pytest.mark.slow
def test_pretrained_and_transfer_take_safetensors(tmp_path):
    images = class_folders(tmp_path / "images", 3)
    picture = next(images.rglob("*.jpg"))
    for name in (SMALL, "resnet18"):
        torch.manual_seed(0)
        safetensors.torch.save_file(models.build(name).state_dict(), tmp_path / f"{name}.safetensors")
    argv = ["--weights-file", f"{SMALL}={tmp_path / SMALL}.safetensors"]
    code, printed = run_to_end(PROGRAM.main, tmp_path / "none", *argv, "--image", str(picture))
    assert code == 0 and printed.count("%") == 5
    for number, wnid in enumerate(IMAGENETTE):
        target = tmp_path / "val" / wnid / f"{number}.jpg"
        target.parent.mkdir(parents=True)
        target.write_bytes(picture.read_bytes())
    code, printed = run_to_end(PROGRAM.main, tmp_path / "pretrained", *FAST, *argv, "--images", str(tmp_path / "val"))
    assert code == 0, printed
    argv = ["--weights-file", str(tmp_path / "resnet18.safetensors"), "--model", "resnet18", "--images", str(images)]
    argv += ["--epochs", "1", "--folds", "0", "--no-curve", "--frozen-share", "0.9"]
    code, printed = run_to_end(transfer, tmp_path / "transfer", *argv)
    assert code == 0, printed


# Conversion


def test_a_file_is_converted(tmp_path, monkeypatch, capsys):
    path, shared = tmp_path / "own.pth", torch.arange(6.0)
    state = {"a": shared, "b": shared, "c": shared[2:], "d": torch.ones(2, 3).bfloat16().T, "e": torch.tensor(3)}
    torch.save(state, path)
    publish(monkeypatch, path)  # an old torch opens it, too
    assert convert.main([str(path)]) == 0
    out = tmp_path / "own.safetensors"
    assert equal(weights.read_state(out), state) and str(out) in capsys.readouterr().out
    before = out.read_bytes()
    for argv, told in (
        ([path], "is there already"), ([path, out], "--force"), ([out], "safetensors file already"),
        ([path, tmp_path / "own.bin"], "must end in .safetensors"), ([tmp_path / "no.pth"], "there is no file"),
        ([path, tmp_path / "own.pth" / "x.safetensors"], "cannot be written"),
    ):  # fmt: skip
        with pytest.raises(SystemExit, match="1"):
            convert.main([*map(str, argv)])
        line = capsys.readouterr().err
        assert told in line and line.count("\n") == 1
    assert out.read_bytes() == before and sorted(tmp_path.iterdir()) == [path, out]
    out.write_bytes(b"older")
    assert convert.main([str(path), str(out), "--force"]) == 0 and out.read_bytes() == before
    assert convert.main([str(path), str(tmp_path / "folder" / "new.safetensors")]) == 0
    torch.save({"sparse": torch.eye(2).to_sparse()}, path)
    publish(monkeypatch, path)
    with pytest.raises(StudyError, match="Save dense ones"):
        convert.convert(path, out, force=True)
    assert out.read_bytes() == before


def test_an_old_torch_converts_nothing_unlisted(tmp_path, old_torch, capsys):
    torch.save(STATE, tmp_path / "own.pth")
    with pytest.raises(SystemExit, match="1"):
        convert.main([str(tmp_path / "own.pth")])
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and f"make convert WEIGHTS={tmp_path / 'own.pth'}" in line
    assert not (tmp_path / "own.safetensors").exists()
