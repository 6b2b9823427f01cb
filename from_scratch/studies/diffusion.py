"""Diffusion: digits out of noise, what the net should predict, which schedule, and the temperature of SimCLR's loss.

Source: CS231n assignment 3 (2025), notebooks DDPM and SimCLR; their questions are answered in
`from_scratch/ANSWERS.md`. The digits come with scikit-learn: both values of DATA have the same, and tiny trains less.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from from_scratch.affine import affine_backward, affine_forward
from from_scratch.classifiers import KNearestNeighbor
from from_scratch.classifiers.cnn import DeepConvNet
from from_scratch.diffusion_solver import DiffusionSolver
from from_scratch.gaussian_diffusion import SCHEDULES, GaussianDiffusion
from from_scratch.initialization import he
from from_scratch.layer_utils import affine_relu_backward, affine_relu_forward
from from_scratch.optim import adam
from from_scratch.simclr import compute_sim_matrix, simclr_loss_vectorized
from from_scratch.solver import Solver
from from_scratch.studies.shared import rise_and_fall
from from_scratch.studies.study import Study, StudyOptions
from from_scratch.unet import Unet
from tutorials.common.options import parse
from tutorials.common.plots import Panel, new_figure, panels, smooth, tidy

# N pictures of one channel and 8 x 8 pixels, T time steps

SIZES = {  # time steps; channels; epochs of the classifier, the net and those compared; samples; steps of SimCLR
    "tiny": dict(timesteps=30, dim=16, judge=8, net=12, compared=2, samples=40, compared_samples=20, steps=50),
    "official": dict(
        timesteps=100, dim=32, judge=40, net=200, compared=20, samples=300, compared_samples=200, steps=600
    ),
}
COMPARED = {  # what the net gives, by which schedule, and whether a picture's error is weighted to be the noise's
    "noise": ("pred_noise", "cosine", True),
    "noise, linear schedule": ("pred_noise", "linear", True),
    "picture, as noise": ("pred_x_start", "cosine", True),
    "picture": ("pred_x_start", "cosine", False),
}
SURE = 0.9  # confidence of the classifier from which a sample counts as recognized
GUIDANCE = 1.0
TEMPERATURES = (0.05, 0.1, 0.3, 1.0, 3.0)


def main() -> None:
    with Study("diffusion", parse(StudyOptions, {})) as study:
        data = load(study)
        judge = train_judge(study, data)
        show_schedules(study, data)
        net = train(study, "net", data, *COMPARED["noise"], "net")
        losses = {"training": smooth(net.loss_history, 50), "validation": validation(net)}
        study.figure("losses", panels(Panel("squared error of the noise", losses, "step", "", axes={"ylim": (0, 0.5)}),
                                      width=5))  # fmt: skip
        metrics = sample_and_judge(study, judge, net.model, data)
        compare(study, judge, data)
        vary_temperature(study, data)
        metrics |= {"val/loss": min(net.val_loss_history)}
        study.finish(
            metrics, {}, {"val/loss": 1.0, "no_class/recognized": by_chance(study, judge), "test/accuracy": 0.1}
        )


def size(study: Study, name: str) -> int:
    return SIZES[study.options.data][name]


def load(study: Study) -> dict[str, np.ndarray]:
    """The digits; every eighth of the training part is held out to choose by."""
    digits = study.load_data("digits")
    chosen = np.arange(len(digits.train_labels)) % 8 == 7
    data = {"X_test": digits.test_images, "y_test": digits.test_labels}
    for split, part in (("train", ~chosen), ("val", chosen)):
        data |= {f"X_{split}": digits.train_images[part], f"y_{split}": digits.train_labels[part]}
    return data


# 1. A classifier, which will judge


class LastSolver(Solver):
    """Ends with its last parameters: the first that are best in accuracy are not yet sure of anything."""

    def _keep_best(self) -> None:
        pass


def train_judge(study: Study, data: dict) -> DeepConvNet:
    """A convolutional net that has seen the real training digits, and never a sample."""
    judge = DeepConvNet((1, 8, 8), ((32,), (64,)), rng=study.rng("judge"))
    study.train("judge", judge, data, LastSolver, num_epochs=size(study, "judge"), batch_size=50,
                update_rule="adam", optim_config={"learning_rate": 2e-3}, schedule=rise_and_fall(0.1))  # fmt: skip
    return judge


def opinions(judge: DeepConvNet, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (N, 10), the class of each picture and the probability that it is given."""
    scores = judge.loss(X.astype(np.float32))
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return scores, p.argmax(axis=1), p.max(axis=1)


