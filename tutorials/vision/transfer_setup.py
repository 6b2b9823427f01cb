"""What the trainings of the transfer tutorial share: the pictures, the pretrained net they begin from, its features."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data.hymenoptera import Pictures
from tutorials.common import checkpoint
from tutorials.common.device import seed_everything
from tutorials.common.parts import Whole
from tutorials.vision import linear_probe, models
from tutorials.vision.images import Looks, Photos, reader
from tutorials.vision.small_convnet import LOOKS, SMALL, SmallNet, pretrain

# N images, D features, C classes


class Lesson:
    """All pictures, numbered with those to train on first, and the pretrained net that every training begins from."""

    def __init__(self, run: Whole, pictures: Pictures) -> None:
        options = self.options = run.options
        self.run, self.classes = run, pictures.classes
        self.files = pictures.train_files + pictures.test_files
        self.labels = torch.from_numpy(np.concatenate([pictures.train_labels, pictures.test_labels]))
        self.train, self.test = np.split(np.arange(len(self.files)), [len(pictures.train_files)])
        self.model = options.model or (SMALL if options.data == "tiny" and not options.images else "resnet18")
        if self.model == SMALL:
            self.weights, self.looks = run.part("pretrain", pretrain, epochs=3, log_every=10)["net"], LOOKS
        else:
            net = models.build(self.model)
            load = partial(models.load_weights, net, self.model, options.weights_file, None, options.data_root)
            self.looks = Looks.of(run.place.main_first(load)["transform"])
            self.weights = net.state_dict()
        self.read = reader(self.looks, options.keep_decoded)

    def net(self, pretrained: bool = True) -> nn.Module:
        """The net with a new head, pretrained or all random."""
        net = build(self.model, len(self.classes), self.weights if pretrained else None)
        return net.to(memory_format=torch.channels_last) if self.options.channels_last else net

    def photos(self, indices: np.ndarray, min_crop: float | None = None) -> Photos:
        """Some of the pictures; with `min_crop`, augmented."""
        transform = self.looks.testing() if min_crop is None else self.looks.training(min_crop)
        return Photos([self.files[i] for i in indices], self.labels[indices], self.read, transform)

    def thumbnails(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([self.looks.thumbnail(self.read(self.files[i])) for i in indices])


def build(model: str, classes: int, weights: Mapping[str, Tensor] | None) -> nn.Module:
    """A net with a new head, from given weights or from random ones."""
    net = SmallNet() if model == SMALL else models.build(model)
    if weights:
        net.load_state_dict(weights)
    models.replace_head(net, classes)
    return net


def load_net(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The net that a run saved, on the CPU, and what is known about it: `model`, `classes`, `looks`, `way`."""
    weights, about = checkpoint.load_best(path, "transfer")
    net = build(about["model"], len(about["classes"]), None)
    net.load_state_dict(weights)
    return net.eval(), about


def keep_features(lesson: Lesson, pretrained: bool = True) -> tuple[Tensor, float]:
    """Features (N, D) of all pictures, and the processor seconds they took; computed once for all runs."""
    run = lesson.run
    seed_everything(lesson.options.seed)  # a resumed run has drawn less by now
    net = lesson.net(pretrained)
    state = {name: value for name, value in net.state_dict().items() if not name.startswith(models.head_name(net))}
    key = linear_probe.fingerprint(state, lesson.files, str(lesson.looks))
    path = run.folder.parent / "features" / f"{key}.safetensors"
    compute = partial(compute_features, lesson, net.to(run.device))
    return run.place.main_first(lambda: linear_probe.kept(path, compute, run.say))


@torch.no_grad()
def compute_features(lesson: Lesson, net: nn.Module) -> Tensor:
    """What goes into a net's head (N, D), on the CPU, for all pictures as a test shows them."""
    net.eval()
    numbers = np.arange(len(lesson.files))
    photos, rows = lesson.photos(numbers), []
    for some in np.array_split(numbers, -(-len(numbers) // 32)):
        images = torch.stack([photos[i][0] for i in some]).to(lesson.run.device)
        rows.append(models.features(net, images).cpu())
    return torch.cat(rows)


def fit_head(lesson: Lesson, features: Tensor, train: np.ndarray, strength: float | None = None) -> linear_probe.Head:
    """The best head on the features of some pictures; its strength, unless given, is chosen on folds of them."""
    features, labels, classes = features[train], lesson.labels[train], len(lesson.classes)
    strength = strength or linear_probe.choose_strength(features, labels, classes, lesson.options.seed)
    return linear_probe.fit_path(features, labels, classes, [strength])[0]
