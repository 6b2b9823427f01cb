"""torch's counterpart of every layer, update rule and initializer, with the assignment's arguments and conventions.

`reference_sequences.py` and `reference_generative.py` go on. How the two sides differ:

| topic | assignment | torch |
|---|---|---|
| affine weight | w (D, M), x w + b | weight (M, D): transposed |
| batch norm's momentum | 0.9: what stays of the old average | 0.1: what comes of the new |
| running variance | biased | unbiased: n/(n-1) times as much |
| dropout's p | probability of keeping | of dropping: 1 - p |
| momentum | the learning rate is in the velocity | outside: equal while it is constant, else the buffer is rescaled |
| RNN, LSTM weights | (D, 4H), (H, 4H), one bias | (4H, D), (4H, H), two biases, one of them 0 here |
| LSTM gates | i, f, o, g | i, f, g, o |
| loss over time | summed, divided by N | ignore_index divides by the unmasked words: summed here, then / N |
| axes | (N, T, D) | (T, N, D) unless batch_first |
| attention mask | 0: blocked | True: blocked in nn.MultiheadAttention, True: seen in the functional form |
| L2 | 0.5 reg |w|² in the loss | weight_decay = reg of SGD or Adam, not of AdamW |
| hinge loss | sum over the classes | multi_margin_loss divides by their number |

Every function is differentiable, so that a gradient comes back in the assignment's layout by itself.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

# N batch, D M features, C channels, H W image, G groups, T S time, E embedding, H hidden units


def affine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.linear(x.flatten(1), w.T, b)


def affine_relu(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.relu(affine(x, w, b))


def svm_loss(x: Tensor, y: Tensor) -> Tensor:
    return F.multi_margin_loss(x, y) * x.shape[1]


def linear_svm(W: Tensor, X: Tensor, y: Tensor, reg: float) -> Tensor:
    return svm_loss(X @ W, y) + reg * (W * W).sum()


def distances(X_train: Tensor, X: Tensor) -> Tensor:
    return torch.cdist(X, X_train, compute_mode="donot_use_mm_for_euclid_dist")


def vote(y_train: Tensor, dists: Tensor, k: int) -> Tensor:
    return y_train[dists.topk(k, largest=False).indices].mode().values


def linear_softmax(W: Tensor, X: Tensor, y: Tensor, reg: float) -> Tensor:
    return F.cross_entropy(X @ W, y) + reg * (W * W).sum()


def with_gradient(loss: Callable[..., Tensor]) -> Callable:
    """The loss together with the gradient of its first argument, as the assignment's losses return both."""

    def loss_and_dx(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        value = loss(x.requires_grad_(), *rest)
        return value, *torch.autograd.grad(value, [x])

    return loss_and_dx


def standardize(x: Tensor, axis: int, eps: float) -> tuple[Tensor, ...]:
    var, mean = torch.var_mean(x, dim=axis, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(var + eps), torch.sqrt(var + eps), mean, var


def standardize_backward(dx_hat: Tensor, x: Tensor, axis: int, eps: float) -> Tensor:
    _, pull = torch.func.vjp(lambda x: standardize(x, axis, eps)[0], x)
    return pull(dx_hat)[0]


def batchnorm(x: Tensor, gamma: Tensor, beta: Tensor, bn_param: dict) -> Tensor:
    """Over (N, D) and over (N, C, H, W) alike; keeps running averages in bn_param, as the assignment does."""
    stays, eps, training = bn_param.get("momentum", 0.9), bn_param.get("eps", 1e-5), bn_param["mode"] == "train"
    mean, old_var = (bn_param.get(f"running_{kind}", torch.zeros_like(gamma)).clone() for kind in ("mean", "var"))
    var = old_var.clone()
    out = F.batch_norm(x, mean, var, gamma, beta, training, 1 - stays, eps)
    if training:
        n = x.numel() // x.shape[1]
        var = stays * old_var + (var - stays * old_var) * (n - 1) / n
    bn_param["running_mean"], bn_param["running_var"] = mean, var
    return out


def batchnorm_of_batches(batches: Tensor, gamma: Tensor, beta: Tensor, bn_param: dict) -> Tensor:
    """The output of the last batch; bn_param has the averages after all of them."""
    return [batchnorm(x, gamma, beta, bn_param) for x in batches][-1]


def layernorm(x: Tensor, gamma: Tensor, beta: Tensor, ln_param: dict) -> Tensor:
    return F.layer_norm(x, x.shape[1:], gamma, beta, ln_param.get("eps", 1e-5))


def spatial_groupnorm(x: Tensor, gamma: Tensor, beta: Tensor, G: int, gn_param: dict) -> Tensor:
    return F.group_norm(x, G, gamma.flatten(), beta.flatten(), gn_param.get("eps", 1e-5))


def groupnorm(x: Tensor, gamma: Tensor, beta: Tensor, gn_param: dict) -> Tensor:
    return spatial_groupnorm(x, gamma, beta, gn_param["G"], gn_param)


class TorchsMask:
    """A generator for NumPy's dropout whose draws keep just the units that torch's dropout keeps, mask after mask."""

    def __init__(self, seed: int, keep: float, dtype: type):
        self.seed, self.keep, self.dtype, self.rng = seed, keep, dtype, np.random.default_rng(seed)

    def seed_torch(self) -> None:
        self.seed += 1
        torch.default_generator.manual_seed(self.seed)

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        self.seed_torch()
        kept = F.dropout(torch.from_numpy(np.ones(shape, self.dtype)), 1 - self.keep).numpy() > 0
        u = self.rng.random(shape)
        return np.where(kept, self.keep * u, self.keep + (1 - self.keep) * u)


def dropout(x: Tensor, dropout_param: dict) -> Tensor:
    training = dropout_param["mode"] == "train"
    if training:
        dropout_param["rng"].seed_torch()
    return F.dropout(x.contiguous(), 1 - dropout_param["p"], training)  # a mask follows the order in memory


def affine_norm_relu_dropout(x, w, b, gamma, beta, normalization, norm_param, dropout_param) -> Tensor:
    out = affine(x, w, b)
    norms = {"batchnorm": batchnorm, "layernorm": layernorm, "groupnorm": groupnorm}
    out = F.relu(norms[normalization](out, gamma, beta, norm_param) if normalization else out)
    return dropout(out, dropout_param) if dropout_param else out


def conv(x: Tensor, w: Tensor, b: Tensor | None, conv_param: dict) -> Tensor:
    return F.conv2d(x, w, b, stride=conv_param["stride"], padding=conv_param["pad"])


def max_pool(x: Tensor, pool_param: dict) -> Tensor:
    return F.max_pool2d(x, (pool_param["pool_height"], pool_param["pool_width"]), pool_param["stride"])


def conv_relu(x: Tensor, w: Tensor, b: Tensor, conv_param: dict) -> Tensor:
    return F.relu(conv(x, w, b, conv_param))


def conv_bn_relu(x: Tensor, w: Tensor, b: Tensor | None, gamma: Tensor, beta: Tensor, conv_param: dict, bn_param: dict):
    return F.relu(batchnorm(conv(x, w, b, conv_param), gamma, beta, bn_param))


def conv_relu_pool(x: Tensor, w: Tensor, b: Tensor, conv_param: dict, pool_param: dict) -> Tensor:
    return max_pool(conv_relu(x, w, b, conv_param), pool_param)


def im2col(x: Tensor, field_height: int, field_width: int, padding: int, stride: int) -> Tensor:
    """unfold gives (N, K, OH OW); the course's columns run over the position first, then the example."""
    columns = F.unfold(x, (field_height, field_width), padding=padding, stride=stride)
    return columns.permute(1, 2, 0).flatten(1)


def col2im(columns: Tensor, x_shape: tuple, field_height: int, field_width: int, padding: int, stride: int) -> Tensor:
    columns = columns.unflatten(1, (-1, x_shape[0])).permute(2, 0, 1)
    return F.fold(columns, x_shape[2:], (field_height, field_width), padding=padding, stride=stride)


def im2col_indices(x_shape: tuple, field_height: int, field_width: int, padding: int, stride: int) -> tuple:
    """unfold an image whose values are their own places, and read channel, row and column off them."""
    _, C, H, W = (size + 2 * padding * (axis > 1) for axis, size in enumerate(x_shape))
    places = torch.arange(C * H * W, dtype=torch.float64).reshape(1, C, H, W)
    places = F.unfold(places, (field_height, field_width), stride=stride)[0].long()
    return places[:, :1] // (H * W), places // W % H, places % W


def without_prefix(params: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): w for name, w in params.items() if name.startswith(prefix)}


# Initializers


class TorchsNormals:
    """A generator for NumPy's initializers that draws torch's normal numbers, in torch's layout, from torch's seed."""

    def __init__(self, seed: int):
        self.seed, self.generator = seed, None

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        self.generator = self.generator or torch.Generator().manual_seed(self.seed)
        return in_our_layout(lambda w: w.normal_(generator=self.generator), shape).numpy()


def in_our_layout(fill: Callable[[Tensor], object], shape: tuple[int, ...]) -> Tensor:
    """Weights (D, M) that `fill` has filled as torch's (M, D); filters (F, C, HH, WW) are alike on both sides."""
    w = torch.empty(shape[::-1] if len(shape) == 2 else shape, dtype=torch.float64)
    fill(w)
    return w.T if len(shape) == 2 else w


def initializer(fill: Callable) -> Callable:
    """One of nn.init, on the numbers that `TorchsNormals` of the same seed draws."""

    def initialized(shape: tuple[int, ...], *options_rng_dtype: object) -> Tensor:
        *options, rng, dtype = options_rng_dtype
        torch.manual_seed(rng.seed)
        return cast(in_our_layout(lambda w: fill(w, *options), shape), dtype)

    return initialized


gaussian = initializer(lambda w, scale: nn.init.normal_(w, 0, scale))
xavier = initializer(nn.init.xavier_normal_)
he = initializer(lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"))
orthogonal = initializer(nn.init.orthogonal_)


def cast(value: Tensor, dtype: type) -> Tensor:
    """To NumPy's dtype."""
    return value.to(torch.from_numpy(np.empty(0, dtype)).dtype)


# Update rules: torch's optimizers with the options, and the defaults, of the assignment's config

OPTIMIZERS = {
    "sgd": lambda w, learning_rate=1e-2: optim.SGD(w, learning_rate),
    "sgd_momentum": lambda w, learning_rate=1e-2, momentum=0.9: optim.SGD(w, learning_rate, momentum),
    "nesterov": lambda w, learning_rate=1e-2, momentum=0.9: optim.SGD(w, learning_rate, momentum, nesterov=True),
    "adagrad": lambda w, learning_rate=1e-2, epsilon=1e-8: optim.Adagrad(w, learning_rate, eps=epsilon),
    "rmsprop": lambda w, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8: optim.RMSprop(
        w, learning_rate, decay_rate, epsilon
    ),
    "adam": lambda w, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8: optim.Adam(
        w, learning_rate, (beta1, beta2), epsilon
    ),
    "adamw": lambda w, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=1e-2: optim.AdamW(
        w, learning_rate, (beta1, beta2), epsilon, weight_decay
    ),
}
STATES = {"momentum_buffer": "velocity", "sum": "cache", "square_avg": "cache", "exp_avg": "m", "exp_avg_sq": "v"}


def trajectory(rule: str, w: Tensor, gradients: Tensor, rates: list, decay: float, config: dict) -> dict[str, Tensor]:
    """A torch optimizer over the same gradients: weights on the way and, under the assignment's names, its state."""
    weight, results, kept = nn.Parameter(w.clone()), {}, {"t": "step", "m": "exp_avg", "v": "exp_avg_sq"}
    optimizer = OPTIMIZERS[rule]([weight], **{name: value for name, value in config.items() if name not in kept})
    group, state = optimizer.param_groups[0], optimizer.state[weight]
    state |= {kept[name]: torch.as_tensor(value, dtype=w.dtype) for name, value in config.items() if name in kept}
    if decay:
        group["weight_decay"] = decay
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        if rate is not None:
            if state.get("momentum_buffer") is not None:  # the assignment's velocity holds the rate of its time
                state["momentum_buffer"] *= group["lr"] / rate
            group["lr"] = rate
        weight.grad = gradient
        optimizer.step()
        if step in (1, 10, len(gradients)):
            results[f"w after {step}"] = weight.detach().clone()
    kept = {STATES[name]: value for name, value in state.items() if name in STATES and value is not None}
    return results | {name: -group["lr"] * value if name == "velocity" else value for name, value in kept.items()}
