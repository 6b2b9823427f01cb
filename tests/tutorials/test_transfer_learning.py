"""The transfer tutorial: its parts, whole runs on the twin, ResNet-18's path on a generated file, real photographs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import data
from tests import programs
from tests.data.test_hymenoptera import folder
from tests.processes import summary
from tests.weights import publish
from tutorials import transfer_learning as transfer
from tutorials.common import checkpoint
from tutorials.common.experiment import Experiment
from tutorials.common.options import parse
from tutorials.vision import fine_tuning_comparison as comparison
from tutorials.vision import linear_probe, models
from tutorials.vision.small_convnet import PRESET, SMALL, SmallNet
from tutorials.vision.training_history import BatchNormStatistics

PROGRAM = programs.TRANSFER
run, main = PROGRAM.run, PROGRAM.main


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """Two epochs of the original recipe on the twin."""
    path = tmp_path_factory.mktemp("original") / "run"
    code, printed = run(path, "--recipe", "original", "--epochs", "2")
    assert code == 0, printed
    return path


# Folds and statistics


def test_the_corrected_test_by_hand():
    values = np.array([0.02, -0.01, 0.03, 0.01, 0.00])
    found = comparison.over_folds(values, test_ratio=1 / 4)
    assert found.mean == pytest.approx(0.01) and found.sd == pytest.approx(values.std(ddof=1))
    error = values.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert found.high - found.mean == pytest.approx(2.7764451 * error, rel=1e-5)  # t of 4, 97.5 %
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert comparison.over_folds(values + 2.7764451 * error - 0.01, 1 / 4).p == pytest.approx(0.05, abs=1e-6)
    assert comparison.over_folds([0.5], 0.25).p == 1 and comparison.over_folds([0.1, 0.1], 1).p == 0
    assert comparison.over_folds([0.0, 0.0], 1).p == 1


def test_selection_on_the_reported_images_is_optimistic_and_on_halves_is_not():
    rng = np.random.default_rng(0)
    sets = [rng.random((25, 150)) < 0.9 for _ in range(40)]  # no epoch is better than another
    best, honest = ([measure(luck) for luck in sets] for measure in (
        lambda luck: luck.mean(1).max(),
        lambda luck: comparison.select_on_half(luck, seed=0, draws=50),
    ))  # fmt: skip
    assert np.mean(best) > 0.93 and abs(np.mean(honest) - 0.9) < 0.01
    better = sets[0].copy()
    better[7] = True
    assert comparison.select_on_half(better, seed=0) > 0.999


# The fitted head


@pytest.mark.parametrize("classes", [2, 3])
def test_the_probe_is_at_the_minimum_of_its_objective(classes):
    """Cross entropy plus an L2 penalty of one of the strengths; of two classes, the halves of their difference."""
    torch.manual_seed(0)
    x, y = 3 + 5 * torch.randn(60, 7), torch.arange(60) % classes
    weight, bias = linear_probe.fit_head(x, y, seed=0)
    center, scale = x.double().mean(0), x.double().std(0, correction=0)
    w = (weight.double() * scale).requires_grad_()
    b = (bias.double() + weight.double() @ center).requires_grad_()
    loss = nn.functional.cross_entropy((x - center) / scale @ w.T + b, y, reduction="sum")
    slopes, free = torch.autograd.grad(loss, (w, b))
    strength = -float(((slopes * w).sum() / w.square().sum()).detach()) / (2 if classes == 2 else 1)
    assert np.isclose(1 / strength, np.logspace(-3, 0, 7), rtol=1e-2).any()
    assert free.abs().max() < 1e-2 and torch.allclose(slopes, -strength * (2 if classes == 2 else 1) * w, atol=1e-2)


def test_a_class_of_one_image_is_fitted_without_folds():
    weight, bias = linear_probe.fit_head(torch.eye(3), torch.tensor([0, 1, 2]), seed=0)
    assert linear_probe.logits(torch.eye(3), (weight, bias)).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("model", [SMALL, "squeezenet1_1", "resnet18"])
def test_a_head_from_the_probe_gives_the_net_the_probes_scores(model):
    torch.manual_seed(0)
    net = transfer.load_model(transfer.Pretrained(model, None, PRESET)).eval()
    transfer.replace_head(net, 3)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = models.features(net, images)
        head = torch.randn(3, features.shape[1]), torch.randn(3)
        linear_probe.set_head(net, head)
        assert torch.allclose(net(images), linear_probe.logits(features, head), atol=1e-4)


# Batch norm


def test_a_frozen_net_in_training_mode_drifts_unless_its_norms_are_frozen():
    torch.manual_seed(0)
    for frozen in (False, True):
        net = SmallNet().requires_grad_(False)
        watch = BatchNormStatistics(net)
        net.train()
        if frozen:
            watch.freeze()
        before = [weight.clone() for weight in net.parameters()]
        for _ in range(5):
            net(2 + torch.randn(4, 3, 32, 32))
        assert all(torch.equal(*pair) for pair in zip(before, net.parameters(), strict=True))
        assert (watch.drift() == 0) == frozen and watch.drift() < 5


# Whole runs


def test_the_study_recipe_compares_on_folds_and_leaves_everything(study):
    folder, printed = study
    found = summary(folder)
    metrics = found["metrics"]
    assert {"frozen/test_accuracy", "finetune/test_accuracy", "difference/p", "frozen/fold_sd"} <= set(metrics)
    assert metrics["frozen/test_accuracy"] > 0.65 and 0 <= metrics["difference/p"] <= 1
    assert metrics["difference/mean"] == pytest.approx(metrics["finetune/fold_mean"] - metrics["frozen_same/fold_mean"])
    assert (found["chance"]["frozen/test_accuracy"], found["chance"]["frozen/fold_mean"]) == (45 / 80, 0.5)
    assert "corrected paired t-test" in printed
    projector = next(folder.glob("*/features"))
    assert len((projector / "tensors.tsv").read_text().splitlines()) == 200
    assert {line.split("\t")[0] for line in (projector / "metadata.tsv").read_text().splitlines()} == {"ants", "bees"}
    assert not list(folder.rglob("last.safetensors"))  # what was finished keeps its outcome alone


@pytest.mark.slow
def test_the_learning_curve(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "SIZES", (10,))
    main("--run-dir", str(tmp_path / "curve"), "--folds", "0", "--epochs", "1")
    metrics = summary(tmp_path / "curve")["metrics"]
    lines = {name: [metrics[f"curve/{name}/{size}"] for size in (10, 55)]
             for name in ("frozen", "finetune", "scratch", "random, frozen")}  # fmt: skip
    assert lines["frozen"][1] > lines["frozen"][0]
    assert lines["frozen"][1] > max(lines["scratch"][1], lines["random, frozen"][1])  # transfer means something
    assert (tmp_path / "curve" / "figures" / "learning_curve.png").exists()


@pytest.mark.slow
def test_the_original_recipe_is_the_published_protocol(original):
    found = summary(original)
    metrics = found["metrics"]
    for way in ("finetune", "frozen"):
        assert metrics[f"{way}/test_best_accuracy"] >= metrics[f"{way}/test_accuracy"]
        best, honest = (metrics[f"{way}/test_{kind}_accuracy"] for kind in ("best", "honest"))
        assert metrics[f"{way}/flattery"] == pytest.approx(best - honest)
        lines = [json.loads(line) for line in (original / way / "metrics.jsonl").read_text().splitlines()]
        assert [one["epoch"] for one in lines if "accuracy/val" in one] == [1, 2] and lines[-1]["step"] == 60
        assert metrics[f"{way}/test_best_accuracy"] == pytest.approx(max(one.get("accuracy/val", 0) for one in lines))
    assert metrics["frozen/norm_drift"] > 0.01  # nothing but the head learns, and still the net is another
    assert {"selection", "curves_frozen", "curves_finetune"} <= {path.stem for path in (original / "figures").iterdir()}


@pytest.mark.slow
def test_frozen_is_frozen_and_finetuned_moves(original):
    pretrained = checkpoint.load(original / "pretrain" / "done.safetensors")["net"]
    for way, moved in (("frozen", False), ("finetune", True)):
        net = checkpoint.load(original / way / "done.safetensors")["net"]
        assert torch.equal(net["blocks.0.0.weight"], pretrained["blocks.0.0.weight"]) != moved
        assert not torch.equal(net["fc.bias"], torch.zeros(2))


def test_your_own_picture(study, tmp_path):
    twin = data.load("hymenoptera", "tiny")
    picture = tmp_path / "photo.png"
    picture.write_bytes(twin.test_files[0])
    code, printed = run(study[0], "--image", str(picture))
    assert code == 0 and len(re.findall(r"\d %|\d+\.\d%", printed)) == 2 and "ants" in printed and "bees" in printed
    (tmp_path / "text.jpg").write_text("no picture")
    code, printed = run(study[0], "--image", str(tmp_path / "text.jpg"))
    assert code == 1 and "not a picture" in printed and "Traceback" not in printed


# ResNet-18, on files of the right name, keys and hash


@pytest.fixture(scope="module")
def resnet_root(tmp_path_factory) -> Path:
    """A data root with weights for ResNet-18 in torchvision's keys."""
    root = tmp_path_factory.mktemp("root")
    (root / "weights").mkdir()
    torch.manual_seed(0)
    torch.save(models.build("resnet18").state_dict(), root / "weights" / "resnet18-f37072fd.pth")
    return root


