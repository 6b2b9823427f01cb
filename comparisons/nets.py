"""from_scratch's nets beside their references in torch: the same weights, batches and update rule, step by step."""

import copy
import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from comparisons import reference_nets
from comparisons.batches import VOCABULARY, batches
from comparisons.reference import OPTIMIZERS, TorchsMask
from from_scratch import optim
from from_scratch.classifiers import neural_net
from from_scratch.classifiers.cnn import DeepConvNet, ThreeLayerConvNet
from from_scratch.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from from_scratch.classifiers.rnn import CaptioningRNN
from from_scratch.classifiers.transformer import CaptioningTransformer
from from_scratch.classifiers.vision_transformer import VisionTransformer
from from_scratch.gaussian_diffusion import GaussianDiffusion
from from_scratch.unet import Unet


class Reference:
    """torch's side of a net: leaf tensors with the net's weights, running averages and dropout masks of its own."""

    def __init__(self, function: Callable[..., Tensor], net: object):
        self.function, self.net = function, copy.copy(net)
        self.net.bn_params = [{key: norm[key] for key in ("mode", "G") if key in norm} for norm in options_of(net)]
        self.net.dropout_param = copy.deepcopy(getattr(net, "dropout_param", {}))
        self.net.rng = copy.deepcopy(getattr(net, "rng", None))  # draws what the net draws
        self.params = {name: torch.tensor(w, requires_grad=True) for name, w in net.params.items()}

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> Tensor:
        """The loss, or without labels the scores in test mode, as the net's own `loss`."""
        for options in filter(None, [*self.net.bn_params, self.net.dropout_param]):
            options["mode"] = "test" if y is None else "train"
        return self.function(self.net, self.params, torch.from_numpy(X), y if y is None else torch.from_numpy(y))


def options_of(net: object) -> list[dict]:
    """The options of each norm, which have the running averages of batch norm."""
    return getattr(net, "bn_params", [])


