"""The comparison of pretrained models: its measures, whole runs on the twin, and SqueezeNet on real pictures."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import data
from data.imagenet import IMAGENETTE
from tests import programs
from tests.processes import summary as read
from tests.weights import save_own
from tutorials import pretrained
from tutorials.reports import pretrained_plots
from tutorials.vision import benchmark, calibration
from tutorials.vision import models as model_zoo
from tutorials.vision.corruptions import STRENGTHS, corrupt

PROGRAM = programs.PRETRAINED
run = PROGRAM.run

FAST = programs.MEASURED
SMALL = "shufflenet_v2_x0_5"


# The measures


def test_wilsons_interval_against_known_values():
    for right, total, expected in ((5, 10, (0.237, 0.763)), (20, 20, (0.839, 1))):  # as published tables have it
        labels = torch.tensor([0] * right + [1] * (total - right))
        found = calibration.score(answers_of(total * [[0.9, 0.1, 0, 0, 0]], labels.tolist(), [0, 1]), labels)
        assert (found["top1_low"], found["top1_high"]) == pytest.approx(expected, abs=5e-4)


def answers_of(scores: list[list[float]], labels: list[int], present: list[int]) -> calibration.Answers:
    return calibration.Answers.of(torch.tensor(scores).log(), torch.tensor(labels), present)


def test_scores_by_hand():
    rows = [[0.5, 0.2, 0.1, 0.1, 0.06, 0.04], [0.1, 0.6, 0.1, 0.1, 0.06, 0.04], [0.3, 0.2, 0.2, 0.2, 0.06, 0.04]]
    labels = torch.tensor([0, 2, 5])
    answers = answers_of(rows, labels.tolist(), [0, 2, 5])
    found = calibration.score(answers, labels)
    assert found["top1"] == pytest.approx(1 / 3) and found["top5"] == pytest.approx(2 / 3)
    assert found["restricted_top1"] == pytest.approx(1 / 3)  # 0; 0 or 2, a tie broken to 0; 0
    assert answers.own.tolist() == pytest.approx([0.5, 0.1, 0.04])
    # Bins of a tenth: 0.5 right, 0.6 wrong, 0.3 wrong.
    assert found["ece"] == pytest.approx((0.5 + 0.6 + 0.3) / 3, abs=1e-6)
    confidence, right = calibration.reliability(answers, labels)
    assert confidence == pytest.approx([0.3, 0.5, 0.6]) and right == [0, 1, 0]


def test_agreement_and_the_order_of_pictures():
    one = answers_of([[0.9, 0.1, 0, 0, 0], [0.9, 0.1, 0, 0, 0]], [0, 1], [0, 1])
    two = answers_of([[0.8, 0.2, 0, 0, 0], [0.1, 0.9, 0, 0, 0]], [0, 1], [0, 1])
    assert calibration.agreement([one, two]).tolist() == [[1, 0.5], [0.5, 1]]
    assert calibration.hardest([one, two]) == [1, 0]
    assert calibration.divided({"a": [one], "b": [two]}, torch.tensor([0, 1])) == [1, 0]


def test_the_pareto_front():
    points = [pretrained_plots.Point(str(i), "f", cost, share, 1) for i, (cost, share) in
              enumerate([(1, 0.5), (2, 0.4), (2, 0.6), (3, 0.6), (4, 0.9)])]  # fmt: skip
    assert [point.label for point in pretrained_plots.pareto(points)] == ["0", "2", "4"]


def test_the_cost_of_a_net_known_by_hand():
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 1000), nn.ReLU(inplace=True), nn.Linear(1000, 10)).eval()
    found = benchmark.measure(net, 4, batch_size=3, repetitions=2)
    assert found.parameters == 49 * 1000 + 1001 * 10
    assert found.gflops == pytest.approx((48 * 1000 + 1000 * 10) / 1e9)
    assert found.megabytes == pytest.approx(4 * found.parameters / 2**20)
    assert found.memory == pytest.approx(4 * (found.parameters + 48 + 1000 + 10) / 2**20)  # weights, input, two outputs
    assert 0 < found.latency <= found.latency_p95 and found.throughput > 0 and found.batch_size == 3


def test_a_batch_that_does_not_fit_is_halved():
    def net(images):
        if len(images) > 2:
            raise RuntimeError("not enough memory")
        return images

    assert benchmark.measure_throughput(net, torch.zeros(9, 1), 1)[1] == 2
    with pytest.raises(RuntimeError, match="other"):
        benchmark.measure_throughput(lambda images: (_ for _ in ()).throw(RuntimeError("other")), torch.zeros(4, 1), 1)


@pytest.mark.parametrize("kind", STRENGTHS)
def test_damage_grows_with_its_strength_and_is_seeded(kind):
    twin = data.load("imagenet", "tiny")
    for picture in (twin.open(0), Image.fromarray(twin.pictures[1]).resize((400, 300))):
        damaged = [np.asarray(corrupt(picture, kind, s, np.random.default_rng(0)), float) for s in (1, 2, 3)]
        again = np.asarray(corrupt(picture, kind, 3, np.random.default_rng(0)))
        assert np.array_equal(damaged[2], again)
        whole = np.asarray(picture.resize(again.shape[1::-1], Image.Resampling.BILINEAR), float)
        errors = [np.abs(one - whole).mean() for one in damaged]
        assert 0 < errors[0] < errors[1] < errors[2]
        assert min(again.shape[:2]) == min(256, *picture.size)


# Which models


def labels_of(*models: str, **options) -> list[str]:
    return [model.label for model in pretrained.choose_models(pretrained.PretrainedOptions(models=models, **options))]


def test_models_are_chosen_by_name_family_or_all():
    everything = labels_of("all")
    names = [name.partition("-")[0] for name in everything]
    assert len(everything) == 21 and Counter(map(model_zoo.family, names)) == {
        "AlexNet": 1, "VGG": 8, "ResNet": 8, "DenseNet": 4
    }  # fmt: skip
    assert labels_of(data="official") == everything == labels_of(weights="none")
    assert labels_of("alexnet") == ["alexnet"] and len(labels_of("DenseNet", "vgg")) == 12
    assert labels_of() == [*pretrained.TINY]
    assert labels_of(weights_file=("resnet18=a.pth",)) == ["resnet18"]
    [older] = pretrained.choose_models(pretrained.PretrainedOptions(models=("resnet50-v1",)))
    assert (older.name, older.member, older.family) == ("resnet50", "v1", "ResNet")


# Whole runs


def test_the_twin_is_learnt_and_everything_is_there(study):
    folder, printed = study
    summary = read(folder)
    metrics = summary["metrics"]
    assert metrics["best/top1"] > 0.6 and summary["chance"]["best/top1"] == 0.1
    for name in pretrained.TINY:
        assert metrics[f"{name}/top1"] > 0.5 and metrics[f"{name}/top5"] > 0.9
        assert metrics[f"{name}/top1_low"] < metrics[f"{name}/top1"] < metrics[f"{name}/top1_high"]
        assert 0 <= metrics[f"{name}/noise_3"] <= 1 and metrics[f"{name}/gflops"] > 0
    assert "restricted %" in printed


def test_the_dashboard_has_the_table_and_a_row_for_each_model(study, events):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    [table] = events.Tensors("models/text_summary")
    assert table.tensor_proto.string_val[0].decode().count("\n") == 1 + len(pretrained.TINY)
    assert "figures/grad_cam" in events.Tags()["images"] and "results/resnet18/top1" in events.Tags()["scalars"]
    for name in pretrained.TINY:
        row = EventAccumulator(str(study[0] / "rows" / name)).Reload()
        assert "_hparams_/session_start_info" in row.summary_metadata


def test_without_weights_the_cost_alone_is_measured(tmp_path):
    code, printed = run(tmp_path / "cost", *FAST, "--weights", "none", "--models", "mobilenet_v3_small")
    assert code == 0 and "Quality was not measured" in printed
    summary = read(tmp_path / "cost")
    metrics = summary["metrics"]
    assert not any("top1" in name for name in metrics) and summary["chance"] == {}
    assert metrics["mobilenet_v3_small/parameters"] == 2_542_856
    for name in ("parameters", "gflops"):
        name = f"mobilenet_v3_small/{name}"
        assert metrics[name] == pytest.approx(summary["published"][name], rel=0.03)
    assert {path.stem for path in (tmp_path / "cost" / "figures").iterdir()} == {"latency", "cost_against_size"}


def test_missing_weights_are_all_named_at_once(tmp_path):
    argv = ["--data", "official", "--data-root", str(tmp_path / "root")]
    code, printed = run(tmp_path / "run", *argv, "--models", "alexnet", "resnet18")
    assert code == 1 and "Traceback" not in printed
    for name, size in (("alexnet-owt-7be5be79.pth", "244.4 MB"), ("resnet18-f37072fd.pth", "46.8 MB")):
        assert f"{tmp_path / 'root' / 'weights' / name} ({size})" in printed
    assert "--weights none" in printed


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> tuple[str, Path, Path]:
    """A file of random weights as `NAME=PATH`, the file, and a folder of Imagenette's classes to measure on."""
    folder = tmp_path_factory.mktemp("own")
    torch.manual_seed(0)
    path = save_own(model_zoo.build(SMALL).state_dict(), folder / "own")
    twin = data.load("imagenet", "tiny")
    for number, name in enumerate(IMAGENETTE):
        (folder / "val" / name).mkdir(parents=True)
        Image.fromarray(twin.pictures[number]).save(folder / "val" / name / "0.png")
    return f"{SMALL}={path}", path, folder / "val"


