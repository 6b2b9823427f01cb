"""What a net made of the test pictures: confusions, its surest answers and worst mistakes, where it looked."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorials.common import plots
from tutorials.vision.gradcam import grad_cam
from tutorials.vision.transfer_setup import Lesson, compute_features


def show_training_batch(lesson: Lesson, count: int = 16) -> None:
    """Some training pictures as augmentation makes them."""
    photos = lesson.photos(lesson.train[:: max(1, len(lesson.train) // count)][:count], lesson.options.min_crop)
    images, labels = map(torch.stack, zip(*photos, strict=True))  # (16, 3, H, W), (16,)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (lesson.looks.mean, lesson.looks.std))
    shown = (images * std + mean).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    lesson.run.figure("training_batch", plots.image_grid(shown, [lesson.classes[label] for label in labels]))


def show_gallery(lesson: Lesson, net: nn.Module, scores: Tensor) -> None:
    """Figures from the scores (N, C) of the test pictures, and all pictures' features for the projector."""
    run, labels = lesson.run, lesson.labels[lesson.test]
    matrix = np.zeros(2 * [len(lesson.classes)], int)
    np.add.at(matrix, (labels.numpy(), scores.argmax(1).numpy()), 1)
    run.figure("confusion", plots.confusion(matrix, lesson.classes))
    right, wrong = ranked(scores, labels)
    few = torch.cat([wrong[:4], right[:4]])
    unsure = right[6:][-max(6, 18 - len(wrong)) :]
    many = torch.cat([wrong[:12], right[:6], unsure])
    grid = plots.image_grid(lesson.thumbnails(lesson.test[many]), titles(lesson, scores, many), 6, 1.6)
    run.figure("predictions", grid)
    photos = lesson.photos(lesson.test)
    images = torch.stack([photos[i][0] for i in few]).to(run.device)
    maps = grad_cam(net, images, scores[few].argmax(1).to(run.device)).cpu().numpy()
    shown = plots.overlay(lesson.thumbnails(lesson.test[few]), maps)
    run.figure("grad_cam", plots.image_grid(shown, titles(lesson, scores, few), 4, 2.4))
    show_features(lesson, net)


def show_features(lesson: Lesson, net: nn.Module) -> None:
    """The features of all pictures in the projector, coloured by class."""
    small = torch.from_numpy(lesson.thumbnails(np.arange(len(lesson.files)))).permute(0, 3, 1, 2) / 255
    names = [lesson.classes[label] for label in lesson.labels]
    thumbnails = F.interpolate(small, (48, 48), mode="area")
    lesson.run.logger.embedding("features", compute_features(lesson, net), names, thumbnails, lesson.run.step)


def ranked(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The test images that were right and those that were wrong, surest first."""
    confidence, predicted = scores.softmax(1).max(1)
    order = confidence.argsort(descending=True)
    good = (predicted == labels)[order]
    return order[good], order[~good]


def titles(lesson: Lesson, scores: Tensor, chosen: Tensor) -> list[str]:
    confidence, predicted = scores.softmax(1).max(1)
    names, labels = lesson.classes, lesson.labels[lesson.test]
    return [f"{names[labels[i]]}\nas {names[predicted[i]]} {confidence[i]:.0%}" for i in chosen]
