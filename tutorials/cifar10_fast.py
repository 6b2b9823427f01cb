"""94 % on CIFAR-10 on a laptop's processor: what a small net needs to learn fast, and nothing else.

There is no official page. The net and most of its training are those of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on
a Single GPU", 2024, which names the sources of each idea, and of its later version with Muon; the small pictures at the
beginning are J. Howard's, 2018.
"""

import time
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, nn, optim

from data.cifar10 import CLASSES
from tutorials.cifar10 import CHANCE, Cifar10, most_confident_mistakes
from tutorials.common import plots
from tutorials.common.autocast import Autocast
from tutorials.common.device import unwrap
from tutorials.common.muon import ChainedOptimizer, Muon
from tutorials.common.options import Options, parse
from tutorials.common.run import Run

# N batch, 3 color channels of S x S pixels, 10 classes


@dataclass
class FastOptions(Options):
    """94 % on CIFAR-10 on a laptop's processor."""

    minutes: float = 0.0
    """Budget of training time, in minutes: sets the number of epochs, after timing a few steps; 0: use --epochs."""
    batch_size: int = 500
    """Batch size, over all processes together."""
    lr: float = 0.1
    """Initial learning rate of Muon, for the convolutions; all learning rates decay linearly to zero."""
    lr_rest: float = 0.05
    """Initial learning rate of SGD, for biases; the last layer's is ten times as high."""
    width: int = 64
    """Output channels of the first block; the other two have four times as many."""
    small_share: float = 0.4
    """Fraction of the epochs, at the beginning, that train on pictures of 24 x 24 pixels, at about half the cost."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of autocast; bfloat16 only where it is fast: on a GPU, or a processor with avx512_bf16."""
    val_size: int = 0
    """Number of the 50,000 training images held out for validation, to compare recipes; 0: none."""

    keeping = Options.keeping | {"epochs"}  # with --minutes it depends on the machine: `pace` keeps it
    limits = Options.limits | {
        "minutes": (0, 10_000), "batch_size": (1, inf), "lr": (0, inf), "lr_rest": (1e-9, inf), "small_share": (0, 1),
        "val_size": (0, 49_000), "width": (1, 1024),
    }  # fmt: skip


RECIPES = {
    "study": dict(epochs=18, log_every=10, precision="bfloat16"),
    "study-tiny": dict(epochs=4, width=8, batch_size=100, log_every=5, val_size=5000),
}
RECIPES["original"] = dict(epochs=8, log_every=10, batch_size=2000, lr=0.24, lr_rest=0.053, small_share=0.0)
RECIPES["original-tiny"] = RECIPES["study-tiny"] | dict(small_share=0.0)
PUBLISHED = {"test/accuracy": 0.94}


def main() -> None:
    options = parse(FastOptions, RECIPES)
    with Run("cifar10-fast", options) as run:
        trainset, valset, testset = load_images(run)
        net = run.distribute(make_net(options, trainset).to(memory_format=torch.channels_last))
        autocast = Autocast(run.device, options.precision == "bfloat16", run.say)
        options.epochs = choose_epochs(run, trainset, autocast)
        train(run, net, trainset, valset, autocast)
        test(run, unwrap(net), testset, autocast)


# 1. The pictures, in memory, augmented and shrunk as whole batches


