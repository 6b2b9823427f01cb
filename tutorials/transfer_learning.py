"""Transfer learning on ants and bees: fine-tuning a pretrained net, and the net as a fixed feature extractor.

Original: "Transfer Learning for Computer Vision Tutorial", the PyTorch tutorials. Published figures: 93 builds of its
page, each the best of 25 epochs on the images that are reported.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import cos, inf, pi
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

from data import StudyError
from data.hymenoptera import Pictures, from_folder
from tutorials.common import checkpoint, plots
from tutorials.common.device import predicting
from tutorials.common.options import Options, parse
from tutorials.common.parts import Part, Whole
from tutorials.reports.transfer_learning import show_gallery, show_training_batch
from tutorials.vision import linear_probe, models
from tutorials.vision.fine_tuning_comparison import compare_on_folds, judge, learning_curve, majority
from tutorials.vision.images import Looks, Photos, read
from tutorials.vision.training_history import History, NormWatch
from tutorials.vision.transfer_setup import Lesson, fit_head, keep_features, load_net

# N batch, 3 colour channels of H x W pixels, D features, C classes


@dataclass
class TransferOptions(Options):
    """Transfer learning on ants and bees, or on class folders of your own."""

    model: str = ""
    """A classifier of torchvision. Default: resnet18; on the twin, a small net pretrained on CIFAR-10's twin."""
    weights_file: Path | None = None
    """The model's ImageNet weights, .safetensors or .pth, when they are not torchvision's own below the data root."""
    images: Path | None = None
    """Learn these pictures: a folder for each class, or such folders below train and val."""
    image: Path | None = None
    """Do not train: classify this picture, with the saved net of --run-dir or else the newest one."""
    batch_size: int = 4
    """Images in a step, over all processes together."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW, whose steps do not grow with the size of a net's activations."""
    lr: float = 1e-3
    """Learning rate of the head at the start; a net without batch norm, whose features are larger, needs less."""
    schedule: Literal["step", "cosine"] = "step"
    """A tenth of the rate after every 7 epochs; or it rises over the first epoch and falls as a cosine to nothing."""
    depth_rate: float = 1.0
    """Learning rate of the first layer as a share of the head's; between them it falls evenly, as a power."""
    frozen_share: float = 0.0
    """Share of the layers, from the first on, that fine-tuning leaves as they are."""
    frozen_norms: bool = False
    """Keep the statistics of batch norm as they were pretrained."""
    min_crop: float = 0.08
    """The smallest share of a picture that augmentation may cut out."""
    keep_decoded: bool = False
    """Decode each picture once and keep it in memory, its short side as the net wants it."""
    probe: bool = False
    """Fit the frozen net's head to its optimum on features computed once; fine-tuning begins with that head."""
    select_best: bool = False
    """Report the epoch that is best on the test images, as the original does; else the last."""
    test_every: int = 1
    """Epochs between two looks at the test images."""
    folds: int = 0
    """Compare both on so many folds of all pictures; 0: only on the published split."""
    repeats: int = 4
    """How often all pictures are shared out into folds anew, for the frozen features."""
    tuned_repeats: int = 1
    """The same for fine-tuning, which takes longer."""
    curve: bool = False
    """Measure the learning curve, and nets from random weights beside the pretrained one."""
    half: bool = False
    """Compute forward and backward in bfloat16."""
    channels_last: bool = True
    """Keep the channels of a pixel together in memory: on a CPU, convolutions take half the time so."""

    keeping = Options.keeping | {"image"}
    limits = Options.limits | {
        "batch_size": (1, inf), "lr": (0, inf), "depth_rate": (1e-6, 1), "frozen_share": (0, 0.99),
        "min_crop": (0.01, 1), "test_every": (1, inf), "folds": (0, inf), "repeats": (1, inf), "tuned_repeats": (1, inf)
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        if (self.folds or self.curve) and not self.probe:
            raise ValueError("--folds and --curve compare with the fitted head: they need --probe")
        if self.folds == 1:
            raise ValueError("--folds must be 0 or at least 2, not 1")
        if self.weights_file and not self.model:
            raise ValueError("--weights-file needs --model, whose weights they are")
        try:
            models.check_name(self.model or "resnet18")
        except StudyError as error:
            raise ValueError(f"--model: {str(error).rstrip('.')}") from None


# The study's rate was chosen on a quarter of the training images; the test images had no part in any choice.
RECIPES = {
    "original": dict(epochs=25, select_best=True, log_every=61),
    "study": dict(epochs=4, batch_size=16, optimizer="adamw", lr=3e-5, schedule="cosine", depth_rate=0.1,
                  frozen_share=0.5, frozen_norms=True, min_crop=0.35, keep_decoded=True, probe=True, folds=5,
                  curve=True, log_every=5),
}  # fmt: skip
OPTIMIZERS = {"sgd": partial(optim.SGD, momentum=0.9), "adamw": optim.AdamW}
# Of ResNet-18: the best epoch on the images that are reported; standard deviations 0.0146 and 0.0131.
PUBLISHED = {"finetune/test_best_accuracy": 0.9375, "frozen/test_best_accuracy": 0.9530}


def main() -> None:
    options = parse(TransferOptions, RECIPES)
    if options.image:
        return classify(options.image, options.run_dir)
    with Whole("transfer", options) as run:
        lesson = Lesson(run, load_pictures(run))
        show_training_batch(lesson)
        frozen = feature_extractor(lesson)
        tuned = fine_tuning(lesson, frozen)
        metrics = judge(lesson, {"finetune": tuned, "frozen": frozen})
        if options.folds:
            metrics |= compare_on_folds(lesson, fine_tune)
        if options.curve:
            metrics |= learning_curve(lesson, fine_tune)
        show_predictions(lesson, metrics, {"finetune": tuned, "frozen": frozen})
        official = options.data == "official" and lesson.model == "resnet18" and not options.images
        chance = {"accuracy": majority(lesson.labels[lesson.test]), "fold_mean": majority(lesson.labels)}
        chances = {name: value for name in metrics for kind, value in chance.items() if name.endswith(kind)}
        run.finish(metrics, PUBLISHED if official else {}, chances)


# 1. Load data


def load_pictures(run: Whole) -> Pictures:
    """The pictures of --images, or ants and bees; says what was left out."""
    pictures = from_folder(run.options.images, run.options.seed) if run.options.images else run.load_data("hymenoptera")
    for fault in pictures.skipped[:20]:
        run.say(f"skipped: {fault}")
    counts = (np.bincount(labels).tolist() for labels in (pictures.train_labels, pictures.test_labels))
    run.say(f"{', '.join(pictures.classes)}: {' and '.join(map(str, counts))} pictures to train and to test on; "
            f"{len(pictures.skipped)} skipped")  # fmt: skip
    smallest = int(np.bincount(np.concatenate([pictures.train_labels, pictures.test_labels])).min())
    if run.options.folds > smallest:
        raise StudyError(
            f"transfer: a class has {smallest} pictures, too few for --folds {run.options.folds}. Add some."
        )
    return pictures


# 2. Training the model


def train_model(part: Part, net: nn.Module, groups: list[dict], trainset: Photos, testset: Photos) -> dict[str, Any]:
    """Train a net's parameter groups; returns scores by epoch, seconds, and the last or the best weights.

    The test images are watched. Unless --select-best asks for it, nothing follows from what is seen.
    """
    options = part.options
    watch = NormWatch(net)
    model = part.distribute(net)
    trainloader = part.loader(trainset, min(options.batch_size, len(trainset)), shuffle=True)
    optimizer = OPTIMIZERS[options.optimizer](groups, options.lr)
    steps = len(trainloader)
    fall = {"step": lambda epoch: 0.1 ** (epoch // 7),
            "cosine": lambda epoch: min(1, epoch + 1 / steps) * (1 + cos(pi * epoch / options.epochs)) / 2}  # fmt: skip
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: fall[options.schedule](step / steps))
    history = History()
    part.track(net=model, optimizer=optimizer, scheduler=scheduler, history=history)
    for epoch in part.epochs():
        model.train()
        if options.frozen_norms:
            watch.freeze()
        for images, labels in part.batches(trainloader):
            optimizer.zero_grad()
            with torch.autocast(images.device.type, torch.bfloat16, enabled=options.half):
                scores = model(images)
                loss = F.cross_entropy(scores, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            part.log("train", loss=loss, accuracy=(scores.argmax(1) == labels).float().mean())
        if (epoch + 1) % options.test_every and epoch + 1 < options.epochs:
            continue
        scores = predict(part, model, testset)
        history.add(scores, watch.drift())
        accuracy = (scores.argmax(1) == testset.labels).float().mean()
        part.log("val", loss=F.cross_entropy(scores, testset.labels), accuracy=accuracy)
        if options.select_best:
            part.keep_best(float(accuracy))
    weights = checkpoint.load_best(part.folder / "best.safetensors", part.name)[0] if options.select_best else None
    return history.state_dict() | {"scores": torch.stack(history.scores), "net": weights or net.state_dict()}


@torch.no_grad()
def predict(run: Whole | Part, net: nn.Module, photos: Photos) -> Tensor:
    """Scores (N, C) of all pictures, in order, on the CPU."""
    net.eval()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.options.half):
        rows = [net(images).float() for images, _ in run.each(run.loader(photos, 32))]
    return run.gather(torch.cat(rows), len(photos)).cpu()


# 3. Finetuning the convnet


def fine_tuning(lesson: Lesson, frozen: Mapping[str, Any]) -> dict[str, Any]:
    """All layers learn, on the published split; with the study's probe, from its head on."""
    return lesson.run.part("finetune", partial(fine_tune, lesson, lesson.train, lesson.test, frozen.get("head")))


def fine_tune(
    lesson: Lesson, train: np.ndarray, test: np.ndarray, head: tuple[Tensor, Tensor] | None, part: Part,
    pretrained: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Train on some pictures and watch others: deep layers faster than early ones, from a fitted head if there is."""
    options, net = part.options, lesson.net(pretrained)
    if head:
        linear_probe.put_into(net.get_submodule(models.head_name(net)), *head)
    layers = [module for module in net.modules() if next(module.parameters(recurse=False), None) is not None]
    groups = []
    for place, layer in enumerate(layers):
        depth = place / max(len(layers) - 1, 1)
        if depth < options.frozen_share:
            layer.requires_grad_(False)
        else:
            own = list(layer.parameters(recurse=False))
            groups.append({"params": own, "lr": options.lr * options.depth_rate ** (1 - depth)})
    photos = lesson.photos(train, options.min_crop), lesson.photos(test)
    return train_model(part, net, groups[::-1], *photos)  # the head comes first: its rate is the one on the dashboard


# 4. The convnet as a fixed feature extractor


def feature_extractor(lesson: Lesson) -> dict[str, Any]:
    """Only the head learns, on the published split: epoch by epoch, or at once on features computed once."""
    run = lesson.run
    if not lesson.options.probe:
        return run.part("frozen", partial(train_head, lesson))
    lesson.features, cpu = keep_features(lesson)
    since = time.process_time()
    head = fit_head(lesson, lesson.features, lesson.train)
    scores = linear_probe.scores(lesson.features[lesson.test], head)
    cpu += time.process_time() - since
    net = lesson.net()
    linear_probe.put_into(net.get_submodule(models.head_name(net)), *head)
    run.say(f"frozen: {cpu:.1f} CPU seconds with the features")
    return {"scores": scores[None], "cpu": cpu, "net": net.state_dict(), "head": head}


def train_head(lesson: Lesson, part: Part) -> dict[str, Any]:
    """The original's way: all but the head without gradients, and batch norm nevertheless in training mode."""
    net = lesson.net().requires_grad_(False)
    head = net.get_submodule(models.head_name(net)).requires_grad_(True)
    photos = lesson.photos(lesson.train, part.options.min_crop), lesson.photos(lesson.test)
    return train_model(part, net, [{"params": list(head.parameters())}], *photos)


# 5. Visualising the model's predictions, and inference on custom images


def show_predictions(lesson: Lesson, metrics: Mapping[str, float], outcomes: Mapping[str, Mapping[str, Any]]) -> None:
    """Save the better net, better on the folds if there are any; its curves, answers and features."""
    run = lesson.run
    gain = metrics.get("difference/mean", metrics["finetune/test_accuracy"] - metrics["frozen/test_accuracy"])
    way = "finetune" if gain > 0 else "frozen"
    net = lesson.net()
    net.load_state_dict(outcomes[way]["net"])
    run.tracked["net"] = net.to(run.device)
    run.keep_best(0.0, way=way, model=lesson.model, classes=lesson.classes, looks=lesson.looks.to_dict())
    scores = predict(run, net, lesson.photos(lesson.test))
    if run.logger:
        for record in run.folder.glob("f*/metrics.jsonl"):  # of finetune, and of frozen when its head was trained
            run.figure(f"curves_{record.parent.name}", plots.curves(record))
        show_gallery(lesson, net, scores)


def classify(picture: Path, folder: Path | None) -> None:
    """Print the likeliest classes of any picture, with the saved net of a run folder."""
    with predicting():
        path = checkpoint.find_best("transfer", folder)
        net, about = load_net(path)
        image = Looks(**about["looks"]).testing()(read(picture))
        with torch.no_grad():
            shares, order = net(image[None])[0].softmax(0).sort(descending=True)
        print(f"{picture}, by the {about['way']} net of {path}:")
        for share, label in list(zip(shares, order, strict=True))[:3]:
            print(f"  {share:6.1%}  {about['classes'][label]}")


if __name__ == "__main__":
    main()
