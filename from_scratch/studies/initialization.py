"""Weight initialization: what ten layers do to a signal and to its gradient, and what that does to training.

Zeros, a small Gaussian, Xavier and He, each with tanh, sigmoid and ReLU. Source: CS231n notes, Neural Networks 2;
Glorot and Bengio, 2010; He et al., 2015.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from from_scratch import activations
from from_scratch.affine import affine_backward, affine_forward
from from_scratch.classifiers.fc_net import FullyConnectedNet
from from_scratch.initialization import gaussian, he, xavier
from from_scratch.solver import Solver
from from_scratch.studies.shared import progress, small
from from_scratch.studies.study import Study, StudyOptions
from tutorials.common.options import parse
from tutorials.common.plots import TRAIN, Panel, panels

# N examples, H units of a layer, L layers


def zeros(shape: tuple[int, int], rng: object = None) -> np.ndarray:
    """Every unit of a layer the same."""
    return np.zeros(shape)


INITS: dict[str, Callable] = {"zeros": zeros, "Gaussian 0.01": gaussian, "Xavier": xavier, "He": he}
ACTIVATIONS = {
    name: (getattr(activations, f"{name.lower()}_forward"), getattr(activations, f"{name.lower()}_backward"))
    for name in ("tanh", "sigmoid", "ReLU")
}
LAYERS, UNITS, EXAMPLES = 10, 500, 500
RATES = (1e-3, 1e-2, 1e-1)
TRAINING = {"tiny": (500, 4), "official": (4000, 8)}  # pictures, epochs


def main() -> None:
    with Study("initialization", parse(StudyOptions, {})) as study:
        signals = measure_signals(study)
        show_signals(study, signals)
        metrics = compare_trainings(study)
        chance = {name: 0.1 for name in metrics if name.endswith("accuracy")}
        study.finish(metrics | relu_signals(signals), {}, chance)


# What ten layers do to a signal


@dataclass
class Signal:
    """Activations (N, H) of every layer, the input first, and the gradients that came back to them."""

    forward: list[np.ndarray]
    backward: list[np.ndarray]

    def rms(self) -> list[float]:
        """The root mean square of each layer's activations."""
        return [float(np.sqrt(np.mean(h**2))) for h in self.forward]

    def spread(self) -> list[float]:
        """How far the examples differ: the std over examples, as the root mean square over units."""
        return [float(np.sqrt(np.mean(h.var(axis=0)))) for h in self.forward]

    def gradient_rms(self) -> list[float]:
        """The root mean square of each layer's gradient, in that of the last layer."""
        return [float(np.sqrt(np.mean(dh**2))) for dh in self.backward]


def propagate(x: np.ndarray, weights: Sequence[np.ndarray], activation: tuple, dout: np.ndarray) -> Signal:
    """Send x (N, H) forward through affine layers without biases and dout (N, H) back through them."""
    forward, backward = activation
    outs, caches, grads = [x], [], [dout]
    for w in weights:
        a, cache = affine_forward(outs[-1], w, np.zeros(w.shape[1]))
        out, slope = forward(a)
        outs.append(out)
        caches.append((cache, slope))
    for cache, slope in reversed(caches):
        grads.append(affine_backward(backward(grads[-1], slope), cache)[0])
    return Signal(outs, grads[::-1])


def measure_signals(study: Study) -> dict[tuple[str, str], Signal]:
    """Standard normal numbers through every net, and as many back."""
    rng = study.rng("signals")
    x, dout = rng.standard_normal((2, EXAMPLES, UNITS))
    signals = {}
    for activation, layer in ACTIVATIONS.items():
        for name, init in INITS.items():
            weights = [init((UNITS, UNITS), rng=study.rng(f"layer {number}")) for number in range(LAYERS)]
            signals[activation, name] = propagate(x, weights, layer, dout)
    return signals


def histograms(signals: Mapping[str, Signal]) -> Figure:
    """The activations of each layer (columns) under each initialization (rows), without those that are exactly zero."""
    figure = Figure(figsize=(10, 1.5 * len(signals) + 0.4), dpi=120)  # a layout engine is slow with so many axes
    places = figure.subplots(len(signals), LAYERS, sharex=True)
    figure.subplots_adjust(left=0.04, right=0.99, bottom=0.09, top=0.93, wspace=0.15, hspace=0.6)
    span = limits(signals["He"])
    for row, (name, signal) in zip(places, signals.items(), strict=True):
        for axes, h in zip(row, signal.forward[1:], strict=True):
            axes.stairs(*np.histogram(h[h != 0], 40, span), fill=True, color=TRAIN)
            axes.set_title(f"sd {h.std():.2g}\n{np.mean(h == 0):.0%} zeros", fontsize=8)
            axes.set_yticks([])
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(labelsize=8)
        row[0].set_ylabel(name)
    for layer, axes in enumerate(places[-1], 1):
        axes.set_xlabel(f"layer {layer}")
    return figure


