"""Figures of the test pictures: confusion matrix, most and least confident predictions, Grad-CAM, features."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorials.common import plots
from tutorials.common.image_grids import image_grid, overlay, shorten
from tutorials.common.run import Run
from tutorials.vision.gradcam import grad_cam
from tutorials.vision.images import Photos, Preset
from tutorials.vision.linear_probe import compute_features


def show_training_batch(run: Run, trainset: Photos, preset: Preset, count: int = 16) -> None:
    """Some training pictures as augmentation makes them."""
    chosen = range(0, len(trainset), max(1, len(trainset) // count))[:count]
    images, labels = map(torch.stack, zip(*(trainset[i] for i in chosen), strict=True))  # (16, 3, H, W), (16,)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preset.mean, preset.std))
    shown = (images * std + mean).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    names = [shorten(trainset.classes[label], 16) for label in labels]
    run.figure("training_batch", image_grid(shown, names))


def show_predictions(run: Run, net: nn.Module, testset: Photos, logits: Tensor, preset: Preset) -> None:
    """Figures from the logits (N, C) of the test pictures."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix  # slow to import

    labels, classes = testset.labels, testset.classes
    matrix = multiclass_confusion_matrix(logits, labels, num_classes=len(classes)).numpy()
    run.figure("confusion", plots.confusion(matrix, classes))
    right, wrong = by_confidence(logits, labels)
    few = torch.cat([wrong[:4], right[:4]])
    unsure = right[6:][-max(6, 18 - len(wrong)) :]
    many = torch.cat([wrong[:12], right[:6], unsure])
    grid = image_grid(testset.thumbnails(many, preset), titles(logits, labels, classes, many), 6, 1.8)
    run.figure("predictions", grid)
    images = torch.stack([testset[i][0] for i in few]).to(run.device)
    maps = grad_cam(net, images, logits[few].argmax(1).to(run.device)).cpu().numpy()
    shown = overlay(testset.thumbnails(few, preset), maps)
    run.figure("grad_cam", image_grid(shown, titles(logits, labels, classes, few), 4, 2.4))


def show_features(run: Run, net: nn.Module, photos: Photos, preset: Preset, count: int = 1000) -> None:
    """The features of the pictures, of many some, in the projector, colored by class."""
    some = photos.subset(np.arange(0, len(photos), -(-len(photos) // count)), photos.transform)
    small = torch.from_numpy(some.thumbnails(range(len(some)), preset)).permute(0, 3, 1, 2) / 255
    names = [some.classes[label] for label in some.labels]
    thumbnails = F.interpolate(small, (48, 48), mode="area")
    run.logger.embedding("features", compute_features(net, some, run.device), names, thumbnails, run.step)


def by_confidence(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The images that were classified correctly and those that were not, most confident first."""
    confidence, predicted = logits.softmax(1).max(1)
    order = confidence.argsort(descending=True)
    correct = (predicted == labels)[order]
    return order[correct], order[~correct]


def titles(logits: Tensor, labels: Tensor, classes: Sequence[str], chosen: Tensor) -> list[str]:
    confidence, predicted = logits.softmax(1).max(1)
    return [f"{shorten(classes[labels[i]])}\nas {shorten(classes[predicted[i]], 16)} {confidence[i]:.0%}"
            for i in chosen]  # fmt: skip
