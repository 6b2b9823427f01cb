"""Transfer learning on ants and bees: fine-tuning a pretrained net, and the net as a fixed feature extractor.

Original: "Transfer Learning for Computer Vision Tutorial", the PyTorch tutorials. Published figures: 93 builds of its
page, each the best of 25 epochs on the images that are reported.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import cos, inf, pi
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn, optim
from torchvision import transforms

from data import StudyError
from data.hymenoptera import from_folder
from tutorials.common import checkpoint, plots
from tutorials.common.device import predicting, seed_everything
from tutorials.common.experiment import Experiment, Trial
from tutorials.common.options import Options, parse
from tutorials.reports import transfer_learning as report
from tutorials.vision import fine_tuning_comparison as comparison
from tutorials.vision import linear_probe, models
from tutorials.vision.images import Photos, Preset, read
from tutorials.vision.small_convnet import PRESET, SMALL, SmallNet, pretrain
from tutorials.vision.training_history import BatchNormStatistics, History

# N batch, 3 color channels of H x W pixels, D features, C classes
Datasets = Mapping[Literal["train", "val"], Photos]
Outcome = dict[str, Any]  # logits of the test images by epoch, weights, seconds


@dataclass
class TransferOptions(Options):
    """Transfer learning on ants and bees, or on class folders of your own."""

    model: str = ""
    """A torchvision model, or small: pretrained here on synthetic data. Default: resnet18; with --data tiny, small."""
    weights_file: Path | None = None
    """Pretrained weights of the model, .safetensors or .pth. Default: torchvision's, below the data root."""
    images: Path | None = None
    """Train on your own images: a folder for each class, or such folders below train and val."""
    image: Path | None = None
    """Do not train: classify this image, with the saved net of --run-dir or else the newest one."""
    batch_size: int = 4
    """Batch size, over all processes together."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum 0.9, or AdamW, whose step size does not depend on the scale of the features."""
    lr: float = 1e-3
    """Initial learning rate of the last layer; nets without batch norm, whose features are larger, need a lower one."""
    schedule: Literal["step", "cosine"] = "step"
    """Learning-rate schedule: step (divide by 10 every 7 epochs), or cosine, with linear warmup in the first epoch."""
    layer_decay: float = 1.0
    """Layer-wise learning-rate decay: the first layer's learning rate as a fraction of the last layer's."""
    frozen_share: float = 0.0
    """Fraction of the layers, counted from the input, that are frozen in fine-tuning."""
    frozen_norms: bool = False
    """Keep batch norm in evaluation mode: its running statistics stay as they were pretrained."""
    min_crop: float = 0.08
    """Lower bound of RandomResizedCrop's scale: the smallest crop as a fraction of the image's area."""
    keep_decoded: bool = False
    """Cache decoded images in memory, resized as for validation."""
    probe: bool = False
    """Linear probe: fit the last layer by logistic regression on cached features; fine-tuning starts from it."""
    select_best: bool = False
    """Report the epoch with the best test accuracy, as the original does; else the last epoch."""
    test_every: int = 1
    """Epochs between evaluations on the test images."""
    folds: int = 0
    """Number of cross-validation folds on which both methods are compared; 0: only the published split."""
    repeats: int = 4
    """Repetitions of the cross-validation for the fixed feature extractor."""
    curve: bool = False
    """Measure the learning curve, of the pretrained net and of nets trained from random weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of autocast."""

    own = ("images",)
    keeping = Options.keeping | {"image"}
    limits = Options.limits | {
        "batch_size": (1, inf), "lr": (0, inf), "layer_decay": (1e-6, 1), "frozen_share": (0, 0.99),
        "min_crop": (0.01, 1), "test_every": (1, inf), "folds": (0, inf), "repeats": (1, inf),
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        if (self.folds or self.curve) and not self.probe:
            raise ValueError("--folds and --curve compare with the linear probe: they need --probe")
        if self.folds == 1:
            raise ValueError("--folds must be 0 or at least 2, not 1")
        if self.weights_file and self.model in ("", SMALL):
            raise ValueError("--weights-file needs --model, the model that the weights are for")
        try:
            models.check_name("resnet18" if self.model in ("", SMALL) else self.model)
        except StudyError as error:
            raise ValueError(f"--model: {str(error).rstrip('.')}") from None


# The study's learning rate was chosen on a quarter of the training images; the test images had no part in any choice.
RECIPES = {
    "original": dict(epochs=25, select_best=True, log_every=61),
    "study": dict(epochs=4, batch_size=16, optimizer="adamw", lr=3e-5, schedule="cosine", layer_decay=0.1,
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
    with Experiment("transfer", options) as run:
        photos, train, test = load_photos(run)
        pretrained = load_pretrained(run)
        transform = data_transforms(pretrained.preset, options.min_crop)
        photos.transform = transform["val"]
        if options.keep_decoded:
            photos.keep_decoded(pretrained.preset)
        datasets = image_datasets(photos, transform, train, test)
        report.show_training_batch(run, datasets["train"], pretrained.preset)
        # The frozen net comes first: with --probe, fine-tuning starts from its last layer.
        frozen = feature_extractor(run, pretrained, datasets, photos)
        tuned = run.trial("finetune", partial(fine_tune, pretrained=pretrained, datasets=datasets, head=frozen["head"]))
        outcomes = {"finetune": tuned, "frozen": frozen}
        metrics = comparison.on_published_split(run, photos.labels[test], outcomes)

        def tune(trial: Trial, train: np.ndarray, test: np.ndarray, head: Any, weights: Any = pretrained) -> dict:
            outcome = fine_tune(trial, weights, image_datasets(photos, transform, train, test), head)
            return {name: value for name, value in outcome.items() if name != "net"}  # the weights are not kept

        if options.folds:
            metrics |= comparison.on_folds(run, photos.labels, frozen["features"], tune)
        if options.curve:
            untrained = replace(pretrained, weights=None)
            of_untrained = compute_features(run, untrained, photos, "features_random")
            features = {"frozen": frozen["features"], "random, frozen": of_untrained["features"]}
            scratch = partial(tune, weights=untrained)
            metrics |= comparison.learning_curve(run, photos.labels, train, test, features, tune, scratch)
        visualize_model(run, pretrained, photos, datasets["val"], metrics, outcomes)
        official = options.data == "official" and pretrained.model == "resnet18"
        run.finish(metrics, PUBLISHED if official else {}, comparison.chance(metrics, photos.labels, test))


# 1. Load data


def data_transforms(preset: Preset, min_crop: float) -> dict[str, transforms.Compose]:
    """Data augmentation and normalization for training, just normalization for validation: (3, H, W)."""
    augment = [transforms.RandomResizedCrop(preset.crop_size, scale=(min_crop, 1)), transforms.RandomHorizontalFlip()]
    center = [transforms.Resize(preset.resize_size), transforms.CenterCrop(preset.crop_size)]
    normalize = [transforms.ToTensor(), transforms.Normalize(preset.mean, preset.std)]
    return {"train": transforms.Compose([*augment, *normalize]), "val": transforms.Compose([*center, *normalize])}


def image_datasets(photos: Photos, transform: Mapping[str, Any], train: np.ndarray, test: np.ndarray) -> Datasets:
    """Some of the pictures to train on, augmented, and others to test on."""
    return {"train": photos.subset(train, transform["train"]), "val": photos.subset(test, transform["val"])}


def load_photos(run: Experiment) -> tuple[Photos, np.ndarray, np.ndarray]:
    """The pictures of --images, or ants and bees, and the indices of those to train and to test on."""
    options = run.options
    pictures = run.load_data("hymenoptera", options.images and partial(from_folder, options.images, options.seed))
    run.say("\n".join(pictures.describe()))
    labels = torch.from_numpy(np.concatenate([pictures.train_labels, pictures.test_labels]))
    if options.folds > (smallest := int(labels.bincount().min())):
        run.say(f"--folds {smallest}, not {options.folds}: a class has no more pictures")
        options.folds = smallest
    photos = Photos(pictures.train_files + pictures.test_files, labels, pictures.classes)
    return photos, *np.split(np.arange(len(photos)), [len(pictures.train_files)])


# 2. Training the model


def train_model(trial: Trial, model: nn.Module, parameters: list[dict], datasets: Datasets) -> Outcome:
    """Train some parameters of a model; returns logits by epoch, seconds, and the last or the best weights.

    The test images are evaluated on the way. Unless --select-best asks for it, nothing follows from it.
    """
    options, testset = trial.options, datasets["val"]
    statistics = BatchNormStatistics(model)
    net = trial.distribute(model)
    dataloader = trial.loader(datasets["train"], min(options.batch_size, len(datasets["train"])), shuffle=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = OPTIMIZERS[options.optimizer](parameters, options.lr)
    steps = len(dataloader)
    schedule = {"step": lambda epoch: 0.1 ** (epoch // 7),
                "cosine": lambda epoch: min(1, epoch + 1 / steps) * (1 + cos(pi * epoch / options.epochs)) / 2
                }[options.schedule]  # fmt: skip
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step / steps))
    history = History()
    trial.track(net=net, optimizer=optimizer, scheduler=scheduler, history=history)
    for epoch in trial.epochs():
        net.train()
        if options.frozen_norms:
            statistics.freeze()
        for inputs, labels in trial.batches(dataloader):
            optimizer.zero_grad()
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=options.precision == "bfloat16"):
                outputs = net(inputs)  # (N, C)
                loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            trial.log("train", loss=loss, accuracy=(outputs.argmax(1) == labels).float().mean())
        if (epoch + 1) % options.test_every and epoch + 1 < options.epochs:
            continue
        outputs = predict(trial, net, testset)
        history.add(outputs, statistics.drift())
        accuracy = (outputs.argmax(1) == testset.labels).float().mean()
        trial.log("val", loss=criterion(outputs, testset.labels), accuracy=accuracy)
        if options.select_best:
            trial.keep_best(float(accuracy))
    best = checkpoint.load_best(trial.folder / "best.safetensors", trial.name)[0] if options.select_best else None
    return history.state_dict() | {"scores": torch.stack(history.scores), "net": best or model.state_dict()}


@torch.no_grad()
def predict(run: Experiment | Trial, net: nn.Module, dataset: Photos) -> Tensor:
    """Logits (N, C) of all pictures, in order, on the CPU."""
    net.eval()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.options.precision == "bfloat16"):
        rows = [net(images).float() for images, _ in run.each(run.loader(dataset, 32))]
    return run.gather(torch.cat(rows), len(dataset)).cpu()


# 3. Finetuning the ConvNet


@dataclass(frozen=True)
class Pretrained:
    """A model's name, its pretrained weights (None: random ones), and the transform they were trained with."""

    model: str
    weights: Mapping[str, Tensor] | None
    preset: Preset


def load_pretrained(run: Experiment) -> Pretrained:
    """torchvision's weights of --model, or those of --weights-file; on the twin, a small net pretrained here."""
    options = run.options
    model = options.model or (SMALL if options.data == "tiny" else "resnet18")
    if model == SMALL:
        return Pretrained(SMALL, run.trial("pretrain", pretrain, epochs=3, log_every=10)["net"], PRESET)
    net = models.build(model)
    load = partial(models.load_weights, net, model, options.weights_file, None, options.data_root)
    try:
        return Pretrained(model, net.state_dict(), Preset.of(run.place.main_first(load).transforms()))
    except StudyError as error:
        raise StudyError(f"{error} Or begin with a small net that is pretrained here: MODEL=small.") from None


def load_model(pretrained: Pretrained) -> nn.Module:
    """The pretrained net, with the 1000 classes of ImageNet."""
    net = SmallNet() if pretrained.model == SMALL else models.build(pretrained.model)
    if pretrained.weights:
        net.load_state_dict(pretrained.weights)
    return net.to(memory_format=torch.channels_last)  # faster on a CPU


def replace_head(net: nn.Module, classes: int) -> nn.Module:
    """Put a new last layer in the place of the pretrained one: a ResNet's is called fc. Returns the new layer."""
    if not hasattr(net, "fc"):  # another architecture, which has it elsewhere
        return models.replace_head(net, classes)
    net.fc = nn.Linear(net.fc.in_features, classes)
    return net.fc


def fine_tune(trial: Trial, pretrained: Pretrained, datasets: Datasets, head: linear_probe.Head | None) -> Outcome:
    """Train all layers, or with --frozen-share the later ones; from a linear probe's head if there is one."""
    net = load_model(pretrained)
    replace_head(net, len(datasets["train"].classes))
    if head:
        linear_probe.set_head(net, head)
    return train_model(trial, net, parameter_groups(net, trial.options), datasets)


def parameter_groups(net: nn.Module, options: TransferOptions) -> list[dict]:
    """Freeze the first layers, and give the others learning rates that grow geometrically with depth."""
    layers = [module for module in net.modules() if next(module.parameters(recurse=False), None) is not None]
    groups = []
    for place, layer in enumerate(layers):
        depth = place / max(len(layers) - 1, 1)
        if depth < options.frozen_share:
            layer.requires_grad_(False)
        else:
            own = list(layer.parameters(recurse=False))
            groups.append({"params": own, "lr": options.lr * options.layer_decay ** (1 - depth)})
    return groups[::-1]  # the head comes first: its learning rate is on the dashboard


# 4. ConvNet as fixed feature extractor


def feature_extractor(run: Experiment, pretrained: Pretrained, datasets: Datasets, photos: Photos) -> Outcome:
    """Train the last layer alone: epoch by epoch, or with --probe at once, on features computed once."""
    if not run.options.probe:
        return {"head": None, **run.trial("frozen", partial(train_head, pretrained=pretrained, datasets=datasets))}
    import sklearn.model_selection  # noqa: F401 (before the clock starts)

    computed = compute_features(run, pretrained, photos)
    features, cpu = computed["features"], computed["cpu"]
    count, labels = len(datasets["train"]), datasets["train"].labels
    since = time.process_time()
    head = linear_probe.fit_head(features[:count], labels, run.options.seed)
    scores = linear_probe.logits(features[count:], head)
    cpu += time.process_time() - since
    net = load_model(pretrained)
    replace_head(net, len(photos.classes))
    linear_probe.set_head(net, head)
    run.say(f"frozen: {cpu:.1f} CPU seconds with the features")
    return {"scores": scores[None], "cpu": cpu, "net": net.state_dict(), "head": head, "features": features}


def train_head(trial: Trial, pretrained: Pretrained, datasets: Datasets) -> Outcome:
    """The original's way: everything frozen but a new last layer, and batch norm nevertheless in training mode."""
    net = load_model(pretrained)
    for parameter in net.parameters():
        parameter.requires_grad = False
    # Parameters of new modules have requires_grad=True.
    head = replace_head(net, len(datasets["train"].classes))
    return train_model(trial, net, [{"params": list(head.parameters())}], datasets)


def compute_features(run: Experiment, pretrained: Pretrained, photos: Photos, name: str = "features") -> Outcome:
    """The `features` (N, D) of all pictures, and the `cpu` seconds that they took."""
    seed_everything(run.options.seed)  # a resumed run has drawn less by now
    net = load_model(pretrained).to(run.device)

    def work() -> Outcome:
        since = time.process_time()
        features = linear_probe.compute_features(net, photos, run.device)
        return {"features": features, "cpu": time.process_time() - since}

    return run.once(name, work)


# 5. Visualizing the model predictions


def visualize_model(
    run: Experiment, pretrained: Pretrained, photos: Photos, testset: Photos, metrics: dict, outcomes: dict
) -> None:
    """Save the better net, better on the folds if there are any; its curves, predictions and features."""
    gain = metrics.get("difference/mean", metrics["finetune/test_accuracy"] - metrics["frozen/test_accuracy"])
    way = "finetune" if gain > 0 else "frozen"
    net = load_model(pretrained)
    replace_head(net, len(photos.classes))
    net.load_state_dict(outcomes[way]["net"])
    run.tracked["net"] = net.to(run.device)
    run.keep_best(0.0, way=way, model=pretrained.model, classes=photos.classes, preset=asdict(pretrained.preset))
    outputs = predict(run, net, testset)
    if run.logger:
        for record in run.folder.glob("f*/metrics.jsonl"):  # of finetune, and of frozen when its head was trained
            run.figure(f"curves_{record.parent.name}", plots.curves(record))
        report.show_predictions(run, net, testset, outputs, pretrained.preset)
        report.show_features(run, net, photos, pretrained.preset)


# 6. Inference on custom images


@checkpoint.fits("transfer")
def load_net(path: Path) -> tuple[nn.Module, Preset, dict[str, Any]]:
    """The net that a run saved, on the CPU, its transform, and what is known about it: `model`, `classes`, `way`."""
    weights, about = checkpoint.load_best(path, "transfer")
    preset = Preset(*about["preset"].values())
    net = load_model(Pretrained(about["model"], None, preset))
    replace_head(net, len(about["classes"]))
    net.load_state_dict(weights)
    return net.eval(), preset, about


@torch.no_grad()
def classify(image: Path, folder: Path | None) -> None:
    """Print the most likely classes of any picture, with the saved net of a run folder."""
    with predicting():
        path = checkpoint.find_best("transfer", folder)
        net, preset, about = load_net(path)
        inputs = data_transforms(preset, 1)["val"](read(image))[None]  # (1, 3, H, W)
        probabilities, order = net(inputs)[0].softmax(0).sort(descending=True)
        print(f"{image}, by the {about['way']} net of {checkpoint.describe(path, 'transfer')}:")
        for probability, label in list(zip(probabilities, order, strict=True))[:3]:
            print(f"  {probability:6.1%}  {about['classes'][label]}")


if __name__ == "__main__":
    main()