@dataclass(frozen=True)
class NetCase:
    """A net, its reference, and how both are trained."""

    net: type
    reference: Callable[..., Tensor]
    options: dict
    rule: str = "adam"
    config: dict = field(default_factory=dict)
    loss: Callable = lambda net, *batch: net.loss(*batch)  # how to call the net's own

    def start(self, dtype: type = np.float64, seed: int = 0) -> tuple[object, Reference]:
        """Both, with the same weights: no bias zero, no gain one."""
        rng = np.random.default_rng(seed)
        np.random.seed(seed)  # most nets draw from NumPy's global generator, as in the course
        net = self.build(self.net, **({"rng": rng} if self.net.__name__ == DeepConvNet.__name__ else {}))
        values = {name: w if w.ndim > 1 else w + 0.1 * rng.standard_normal(w.shape) for name, w in net.params.items()}
        net.dtype, net.params = dtype, {name: value.astype(dtype) for name, value in values.items()}
        if getattr(net, "use_dropout", False):
            net.dropout_param["rng"] = TorchsMask(seed, net.dropout_param["p"], dtype)
        return net, Reference(self.reference, net)

    def build(self, net: type, **more: object) -> object:
        """A net of the class, whose arguments may have the course's older names, or its `reg` with every loss."""
        taken = inspect.signature(net).parameters
        options = copy.deepcopy(self.options) | more  # a model among the options is trained
        if "dropout_keep_ratio" not in taken and "dropout_keep_ratio" in options:
            options["dropout"] = options.pop("dropout_keep_ratio")
        model = net(**{name: value for name, value in options.items() if name in taken})
        model.reg = options.get("reg", 0.0)
        return model

    @property
    def captions(self) -> bool:
        """Whether it is trained on captions, not on labels."""
        return "word_to_idx" in self.options

    @property
    def diffuses(self) -> bool:
        """Whether it takes noise away, and has no scores."""
        return "objective" in self.options

    def batches(self, count: int, **options: object) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What it is trained on."""
        found = batches(self.captions, count, **options)
        return ((X[:, :, ::4, ::4], y) for X, y in found) if self.diffuses else found


TWO = {"hidden_dim": 25, "reg": 1e-2}
FULL = {"hidden_dims": [25, 20], "reg": 1e-2, "weight_scale": 2e-2, "dtype": np.float64}
CONV = {"num_filters": 4, "filter_size": 5, "hidden_dim": 20, "weight_scale": 3e-2, "reg": 1e-2, "dtype": np.float64}
DEEP = {"blocks": ((4,), (6, 6)), "reg": 1e-2, "dtype": np.float64}
WORDS = {"word_to_idx": VOCABULARY, "input_dim": 192, "wordvec_dim": 24, "dtype": np.float64}
RNN, LSTM = WORDS | {"hidden_dim": 32}, WORDS | {"hidden_dim": 32, "cell_type": "lstm"}
PATCHES = {"embed_dim": 24, "num_layers": 2, "dim_feedforward": 48, "reg": 1e-2, "dtype": np.float64}
UNET = {"dim": 4, "num_classes": 10, "channels": 3, "groups": 2, "timesteps": 30, "dtype": np.float64}
MOMENTUM = "sgd_momentum", {"learning_rate": 3e-3}
OLD = {"input_size": 3 * 32 * 32, "hidden_size": 25, "output_size": 10, "std": 1e-2, "reg": 1e-2}
fully_connected = partial(NetCase, FullyConnectedNet, reference_nets.fully_connected_net)
vision_transformer = partial(NetCase, VisionTransformer, reference_nets.vision_transformer)


def diffusion(objective: str, beta_schedule: str) -> NetCase:
    """Diffusion by a U-Net; both sides draw steps, noise and withheld classes from the same generator."""
    options = {"model": Unet(**UNET, rng=np.random.default_rng(0)), "image_size": 8, "timesteps": 30}
    options |= {"objective": objective, "beta_schedule": beta_schedule, "rng": np.random.default_rng(1)}
    return NetCase(GaussianDiffusion, reference_nets.gaussian_diffusion, options)


captioning_rnn = partial(NetCase, CaptioningRNN, reference_nets.captioning_rnn)


def with_reg(net: object, X: np.ndarray, y: np.ndarray | None = None) -> object:
    """The loss of assignment 1's two-layer net, which takes flat pictures, and `reg` with every call."""
    return net.loss(X.reshape(len(X), -1), y, reg=net.reg)


NET_CASES = {
    "TwoLayerNet, assignment 1": NetCase(
        neural_net.TwoLayerNet, reference_nets.old_two_layer_net, OLD, config={"learning_rate": 1e-4}, loss=with_reg
    ),
    "TwoLayerNet": NetCase(TwoLayerNet, reference_nets.two_layer_net, TWO, "rmsprop", {"learning_rate": 1e-4}),
    "FullyConnectedNet": fully_connected(FULL),
    "FullyConnectedNet, batch norm": fully_connected(FULL | {"normalization": "batchnorm"}, *MOMENTUM),
    "FullyConnectedNet, layer norm, dropout": fully_connected(
        FULL | {"normalization": "layernorm", "dropout_keep_ratio": 0.8}
    ),
    "FullyConnectedNet, group norm": fully_connected(FULL | {"normalization": "groupnorm", "num_groups": 5}, *MOMENTUM),
    "FullyConnectedNet, batch norm, dropout": fully_connected(
        FULL | {"normalization": "batchnorm", "dropout_keep_ratio": 0.8}
    ),
    "ThreeLayerConvNet": NetCase(ThreeLayerConvNet, reference_nets.three_layer_conv_net, CONV),
    "DeepConvNet": NetCase(DeepConvNet, reference_nets.deep_conv_net, DEEP, *MOMENTUM),
    "VisionTransformer": vision_transformer(PATCHES | {"dropout": 0.0}),
    "VisionTransformer, learned positions, dropout": vision_transformer(
        PATCHES | {"learned_positions": True, "dropout": 0.1}
    ),
    "CaptioningRNN, rnn": captioning_rnn(RNN),
    "CaptioningRNN, lstm": captioning_rnn(LSTM),
    "CaptioningTransformer": NetCase(
        CaptioningTransformer, reference_nets.captioning_transformer, WORDS | {"num_heads": 4, "dim_feedforward": 48}
    ),
    "GaussianDiffusion": diffusion("pred_noise", "cosine"),
    "GaussianDiffusion, the picture predicted": diffusion("pred_x_start", "linear"),
}


