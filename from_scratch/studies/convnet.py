from dataclasses import dataclass
from functools import partial
import numpy as np
from from_scratch.classifiers.cnn import DeepConvNet
from from_scratch.studies.augment import mirror_and_shift
from from_scratch.studies.fully_connected import rise_and_fall
from from_scratch.studies.lab import Lab, LabOptions
from tutorials.common.options import parse


@dataclass(frozen=True)
class Deep:
    """How the deep net is built and trained."""

    blocks: tuple[tuple[int, ...], ...]
    epochs: int
    lr: float = 4e-3
    warmup: float = 0.1  # share of the steps over which the learning rate rises, before it falls to zero
    batch_size: int = 100
    reg: float = 1e-4
    shift: int = 2  # pixels, up to


DEEP = {
    "tiny": Deep(blocks=((8,), (16,), (32,)), epochs=2),
    "official": Deep(blocks=((32,), (64,), (128,), (256,)), epochs=8),
}


def main():
    with Lab("convnet", parse(LabOptions, {})) as lab:
        data = scale(lab.load_pictures())
        deep_net(lab, data, DEEP[lab.options.data])


def scale(data):
    deviation = data["X_train"].std()
    for split in ("train", "val", "test"):
        data[f"X_{split}"] /= deviation
    return data


def deep_net(lab: Lab, data: dict, recipe: Deep) -> dict[str, float]:
    net = DeepConvNet(blocks=recipe.blocks, reg=recipe.reg, rng=lab.rng("deep"))
    solver = lab.train("deep", net, data, num_epochs=recipe.epochs, batch_size=recipe.batch_size, update_rule="adam",
                       optim_config={"learning_rate": recipe.lr}, schedule=rise_and_fall(recipe.warmup),
                       augment=partial(mirror_and_shift, pixels=recipe.shift))  # fmt: skip
    return {}


if __name__ == "__main__":
    main()