def by_chance(study: Study, judge: DeepConvNet) -> float:
    """The share of pictures of mere noise that are recognized."""
    return float(np.mean(opinions(judge, study.rng("chance").random((1000, 1, 8, 8)))[2] >= SURE))


# 2. Noise: how it is added


def show_schedules(study: Study, data: dict) -> None:
    """What both schedules leave of a picture, step by step, in numbers and on a digit."""
    left, rows, T = {}, [], size(study, "timesteps")
    noise = study.rng("noise").standard_normal((1, 1, 8, 8)).astype(np.float32)
    steps = np.linspace(0, T - 1, 12).astype(int)
    for name in SCHEDULES:
        diffusion = GaussianDiffusion(None, 8, T, beta_schedule=name)
        left[name] = np.cumprod(1 - diffusion.betas)
        start = np.repeat(2 * data["X_train"][:1] - 1, len(steps), axis=0)
        rows.append(diffusion.q_sample(start, steps, np.repeat(noise, len(steps), axis=0)))
    ratios = {name: values / (1 - values) for name, values in left.items()}
    shown = dict(xlabel="step", marker="")
    study.figure("schedules", panels(Panel("what is left of the picture, a", left, **shown), Panel(
        "signal to noise, a / (1 - a)", ratios, axes={"yscale": "log"}, **shown)))  # fmt: skip
    study.figure("noising", tiles(np.stack(rows) / 2 + 0.5, list(left), [f"{step}" for step in steps], "step"))
    study.table("schedules", ["schedule", "steps with a < 0.01", "steps with 0.1 < a < 0.9", "a at the last step"],
                [[name, int((a < 0.01).sum()), int(((a > 0.1) & (a < 0.9)).sum()), float(a[-1])]
                 for name, a in left.items()])  # fmt: skip


