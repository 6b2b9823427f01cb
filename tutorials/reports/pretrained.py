"""What `tutorials/pretrained.py` shows of its measurements: table, figures, dashboard, summary."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from data.imagenet import ImageNet
from tutorials.common import plots
from tutorials.common.console import print_table
from tutorials.common.image_grids import filters, image_grid, overlay, shorten
from tutorials.common.options import deciding
from tutorials.common.plots import Heat, Panel
from tutorials.common.session import Session
from tutorials.reports import pretrained_plots
from tutorials.vision import calibration
from tutorials.vision import models as model_zoo
from tutorials.vision.calibration import Answers
from tutorials.vision.corruptions import STRENGTHS
from tutorials.vision.gradcam import grad_cam

# `models` are the tutorial's rows (label, name, member, family); `measured` is what `measure` kept, by label.
Measured = Mapping[str, Mapping[str, Any]]


def show(run: Session, models: Sequence[Any], measured: Measured, sizes: Mapping[str, Any],
         photographs: ImageNet | None, prepare: Callable[..., tuple[nn.Module, dict]]) -> None:  # fmt: skip
    """Everything that a run leaves behind; `prepare(model, photographs)` builds a net again."""
    from tutorials.common.logger import Logger  # TensorBoard and matplotlib, which a prediction needs not

    show_cost(run, models, measured, sizes["sizes"])
    if photographs:
        answers = {label: Answers(**found["answers"]) for label, found in measured.items()}
        labels = torch.from_numpy(photographs.labels)
        best = {family: max(members, key=lambda model: measured[model.label]["metrics"]["top1"])
                for family, members in by_family(models).items()}  # fmt: skip
        show_quality(run, models, measured, answers, labels)
        show_pictures(run, models, measured, answers, photographs, best)
        show_filters_and_grad_cam(run, best, photographs, prepare)
    metrics, published = collect(models, measured, photographs)
    chance = {f"{model.label}/{name}": share for model in models if photographs for name, share in
              chances(measured[model.label]).items()}  # fmt: skip
    if photographs:
        chance["best/top1"] = chances(measured[models[0].label])["top1"]
    head, rows = table(models, measured, bool(photographs))
    run.logger.table("models", head, rows, len(models))
    for number, model in enumerate(models, 1):
        found = measured[model.label]
        points = {f"results/{model.label}/{name}": value for name, value in found["metrics"].items()}
        run.logger.scalars(points, number, 1, run.seconds)
        about = {"model": model.label, "family": model.family, "weights": found["about"]["member"] or "none published"}
        row = Logger(run.folder / "rows" / model.label)  # a row of its own on the dashboard's table of options
        row.hparams(deciding(run.options) | about, found["metrics"], 0)
        row.close()
    run.finish(metrics, published, chance)
    print_table(head, rows)
    if photographs is None:
        run.say("Quality was not measured (--weights none); accuracies in the figures are torchvision's.")


def by_family(models: Sequence[Any]) -> dict[str, list[Any]]:
    return {family: [model for model in models if model.family == family]
            for family in dict.fromkeys(model.family for model in models)}  # fmt: skip


def chances(found: Mapping[str, Any]) -> dict[str, float]:
    """Top-1 and top-5 accuracy of a random guess among all classes of the model."""
    classes = len(found["about"]["categories"])
    return {"top1": 1 / classes, "top5": 5 / classes}


def stated(model: Any) -> dict[str, float]:
    """What torchvision states of a model: accuracy on ImageNet's validation set, parameters, multiply-adds, bytes."""
    weights = model_zoo.find_weights(model.name, model.member)
    meta = weights.meta
    return model_zoo.published(weights) | {
        "parameters": meta["num_params"], "gflops": meta["_ops"], "megabytes": meta["_file_size"]}  # fmt: skip


def collect(models: Sequence[Any], measured: Measured, photographs: ImageNet | None) -> tuple[dict, dict]:
    """The summary's metrics, `<model>/<what>`, and what torchvision states of the same (not of the twin's models)."""
    metrics = {f"{label}/{name}": float(value) for label, found in measured.items()
               for name, value in found["metrics"].items()}  # fmt: skip
    if photographs:
        metrics["best/top1"] = max(found["metrics"]["top1"] for found in measured.values())
    if photographs and photographs.train:
        return metrics, {}
    own = {model.label for model in models if model.file}
    published = {f"{model.label}/{name}": value for model in models for name, value in stated(model).items()
                 if not (name.startswith("top") and model.label in own)}  # fmt: skip
    return metrics, {name: value for name, value in published.items() if name in metrics}