@dataclass(frozen=True)
class Step:
    """Losses, the largest difference of each gradient (as a share of its largest value), seconds."""

    losses: tuple[float, float]
    gradients: dict[str, float]
    seconds: tuple[float, float]


def side_by_side(
    case: NetCase, net: object, reference: Reference, batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Iterator[Step]:
    """Train both on the same batches; the gradients of each step are compared too.

    Raises LookupError if the net leaves out the gradient of a parameter.
    """
    rule, configs = getattr(optim, case.rule), {name: dict(case.config) for name in net.params}
    optimizer = OPTIMIZERS[case.rule](list(reference.params.values()), **case.config)
    for X, y in batches:
        X = X.astype(net.dtype)
        start = time.perf_counter()
        loss, grads = case.loss(net, X, y)
        if grads.keys() != net.params.keys():
            raise LookupError(f"gradients and parameters differ: {', '.join(grads.keys() ^ net.params.keys())}")
        for name, w in net.params.items():
            net.params[name], configs[name] = rule(w, grads[name], configs[name])
        middle = time.perf_counter()
        optimizer.zero_grad()
        their_loss = reference.loss(X, y)
        their_loss.backward()
        optimizer.step()
        seconds = middle - start, time.perf_counter() - middle
        their_grads = {name: p.grad.numpy() for name, p in reference.params.items()}
        yield Step((float(loss), their_loss.item()), furthest(grads, their_grads), seconds)


def relative(step: Step) -> float:
    """|by hand - by torch| / |by torch| of the losses."""
    ours, theirs = step.losses
    return abs(ours - theirs) / abs(theirs)


def summary(name: str, dtype: type, steps: list[Step]) -> dict:
    """How far the two sides were apart: at the first step, and at the worst."""
    milliseconds = 1e3 * np.median([step.seconds for step in steps], axis=0)
    return {
        "net": name,
        "dtype": np.dtype(dtype).name,
        "steps": len(steps),
        "losses": (steps[0].losses[0], steps[-1].losses[0]),
        "first gradient": max(steps[0].gradients.values()),
        "gradient": max(max(step.gradients.values()) for step in steps),
        "loss": max(map(relative, steps)),
        "milliseconds": tuple(milliseconds.tolist()),
    }


def worst_difference(case: NetCase) -> tuple[str, float]:
    """What is furthest from torch in the first steps, the loss or a gradient, and by how much."""
    try:
        found = list(side_by_side(case, *case.start(), case.batches(3)))
    except LookupError:  # a gradient is missing
        return "a gradient", np.inf
    differences = [item for step in found for item in [("loss", relative(step)), *step.gradients.items()]]
    return max(differences, key=lambda item: item[1])


def furthest(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """max |ours - theirs| of each array as a share of torch's largest there.

    Rounding noise, in gradients that vanish by the mathematics, is measured against the net's largest gradient.
    """
    largest = {name: np.abs(value).max() for name, value in theirs.items()}
    net = max(largest.values())
    noise = 1000 * np.finfo(next(iter(theirs.values())).dtype).eps * net
    scale = {name: value if value > noise else net for name, value in largest.items()}
    return {name: float(np.abs(ours[name] - theirs[name]).max() / scale[name]) for name in theirs}
