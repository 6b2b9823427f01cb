"""Which models are compared: --models and --weights-file become a list."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data import StudyError
from tutorials.vision import models as model_zoo

NEWER = ("resnet50", "resnet101", "resnet152")  # of the four families, those that have two sets of weights


@dataclass(frozen=True)
class Model:
    """One row of a comparison: its label, torchvision's name, which of its weights, and a file of one's own."""

    label: str
    name: str
    member: str | None = None
    file: Path | None = None

    @property
    def family(self) -> str:
        return model_zoo.family(self.name)


def choose(words: Sequence[str], files: Sequence[str], default: Sequence[str]) -> list[Model]:
    """Models for names, families and `all`, in the families' order; `files` are NAME=PATH.

    Without words they are those that have a file, and without files `default`. `resnet50-v1` is ResNet-50 with its
    older weights. Raises StudyError for what torchvision does not know.
    """
    own = dict(text.partition("=")[::2] for text in files)
    if "" in own.values():
        raise StudyError(f"give NAME=PATH, not {' '.join(files)}.")
    labels = [label for word in words or tuple(own) or default for label in expand(word)]
    unused = own.keys() - set(labels)
    if unused:
        raise StudyError(f"{min(unused)} has a file but is not among the models: {' '.join(labels)}.")
    models = []
    for label in dict.fromkeys(labels):
        name, _, member = label.partition("-")
        scores = model_zoo.find_weights(name, member or None).meta["_metrics"]["ImageNet-1K"]
        if scores["acc@1"] != scores["acc@1"]:
            raise StudyError(f"{label}: these weights are for features only, without a classifier.")
        models.append(Model(label, name, member or None, Path(own[label]) if label in own else None))
    return sorted(models, key=lambda model: [*model_zoo.FAMILIES, model.family].index(model.family))


def expand(word: str) -> list[str]:
    """The labels that a word stands for: `all`, a family, or a name itself (alexnet is both)."""
    labels: list[str] = []
    for title, names in model_zoo.FAMILIES.items():
        if word.lower() in ("all", title.lower()):
            labels += names
            labels += [f"{name}-v1" for name in names if name in NEWER]
    return labels or [word]
