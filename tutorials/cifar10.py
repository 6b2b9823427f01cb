"""Training a classifier on CIFAR-10: load, define a net, train, save, reload, test, look at the mistakes.

Original: "Training a Classifier", the PyTorch tutorials. Published figures: 81 builds of its page, 2017 to 2019.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from PIL import Image, ImageOps
from torch import Tensor, nn, optim
from torch.utils.data import Dataset

from data.pictures import open_picture
from tutorials.common import checkpoint, plots
from tutorials.common.device import predicting
from tutorials.common.image_grids import filters, image_grid
from tutorials.common.muon import Muon
from tutorials.common.options import Options, parse
from tutorials.common.run import Run

# N batch, 3 color channels of 32 x 32 pixels, 10 classes


@dataclass
class Cifar10Options(Options):
    """Training a classifier on CIFAR-10."""

    batch_size: int = 4
    """Batch size, over all processes together."""
    optimizer: Literal["sgd", "muon"] = "sgd"
    """SGD with momentum, or Muon, which needs fewer epochs here."""
    lr: float = 1e-3
    """Learning rate; with a schedule, the initial one."""
    momentum: float = 0.9
    """Momentum factor of either optimizer."""
    weight_decay: float = 0.0
    """Weight decay."""
    schedule: Literal["constant", "linear"] = "constant"
    """Learning-rate schedule: constant, or linear decay to zero over the whole run."""
    label_smoothing: float = 0.0
    """Label smoothing of the cross-entropy loss."""
    flip: bool = False
    """Data augmentation: random horizontal flips of the training images."""
    shift: int = 0
    """Data augmentation: random shifts by at most this many pixels, with reflection padding."""
    in_memory: bool = False
    """Normalize and augment whole batches in memory, instead of transforming and collating single images."""
    channels_last: bool = False
    """Use the channels-last memory format: faster for large batches, slower for small ones."""
    val_size: int = 0
    """Number of the 50,000 training images held out for validation, to choose the best epoch; 0: none."""
    width: int = 6
    """Output channels of the first convolution; increasing it is an exercise of the original."""
    image: Path | None = None
    """Do not train: classify this picture, with the saved net of --run-dir or else the newest one."""

    keeping = Options.keeping | {"image"}
    limits = Options.limits | {
        "batch_size": (1, inf), "lr": (0, inf), "momentum": (0, 1), "weight_decay": (0, inf), "label_smoothing": (0, 1),
        "shift": (0, 31), "val_size": (0, 49_999), "width": (1, 1024),
    }  # fmt: skip


RECIPES = {
    # Operations on four pictures are too short to share among threads (two are 4 % faster, on an idle machine).
    "original": dict(epochs=2, log_every=2000, threads=1),
    "study": dict(epochs=30, batch_size=256, optimizer="muon", lr=0.025, weight_decay=0.1, schedule="linear",
                  label_smoothing=0.1, flip=True, shift=2, in_memory=True, channels_last=True, val_size=5000),
}  # fmt: skip
RECIPES["study-tiny"] = RECIPES["study"] | dict(epochs=8)
PUBLISHED = {"test/accuracy": 0.539}  # standard deviation 0.016
CHANCE = {"test/accuracy": 0.1, "test/macro_f1": 0.1}


def main() -> None:
    options = parse(Cifar10Options, RECIPES)
    if options.image:
        return classify(options.image, options.run_dir)
    with Run("cifar10", options) as run:
        trainset, valset, testset = load_images(run)
        show_training_images(run, trainset)
        net = Net(options.width)
        if options.channels_last:  # before the net is distributed: gradients are exchanged in the layout of that moment
            net = net.to(memory_format=torch.channels_last)
        net = run.distribute(net)
        train(run, net, trainset, valset)
        net = load_net(run.folder / "best.safetensors")[0].to(run.device)
        predict_one_batch(run, net, testset)
        test(run, net, testset)


# 1. Load and normalize CIFAR-10


class Cifar10(Dataset):
    """Images (N, 3, 32, 32) uint8 and labels (N,) as torchvision's CIFAR10 gives them: one by one, transformed."""

    collate_fn = None  # the DataLoader's own

    def __init__(self, images: ndarray, labels: ndarray, classes: Sequence[str], transform: Callable | None) -> None:
        self.images, self.labels, self.classes = torch.from_numpy(images), torch.from_numpy(labels), classes
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(Image.fromarray(viewable(self.images[index]))), self.labels[index]


def image_transform(flip: bool = False, shift: int = 0) -> Callable[[Image.Image], Tensor]:
    """From a PIL image (0..255) to a tensor in the range -1..1, augmented first."""
    from torchvision import transforms  # a prediction does without

    augment = [transforms.RandomHorizontalFlip()] if flip else []
    augment += [transforms.RandomCrop(32, padding=shift, padding_mode="reflect")] if shift else []
    return transforms.Compose([*augment, transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])


