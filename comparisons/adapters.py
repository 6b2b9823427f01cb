"""torch's counterparts, with the assignment's arguments and conventions: the one place that knows how the two differ.

| topic | assignment | torch |
|---|---|---|
| affine weight | w (D, M), x w + b | weight (M, D): transposed |
| batch norm's momentum | 0.9: what stays of the old average | 0.1: what comes of the new |
| running variance | biased | unbiased: n/(n-1) times as much |
| dropout's p | probability of keeping | of dropping: 1 - p |
| momentum | the rate is in the velocity | outside: equal while the rate is constant, else the buffer is rescaled |
| RNN, LSTM weights | (D, 4H), (H, 4H), one bias | (4H, D), (4H, H), two biases, one of them 0 here |
| LSTM gates | i, f, o, g | i, f, g, o |
| loss over time | summed, divided by N | ignore_index divides by the unmasked words: summed here, then / N |
| axes | (N, T, D) | (T, N, D) unless batch_first |
| attention mask | 0: blocked | True: blocked in nn.MultiheadAttention, True: seen in the functional form |
| L2 | 0.5 reg |w|² in the loss | weight_decay = reg of SGD or Adam, not of AdamW |
| hinge loss | sum over the classes | multi_margin_loss divides by their number |

Every adapter is differentiable, so that a gradient comes back in the assignment's layout by itself. Sequences are in
`adapters_sequences.py`, update rules and initialisers in `adapters_training.py`.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def affine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.linear(x.flatten(1), w.T, b)


def svm_loss(x: Tensor, y: Tensor) -> Tensor:
    return F.multi_margin_loss(x, y) * x.shape[1]


def standardise(x: Tensor, axis: int, eps: float) -> tuple[Tensor, ...]:
    var, mean = torch.var_mean(x, dim=axis, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(var + eps), torch.sqrt(var + eps), mean, var


def standardise_backward(dx_hat: Tensor, x: Tensor, axis: int, eps: float) -> Tensor:
    _, pull = torch.func.vjp(lambda x: standardise(x, axis, eps)[0], x)
    return pull(dx_hat)[0]


def batchnorm(x: Tensor, gamma: Tensor, beta: Tensor, bn_param: dict) -> Tensor:
    """Over (N, D) and over (N, C, H, W) alike; keeps running averages in bn_param, as the assignment does."""
    stays, eps = bn_param.get("momentum", 0.9), bn_param.get("eps", 1e-5)
    mean, var = (bn_param.get(f"running_{kind}", torch.zeros_like(gamma)).detach() for kind in ("mean", "var"))
    old, training = var.clone(), bn_param["mode"] == "train"
    mean, var = mean.clone(), var.clone()
    out = F.batch_norm(x, mean, var, gamma, beta, training, 1 - stays, eps)
    if training:
        n = x.numel() // x.shape[1]
        var = stays * old + (var - stays * old) * (n - 1) / n
    bn_param["running_mean"], bn_param["running_var"] = mean, var
    return out


def running_averages(batches: Tensor, gamma: Tensor, beta: Tensor, bn_param: dict) -> tuple[Tensor, ...]:
    """The last output and the averages after all batches."""
    for x in batches:
        out = batchnorm(x, gamma, beta, bn_param)
    return out, bn_param["running_mean"], bn_param["running_var"]


def layernorm(x: Tensor, gamma: Tensor, beta: Tensor, ln_param: dict) -> Tensor:
    return F.layer_norm(x, x.shape[1:], gamma, beta, ln_param.get("eps", 1e-5))


def groupnorm(x: Tensor, gamma: Tensor, beta: Tensor, G: int, gn_param: dict) -> Tensor:
    return F.group_norm(x, G, gamma.flatten(), beta.flatten(), gn_param.get("eps", 1e-5))


def rows_groupnorm(x: Tensor, gamma: Tensor, beta: Tensor, gn_param: dict) -> Tensor:
    return F.group_norm(x, gn_param["G"], gamma, beta, gn_param.get("eps", 1e-5))


class TorchsMask:
    """A generator for NumPy's dropout whose draws keep just the units that torch's dropout keeps."""

    def __init__(self, seed: int, keep: float, dtype: type):
        self.seed, self.keep, self.dtype = seed, keep, dtype

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        torch.manual_seed(self.seed)
        kept = F.dropout(torch.from_numpy(np.ones(shape, self.dtype)), 1 - self.keep).numpy() > 0
        u = np.random.default_rng(self.seed).random(shape)
        return np.where(kept, self.keep * u, self.keep + (1 - self.keep) * u)


def dropout(x: Tensor, dropout_param: dict) -> Tensor:
    torch.manual_seed(dropout_param["rng"].seed)
    return F.dropout(x, 1 - dropout_param["p"], training=dropout_param["mode"] == "train")


def affine_norm_relu_dropout(x, w, b, gamma, beta, normalization, norm_param, dropout_param) -> Tensor:
    out = affine(x, w, b)
    norms = {"batchnorm": batchnorm, "layernorm": layernorm, "groupnorm": rows_groupnorm}
    out = norms[normalization](out, gamma, beta, norm_param) if normalization else out
    out = F.relu(out)
    return dropout(out, dropout_param) if dropout_param else out


def conv(x: Tensor, w: Tensor, b: Tensor, conv_param: dict) -> Tensor:
    return F.conv2d(x, w, b, stride=conv_param["stride"], padding=conv_param["pad"])


def conv_bn_relu(x: Tensor, w: Tensor, b: Tensor, gamma: Tensor, beta: Tensor, conv_param: dict, bn_param: dict):
    return F.relu(batchnorm(conv(x, w, b, conv_param), gamma, beta, bn_param))


def max_pool(x: Tensor, pool_param: dict) -> Tensor:
    return F.max_pool2d(x, (pool_param["pool_height"], pool_param["pool_width"]), pool_param["stride"])


def conv_relu_pool(x: Tensor, w: Tensor, b: Tensor, conv_param: dict, pool_param: dict) -> Tensor:
    return max_pool(F.relu(conv(x, w, b, conv_param)), pool_param)


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


def like(dtype: type, value: Tensor) -> Tensor:
    return value.to(torch.from_numpy(np.empty(0, dtype)).dtype)