def table(models: Sequence[Any], measured: Measured, with_quality: bool) -> tuple[list[str], list[list[str]]]:
    """The comparison as a table: published figures stand in brackets."""
    head = ["model", "M parameters", "GFLOPs", "MB", "ms (p95)", "images/s", "peak MB"]
    if with_quality:
        head[1:1] = ["weights", "top-1 %", "95 %", "top-5 %", "restricted %", "ECE", "corrupted %"]
    rows = []
    for model in models:
        found, about = measured[model.label]["metrics"], measured[model.label]["about"]
        known = stated(model)
        small = len(about["categories"]) not in (0, 1000)
        millions, gflops = ("", "") if small else (f" ({known['parameters'] / 1e6:.3f})", f" ({known['gflops']:.3f})")
        row = [model.label, f"{found['parameters'] / 1e6:.3f}{millions}", f"{found['gflops']:.3f}{gflops}",
               f"{found['megabytes']:.1f}",
               f"{found['latency']:.1f} ({found['latency_p95']:.1f})", f"{found['throughput']:.1f}",
               f"{found['memory']:.0f}"]  # fmt: skip
        if with_quality:
            top1, top5 = (f"{100 * found[name]:.1f}" + (f" ({100 * about['published'][name]:.1f})" if about["published"]
                          else "") for name in ("top1", "top5"))  # fmt: skip
            corrupted = f"{100 * found['robust']:.1f}" if "robust" in found else "-"
            row[1:1] = [about["member"] or ("own file" if model.file else "-"), top1,
                        f"{100 * found['top1_low']:.1f}-{100 * found['top1_high']:.1f}", top5,
                        f"{100 * found['restricted_top1']:.1f}", f"{found['ece']:.3f}", corrupted]  # fmt: skip
        rows.append(row)
    return head, rows


def show_cost(run: Session, models: Sequence[Any], measured: Measured, sizes: Mapping[str, Any]) -> None:
    """Accuracy (torchvision's where ours was not measured) against cost, latency, and cost against the image size."""
    found = {label: one["metrics"] for label, one in measured.items()}
    own = all("top1" in one for one in found.values())
    points = [pretrained_plots.Point(model.label, model.family, found[model.label]["gflops"],
                               found[model.label]["top1"] if own else stated(model)["top1"],
                               found[model.label]["parameters"] / 1e6) for model in models]  # fmt: skip
    ylabel = "top-1 accuracy, measured" if own else "top-1 accuracy as torchvision states it (not measured)"
    if len(points) > 1:  # a single point shows no relation
        run.figure("accuracy_against_gflops", pretrained_plots.accuracy_against_cost(points, ylabel))
    labels = [model.label for model in models]
    place = f"{run.place.describe()['device_name']}, threads: {torch.get_num_threads()}"
    run.figure("latency", pretrained_plots.latency_bars(
        labels, [model.family for model in models],
        [found[label]["latency"] for label in labels], [found[label]["latency_p95"] for label in labels], place,
    ))  # fmt: skip
    if sizes:
        named = {
            "gflops": "1e9 multiply-adds",
            "latency": "latency of one image (ms)",
            "memory": "peak memory (MB)",
        }
        run.figure("cost_against_size", plots.panels(*(
            Panel(text, {label: (one["side"], one[name]) for label, one in sizes.items()}, "image size (pixels)",
                  axes={"ylim": (0, None)})
            for name, text in named.items()
        )))  # fmt: skip


def show_quality(run: Session, models: Sequence[Any], measured: Measured, answers: Mapping[str, Answers],
                 labels: torch.Tensor) -> None:  # fmt: skip
    """Calibration, agreement, and robustness to corruptions: a family's curve is the mean of its models'."""
    families = by_family(models)
    run.figure("reliability", pretrained_plots.reliability_curves({
        family: {model.label: (*calibration.reliability(answers[model.label], labels),
                               measured[model.label]["metrics"]["ece"]) for model in members}
        for family, members in families.items()
    }))  # fmt: skip
    if len(models) > 2:
        agreed = calibration.agreement(list(answers.values())).numpy()
        cells = [[f"{100 * share:.0f}" for share in row] for row in agreed]
        names = [f"{number}  {label}" for number, label in enumerate(answers, start=1)]
        heat = Heat(agreed, names, list(range(1, len(answers) + 1)), cells=cells)
        run.figure("agreement", plots.heat_maps([heat], "model", "same top prediction"))
    if "whole" not in measured[models[0].label]["metrics"]:
        return

    def curve(members: Sequence[Any], kind: str) -> list[float]:
        names = ["whole", *(f"{kind}_{strength}" for strength in range(1, len(STRENGTHS[kind]) + 1))]
        return [float(np.mean([measured[model.label]["metrics"][name] for model in members])) for name in names]

    most = max(value for members in families.values() for kind in STRENGTHS for value in curve(members, kind))
    limits = {"xticks": range(4), "ylim": (0, min(1, 1.1 * most))}
    run.figure("robustness", plots.panels(*(
        Panel("top-1 accuracy", {family: curve(members, kind) for family, members in families.items()},
              f"severity of {kind} (0: clean)", axes=limits)
        for kind in STRENGTHS
    )))  # fmt: skip