class Images(Cifar10):
    """Images (N, 3, 32, 32) uint8 and labels (N,). With a seed, each is shifted by up to two pixels, and mirrored in
    every other epoch: after two epochs a net has seen both sides of every picture."""

    collate_fn = tuple

    def __init__(self, images: ndarray, labels: ndarray, seed: int | None = None) -> None:
        super().__init__(images, labels, CLASSES, None)
        self.padded, self.seed = F.pad(self.images, [2] * 4, mode="reflect"), seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw how each picture is changed in this epoch; it follows from the seed and the picture alone."""
        first, now = (torch.Generator().manual_seed(1000 * (self.seed or 0) + number) for number in (999, epoch))
        self.shifts = torch.randint(5, (2, len(self)), generator=now)
        self.mirrored = (torch.rand(len(self), generator=first) < 0.5) ^ (epoch % 2 == 1)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        index = torch.tensor(indices)
        if self.seed is None:
            return normalize(self.images[index]), self.labels[index]
        span = torch.arange(32)
        rows, columns = (shift[index, None] + span for shift in self.shifts)  # (N, 32)
        columns = torch.where(self.mirrored[index, None], columns.flip(1), columns)
        images = self.padded[index[:, None, None], :, rows[:, :, None], columns[:, None]]  # (N, 32, 32, 3)
        return normalize(images.permute(0, 3, 1, 2)), self.labels[index]


def load_images(run: Run) -> tuple[Images, Images | None, Images]:
    """Training, validation (unless --val-size is 0) and test set; the validation split follows from the seed."""
    pictures, options = run.load_data("cifar10"), run.options
    order = np.random.default_rng(options.seed).permutation(len(pictures.train_labels))
    held_out, kept = np.split(order, [len(order) * options.val_size // 50_000])
    images, labels = pictures.train_images, pictures.train_labels
    valset = Images(images[held_out], labels[held_out]) if len(held_out) else None
    return Images(images[kept], labels[kept], options.seed), valset, Images(pictures.test_images, pictures.test_labels)


def normalize(images: Tensor) -> Tensor:
    """Pixels 0..255 to mean 0 and standard deviation 1 per channel."""
    mean, deviation = torch.tensor([[125.31, 122.95, 113.87], [62.99, 62.09, 66.70]]).view(2, 1, 3, 1, 1)
    return (images.float() - mean) / deviation


def whitening(images: Tensor) -> Tensor:
    """Filters (24, 3, 2, 2) that make the pixels of 2 x 2 patches uncorrelated, each of variance 1, and their
    negatives: the first layer, which then need not be learned. From images (N, 3, 32, 32)."""
    patches = normalize(images).unfold(2, 2, 1).unfold(3, 2, 1)  # (N, 3, 31, 31, 2, 2)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)  # a row is a patch: 3 channels of 2 x 2
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (directions / (variances + 5e-4).sqrt()).T.reshape(12, 3, 2, 2)
    return torch.cat([filters, -filters])


# 2. The net


class Block(nn.Module):
    """Two convolutions of 3 x 3, with pooling after the first: (N, I, S, S) -> (N, O, S / 2, S / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(size, outputs, 3, padding=1, bias=False) for size in (inputs, outputs))
        self.norm1, self.norm2 = (nn.BatchNorm2d(outputs, momentum=0.4) for _ in range(2))
        for conv in (self.conv1, self.conv2):  # at the beginning a channel passes on what it gets, as far as it can
            nn.init.dirac_(conv.weight[: conv.in_channels])
        for norm in (self.norm1, self.norm2):
            norm.weight.requires_grad = False  # the next layer has scales enough

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class FastNet(nn.Module):
    """A fixed whitening layer, three blocks, global max pooling, a linear layer: 2.0 million parameters and 0.24 GFLOP
    for an image with the default width."""

    def __init__(self, width: int, filters: Tensor) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, len(filters), 2)
        self.whiten.weight.data.copy_(filters)
        self.whiten.weight.requires_grad = False
        nn.init.zeros_(self.whiten.bias)
        self.blocks = nn.Sequential(Block(len(filters), width), Block(width, 4 * width), Block(4 * width, 4 * width))
        self.head = nn.Linear(4 * width, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.gelu(self.whiten(x)))  # (N, C, 3, 3) of 32 x 32 pixels, (N, C, 2, 2) of 24 x 24
        return self.head(x.amax((2, 3))) / 9  # (N, 10) logits


def make_net(options: FastOptions, trainset: Images) -> nn.Module:
    return FastNet(options.width, whitening(trainset.images[:5000]))


# 3. Train and test


def make_optimizer(net: nn.Module, options: FastOptions) -> ChainedOptimizer:
    """Muon for the convolutions; SGD with Nesterov's momentum for the biases and the last layer."""
    biases, matrices, convolutions = ([weight for weight in net.parameters() if weight.requires_grad and
                                       weight.ndim == dimensions] for dimensions in (1, 2, 4))  # fmt: skip
    groups = [(biases, options.lr_rest), (matrices, 10 * options.lr_rest)]
    sgd = optim.SGD(
        [{"params": weights, "lr": lr, "weight_decay": 2e-6 * options.batch_size / lr} for weights, lr in groups],
        momentum=0.85, nesterov=True,
    )  # fmt: skip
    return ChainedOptimizer(Muon(convolutions, options.lr, momentum=0.6), sgd)


@torch.no_grad()
def normalize_weights(net: nn.Module) -> None:
    """Give every convolution the norm of orthogonal filters: batch norm undoes any scale, but the larger the weights,
    the less a step turns them."""
    for weight in net.parameters():
        if weight.ndim == 4 and weight.requires_grad:
            weight.mul_(len(weight) ** 0.5 / weight.norm())


