"""What a notebook of CS231n finds in its kernel beside its own imports: modules that newer libraries dropped."""

import builtins
import importlib
import inspect
import sys
from collections.abc import Callable
from functools import wraps
from types import ModuleType

import numpy as np
from PIL import Image

ITERATIONS = 20  # of a training under --quick


def prepare(package: str, quick: bool = False) -> None:
    """Bring back what the notebooks of 2018 import, and with `quick` shorten the package's trainings."""
    bring_back("past.builtins", xrange=range)
    bring_back("scipy.misc", imread=imread, imresize=imresize)
    for name in ("bool", "float", "int", "object"):
        if name not in vars(np):  # NumPy 1.24 took them away; NumPy 2 has bool again
            setattr(np, name, getattr(builtins, name))
    if quick:
        shorten(package)


def bring_back(name: str, **members: object) -> None:
    """A module that is not installed any more, with what the notebooks take from it."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        module = sys.modules[name] = ModuleType(name)
        sys.modules.setdefault(name.partition(".")[0], ModuleType(name.partition(".")[0]))
    for member, value in members.items():
        if not hasattr(module, member):
            setattr(module, member, value)


def imread(name: str) -> np.ndarray:
    return np.array(Image.open(name))


def imresize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.array(Image.fromarray(np.uint8(image)).resize((size[1], size[0])))


def shorten(package: str) -> None:
    """Every training ends after one epoch or ITERATIONS steps."""
    for name in ("solver", "captioning_solver", "classifiers.linear_classifier", "classifiers.neural_net"):
        try:
            module = importlib.import_module(f"{package}.{name}")
        except Exception:  # the reader's package need not have it, and what is wrong with it a cell will say
            continue
        for trainer in vars(module).values():
            if inspect.isclass(trainer) and name.endswith("solver") and "train" in vars(trainer):
                trainer.__init__ = short_epochs(trainer.__init__)
            elif inspect.isclass(trainer) and "train" in vars(trainer):
                trainer.train = short_iterations(trainer.train)


def short_epochs(start: Callable) -> Callable:
    @wraps(start)
    def quick(self: object, model: object, data: dict, **options: object) -> None:
        options["num_epochs"] = min(options.get("num_epochs", 10), 1)
        few = {name: data[name][: ITERATIONS * options.get("batch_size", 100)]
               for name in ("X_train", "y_train") if name in data}  # fmt: skip
        start(self, model, {**data, **few}, **options)

    return quick


def short_iterations(train: Callable) -> Callable:
    @wraps(train)
    def quick(self: object, *arguments: object, **options: object) -> object:
        bound = inspect.signature(train).bind(self, *arguments, **options)
        bound.apply_defaults()
        bound.arguments["num_iters"] = min(bound.arguments["num_iters"], ITERATIONS)
        return train(*bound.args, **bound.kwargs)

    return quick
