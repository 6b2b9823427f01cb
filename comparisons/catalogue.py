"""What has to be proved, and short ways to write a case down."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable

import numpy as np

import from_scratch
from comparisons.case import Argument, Case, Layer, Loss, Rule
from from_scratch import classifiers

# A module holds layers if a name in it says so; these hold other functions with a gradient, a state or random numbers.
LAYERS = re.compile(r"_(forward|backward|loss)(_|$)")
OTHERS = ("from_scratch.im2col", "from_scratch.initialization", "from_scratch.optim")
# What layers are made of: they check arguments or rearrange arrays, and a mistake in them shows in the layers.
HELPERS = {
    "add_up", "blocks", "fans", "from_rows", "maximum", "output_size", "pad_image", "pair", "part", "prefixed",
    "read_batch_cache", "read_conv", "read_keys", "read_pool", "read_scale", "read_scores", "shifted",
    "strided_columns", "tiles", "to_rows",
}  # fmt: skip


def public_functions() -> dict[str, Callable]:
    """Every public function of the modules that hold layers, helpers included."""
    found = {}
    for module in pkgutil.walk_packages(from_scratch.__path__, "from_scratch."):
        if not module.name.startswith("from_scratch.studies"):
            functions = inspect.getmembers(importlib.import_module(module.name), inspect.isfunction)
            own = {name: f for name, f in functions if f.__module__ == module.name and not name.startswith("_")}
            if module.name in OTHERS or any(map(LAYERS.search, own)):
                found |= own
    return found


def public_nets() -> dict[str, type]:
    """Every class of from_scratch.classifiers that has a loss."""
    found = {}
    for module in pkgutil.walk_packages(classifiers.__path__, "from_scratch.classifiers."):
        classes = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        found |= {name: c for name, c in classes if c.__module__ == module.name and hasattr(c, "loss")}
    return found


FUNCTIONS, NETS = public_functions(), public_nets()


def layer(pattern: str, theirs: Callable, backward: str | None = "backward", **options: object) -> Case:
    """A pair of functions: "conv_{}_naive" is conv_forward_naive and conv_backward_naive."""
    names = [pattern.format("forward")] + ([pattern.format(backward)] if backward else [])
    return case(Layer, names, theirs, pattern.format("").strip("_").replace("__", "_"), **options)


def loss(name: str, theirs: Callable, **options: object) -> Case:
    return case(Loss, [name], theirs, name, outputs=("loss", "dx"), **options)


def plain(name: str, theirs: Callable, **options: object) -> Case:
    """A function without a backward."""
    return case(Case, [name], theirs, name, **options)


def rule(name: str, theirs: Callable, note: str = "", **options: object) -> Case:
    return case(Rule, [name], theirs, name, note=note, **options)


def case(kind: type, names: list[str], theirs: Callable, label: str, note: str = "", **options: object) -> Case:
    """Options that are no fields of the case are its arguments."""
    own = {field: options.pop(field) for field in kind.__dataclass_fields__ if field in options}
    functions = {name: FUNCTIONS[name] for name in names}
    own["ranges"] = drawn_sizes(options) | own.get("ranges", {})
    label = f"{label}, {note}" if note else label
    return kind(name=label, functions=functions, theirs=theirs, arguments=options, **own)


def drawn_sizes(arguments: dict[str, Argument]) -> dict[str, tuple[int, int]]:
    """The sizes that the shapes name, from 1 up."""
    shapes = [
        shape for a in arguments.values() if not callable(a) for shape in (a.values() if type(a) is dict else [a])
    ]
    return {size: (1, 6) for shape in shapes for size in re.findall(r"[A-Za-z]+", shape)}


def given(value: object) -> Callable:
    """An argument that is just this."""
    return lambda s, rng: value


def size(name: str) -> Callable:
    """An argument that is one of the sizes, or an expression of them."""
    return lambda s, rng: eval(name, {}, vars(s))


def whole(high: str, shape: str) -> Callable:
    """Whole numbers in 0..high-1: labels or words."""
    return lambda s, rng: rng.integers(eval(high, {}, vars(s)), size=[getattr(s, axis) for axis in shape.split()])


def averages(features: str, mode: str) -> Callable:
    """Batch norm's options, all of them other than the defaults, with running averages of a past."""

    def options(s: object, rng: np.random.Generator) -> dict:
        n = getattr(s, features)
        past = {"running_mean": rng.standard_normal(n), "running_var": rng.uniform(0.5, 2, n)}
        return {"mode": mode, "eps": 1e-3, "momentum": 0.8} | {key: v.astype(s.dtype) for key, v in past.items()}

    return options