@pytest.mark.parametrize("recipe", ["study", "original"])
@pytest.mark.slow
def test_resnet18_from_a_verified_file_learns_a_folder_of_your_own(resnet_root, recipe, monkeypatch, tmp_path, capsys):
    path = resnet_root / "weights" / "resnet18-f37072fd.pth"
    publish(monkeypatch, path)
    images = folder(tmp_path / "images", 3)
    (images / "cats" / "bad.jpg").touch()
    argv = ("--recipe", recipe, "--images", str(images), "--data-root", str(resnet_root), "--epochs", "1")
    argv += ("--run-dir", str(tmp_path / "run"), "--batch-size", "4")
    main(*argv, *(("--folds", "0", "--no-curve", "--frozen-share", "0.9") if recipe == "study" else ()))
    printed = capsys.readouterr().out
    assert "bad.jpg: not a picture" in printed and "1 skipped" in printed
    found = summary(tmp_path / "run")
    assert found["parameters"] == 11_177_538 + 513  # the published net's, and one class more
    weights, about = checkpoint.load_best(tmp_path / "run" / "best.safetensors", "transfer")
    assert list(about["classes"]) == ["cats", "dogs", "owls"]
    assert about["model"] == "resnet18" and weights["fc.weight"].shape == (3, 512)
    published = models.read_state(path)
    tuned = checkpoint.load(tmp_path / "run" / "finetune" / "done.safetensors")["net"]
    assert torch.equal(tuned["conv1.weight"], published["conv1.weight"]) == (recipe == "study")  # nine tenths frozen
    assert not torch.equal(tuned["layer4.1.conv2.weight"], published["layer4.1.conv2.weight"])
    kept = torch.equal(tuned["bn1.running_mean"], published["bn1.running_mean"])
    assert kept == (recipe == "study")
    if recipe == "original":  # no weight but the head's learns, and its batch norm drifts nevertheless
        frozen = checkpoint.load(tmp_path / "run" / "frozen" / "done.safetensors")["net"]
        assert torch.equal(frozen["layer4.1.conv2.weight"], published["layer4.1.conv2.weight"])
        assert not torch.equal(frozen["bn1.running_mean"], published["bn1.running_mean"])
        assert found["metrics"]["frozen/norm_drift"] > 0
    main("--run-dir", str(tmp_path / "run"), "--image", str(images / "owls" / "0.jpg"))
    assert capsys.readouterr().out.count("%") == 3