def tiles(images: np.ndarray, rows: list[str], columns: list[str], xlabel: str) -> Figure:
    """Pictures (R, C, 1, H, W) in 0..1 side by side, as ink on paper, with names of rows and columns."""
    ink = 1 - np.clip(images[:, :, 0], 0, 1)
    R, C, H, W = (ink := np.pad(ink, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=0.75)).shape
    figure = new_figure(0.5 * C + 1.2, 0.5 * R + 0.8)
    axes = figure.subplots()
    axes.imshow(ink.transpose(0, 2, 1, 3).reshape(R * H, C * W)[:-1, :-1], cmap="gray", vmin=0, vmax=1)
    axes.set_xticks(W * np.arange(len(columns)) + W / 2 - 1, columns)
    axes.set_yticks(H * np.arange(len(rows)) + H / 2 - 1, rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(xlabel)
    return figure


# 3. The net, and what it draws


def train(
    study: Study, name: str, data: dict, objective: str, schedule: str, weighted: bool, length: str
) -> DiffusionSolver:
    """A U-Net's training; whatever is random in it comes from one generator."""
    rng, T = study.rng(name), size(study, "timesteps")
    unet = Unet(size(study, "dim"), num_classes=10, timesteps=T, rng=rng)
    diffusion = GaussianDiffusion(unet, 8, T, objective, schedule, rng=rng)
    if not weighted:
        diffusion.loss_weight = np.ones(T)
    return study.train(name, diffusion, data, DiffusionSolver, num_epochs=size(study, length), batch_size=64,
                       num_val_samples=120, update_rule="adam", optim_config={"learning_rate": 2e-3},
                       schedule=rise_and_fall(0.05), rng=rng)  # fmt: skip


def validation(net: DiffusionSolver) -> tuple[np.ndarray, list[float]]:
    """Steps and validation losses, the first of which is of the first step."""
    return np.linspace(0, len(net.loss_history), len(net.val_loss_history)), net.val_loss_history


def draw(study: Study, name: str, diffusion: GaussianDiffusion, count: int, **options: object) -> np.ndarray:
    """Samples, from a generator for their name; kept, so that they are drawn once."""

    def sample() -> dict[str, np.ndarray]:
        diffusion.rng = study.rng(f"samples of {name}")
        return {"X": diffusion.sample(count, **options)}

    return np.asarray(study.once(f"samples/{name}", sample)["X"])


def sample_and_judge(study: Study, judge: DeepConvNet, diffusion: GaussianDiffusion, data: dict) -> dict[str, float]:
    """Samples without a class, with one, and pushed towards one, beside digits that the net has not seen."""
    count = size(study, "samples")
    classes = np.arange(count) % 10
    kinds = {
        "no class": draw(study, "no class", diffusion, count),
        "class": draw(study, "class", diffusion, count, classes=classes),
        "guided": draw(study, "guided", diffusion, count, classes=classes, cfg_scale=GUIDANCE),
    }
    real = measure(judge, data["X_test"], data, data["y_test"])
    found = {"held-out digits": real} | {
        f"samples, {name}": measure(judge, X, data, None if name == "no class" else classes)
        for name, X in kinds.items()
    }
    study.table("samples", ["", *real], [[name, *values.values()] for name, values in found.items()])
    show_samples(study, judge, kinds, data)
    show_sampling(study, diffusion)
    metrics = {"test/accuracy": real["right"]}
    for name, values in zip(("real", "no_class", "class", "guided"), found.values(), strict=True):
        metrics |= {f"{name}/{key}": values[key] for key in ("recognized", "nearest", "frechet", "rarest")}
    return metrics | {f"{name}/right": found[f"samples, {name}"]["right"] for name in ("class", "guided")}


def show_sampling(study: Study, diffusion: GaussianDiffusion) -> None:
    """A digit of each class as it comes out of the noise; the twin's short training does not know the classes yet."""
    asked = {"classes": np.arange(10), "cfg_scale": GUIDANCE} if study.options.data == "official" else {}
    steps = draw(study, "steps", diffusion, 10, return_all_timesteps=True, **asked)
    T = diffusion.num_timesteps
    shown = np.linspace(0, T, 11).astype(int)
    names = [str(digit) for digit in range(10)] if asked else []
    study.figure("sampling", tiles(steps[:, shown], names, [str(T - step) for step in shown], "steps left"))


def measure(judge: DeepConvNet, X: np.ndarray, data: dict, classes: np.ndarray | None) -> dict[str, object]:
    """What the classifier and the training digits say of pictures.

    recognized: the share whose class it is sure of; confidence: the mean; right: the share of the class that was asked
    for; nearest, closest: the distance to the nearest training digit (of 64 pixels in 0..1), mean and smallest;
    frechet: between the scores of these and of the training digits; rarest: the share of the rarest class.
    """
    scores, found, confidence = opinions(judge, X)
    distances, _ = nearest(X, data["X_train"])
    return {
        "recognized": float(np.mean(confidence >= SURE)),
        "confidence": float(confidence.mean()),
        "right": "" if classes is None else float(np.mean(found == classes)),
        "nearest": float(distances.mean()),
        "closest": float(distances.min()),
        "frechet": frechet(scores, judge.loss(data["X_train"])),
        "rarest": float(np.bincount(found, minlength=10).min() / len(X)),
    }


def nearest(X: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Euclidean distance of each picture to the nearest that is known, and which that is."""
    knn = KNearestNeighbor()
    knn.train(known.reshape(len(known), -1).astype(np.float64), np.arange(len(known)))
    distances = knn.compute_distances_no_loops(X.reshape(len(X), -1).astype(np.float64))
    return distances.min(axis=1), distances.argmin(axis=1)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The squared Fréchet distance of two clouds (N, D), (M, D) taken for Gaussian: |difference of means|² + trace of
    A + B - 2 (A B)^(1/2), with their covariances. Source: Heusel et al., 2017, who take the features of another net."""
    A, B = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.maximum(np.linalg.eigvals(A @ B).real, 0)).sum()
    return float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + np.trace(A + B) - 2 * root)


