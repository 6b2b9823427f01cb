"""AlexNet, VGG, ResNet and DenseNet compared, as torchvision publishes them: what each costs, and how good it is.

Original: "Models and pre-trained weights", torchvision's documentation, whose figures stand in its `Weights`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn, optim
from torch.utils.data import Dataset
from tqdm import tqdm

from data import StudyError
from data.imagenet import ImageNet, read_folder
from data.pictures import open_picture
from tutorials.common.device import choose, predicting, seed_everything
from tutorials.common.options import MOST_THREADS, Options, parse
from tutorials.common.session import Session
from tutorials.reports import pretrained as report
from tutorials.vision import benchmark, calibration, model_selection
from tutorials.vision import models as model_zoo
from tutorials.vision.calibration import Answers
from tutorials.vision.corruptions import STRENGTHS, corrupt
from tutorials.vision.model_selection import Model

# N images, C classes, D features


@dataclass
class PretrainedOptions(Options):
    """AlexNet, VGG, ResNet and DenseNet compared."""

    models: tuple[str, ...] = ()
    """Models by torchvision's names, by family (VGG), or all; resnet50-v1 is ResNet-50 with its older weights.
    Default: all models of the four families; with --data tiny, two small ones; with --image, resnet18."""
    weights: Literal["published", "none"] = "published"
    """torchvision's pretrained weights (downloaded when missing), or none: then only the cost is measured."""
    weights_file: tuple[str, ...] = ()
    """Weight files of your own, .safetensors or .pth, as NAME=PATH."""
    images: Path | None = None
    """Validation images: a folder of class folders nXXXXXXXX. Default: Imagenette."""
    batch_size: int = 32
    """Batch size; when throughput is timed, halved until a batch fits in memory."""
    repetitions: int = 20
    """Timed forward passes of each model."""
    robust_images: int = 200
    """Images on which robustness to 15 corruptions is measured, at most a tenth of all; 0: not measured."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Data type of weights and activations; half precision is faster on a GPU, and checked against float32."""
    workers: int = 0
    """Worker processes of the DataLoader; with a GPU, use about as many as there are cores."""
    channels_last: bool = False
    """Use the channels-last memory format: faster on a CPU, and in half precision on a GPU."""
    epochs: int = 100
    """With --data tiny: training steps of the last layer; the models with published weights are not trained."""
    image: Path | None = None
    """Do not measure: print each model's top five categories for this image."""

    keeping = Options.keeping | {"image", "workers"}
    limits = Options.limits | {
        "batch_size": (1, inf), "repetitions": (1, inf), "robust_images": (0, inf), "workers": (0, MOST_THREADS),
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        try:
            choose_models(self)
        except StudyError as error:
            raise ValueError(f"--models or --weights-file: {str(error).rstrip('.')}") from None


RECIPES: dict[str, dict[str, Any]] = {"original": dict(robust_images=0), "study": {}}
TINY = ("resnet18", "shufflenet_v2_x0_5")  # the twin's
TINY_SIDE = 48  # pixels of the twin's crops
SIDES = {"official": (128, 160, 192, 224, 256, 288, 320), "tiny": (32, 48, 64, 96)}
SAME = 0.98  # the least fraction of top predictions that must be float32's


def main() -> None:
    options = parse(PretrainedOptions, RECIPES)
    if options.images or options.weights_file or options.weights == "none":
        options.data = "official"
    models = choose_models(options)
    if options.image:
        return predict(options, models)
    with Session("pretrained", options) as run:
        if run.place.world_size > 1:
            raise StudyError("pretrained: several processes would distort each other's timings. Leave out NPROC.")
        photographs = load_photographs(run, models)
        measured = {one.label: run.once(one.label, partial(measure, run, one, photographs)) for one in models}
        sizes = run.once("sizes", partial(measure_sizes, run, models))
        report.show(run, models, measured, sizes, photographs, partial(prepare, run))


# 1. Initialize pre-trained models and use them


def load_model(model: Model, root: Path) -> tuple[nn.Module, Any]:
    """What `get_model(name, weights=weights)` gives, and the weights' entry: their transforms, categories and accuracy.

    The file's hash is verified, and opening it runs no code; it may also be one of the user's own.
    """
    net = model_zoo.build(model.name)
    # The entry is get_model_weights(name).DEFAULT, or another member.
    weights = model_zoo.load_weights(net, model.name, model.file, model.member, root)
    return net.eval(), weights


@torch.no_grad()
def predict(options: PretrainedOptions, models: list[Model]) -> None:
    """Print the top five categories of any picture, by each model with its published or own weights."""
    with predicting():
        image, device = open_picture(options.image), choose(options.device)
        model_zoo.locate_all([(model.name, model.member) for model in models if not model.file], options.data_root)
        for model in models:
            # Step 1: Initialize the model with its weights
            net, weights = load_model(model, options.data_root)
            # Step 2: Initialize the inference transforms
            preprocess = weights.transforms()
            # Step 3: Apply the inference preprocessing transforms
            batch = preprocess(image).unsqueeze(0)  # (1, 3, H, W)
            # Step 4: Use the model and print the predicted categories
            prediction = net.to(device)(batch.to(device)).squeeze(0).softmax(0)  # (C,)
            print(f"{options.image}, by {model.label}:")
            for score, class_id in zip(*(part.tolist() for part in prediction.topk(5)), strict=True):
                print(f"  {score:6.1%}  {weights.meta['categories'][class_id]}")


# 2. Which models, which pictures


def choose_models(options: PretrainedOptions) -> list[Model]:
    """The models of --models and --weights-file; raises StudyError for a name that torchvision does not know."""
    tiny = options.data == "tiny" and options.weights == "published" and not options.images
    default = ("resnet18",) if options.image else TINY if tiny else ("all",)
    return model_selection.choose(options.models, options.weights_file, default)


def load_photographs(run: Session, models: list[Model]) -> ImageNet | None:
    """The labeled images, after every weight file is in place; None when only the cost is measured."""
    options = run.options
    if options.weights == "none":
        return None
    if options.data == "official":
        try:
            model_zoo.locate_all([(model.name, model.member) for model in models if not model.file], options.data_root)
        except StudyError as error:
            raise StudyError(f"{error} Or measure the cost alone: --weights none.") from None
    return run.load_data("imagenet", options.images and partial(read_folder, options.images, options.data_root))


class Prepared(Dataset):
    """Some of the images, corrupted in one way or not at all, under a model's transform: (3, H, W) and label."""

    def __init__(self, photographs: ImageNet, numbers: list[int], transform: Callable[[Image.Image], Tensor],
                 corruption: tuple[str, int] | None = None, seed: int = 0) -> None:  # fmt: skip
        self.photographs, self.numbers, self.transform = photographs, numbers, transform
        self.corruption, self.seed = corruption, seed

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        number = self.numbers[place]
        picture = self.photographs.open(number)
        if self.corruption:  # drawn from the image's number: every model sees the same noise
            picture = corrupt(picture, *self.corruption, np.random.default_rng([self.seed, number]))
        return self.transform(picture), int(self.photographs.labels[number])


# 3. Measure: cost, quality, robustness


def prepare(run: Session, model: Model, photographs: ImageNet | None) -> tuple[nn.Module, dict[str, Any]]:
    """A model in evaluation mode, on the run's device in float32, and what is known of its weights."""
    seed_everything(run.options.seed)  # so that a model is the same whichever were measured before it
    about: dict[str, Any] = {"member": None, "published": {}, "categories": (), "transform": None}
    if photographs is None:
        net = model_zoo.build(model.name)
    elif photographs.train:
        net = model_zoo.build(model.name, len(photographs.classes)).eval()
        side = twin_side(model.name)
        transform = model_zoo.find_weights(model.name).transforms(crop_size=side, resize_size=side + 6)
        train_head(net, Prepared(photographs.train, list(range(len(photographs.train))), transform), run.options.epochs)
        about |= {"categories": photographs.classes, "transform": transform}
    else:
        net, weights = load_model(model, run.options.data_root)
        about |= {"categories": tuple(weights.meta["categories"]), "transform": weights.transforms()}
        if not model.file:
            about |= {"member": weights.name, "published": model_zoo.published(weights)}
    return net.to(run.device).eval(), about


def twin_side(name: str) -> int:
    """The size, in pixels, of the twin's crops for a model."""
    return max(TINY_SIDE, model_zoo.least_size(name))


def train_head(net: nn.Module, dataset: Prepared, epochs: int) -> None:
    """The twin's stand-in for published weights: the filters stay random, and only the last layer learns."""
    images, labels = (torch.stack(part) if isinstance(part[0], Tensor) else torch.tensor(part)
                      for part in zip(*dataset, strict=True))  # fmt: skip
    with torch.no_grad():
        x = torch.cat([model_zoo.features(net, batch) for batch in images.split(50)])  # (N, D)
    mean, std = x.mean(0), x.std(0) + 1e-6
    head = model_zoo.replace_head(net, len(dataset.photographs.classes))
    places = [1] * (head.weight.dim() - 2)  # SqueezeNet's head is a convolution
    x = ((x - mean) / std).view(*x.shape, *places)
    optimizer = optim.AdamW(head.parameters(), 0.01, weight_decay=1.0)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = F.cross_entropy(head(x).flatten(1), labels)
        loss.backward()
        optimizer.step()
    with torch.no_grad():  # the head takes the features as they are
        head.weight /= std.view(-1, *places)
        head.bias -= head.weight.flatten(1) @ mean


def convert(run: Session, net: nn.Module) -> nn.Module:
    """The net in the data type and memory format of the options."""
    net = net.to(getattr(torch, run.options.precision))
    return net.to(memory_format=torch.channels_last) if run.options.channels_last else net


def measure(run: Session, model: Model, photographs: ImageNet | None) -> dict[str, Any]:
    """All that is measured of one model: `metrics`, and with weights its `answers` to all images."""
    options = run.options
    net, about = prepare(run, model, photographs)
    everyone = list(range(len(photographs))) if photographs else []
    reference = None
    if options.precision != "float32" and photographs:
        reference = answer(run, net, Prepared(photographs, everyone[:256], about["transform"]), "float32")
    net = convert(run, net)
    twin = photographs and photographs.train
    side = twin_side(model.name) if twin else model_zoo.input_size(model.name, model.member)
    metrics = asdict(benchmark.measure(net, side, options.batch_size, options.repetitions))
    if model.file:
        metrics["megabytes"] = model.file.stat().st_size / 2**20
    found: dict[str, Any] = {"about": {key: about[key] for key in ("member", "published", "categories")}}
    if photographs:
        labels = torch.from_numpy(photographs.labels)
        answers = answer(run, net, Prepared(photographs, everyone, about["transform"]), model.label)
        metrics |= calibration.score(answers, labels)
        metrics |= measure_robustness(run, net, photographs, about["transform"], answers, model.label)
        found["answers"] = asdict(answers)
        if reference:
            metrics["same_as_float32"] = same = calibration.same_first(answers, reference)
            verdict = "" if same >= SAME else f", fewer than {SAME:.0%}: this precision changes the predictions"
            run.say(f"{options.precision}: {same:.1%} of top predictions are float32's{verdict}")
    return found | {"metrics": metrics}


@torch.no_grad()
def answer(run: Session, net: nn.Module, dataset: Prepared, title: str) -> Answers:
    """The net's predictions for all images of a data set, in order, on the CPU."""
    weight = next(net.parameters())
    layout = torch.channels_last if run.options.channels_last else torch.contiguous_format
    loader = run.place.loader(dataset, run.options.batch_size, False, 0, num_workers=run.options.workers)
    parts, labels = [], []
    for images, targets in tqdm(loader, desc=title, unit="batch", leave=False, disable=None):
        logits = net(images.to(weight, memory_format=layout))  # (N, C)
        parts.append(logits.float().cpu())
        labels.append(targets)
    return Answers.of(torch.cat(parts), torch.cat(labels), dataset.photographs.present)


def measure_robustness(run: Session, net: nn.Module, photographs: ImageNet, transform: Callable, answers: Answers,
                      title: str) -> dict[str, float]:  # fmt: skip
    """Top-1 accuracy on the same images, evenly taken, clean and under every corruption, and the mean of the latter."""
    count = min(run.options.robust_images, -(-len(photographs) // 10))
    if not count:
        return {}
    numbers = np.linspace(0, len(photographs) - 1, count).round().astype(int).tolist()
    labels = torch.from_numpy(photographs.labels)
    found = {"whole": float(answers.right(labels)[numbers].float().mean())}
    for kind, strengths in STRENGTHS.items():
        for strength in range(1, len(strengths) + 1):
            corrupted = Prepared(photographs, numbers, transform, (kind, strength), run.options.seed)
            predicted = answer(run, net, corrupted, f"{title}, {kind} {strength}")
            found[f"{kind}_{strength}"] = float(predicted.right(labels[numbers]).float().mean())
    found["robust"] = sum(found[name] for name in found if name != "whole") / (len(found) - 1)
    return found


def measure_sizes(run: Session, models: list[Model]) -> dict[str, Any]:
    """Multiply-adds, latency and memory against the image size, for the first model of each family."""
    first: dict[str, Model] = {}
    for model in models:
        first.setdefault(model.family, model)
    found = {}
    for family, model in first.items():
        seed_everything(run.options.seed)
        net = convert(run, model_zoo.build(model.name).to(run.device).eval())
        one_size = model.name.startswith(("vit_", "swin", "maxvit"))
        sides = [side for side in SIDES[run.options.data] if side >= model_zoo.least_size(model.name) and not one_size]
        costs = [benchmark.measure(net, side, 1, -(-run.options.repetitions // 4)) for side in sides]
        if costs:
            named = model.label if model.label.startswith(family) else f"{model.label} ({family})"
            grown = ("gflops", "latency", "memory")
            found[named] = {"side": sides} | {name: [getattr(cost, name) for cost in costs] for name in grown}
    return {"sizes": found}


if __name__ == "__main__":
    main()