def load_images(run: Run) -> tuple[Cifar10, Cifar10 | None, Cifar10]:
    """Training, validation (unless --val-size is 0) and test set; the validation split follows from the seed."""
    pictures, options = run.load_data("cifar10"), run.options
    order = np.random.default_rng(options.seed).permutation(len(pictures.train_labels))
    held_out, kept = np.split(order, [len(order) * options.val_size // 50_000])
    images, labels, classes = pictures.train_images, pictures.train_labels, pictures.classes
    if options.in_memory:
        dataset, augment, plain = InMemory, (options.flip, options.shift, options.seed), ()
    else:
        dataset, augment, plain = Cifar10, (image_transform(options.flip, options.shift),), (image_transform(),)
    trainset = dataset(images[kept], labels[kept], classes, *augment)
    valset = dataset(images[held_out], labels[held_out], classes, *plain) if len(held_out) else None
    return trainset, valset, dataset(pictures.test_images, pictures.test_labels, classes, *plain)


def normalize(images: Tensor) -> Tensor:
    """ToTensor and Normalize at once, for whole batches: pixels from 0..255 to -1..1."""
    return (images - 127.5) / 127.5


class InMemory(Cifar10):
    """The fast path: a batch is one gather from memory, augmented and normalized as a whole, which leaves nothing to
    collate. A flip follows from the seed, the epoch and the image; a shift, one for the whole batch, from the
    seed, the epoch and the batch's place in it."""

    collate_fn = tuple

    def __init__(self, images: ndarray, labels: ndarray, classes: Sequence[str], flip=False, shift=0, seed=0) -> None:
        super().__init__(images, labels, classes, None)
        self.flip, self.shift, self.seed = flip, shift, seed
        self.padded = F.pad(self.images, [shift] * 4, mode="reflect") if shift else self.images
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw which images are flipped in this epoch, and restart the generator of its shifts."""
        self.generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
        self.flipped = torch.rand(len(self), generator=self.generator) < 0.5

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        row, column = torch.randint(2 * self.shift + 1, (2,), generator=self.generator).tolist()
        images = self.padded[:, :, row : row + 32, column : column + 32][indices]
        if self.flip:
            flipped = self.flipped[indices]
            images[flipped] = images[flipped].flip(-1)
        return normalize(images), self.labels[indices]


def viewable(images: Tensor) -> ndarray:
    """Images (..., 3, 32, 32) as matplotlib and PIL take them: (..., 32, 32, 3)."""
    return images.movedim(-3, -1).numpy()


def show_training_images(run: Run, trainset: Cifar10, count: int = 32) -> None:
    titles = [trainset.classes[label] for label in trainset.labels[:count]]
    run.figure("training_images", image_grid(viewable(trainset.images[:count]), titles))


# 2. Define a convolutional neural network


class Net(nn.Module):
    """Two convolutions with pooling, three linear layers; 62,006 parameters when width is 6."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(width, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def features(self, x: Tensor) -> Tensor:
        # The original pools after the ReLU. ReLU is monotonic, so this is the same function with the same
        # gradients, and the ReLU has a quarter of the work.
        x = F.relu(self.pool(self.conv1(x)))  # (N, width, 14, 14)
        x = F.relu(self.pool(self.conv2(x)))  # (N, 16, 5, 5)
        x = F.relu(self.fc1(x.flatten(1)))  # (N, 120)
        return F.relu(self.fc2(x))  # (N, 84)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(self.features(x))  # (N, 10) logits


# 3. Define a loss function and optimizer, 4. train the network and save it


def train(run: Run, net: nn.Module, trainset: Cifar10, valset: Cifar10 | None) -> None:
    """Train for all epochs; keep the weights that are best on the validation images, or without any, the last."""
    options = run.options
    trainloader = run.loader(trainset, options.batch_size, shuffle=True, collate_fn=trainset.collate_fn)
    criterion = nn.CrossEntropyLoss(label_smoothing=options.label_smoothing)
    algorithm = {"sgd": optim.SGD, "muon": Muon}[options.optimizer]
    optimizer = algorithm(net.parameters(), options.lr, momentum=options.momentum, weight_decay=options.weight_decay)
    end_factor = {"constant": 1.0, "linear": 0.0}[options.schedule]
    scheduler = optim.lr_scheduler.LinearLR(optimizer, 1.0, end_factor, options.epochs * len(trainloader))
    run.track(net=net, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs():
        net.train()
        for inputs, labels in run.batches(trainloader):
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            run.log("train", loss=loss, accuracy=(outputs.argmax(1) == labels).float().mean())
        run.histograms()
        if valset:
            outputs = predict(run, net, valset)
            accuracy = (outputs.argmax(1) == valset.labels).float().mean()
            run.log("val", loss=criterion(outputs, valset.labels), accuracy=accuracy)
        run.keep_best(float(accuracy) if valset else epoch, classes=trainset.classes)


@torch.no_grad()
def predict(run: Run, net: nn.Module, dataset: Cifar10) -> Tensor:
    """Logits (N, 10) of all images, in order, on the CPU."""
    net.eval()
    loader = run.loader(dataset, batch_size=1000, collate_fn=dataset.collate_fn)
    return run.gather(torch.cat([net(images) for images, _ in run.each(loader)]), len(dataset)).cpu()


@checkpoint.fits("cifar10")
def load_net(path: Path) -> tuple[Net, Sequence[str]]:
    """The net that a run saved, on the CPU, and the names of its classes."""
    weights, about = checkpoint.load_best(path, "cifar10")
    net = Net(about["options"]["width"])
    net.load_state_dict(weights)
    return net.eval(), about["classes"]


# 5. Test the network on the test data


def predict_one_batch(run: Run, net: Net, testset: Cifar10) -> None:
    """Ground truth and prediction of the first four test images."""
    with torch.no_grad():
        predicted = net(normalize(testset.images[:4]).to(run.device)).argmax(1).tolist()
    classes = testset.classes
    true, guesses = ([classes[label] for label in labels] for labels in (testset.labels[:4], predicted))
    run.say(f"ground truth: {' '.join(true)}\npredicted:    {' '.join(guesses)}")
    titles = [f"true: {one}\npredicted: {other}" for one, other in zip(true, guesses, strict=True)]
    run.figure("test_batch", image_grid(viewable(testset.images[:4]), titles))


def test(run: Run, net: Net, testset: Cifar10) -> None:
    """Accuracy overall and for each class; figures and dashboard; the run's summary."""
    from torchmetrics.functional.classification import (  # slow to import
        multiclass_confusion_matrix,
        multiclass_f1_score,
    )

    outputs, labels, classes = predict(run, net, testset), testset.labels, testset.classes
    matrix = multiclass_confusion_matrix(outputs, labels, num_classes=10).numpy()
    metrics = {
        "test/accuracy": matrix.trace() / matrix.sum(),
        "test/macro_f1": float(multiclass_f1_score(outputs, labels, num_classes=10, average="macro")),
        "test/loss": float(F.cross_entropy(outputs, labels)),
    }
    class_accuracy = matrix.diagonal() / matrix.sum(1)
    for name, accuracy in zip(classes, class_accuracy, strict=True):
        run.say(f"accuracy for class {name:5s} is {100 * accuracy:.1f} %")
    if run.logger:
        run.figure("curves", plots.curves(run.folder / "metrics.jsonl"))
        run.figure("confusion", plots.confusion(matrix, classes))
        run.figure(
            "class_accuracy", plots.bars(class_accuracy, classes, "test accuracy", metrics["test/accuracy"], "all")
        )
        run.figure("filters", filters(net.conv1.weight.detach().cpu().numpy()))
        run.figure("mistakes", most_confident_mistakes(testset, outputs))
        run.logger.graph(net, normalize(testset.images[:1]).to(run.device))
        run.logger.pr_curves(labels.numpy(), outputs.softmax(1).numpy(), classes, run.step)
        show_embedding(run, net, testset)
    run.finish(metrics, PUBLISHED if run.options.data == "official" else {}, CHANCE)


def most_confident_mistakes(testset: Cifar10, logits: Tensor, count: int = 24) -> "plots.Figure":
    """The most confident misclassifications of the test images."""
    confidence, predicted = logits.softmax(1).max(1)
    confidence[predicted == testset.labels] = 0
    classes = testset.classes
    worst = confidence.argsort(descending=True)[: min(count, int((confidence > 0).sum()))]
    titles = [f"{classes[testset.labels[i]]}\nas {classes[predicted[i]]} {confidence[i]:.0%}" for i in worst]
    return image_grid(viewable(testset.images[worst]), titles)


@torch.no_grad()
def show_embedding(run: Run, net: Net, testset: Cifar10, count: int = 1000) -> None:
    """The last hidden layer of some test images, for the projector."""
    images = testset.images[:count]
    labels = [testset.classes[label] for label in testset.labels[:count]]
    vectors = net.features(normalize(images).to(run.device))
    run.logger.embedding("last_hidden_layer", vectors, labels, images / 255, run.step)


def read_picture(file: Path) -> Tensor:
    """The center of any picture as an image (1, 3, 32, 32) uint8; raises StudyError when it cannot be read."""
    picture = ImageOps.fit(open_picture(file), (32, 32), Image.Resampling.BOX)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


def classify(picture: Path, folder: Path | None) -> None:
    """Print the three most likely classes of any picture, with the saved net of a run folder."""
    with predicting():
        net, classes = load_net(path := checkpoint.find_best("cifar10", folder))
        probabilities, order = net(normalize(read_picture(picture)))[0].softmax(0).topk(3)
        print(f"{picture}, by the net of {checkpoint.describe(path, 'cifar10')}:")
        for probability, label in zip(probabilities, order, strict=True):
            print(f"  {probability:6.1%}  {classes[label]}")


if __name__ == "__main__":
    main()
