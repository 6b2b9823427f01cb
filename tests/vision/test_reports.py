"""Figures of many pictures, of classes with long names, and with long labels stay bounded and readable."""

from types import SimpleNamespace

import torch

import data
from tutorials.reports import transfer_learning as report
from tutorials.reports.pretrained_plots import latency_bars
from tutorials.vision.images import Photos
from tutorials.vision.small_convnet import PRESET, SmallNet


def test_of_many_pictures_the_projector_shows_some():
    twin, shown = data.tiny.hymenoptera(12, 8), []
    labels = torch.from_numpy(twin.train_labels)
    photos = Photos(twin.train_files, labels, twin.classes, lambda _: torch.zeros(3, 32, 32))
    run = SimpleNamespace(device="cpu", step=0, logger=SimpleNamespace(embedding=lambda *given: shown.append(given)))
    report.show_features(run, SmallNet(), photos, PRESET, count=5)
    _, features, names, thumbnails, _ = shown[0]
    assert features.shape == (4, 64) and thumbnails.shape == (4, 3, 48, 48)
    assert names == [twin.classes[label] for label in twin.train_labels[::3]]


def test_names_of_classes_are_cut_to_the_width_of_a_picture():
    titles = report.titles(torch.eye(2), torch.tensor([0, 1]), ["n02085620-Chihuahua" * 3, "cat"], torch.tensor([0, 1]))
    assert titles[1] == "cat\nas cat 73%" and titles[0].startswith("n02085620-Chihuahua…\nas n02085620-Chihu…")
    assert max(len(line) for title in titles for line in title.split("\n")) <= 24


def test_a_long_label_is_not_cut_off():
    figure = latency_bars(
        ["resnet18", "vgg16"], ["ResNet", "VGG"], [1, 2], [2, 3], "NVIDIA H100 80GB HBM3, threads: 16"
    )
    figure.draw_without_rendering()
    label = figure.axes[0].xaxis.label.get_window_extent()
    assert label.x0 >= 0 and label.x1 <= figure.bbox.x1
