"""torchvision's image classifiers by name: build one, load its published weights, find and replace its last layer.

Sources: the models' papers, and the `Weights` of torchvision, which carry file, transform and published accuracy.
"""

import difflib
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import SqueezeNet, get_model, get_model_weights, list_models

from data import StudyError, default_root
from data.fetch import bring, fetch, megabytes
from data.sources import SOURCES, File
from tutorials.common.weights import check_listed, read_state

FAMILIES = {
    "AlexNet": ("alexnet",),
    "VGG": ("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
    "ResNet": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    "DenseNet": ("densenet121", "densenet161", "densenet169", "densenet201"),
}  # 18 architectures
AUXILIARY = ("aux1", "aux2", "AuxLogits")  # heads of GoogLeNet and Inception that only their training used


def family(name: str) -> str:
    """The family that a model belongs to: one of FAMILIES, else the letters that its name begins with."""
    return next((title for title, names in FAMILIES.items() if name in names), re.split(r"[_\d]", name)[0])


def check_name(name: str) -> None:
    """Raise StudyError, with the nearest names, for what is no classifier of torchvision."""
    known = list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.5) or [one for names in FAMILIES.values() for one in names]
        raise StudyError(f"models: torchvision has no classifier {name!r}. Near it are: {', '.join(near)}.")


def build(name: str, classes: int = 1000) -> nn.Module:
    """A torchvision classifier with random weights, without auxiliary heads; raises StudyError for an unknown name."""
    check_name(name)
    more: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        more = dict(aux_logits=False, init_weights=False)
    if name.startswith("vit_"):
        more = dict(image_size=input_size(name))  # of its position embeddings
    return get_model(name, weights=None, num_classes=classes, **more)


# Weights


def find_weights(name: str, member: str | None = None) -> Any:
    """torchvision's entry for a model's weights: `member` is `IMAGENET1K_V1` or short `v1`; without it, the default."""
    check_name(name)
    entries = get_model_weights(name)
    wanted = "DEFAULT" if member is None else member.upper()
    for candidate in (wanted, f"IMAGENET1K_{wanted}"):
        if candidate in entries.__members__:
            return entries[candidate]
    raise StudyError(f"{name}: there are no weights {member!r}. It has: {', '.join(entries.__members__)}.")


def weight_file(name: str, member: str | None = None) -> File:
    """The published file: its row of `data/sources.py`, or for other models what torchvision states."""
    weights = find_weights(name, member)
    path = f"weights/{weights.url.rpartition('/')[2]}"
    listed = [file for file in SOURCES["weights"].files if file.path == path]
    digits = path.removesuffix(".pth").rpartition("-")[2]
    size = int(weights.meta["_file_size"] * 2**20)
    return listed[0] if listed else File(path, (weights.url,), size, f"sha256:{digits}")


def locate(name: str, member: str | None = None, root: Path | None = None) -> Path:
    """The published file below the data root, verified, downloaded when missing; raises StudyError when it cannot."""
    file, root = weight_file(name, member), Path(root or default_root())
    check_listed(file)
    if file in SOURCES["weights"].files:
        fetch("weights", root, only=[Path(file.path).name])
    else:
        bring("weights", file, root)
    return root / file.path


def locate_all(wanted: Iterable[tuple[str, str | None]], root: Path | None = None) -> None:
    """Have the files of all models `(name, member)` in place; raises one StudyError that names all that are not."""
    root, missing, reason, wanted = Path(root or default_root()), {}, "", list(wanted)
    check_listed(*(weight_file(name, member) for name, member in wanted))
    for name, member in wanted:
        try:
            locate(name, member, root)
        except StudyError as error:
            file = weight_file(name, member)
            tried = str(error).partition("Tried:\n")[2].splitlines()  # an address, then why it failed
            reason = reason or (tried[1].strip() if len(tried) > 1 else str(error))
            missing[root / file.path] = file.size
    if missing:
        rows = "\n".join(f"  {path} ({megabytes(size)})" for path, size in missing.items())
        raise StudyError(
            f"weights: not there and could not be downloaded ({reason}), {len(missing)} in all:\n{rows}\n"
            "Put each at its place, or name files of your own with --weights-file NAME=PATH."
        )


