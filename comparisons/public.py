"""Every public function and net of from_scratch: what has to have a case."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType

import from_scratch
from from_scratch.classifiers.k_nearest_neighbor import KNearestNeighbor
from from_scratch.classifiers.linear_classifier import LinearClassifier

# A module holds layers if a name in it says so; these hold other functions with a gradient, a state or random numbers.
LAYERS = re.compile(r"_(forward|backward|loss)(_|$)")
OTHERS = tuple(f"from_scratch.{name}" for name in ("gaussian_diffusion", "im2col", "initialization", "optim"))
# What layers are made of: they check arguments or rearrange arrays, and a mistake in them shows in the layers.
HELPERS = {
    "add_up", "at", "blocks", "both_views", "fans", "from_rows", "maximum", "normalized", "output_size", "pad_image",
    "pair", "part", "prefixed", "read_batch_cache", "read_conv", "read_keys", "read_pool", "read_scale", "read_scores",
    "shifted", "strided_columns", "tiles", "to_rows",
}  # fmt: skip


def own_members(package: ModuleType, kind: Callable[[object], bool]) -> Iterator[tuple[str, dict[str, object]]]:
    """Each module of a package, and the public members of that kind that are defined in it."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.startswith("from_scratch.studies"):
            members = inspect.getmembers(importlib.import_module(module.name), kind)
            yield module.name, {n: m for n, m in members if m.__module__ == module.name and not n.startswith("_")}


def public_functions() -> dict[str, Callable]:
    """Every public function of the modules that hold layers, helpers included; a nearest neighbor's methods."""
    found = {}
    for module, own in own_members(from_scratch, inspect.isfunction):
        if module in OTHERS or any(map(LAYERS.search, own)):
            found |= own
    methods = inspect.getmembers(KNearestNeighbor, inspect.isfunction)
    return found | {name: method for name, method in methods if name.startswith(("compute_", "predict_"))}


def public_nets() -> dict[str, type]:
    """Every class of from_scratch that has a loss of its own (a linear classifier's is a function); the
    second of a name is called after its module too."""
    found = {}
    for module, own in own_members(from_scratch, inspect.isclass):
        for name, net in own.items():
            if hasattr(net, "loss") and not issubclass(net, LinearClassifier):
                found[f"{module.rpartition('.')[2]}.{name}" if name in found else name] = net
    return found


FUNCTIONS, NETS = public_functions(), public_nets()