@pytest.mark.slow
def test_a_file_and_pictures_of_ones_own(own, tmp_path):
    argv = ["--weights-file", own[0], "--images", str(own[2])]
    code, printed = run(tmp_path / "own", *FAST, *argv)
    assert code == 0, printed
    summary = read(tmp_path / "own")
    assert summary["data"] == "official" and f"{SMALL}/top1" not in summary["published"]
    assert summary["metrics"][f"{SMALL}/megabytes"] == pytest.approx(own[1].stat().st_size / 2**20)
    assert summary["chance"][f"{SMALL}/top1"] == 0.001 and summary["published"][f"{SMALL}/parameters"] == 1_366_792
    assert not (tmp_path / "own" / "figures" / "agreement.png").exists()  # of one model


@pytest.mark.slow
def test_half_precision_answers_as_float32_does(own, tmp_path):
    argv = ["--weights-file", own[0], "--images", str(own[2]), "--precision", "bfloat16", "--channels-last"]
    code, printed = run(tmp_path / "half", *FAST, *argv, "--robust-images", "0")
    assert code == 0, printed
    metrics = read(tmp_path / "half")["metrics"]
    assert 0 <= metrics[f"{SMALL}/same_as_float32"] <= 1 and f"{SMALL}/robust" not in metrics
    full = sum(value.nbytes for value in model_zoo.build(SMALL).state_dict().values())
    half = model_zoo.read_state(own[1])
    assert sum(value.nbytes for value in half.values()) == full and metrics[f"{SMALL}/memory"] < full / 2**20