def show_pictures(run: Session, models: Sequence[Any], measured: Measured, answers: Mapping[str, Answers],
                  photographs: ImageNet, best: Mapping[str, Any], count: int = 8) -> None:  # fmt: skip
    """Galleries with the predictions of each family's best model: some images, the hardest, where families differ."""
    labels = torch.from_numpy(photographs.labels)
    categories = measured[models[0].label]["about"]["categories"]
    grouped = {family: [answers[model.label] for model in members] for family, members in by_family(models).items()}
    chosen = {"gallery": np.linspace(0, len(labels) - 1, min(count, len(labels))).round().astype(int).tolist(),
              "hardest": calibration.hardest(list(answers.values()))[:count]}  # fmt: skip
    if len(grouped) > 1:
        chosen["families_differ"] = calibration.divided(grouped, labels)[:count]
    for name, numbers in chosen.items():
        predictions = []
        for number in numbers:
            rows = []
            for model in best.values():
                one = answers[model.label]
                first = int(one.top5[number, 0])
                text = f"{model.label}: {shorten(categories[first])} {one.confidence[number]:.0%}"
                rows.append((text, first == int(labels[number])))
            predictions.append(rows)
        images = [np.asarray(square(photographs.open(number))) for number in numbers]
        truths = [shorten(categories[int(labels[number])]) for number in numbers]
        run.figure(name, pretrained_plots.answer_gallery(images, truths, predictions))


def show_filters_and_grad_cam(run: Session, best: Mapping[str, Any], photographs: ImageNet, prepare: Callable) -> None:
    """First-layer filters of each family's best model, and its Grad-CAM for its prediction on the same images."""
    numbers = np.linspace(0, len(photographs) - 1, 3).round().astype(int).tolist()
    pictures = [square(photographs.open(number)) for number in numbers]
    columns = {"picture": [(np.asarray(picture) / 255, "picture") for picture in pictures]}
    for family, model in best.items():
        net, about = prepare(model, photographs)
        first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
        run.figure(f"filters_{model.label}", filters(first.weight.detach().cpu().numpy()[:32]))
        images = torch.stack([about["transform"](picture) for picture in pictures]).to(run.device)
        with torch.no_grad():
            answers = net(images).argmax(1)
        heat = grad_cam(net, images, answers).cpu().numpy()
        columns[family] = []
        for picture, map_, answer in zip(pictures, heat, answers.tolist(), strict=True):
            side = map_.shape[-1]
            crop = np.asarray(ImageOps.fit(picture, (side, side)))
            shown = overlay(crop[None], map_[None])[0]
            columns[family].append((shown, f"{model.label}:\n{shorten(about['categories'][answer])}"))
    sides = max(image.shape[0] for row in columns.values() for image, _ in row)
    cells = [column[row] for row in range(len(pictures)) for column in columns.values()]
    images = np.stack([enlarge(image, sides) for image, _ in cells])
    run.figure("grad_cam", image_grid(images, [text for _, text in cells], len(columns), 2))


def square(picture: Image.Image) -> Image.Image:
    """About the center crop that the nets see: 224 of 256 pixels of the short side, as a square."""
    inner = round(min(picture.size) * 224 / 256)
    left, top = ((length - inner) // 2 for length in picture.size)
    return picture.crop((left, top, left + inner, top + inner)).resize((224, 224), Image.Resampling.BILINEAR)


def enlarge(image: np.ndarray, side: int) -> np.ndarray:
    """A picture (H, W, 3) in 0..1 at so many pixels a side."""
    return np.asarray(Image.fromarray((255 * image).astype(np.uint8)).resize((side, side))) / 255