def test_missing_weights_are_told_in_one_line(tmp_path):
    images = folder(tmp_path / "images", 5)
    root = tmp_path / "empty"
    code, printed = run(tmp_path / "none", "--images", str(images), "--data-root", str(root), "--model", "resnet18")
    assert code == 1 and "Traceback" not in printed
    assert "resnet18-f37072fd.pth (46.8 MB)" in printed and f"Put the file at {root / 'weights'}" in printed
    assert "MODEL=small" in printed and "DATA=tiny" not in printed


def test_few_pictures_of_your_own_need_no_network(tmp_path, capsys, monkeypatch):
    """The net of the twin learns them, and the folds are cut to what is there."""
    monkeypatch.setattr(transfer, "pretrain", lambda _: {"net": SmallNet().state_dict()})
    argv = ["--images", str(folder(tmp_path / "images", 2)), "--model", "small", "--run-dir", str(tmp_path / "run")]
    with Experiment("transfer", parse(transfer.TransferOptions, transfer.RECIPES, argv)) as run:
        photos, train, test = transfer.load_photos(run)
        pretrained = transfer.load_pretrained(run)
        run.tracked["net"] = transfer.load_model(pretrained)
    assert (len(train), len(test), run.options.folds) == (3, 3, 2) and photos.classes == ("cats", "dogs", "owls")
    assert pretrained.model == SMALL and pretrained.weights
    assert "--folds 2, not 5: a class has no more pictures" in capsys.readouterr().out


@pytest.mark.slow
def test_real_photographs_by_squeezenets_features(real_data, real_squeezenet, tmp_path):
    argv = ["--data", "official", "--data-root", str(real_data), "--model", "squeezenet1_0"]
    argv += ["--weights-file", str(real_squeezenet), "--run-dir", str(tmp_path / "run"), "--device", "cpu"]
    with Experiment("transfer", parse(transfer.TransferOptions, transfer.RECIPES, argv)) as run:
        (photos, train, test), pretrained = transfer.load_photos(run), transfer.load_pretrained(run)
        transform = transfer.data_transforms(pretrained.preset, 1)
        photos.transform = transform["val"]
        datasets = transfer.image_datasets(photos, transform, train, test)
        outcome = transfer.feature_extractor(run, pretrained, datasets, photos)
        correct = outcome["scores"][0].argmax(1) == photos.labels[test]
        assert correct.sum() >= 143  # 93 % of 153
        run.tracked["net"] = transfer.load_model(pretrained)