def test_your_own_picture(own, tmp_path):
    picture = next(own[2].rglob("*.png"))
    code, printed = run(tmp_path / "none", "--image", str(picture), "--weights-file", own[0])
    assert code == 0 and printed.count("%") == 5 and f"by {SMALL}" in printed
    assert not (tmp_path / "none").exists()
    code, printed = run(tmp_path / "none", "--image", str(own[1]), "--weights-file", own[0])
    assert code == 1 and "not a picture" in printed and "Traceback" not in printed


@pytest.mark.slow
def test_the_real_squeezenet_answers_real_pictures_as_it_should(real_data, real_squeezenet, tmp_path):
    pictures = real_data / "imagenet-sample"
    if not pictures.exists():
        pytest.skip("needs the sample of ImageNet")
    for folder in sorted(pictures.iterdir())[::10]:
        shutil.copytree(folder, tmp_path / "some" / folder.name)
    argv = ["--weights-file", f"squeezenet1_0={real_squeezenet}", "--data-root", str(real_data), "--recipe", "original"]
    code, printed = run(tmp_path / "real", *argv, "--images", str(tmp_path / "some"), "--repetitions", "1")
    assert code == 0, printed
    metrics = read(tmp_path / "real")["metrics"]
    assert (metrics["squeezenet1_0/top1"], metrics["squeezenet1_0/top5"]) == pytest.approx((0.6, 0.8), abs=0.1)
    assert metrics["squeezenet1_0/restricted_top1"] > metrics["squeezenet1_0/top1"]