def limits(signal: Signal) -> tuple[float, float]:
    """Where to draw activations: -1..1, 0..1, or 0..3 for those without an upper bound."""
    outs = np.stack(signal.forward[1:])
    return (-1 if outs.min() < 0 else 0), (1 if outs.max() <= 1 else 3)


def depth(signals: Mapping[tuple[str, str], Signal]) -> Figure:
    """Activations, the differences between examples, and gradients, against depth; zeros lie below every log scale."""
    content = []
    for ylabel, measure in (
        ("RMS of activations", Signal.rms),
        ("deviation over the examples", Signal.spread),
        ("RMS of gradients", Signal.gradient_rms),
    ):
        for activation in ACTIVATIONS:
            lines = {name: positive(measure(signals[activation, name])) for name in INITS if name != "zeros"}
            content.append(
                Panel(ylabel, lines, "layer", axes={"yscale": "log", "ylim": (1e-13, 5), "title": activation})
            )
    return panels(*content, height=2.9)


def positive(values: Sequence[float]) -> np.ndarray:
    """The values, and gaps where a log scale has no place for them."""
    values = np.array(values)
    return np.where(values > 0, values, np.nan)


def show_signals(study: Study, signals: Mapping[tuple[str, str], Signal]) -> None:
    for activation in ACTIVATIONS:
        study.figure(f"histograms_{activation}", histograms({name: signals[activation, name] for name in INITS}))
    study.figure("depth", depth(signals))
    head = ["activation", "initialization", "RMS, layer 1", "RMS, layer 10", "deviation over examples, layer 10",
            "share of zeros, layer 10", "gradient's RMS at the input"]  # fmt: skip
    rows = []
    for (activation, name), signal in signals.items():
        rms, zero = signal.rms(), float(np.mean(signal.forward[-1] == 0))
        rows.append([activation, name, rms[1], rms[-1], signal.spread()[-1], zero, signal.gradient_rms()[0]])
    study.table("signals", head, rows)


def relu_signals(signals: Mapping[tuple[str, str], Signal]) -> dict[str, float]:
    """What is left of a signal after ten layers of ReLU, in that after the first."""
    rms = {name: signals["ReLU", name].rms() for name in ("Xavier", "He")}
    return {f"{name.lower()}_relu/rms_ratio": values[-1] / values[1] for name, values in rms.items()}


# What that does to training


def compare_trainings(study: Study) -> dict[str, float]:
    """Ten layers of ReLU from each initialization, thirty from the two that ten do not tell apart."""
    count, epochs = TRAINING[study.options.data]
    data = small(study.load_pictures(), count)
    scale = data["X_train"].std()
    data |= {name: data[name] / scale for name in ("X_train", "X_val")}  # so that the input's std is 1
    rows = []
    for layers, names in {10: list(INITS), 30: ["Xavier", "He"]}.items():
        solvers = {}
        for name in names:
            lr = best_rate(study, data, name, layers, epochs)
            solvers[name] = solver = train(study, data, name, layers, lr, epochs, True)
            last = float(np.mean(solver.loss_history[-10:]))
            rows.append([layers, name, lr, last, solver.train_acc_history[-1], solver.val_acc_history[-1]])
        study.figure(f"training_{layers}_layers", progress(solvers))
    study.table("training", ["layers", "initialization", "learning rate", "last loss", "train", "val"], rows)
    return {f"{name.split()[0].lower()}/{layers}_layers/train_accuracy": accuracy
            for layers, name, _, _, accuracy, _ in rows}  # fmt: skip


def best_rate(study: Study, data: dict, name: str, layers: int, epochs: int) -> float:
    """Of three learning rates the one with the lowest loss at the end: none is given up for a slow start."""
    losses = {}
    for lr in RATES:
        loss = np.mean(train(study, data, name, layers, lr, epochs, False).loss_history[-10:])
        losses[lr] = loss if np.isfinite(loss) else np.inf
    return min(losses, key=losses.get)


def train(study: Study, data: dict, name: str, layers: int, lr: float, epochs: int, watch: bool) -> Solver:
    """The solver of one training; one that explodes in the search for a learning rate is no error."""
    net = FullyConnectedNet([100] * (layers - 1), init=INITS[name], rng=study.rng("net"))
    with np.errstate(all="ignore"):
        return study.train(f"{layers}_layers/{name.replace(' ', '_')}", net, data, watch=watch, num_epochs=epochs,
                           batch_size=50, update_rule="sgd_momentum", optim_config={"learning_rate": lr})  # fmt: skip


if __name__ == "__main__":
    main()