def load_weights(
    net: nn.Module, name: str, path: Path | None = None, member: str | None = None, root: Path | None = None
) -> Any:
    """Load torchvision's weights into a net, or those of an own file `path`, without running code from the file.

    Returns torchvision's entry for them, with `transforms()` and `meta`. Raises StudyError for a file that cannot be
    had or read, or whose keys or shapes are not this model's.
    """
    weights = find_weights(name, member)
    file = Path(path) if path else locate(name, member, root)
    fit(net, read_state(file), name, file)
    if hasattr(net, "transform_input"):
        net.transform_input = True  # GoogLeNet and Inception were trained on another normalization
    return weights


def published(weights: Any) -> dict[str, float]:
    """The accuracy on ImageNet's validation set that torchvision states."""
    scores = weights.meta["_metrics"]["ImageNet-1K"]
    return {"top1": scores["acc@1"] / 100, "top5": scores["acc@5"] / 100}


def fit(net: nn.Module, loaded: Mapping[str, Tensor], name: str, file: Path) -> None:
    """Put a state dict into a net: the keys of older files renamed, and what a net of today does not have left out."""
    own = net.state_dict()
    state: OrderedDict[str, Tensor] = OrderedDict()
    for key, value in loaded.items():
        # DenseNet's files say norm.1 where the module is norm1 now: a module's name may hold no dot.
        key = re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key)
        if key.partition(".")[0] not in AUXILIARY or key in own:
            state[key] = value
    for key in own:  # files from before PyTorch 0.4.1 do not count batches
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, own[key])
    wrong = [f"{key} is missing" for key in own if key not in state]
    wrong += [f"{key} is not in the model" for key in state if key not in own]
    wrong += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
        for key in own if key in state and state[key].shape != own[key].shape
    ]  # fmt: skip
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise StudyError(f"weights: {file} does not fit {name}: {'; '.join(wrong[:3])}{more}. Give a file of {name}.")
    # Modules' versions, by which some convert older files; safetensors has none, and the keys are today's.
    state._metadata = getattr(loaded, "_metadata", own._metadata)
    net.load_state_dict(state)


def input_size(name: str, member: str | None = None) -> int:
    """The size, in pixels, of the images for which a model's weights are published: 224 for most."""
    return find_weights(name, member).transforms().crop_size[0]


def least_size(name: str) -> int:
    """The smallest image size, in pixels, that a model can take."""
    return find_weights(name).meta["min_size"][0]


# The last layer


def head_name(net: nn.Module) -> str:
    """The path of the layer that gives the logits: the last Linear, or SqueezeNet's last convolution."""
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not names:
        raise StudyError(f"models: a {type(net).__name__} has no linear layer or convolution to take as its head.")
    return names[-1]


def replace_head(net: nn.Module, classes: int) -> nn.Module:
    """Put a fresh layer for so many classes in the place of the last one, in place; returns the new layer.

    The logits are linear in the features: SqueezeNet loses the ReLU that comes after its last convolution. Under it a
    class that is negative everywhere has no gradient. Of 1000 classes some always live; of two, both can die in the
    first steps, and the loss then stays at log 2.
    """
    path = head_name(net)
    old = net.get_submodule(path)
    place = dict(device=old.weight.device, dtype=old.weight.dtype)
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(old.in_features, classes, **place)
    else:
        new = nn.Conv2d(old.in_channels, classes, old.kernel_size, **place)
        nn.init.normal_(new.weight, std=0.01)  # as SqueezeNet begins
        nn.init.zeros_(new.bias)
    parent, _, leaf = path.rpartition(".")
    setattr(net.get_submodule(parent), leaf, new)
    if isinstance(net, SqueezeNet):
        net.classifier[2] = nn.Identity()
    return new


def features(net: nn.Module, images: Tensor) -> Tensor:
    """What goes into the last layer: images (N, 3, H, W) -> (N, D); for SqueezeNet its 512 maps averaged over space."""
    caught: list[Tensor] = []
    hook = net.get_submodule(head_name(net)).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        net(images)
    finally:
        hook.remove()
    return caught[0].mean((2, 3)) if caught[0].dim() == 4 else caught[0].flatten(1)
