"""Assignment 1: nearest neighbors, the SVM and the softmax on pixels, and what features of a picture are worth.

Source: CS231n assignment 1, notebooks knn, svm, softmax and features; their questions are answered in
`from_scratch/ANSWERS.md`.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from from_scratch.classifiers import KNearestNeighbor, LinearSVM, Softmax
from from_scratch.classifiers.fc_net import FullyConnectedNet
from from_scratch.features import color_histogram_hsv, extract_features, hog_feature
from from_scratch.losses import softmax_loss, svm_loss
from from_scratch.studies.convnet import surest_mistakes
from from_scratch.studies.shared import heat_maps, progress, rise_and_fall
from from_scratch.studies.study import Study, StudyOptions
from tutorials.common.image_grids import filters
from tutorials.common.options import parse
from tutorials.common.plots import Panel, new_figure, panels, smooth, spreads

# N pictures, D numbers of a picture, C classes, K candidates of a choice

NEIGHBORS = {"tiny": (500, 100), "official": (5000, 500)}  # training and test pictures, as in the notebook
K = (1, 3, 5, 8, 10, 12, 15, 20, 50, 100)
KINDS = {"svm": LinearSVM, "softmax": Softmax}
# Learning rates and weight decays that validation pictures choose from.
ON_PIXELS = {"svm": ((1e-7, 2e-7, 4e-7), (2e3, 8e3, 3e4)), "softmax": ((5e-7, 1e-6, 2e-6), (3e2, 1e3, 4e3))}
ON_FEATURES = {"svm": ((3e-3, 1e-2, 3e-2), (1e-4, 1e-3, 1e-2)), "softmax": ((3e-2, 1e-1, 3e-1), (1e-5, 1e-4, 1e-3))}
STEPS = {"tiny": 500, "official": 1500}
PUBLISHED = {  # what the course's notebooks print or ask for
    "knn/k_1_test_accuracy": 0.274,
    "knn/best_test_accuracy": 0.282,
    "svm/val_accuracy": 0.39,
    "softmax/val_accuracy": 0.37,
    "features/svm_val_accuracy": 0.42,
    "features/two_layer_val_accuracy": 0.55,
}


def main() -> None:
    with Study("linear", parse(StudyOptions, {})) as study:
        pictures = study.load_pictures(subtract_mean=False)
        metrics = nearest_neighbors(study, pictures)
        compare_losses(study)
        metrics |= linear_classifiers(study, pictures)
        metrics |= on_features(study, pictures)
        study.finish(metrics, PUBLISHED, {name: 0.1 for name in metrics if name.endswith("accuracy")})


def rows_of(images: np.ndarray) -> np.ndarray:
    """Pictures (N, ...) as rows (N, D) of float64, in which equal distances stay equal."""
    return images.reshape(len(images), -1).astype(np.float64)


# 1. k nearest neighbors


def nearest_neighbors(study: Study, pictures: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The distance matrix, what the loops cost, k by cross-validation, and which preprocessings L1 does not notice."""
    train, test = NEIGHBORS[study.options.data]
    X, y = rows_of(pictures["X_train"][:train]), pictures["y_train"][:train]
    X_test, y_test = rows_of(pictures["X_test"][:test]), pictures["y_test"][:test]
    knn = KNearestNeighbor()
    knn.train(X, y)
    distances = knn.compute_distances_no_loops(X_test)  # (M, N)
    study.figure("distances", matrix(distances))
    compare_loops(study, knn, X_test[:20])
    folds = {k: cross_validate(X, y, k) for k in K}
    study.figure("k", spreads({"5 folds": folds}, "k", "validation accuracy"))
    means = {k: float(np.mean(values)) for k, values in folds.items()}
    best = max(means, key=means.get)
    accuracy = {k: float(np.mean(knn.predict_labels(distances, k) == y_test)) for k in K}
    study.table("k", ["k", "5 folds, mean", "deviation", "test"],
                [[k, means[k], float(np.std(folds[k], ddof=1)), accuracy[k]] for k in K])  # fmt: skip
    explain_rows(study, X, X_test, distances)
    preprocess(study, X[:1000], y[:1000], X_test[:100])
    return {"knn/k_1_test_accuracy": accuracy[1], "knn/best_test_accuracy": accuracy[best], "knn/best_k": best}


def matrix(distances: np.ndarray) -> Figure:
    """The distances (M, N) as a picture: bright is far."""
    figure = new_figure(8, 2.4)
    axes = figure.subplots()
    picture = axes.imshow(distances, cmap="gray", interpolation="none", aspect="auto")
    axes.set(xlabel="training picture", ylabel="test picture")
    figure.colorbar(picture, ax=axes, label="distance")
    return figure