def show_samples(study: Study, judge: DeepConvNet, kinds: dict[str, np.ndarray], data: dict) -> None:
    """The first hundred without a class, the first ten of each class, those nearest to training digits, classes."""
    free, guided = kinds["no class"], kinds["guided"]
    side = min(10, len(free) // 10)
    study.figure("samples", tiles(free[: side * side].reshape(side, side, 1, 8, 8), [], [], "samples without a class"))
    if study.options.data == "official":  # the twin's samples do not follow their class
        by_class = guided[: 10 * side].reshape(side, 10, 1, 8, 8).transpose(1, 0, 2, 3, 4)
        names = [str(digit) for digit in range(10)]
        study.figure("guided", tiles(by_class, names, [], "samples of each class, guided"))
    distances, places = nearest(free, data["X_train"])
    closest = np.argsort(distances)[:10]
    study.figure("copies", tiles(np.stack([free[closest], data["X_train"][places[closest]]]),
                                 ["sample", "training digit"], [f"{d:.2f}" for d in distances[closest]],
                                 "distance: the ten samples that are nearest to a training digit"))  # fmt: skip
    figure = new_figure(8, 2.8)
    left, right = figure.subplots(1, 2)
    for name, X, shift in (("held-out digits", data["X_test"], -0.2), ("samples", free, 0.2)):
        left.hist(nearest(X, data["X_train"])[0], np.linspace(0, 3, 31), density=True, alpha=0.6, label=name)
        right.bar(np.arange(10) + shift, np.bincount(opinions(judge, X)[1], minlength=10) / len(X), 0.4, alpha=0.6)
    tidy(left, "distance to the nearest training digit", "density")
    right.set_xticks(range(10))
    tidy(right, "class, as the classifier says", "share")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    study.figure("distances", figure)


# 4. What to predict, and by which schedule


def compare(study: Study, judge: DeepConvNet, data: dict) -> None:
    """Shorter trainings that differ in one thing each: samples of each class, and errors of the picture by step."""
    count, rows, errors = size(study, "compared_samples"), [], {}
    classes = np.arange(count) % 10
    for name, options in COMPARED.items():
        diffusion = train(study, f"compared/{name}", data, *options, "compared").model
        errors[name] = errors_by_step(diffusion, data)
        values = measure(judge, draw(study, name, diffusion, count, classes=classes), data, classes)
        quarters = [float(errors[name][1][part].mean()) for part in (slice(0, 5), slice(5, 15), slice(15, None))]
        rows.append([name, *(values[key] for key in ("recognized", "right", "frechet", "nearest")), *quarters])
    head = ["what the net gives", "recognized", "right", "frechet", "nearest", "error of the picture, first quarter"]
    study.table("compared", [*head, "middle half", "last quarter"], rows)
    study.figure("errors", panels(Panel("squared error of the picture", errors, "step", axes={"yscale": "log"}),
                                  width=5))  # fmt: skip


def errors_by_step(diffusion: GaussianDiffusion, data: dict) -> tuple[np.ndarray, np.ndarray]:
    """At 20 steps, the mean squared error of the picture that a sampling step would go by, on held-out digits."""
    X, y, errors = data["X_val"], data["y_val"], []
    start = 2 * X - 1
    noise = np.random.default_rng(0).standard_normal(X.shape).astype(X.dtype)
    steps = np.linspace(0, diffusion.num_timesteps - 1, 20).astype(int)
    for step in steps:
        t = np.full(len(X), step)
        x_t = diffusion.q_sample(start, t, noise)
        seen, _ = diffusion.model.forward(x_t, t, y)
        if diffusion.objective == "pred_noise":
            seen = diffusion.predict_start_from_noise(x_t, t, seen)
        errors.append(float(np.mean((np.clip(seen, -1, 1) - start) ** 2)))
    return steps, np.array(errors)


# 5. SimCLR: the temperature


def vary_temperature(study: Study, data: dict) -> None:
    """For each temperature: whom the gradient pushes away, and what an encoder of two layers learns without labels."""
    rows = []
    left, right = views(data["X_train"][:256], study.rng("views"))
    scores = compute_sim_matrix(np.concatenate([left, right]) - left.mean())
    y, N = data["y_test"], len(data["y_test"])
    one, same = np.eye(N, dtype=bool), y[:, None] == y
    one_class, other_class = same & ~one, ~same
    for tau in TEMPERATURES:
        encoder = study.once(f"simclr/{tau:g}", partial(train_encoder, study, data, tau))
        _, seen, _ = encode(encoder, np.concatenate(views(data["X_test"], study.rng("views of test"))))
        hidden = [encode(encoder, data[f"X_{split}"].reshape(-1, 64))[0] for split in ("train", "test")]
        rows.append([tau, hardest(scores, tau), *(float(compute_sim_matrix(seen)[:N, N:][pairs].mean())
                     for pairs in (one, one_class, other_class)), neighbors_right(*hidden, data)])  # fmt: skip
    rows.append(["pixels", "", "", "", "", neighbors_right(data["X_train"], data["X_test"], data)])
    head = ["temperature", "share of the push on the most similar 5%", "similarity of two views of a digit"]
    study.table("temperature", [*head, "of digits of one class", "of two classes", "right by 50 labels"], rows)


def views(X: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two views (N, 64) of each digit: moved by up to a pixel either way, in another strength, under noise."""
    padded = np.pad(X[:, 0], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8), axis=(1, 2))
    both = []
    for _ in range(2):
        down, across = rng.integers(3, size=(2, len(X)))
        view = windows[np.arange(len(X)), down, across] * rng.uniform(0.7, 1.3, (len(X), 1, 1))
        both.append((view + rng.normal(0, 0.1, view.shape)).reshape(len(X), 64).astype(np.float32))
    return both[0], both[1]


def train_encoder(study: Study, data: dict, tau: float) -> dict[str, np.ndarray]:
    """affine - ReLU - affine, taught by SimCLR's loss alone; its parameters."""
    rng = study.rng("encoder")
    params = {"W1": he((64, 128), rng, np.float32), "b1": np.zeros(128, np.float32),
              "W2": he((128, 32), rng, np.float32), "b2": np.zeros(32, np.float32)}  # fmt: skip
    configs = {name: {"learning_rate": 2e-3} for name in params}
    for _ in range(size(study, "steps")):
        left, right = views(data["X_train"][rng.choice(len(data["X_train"]), 128, replace=False)], rng)
        _, out, caches = encode(params, np.concatenate([left, right]))
        _, *douts = simclr_loss_vectorized(out[:128], out[128:], tau)
        grads = {}
        dhidden, grads["W2"], grads["b2"] = affine_backward(np.concatenate(douts), caches[1])
        _, grads["W1"], grads["b1"] = affine_relu_backward(dhidden, caches[0])
        for name, w in params.items():
            params[name], configs[name] = adam(w, grads[name], configs[name])
    return params


def encode(params: Mapping[str, np.ndarray], X: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Views (N, 64) -> hidden (N, 128), which is used afterwards, what the loss compares (N, 32), and the caches."""
    hidden, first = affine_relu_forward(X, np.asarray(params["W1"]), np.asarray(params["b1"]))
    out, second = affine_forward(hidden, np.asarray(params["W2"]), np.asarray(params["b2"]))
    return hidden, out, (first, second)


def hardest(scores: np.ndarray, tau: float) -> float:
    """Of the gradient that pushes a view away from all others but its partner, the share on the most similar 5%."""
    N = len(scores) // 2
    others = ~(np.eye(2 * N) + np.eye(2 * N, k=N) + np.eye(2 * N, k=-N)).astype(bool)
    sims = np.sort(scores[others].reshape(2 * N, -1), axis=1)
    push = np.exp((sims - sims.max(axis=1, keepdims=True)) / tau)
    few = max(1, round(0.05 * sims.shape[1]))
    return float((push[:, -few:].sum(axis=1) / push.sum(axis=1)).mean())


def neighbors_right(known: np.ndarray, X: np.ndarray, data: dict, labeled: int = 50, repeats: int = 20) -> float:
    """The share of test digits whose nearest of 50 labeled digits, by the cosine, is of their class: a mean of 20."""
    known, X = (part.reshape(len(part), -1) / np.linalg.norm(part.reshape(len(part), -1), axis=1, keepdims=True)
                for part in (known, X))  # fmt: skip
    right, rng = [], np.random.default_rng(0)
    for _ in range(repeats):
        chosen = rng.choice(len(known), labeled, replace=False)
        right.append(np.mean(data["y_train"][chosen][(X @ known[chosen].T).argmax(axis=1)] == data["y_test"]))
    return float(np.mean(right))


if __name__ == "__main__":
    main()