def train_step(
    net: nn.Module, optimizer: optim.Optimizer, autocast: Autocast, images: Tensor, labels: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """One step on images of `size` x `size` pixels; the loss of the batch, and its logits (N, 10)."""
    if size < 32:
        images = F.interpolate(images, size, mode="bilinear", antialias=True)
    optimizer.zero_grad()
    with autocast():
        logits = net(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, labels, label_smoothing=0.2)
    loss.backward()
    with autocast():  # Muon multiplies matrices, too
        optimizer.step()
    normalize_weights(unwrap(net))
    return loss, logits


def choose_epochs(run: Run, trainset: Images, autocast: Autocast) -> int:
    """How many epochs --minutes are enough for, by some steps of each size with a net that is thrown away."""
    options = run.options

    def pace() -> dict[str, float]:
        net, seconds = make_net(options, trainset).to(run.device, memory_format=torch.channels_last), {}
        optimizer, some = make_optimizer(net, options), list(range(min(options.batch_size, len(trainset))))
        for size in (24, 32):
            for measured in range(4):
                began = time.perf_counter()
                batch = run.place.move(trainset.__getitems__(some))
                train_step(net, optimizer, autocast, *batch, size)[0].item()
                seconds[size] = min(seconds.get(size, inf), time.perf_counter() - began) if measured else inf
        share = options.small_share
        epoch = (share * seconds[24] + (1 - share) * seconds[32]) * len(trainset) / len(some)
        return {"epochs": max(1, int(60 * options.minutes / epoch))}

    if not options.minutes:
        return options.epochs
    epochs = int(run.place.collect(run.once("pace", pace)["epochs"])[0])
    run.say(f"{options.minutes:g} minutes are enough for {epochs} epochs")
    return epochs


def train(run: Run, net: nn.Module, trainset: Images, valset: Images | None, autocast: Autocast) -> None:
    """Train for all epochs; keep the last weights."""
    options = run.options
    trainloader = run.loader(trainset, options.batch_size, shuffle=True, collate_fn=Images.collate_fn)
    optimizer, steps = make_optimizer(unwrap(net), options), options.epochs * len(trainloader)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    run.track(net=net, autocast=autocast, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs():
        net.train()
        for images, labels in run.batches(trainloader):
            # Small pictures first teach what is coarse, at half of the cost.
            size = 24 if run.step - 1 < options.small_share * steps else 32
            loss, logits = train_step(net, optimizer, autocast, images, labels, size)
            scheduler.step()
            run.log("train", loss=loss, accuracy=(logits.argmax(1) == labels).float().mean())
        if valset:
            logits, labels = predict(run, unwrap(net), valset, autocast), valset.labels
            run.log("val", loss=F.cross_entropy(logits, labels), accuracy=(logits.argmax(1) == labels).float().mean())
        run.keep_best(epoch, classes=CLASSES)


@torch.no_grad()
def predict(run: Run, net: nn.Module, dataset: Images, autocast: Autocast) -> Tensor:
    """Logits (N, 10) of all images on the CPU, averaged over six views of each: as it is, and shifted by a pixel up
    and left or down and right, each mirrored, too."""
    net.eval()
    outputs = []
    for images, _ in run.each(run.loader(dataset, 1000, collate_fn=Images.collate_fn)):
        padded = F.pad(images, [1] * 4, mode="reflect")
        views = (images, padded[:, :, :32, :32], padded[:, :, 2:, 2:])
        with autocast():
            logits = [net(v.contiguous(memory_format=torch.channels_last)) for x in views for v in (x, x.flip(-1))]
        outputs.append(torch.stack(logits).float().mean(0))
    return run.gather(torch.cat(outputs), len(dataset)).cpu()


def test(run: Run, net: nn.Module, testset: Images, autocast: Autocast) -> None:
    """Accuracy overall and for each class, figures, and the run's summary."""
    logits, labels = predict(run, net, testset, autocast), testset.labels
    right = (logits.argmax(1) == labels).float()
    metrics = {"test/accuracy": float(right.mean()), "test/loss": float(F.cross_entropy(logits, labels))}
    if run.logger:
        by_class = [float(right[labels == number].mean()) for number in range(len(CLASSES))]
        run.figure("curves", plots.curves(run.folder / "metrics.jsonl"))
        run.figure("class_accuracy", plots.bars(by_class, CLASSES, "test accuracy", metrics["test/accuracy"], "all"))
        run.figure("mistakes", most_confident_mistakes(testset, logits))
    run.finish(metrics, PUBLISHED if run.options.data == "official" else {}, CHANCE)


if __name__ == "__main__":
    main()