def compare_loops(study: Study, knn: KNearestNeighbor, X: np.ndarray) -> None:
    """The three ways to the same distances, timed."""
    ways = {"two loops": knn.compute_distances_two_loops, "one loop": knn.compute_distances_one_loop,
            "no loops": knn.compute_distances_no_loops}  # fmt: skip
    rows, reference = [], knn.compute_distances_two_loops(X)
    for name, compute in ways.items():
        since = time.perf_counter()
        found = compute(X)
        rows.append([name, time.perf_counter() - since, float(np.abs(found - reference).max())])
    study.table("loops", ["distances by", "seconds", "largest difference"], rows)


def cross_validate(X: np.ndarray, y: np.ndarray, k: int, folds: int = 5) -> list[float]:
    """The accuracy on each fold of the training pictures, by neighbors in the others."""
    parts, accuracies = np.array_split(np.arange(len(X)), folds), []
    for held_out in parts:
        knn = KNearestNeighbor()
        rest = np.setdiff1d(np.arange(len(X)), held_out)
        knn.train(X[rest], y[rest])
        accuracies.append(float(np.mean(knn.predict(X[held_out], k) == y[held_out])))
    return accuracies


def explain_rows(study: Study, X: np.ndarray, X_test: np.ndarray, distances: np.ndarray) -> None:
    """Bright rows and columns are pictures far from nearly all: how well contrast and brightness explain them."""
    content = []
    for name, rows, means in (("test picture", X_test, distances.mean(1)), ("training picture", X, distances.mean(0))):
        contrast, brightness = rows.std(1), np.abs(rows.mean(1) - X.mean())
        content.append([name, *(float(np.corrcoef(means, value)[0, 1]) for value in (contrast, brightness))])
    study.table("bright_rows", ["mean distance of a", "correlation with its contrast",
                                "with how far its brightness is from the mean"], content)  # fmt: skip


def preprocess(study: Study, X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> None:
    """The share of test pictures whose class by L1 or L2 changes when all pictures are preprocessed."""
    mean, deviation = X.mean(), X.std()
    pixel_mean, pixel_deviation = X.mean(0), X.std(0) + 1e-9
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)  # in the plane of two neighboring numbers, for all such planes

    def rotate(x: np.ndarray) -> np.ndarray:
        first, second = x[:, ::2], x[:, 1::2]
        return np.hstack([first * cos - second * sin, first * sin + second * cos])

    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "less the mean of all numbers": lambda x: x - mean,
        "less the mean of each pixel": lambda x: x - pixel_mean,
        "… and divided by the deviation of all": lambda x: (x - mean) / deviation,
        "… and divided by the deviation of each pixel": lambda x: (x - pixel_mean) / pixel_deviation,
        "axes rotated": rotate,
    }
    before = {norm: labels_by(norm, X, y, X_test) for norm in (1, 2)}
    rows = [[name, *(float(np.mean(labels_by(norm, way(X), y, way(X_test)) != before[norm])) for norm in (1, 2))]
            for name, way in ways.items()]  # fmt: skip
    study.table("preprocessing", ["preprocessing", "other classes by L1", "by L2"], rows)


def labels_by(norm: int, X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    """The class of the nearest training picture; rounded, so that equal distances tie as they should."""
    distances = np.stack([np.linalg.norm(X - row, norm, axis=1) for row in X_test])
    return y[np.round(distances / distances.max(), 9).argmin(axis=1)]


# 2. The SVM and the softmax on pixels


def compare_losses(study: Study) -> None:
    """A numerical gradient across the hinge's kink, and what one more example adds to either loss."""
    x, y = np.array([[0.0, -1 - 1e-6]]), np.array([0])  # the second class keeps the margin by a millionth
    rows = []
    for h in (1e-3, 1e-5, 1e-7):
        step = np.array([[0.0, h]])
        slope = (svm_loss(x + step, y)[0] - svm_loss(x - step, y)[0]) / (2 * h)
        rows.append([h, float(slope), float(svm_loss(x, y)[1][0, 1])])
    study.table("kink", ["h", "numerical slope", "slope by hand"], rows)
    losses = [[lead, *(float(loss(np.array([[float(lead), 0.0]]), y)[0]) for loss in (svm_loss, softmax_loss))]
              for lead in (0, 1, 2, 5, 10)]  # fmt: skip
    study.table("one_more_example", ["lead of its class", "adds to the SVM's sum", "to the softmax's"], losses)


def with_bias(X: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, D + 1), with a 1 at the end whose weight is the bias."""
    return np.hstack([X, np.ones((len(X), 1), X.dtype)])


def linear_classifiers(study: Study, pictures: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Both classifiers on pixels less their mean: learning rates by validation, losses, and how the weights look."""
    mean = pictures["X_train"].mean(0)
    splits = {split: (with_bias((pictures[f"X_{split}"] - mean).reshape(len(pictures[f"X_{split}"]), -1)),
                      pictures[f"y_{split}"]) for split in ("train", "val", "test")}  # fmt: skip
    chosen = choose(study, "pixels", splits, ON_PIXELS)
    losses = {name: smooth(losses, 20) for name, (_, losses, _) in chosen.items()}
    study.figure("losses", panels(Panel("training loss with weight decay", losses, "step", "", axes={"yscale": "log"})))
    (X, y), classes, metrics = splits["test"], study.load_data("cifar10").classes, {}
    for name, (net, _, accuracy) in chosen.items():
        study.figure(f"templates_{name}", filters(net.W[:-1].T.reshape(-1, 3, 32, 32), classes))
        metrics |= {f"{name}/val_accuracy": accuracy, f"{name}/test_accuracy": float(np.mean(net.predict(X) == y))}
    return metrics


def choose(study: Study, name: str, splits: Mapping[str, tuple], grids: Mapping[str, tuple]) -> dict[str, tuple]:
    """For each kind the classifier that is best on the validation pictures, its losses and that accuracy."""
    chosen, maps = {}, {}
    for kind, (rates, decays) in grids.items():
        if study.options.data == "tiny":
            rates, decays = rates[1:], decays[2:]
        maps[kind] = np.zeros((len(decays), len(rates)))
        for row, column in np.ndindex(maps[kind].shape):
            fit = partial(train_linear, study, kind, splits, rates[column], decays[row])
            found = study.once(f"{name}/{kind} {rates[column]:g} {decays[row]:g}", fit)
            maps[kind][row, column] = found["accuracy"]
            if kind not in chosen or found["accuracy"] > chosen[kind][2]:
                net = KINDS[kind]()
                net.W = np.asarray(found["W"])
                chosen[kind] = net, np.asarray(found["losses"]), found["accuracy"]
        ticks = ("weight decay", [f"{value:g}" for value in decays]), ("learning rate", [f"{rate:g}" for rate in rates])
        if study.options.data == "official":  # on the twin there are two cells
            study.figure(f"{name}_{kind}", heat_maps({"validation pictures": maps[kind]}, *ticks, "accuracy"))
    return chosen


def train_linear(study: Study, kind: str, splits: Mapping[str, tuple], rate: float, decay: float) -> dict:
    """One training: W, the losses of its steps, the accuracy on validation pictures."""
    net, (X, y), (X_val, y_val) = KINDS[kind](), splits["train"], splits["val"]
    losses = net.train(X, y, rate, decay, STEPS[study.options.data], rng=study.rng("linear"))
    return {"W": net.W, "losses": np.array(losses), "accuracy": float(np.mean(net.predict(X_val) == y_val))}


# 3. The same on features


def on_features(study: Study, pictures: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Histograms of gradients and of hues for pixels: both classifiers, a net of two layers, and its mistakes."""
    extract = partial(extract_features, feature_fns=[hog_feature, color_histogram_hsv])
    rows = {split: extract(pictures[f"X_{split}"].transpose(0, 2, 3, 1)) for split in ("train", "val", "test")}
    mean, deviation = rows["train"].mean(0), rows["train"].std(0) + 1e-9
    rows = {split: ((values - mean) / deviation).astype(np.float32) for split, values in rows.items()}
    splits = {split: (with_bias(values), pictures[f"y_{split}"]) for split, values in rows.items()}
    chosen = choose(study, "features", splits, ON_FEATURES)
    metrics = {f"features/{name}_val_accuracy": accuracy for name, (_, _, accuracy) in chosen.items()}
    solver = train_two_layers(study, {f"X_{split}": values for split, values in rows.items()} | {
        f"y_{split}": pictures[f"y_{split}"] for split in rows})  # fmt: skip
    study.figure("two_layers", progress({"two layers": solver}, 50))
    scores = solver.model.loss(rows["test"])
    cifar10 = study.load_data("cifar10")
    images = cifar10.test_images.transpose(0, 2, 3, 1)
    study.figure("mistakes", surest_mistakes(images, scores, pictures["y_test"], cifar10.classes))
    return metrics | {
        "features/two_layer_val_accuracy": solver.best_val_acc,
        "features/two_layer_test_accuracy": float(np.mean(scores.argmax(1) == pictures["y_test"])),
    }


def train_two_layers(study: Study, data: dict) -> object:
    """A hidden layer on the features."""
    hidden = {"tiny": 50, "official": 500}[study.options.data]
    net = FullyConnectedNet([hidden], data["X_train"].shape[1], dropout_keep_ratio=0.5, rng=study.rng("two layers"))
    return study.train("two_layers", net, data, num_epochs=20, batch_size=200, update_rule="adam",
                       optim_config={"learning_rate": 2e-3}, schedule=rise_and_fall(0.1))  # fmt: skip


if __name__ == "__main__":
    main()
