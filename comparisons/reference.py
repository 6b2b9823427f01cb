"""torch's counterpart of every layer, update rule and initializer, with the assignment's arguments and conventions.

This is the one place that knows how the two differ:

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

Every function is differentiable, so that a gradient comes back in the assignment's layout by itself.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.func import functional_call
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


# Sequences


def temporal_affine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.linear(x, w.T, b)


def temporal_softmax_loss(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    words = torch.where(mask, y, -100)
    return F.cross_entropy(x.flatten(0, 1), words.flatten(), ignore_index=-100, reduction="sum") / len(x)


def gates(w: Tensor) -> Tensor:
    """The assignment's i, f, o, g along the last axis in torch's order i, f, g, o."""
    i, f, o, g = w.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1)


def recurrent(Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """weight_ih, weight_hh, bias_ih, bias_hh."""
    return Wx.T, Wh.T, b, torch.zeros_like(b)


def rnn_step(x: Tensor, h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    return torch.rnn_tanh_cell(x, h, *recurrent(Wx, Wh, b))


def rnn(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    return torch.rnn_tanh(x, h0[None], recurrent(Wx, Wh, b), True, 1, 0.0, True, False, True)[0]


def lstm_step(x: Tensor, h: Tensor, c: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.lstm_cell(x, (h, c), *recurrent(gates(Wx), gates(Wh), gates(b)))


def lstm(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    start = (h0[None], torch.zeros_like(h0)[None])
    return torch.lstm(x, start, recurrent(gates(Wx), gates(Wh), gates(b)), True, 1, 0.0, True, False, True)[0]


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, None if mask is None else mask != 0)


@cache
def module(kind: type[nn.Module], *sizes: int, **options: object) -> nn.Module:
    """A module of torch, kept: functional_call gives it its weights, and only the call is to be timed."""
    return kind(*sizes, **options)


def attention_weights(params: dict[str, Tensor], ours: str = "", theirs: str = "") -> dict[str, Tensor]:
    """The parameters of nn.MultiheadAttention, all prefixed by `theirs`, from Wq, Wk, Wv, Wo and their biases."""
    return {
        f"{theirs}in_proj_weight": torch.cat([params[f"{ours}W{name}"].T for name in "qkv"]),
        f"{theirs}in_proj_bias": torch.cat([params[f"{ours}b{name}"] for name in "qkv"]),
        f"{theirs}out_proj.weight": params[f"{ours}Wo"].T,
        f"{theirs}out_proj.bias": params[f"{ours}bo"],
    }


def multi_head_attention(query, key, value, params, num_heads, attn_mask=None) -> Tensor:
    layer = module(nn.MultiheadAttention, query.shape[-1], num_heads, batch_first=True, dtype=query.dtype)
    options = {"need_weights": False, "attn_mask": None if attn_mask is None else attn_mask == 0}
    return functional_call(layer, attention_weights(params), (query, key, value), options)[0]


def split_patches(x: Tensor, side: int) -> Tensor:
    return F.unfold(x, side, stride=side).transpose(1, 2)


def join_patches(patches: Tensor, picture: tuple[int, ...], side: int) -> Tensor:
    return F.fold(patches.transpose(1, 2), picture[1:], side, stride=side)


def patch_embedding(x: Tensor, w: Tensor, b: Tensor, side: int) -> Tensor:
    """A convolution that goes from patch to patch."""
    filters = w.T.unflatten(1, (x.shape[1], side, side))
    return F.conv2d(x, filters, b, stride=side).flatten(2).transpose(1, 2)


def feed_forward(x, params, activation: str = "relu", dropout_param: dict | None = None) -> Tensor:
    hidden = {"relu": F.relu, "gelu": F.gelu}[activation](temporal_affine(x, params["W1"], params["b1"]))
    hidden = dropout(hidden, dropout_param) if dropout_param else hidden
    return temporal_affine(hidden, params["W2"], params["b2"])


def layer_weights(params: dict[str, Tensor], blocks: dict[str, str], prefix: str = "") -> dict[str, Tensor]:
    """The parameters of torch's encoder or decoder layer, whose attention `blocks` have these names on both sides."""
    weights = {}
    for ours, theirs in blocks.items():
        weights |= attention_weights(params, ours, prefix + theirs)
    for k in (1, 2):
        weights |= {f"{prefix}linear{k}.weight": params[f"W{k}"].T, f"{prefix}linear{k}.bias": params[f"b{k}"]}
    for k in range(1, len(blocks) + 2):
        gamma, beta = params[f"norm{k}.gamma"], params[f"norm{k}.beta"]
        weights |= {f"{prefix}norm{k}.weight": gamma, f"{prefix}norm{k}.bias": beta}
    return weights


def encoder_layer(x, params, num_heads, attn_mask=None, dropout_param=None) -> Tensor:
    """nn.TransformerEncoderLayer; with dropout its steps one by one, since masks are shared one by one."""
    if dropout_param:
        new = multi_head_attention(x, x, x, without_prefix(params, "self."), num_heads, attn_mask)
        x = norm_of(x + dropout(new, dropout_param), params, 1)
        new = feed_forward(x, params, "gelu", dropout_param)
        return norm_of(x + dropout(new, dropout_param), params, 2)
    options = dict(dropout=0, activation="gelu", batch_first=True, dtype=x.dtype)
    layer = module(nn.TransformerEncoderLayer, x.shape[-1], num_heads, params["W1"].shape[1], **options)
    weights = layer_weights(params, {"self.": "self_attn."})
    return functional_call(layer, weights, (x, None if attn_mask is None else attn_mask == 0))


def encoder(x: Tensor, params: dict[str, Tensor], num_layers: int, num_heads: int) -> Tensor:
    """nn.TransformerEncoder, of layers whose parameters have the prefix `layer{i}.`."""
    layers = [without_prefix(params, f"layer{i}.") for i in range(num_layers)]
    weights = {}
    for i, layer in enumerate(layers):
        weights |= layer_weights(layer, {"self.": "self_attn."}, f"layers.{i}.")
    return functional_call(encoder_module(num_layers, x.shape[-1], num_heads, layers[0]["W1"].shape[1], x.dtype),
                           weights, (x,))  # fmt: skip


@cache
def encoder_module(num_layers: int, *sizes_and_dtype: object) -> nn.Module:
    *sizes, dtype = sizes_and_dtype
    layer = nn.TransformerEncoderLayer(*sizes, dropout=0, activation="gelu", batch_first=True, dtype=dtype)
    return nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)


def without_prefix(params: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): w for name, w in params.items() if name.startswith(prefix)}


def norm_of(x: Tensor, params: dict[str, Tensor], number: int) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], params[f"norm{number}.gamma"], params[f"norm{number}.beta"])


def decoder_layer(x, memory, params, num_heads, attn_mask=None) -> Tensor:
    """nn.TransformerDecoderLayer."""
    weights = layer_weights(params, {"self.": "self_attn.", "cross.": "multihead_attn."})
    sizes = x.shape[-1], num_heads, params["W1"].shape[1]
    layer = module(nn.TransformerDecoderLayer, *sizes, dropout=0, batch_first=True, dtype=x.dtype)
    return functional_call(layer, weights, (x, memory), {"tgt_mask": None if attn_mask is None else attn_mask == 0})


def decoder_layer_step(x, memory, params, num_heads) -> Tensor:
    """What a position-by-position decoder must give: the whole sequence under the causal mask."""
    return decoder_layer(x, memory, params, num_heads, torch.ones(x.shape[1], x.shape[1]).tril())


def positional_encoding(length: int, dim: int, dtype: type) -> Tensor:
    """As complex numbers: position i turns with frequency 10000^(-2k/dim); the imaginary part is the sine."""
    frequencies = torch.logspace(0, -1 + 2 / dim, dim // 2, base=10000.0, dtype=torch.float64)
    turning = torch.polar(torch.ones(1, dtype=torch.float64), torch.arange(length)[:, None] * frequencies)
    return cast(torch.view_as_real(turning).flip(-1).flatten(1), dtype)


def cast(value: Tensor, dtype: type) -> Tensor:
    """To NumPy's dtype."""
    return value.to(torch.from_numpy(np.empty(0, dtype)).dtype)


# Diffusion and contrastive learning


def linear_beta_schedule(timesteps: int) -> Tensor:
    return torch.linspace(0.1 / timesteps, 20 / timesteps, timesteps, dtype=torch.float64)


def cosine_beta_schedule(timesteps: int) -> Tensor:
    times = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    left = torch.cos((times + 0.008) / 1.008 * torch.pi / 2).square()
    return (-torch.expm1(left.log().diff())).clamp(max=0.999)


def noise_of(t: Tensor, betas: Tensor) -> list[Tensor]:
    """What the steps up to t leave of a picture, and how much noise they bring, one step after the other."""
    kept, variance = torch.ones(len(t), dtype=betas.dtype), torch.zeros(len(t), dtype=betas.dtype)
    for step, beta in enumerate(betas):
        kept = torch.where(step <= t, kept * (1 - beta).sqrt(), kept)
        variance = torch.where(step <= t, variance * (1 - beta) + beta, variance)
    return [value[:, None, None, None] for value in (kept, variance.sqrt())]


def q_sample(x_start: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    kept, deviation = noise_of(t, betas)
    return (kept * x_start + deviation * noise).to(x_start)


def predict_start_from_noise(x_t: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    kept, deviation = noise_of(t, betas)
    return ((x_t - deviation * noise) / kept).to(x_t)


def predict_noise_from_start(x_t: Tensor, t: Tensor, x_start: Tensor, betas: Tensor) -> Tensor:
    kept, deviation = noise_of(t, betas)
    return ((x_t - kept * x_start) / deviation).to(x_t)


def q_posterior(x_start: Tensor, x_t: Tensor, t: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    """By Bayes: x_t-1 has a prior, the steps before, and an observation, x_t; precisions add up."""
    kept, deviation = noise_of(t - 1, betas)
    beta = betas[t][:, None, None, None]
    precision = deviation.pow(-2) + (1 - beta) / beta  # infinite at the first step, before which there is no noise
    pull = (1 - beta).sqrt() / beta * x_t
    mean = torch.where(deviation == 0, x_start, (kept * x_start / deviation.square() + pull) / precision)
    return mean.to(x_t), precision.rsqrt().to(x_t)


def upsample(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def modulate(x: Tensor, scale_shift: Tensor) -> Tensor:
    scale, shift = scale_shift[:, :, None, None].chunk(2, dim=1)
    return torch.addcmul(x + shift, x, scale)


def resnet_block(x: Tensor, emb: Tensor, params: dict[str, Tensor], G: int) -> Tensor:
    h = F.silu(spatial_groupnorm(x, params["gamma1"], params["beta1"], G, {}))
    h = spatial_groupnorm(F.conv2d(h, params["W1"], params["b1"], padding=1), params["gamma2"], params["beta2"], G, {})
    h = F.silu(modulate(h, F.linear(emb, params["We"].T, params["be"])))
    around = F.conv2d(x, params["Ws"], params["bs"]) if "Ws" in params else x
    return around + F.conv2d(h, params["W2"], params["b2"], padding=1)


def embed(time: Tensor, classes: Tensor, params: dict[str, Tensor]) -> Tensor:
    h = F.linear(F.silu(F.linear(time, params["W1"].T, params["b1"])), params["W2"].T, params["b2"])
    return F.silu(h + F.embedding(classes, params["classes.W"]))


def unet(x: Tensor, time: Tensor, classes: Tensor, params: dict[str, Tensor], G: int) -> Tensor:
    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): w for name, w in params.items() if name.startswith(prefix)}

    def conv2d(h: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.conv2d(h, params[f"{name}.W"], params[f"{name}.b"], stride, padding=1)

    levels, skips = len({name.partition(".")[0] for name in params if name.startswith("half")}), []
    emb, h = embed(time, classes, under("embed.")), conv2d(x, "first")
    for i in range(levels):
        skips.append(resnet_block(h, emb, under(f"down{i}."), G))
        h = conv2d(skips[-1], f"half{i}", stride=2)
    h = resnet_block(h, emb, under("middle."), G)
    for i in reversed(range(levels)):
        h = resnet_block(torch.cat([upsample(h, 2), skips.pop()], dim=1), emb, under(f"up{i}."), G)
    return conv2d(F.silu(spatial_groupnorm(h, params["last.gamma"], params["last.beta"], G, {})), "last")


def sim(z_i: Tensor, z_j: Tensor) -> Tensor:
    return F.cosine_similarity(z_i, z_j, dim=0)


def sim_positive_pairs(out_left: Tensor, out_right: Tensor) -> Tensor:
    return F.cosine_similarity(out_left, out_right, dim=1)[:, None]


def sim_matrix(out: Tensor) -> Tensor:
    return F.cosine_similarity(out[:, None], out[None], dim=2)


def simclr_loss(out_left: Tensor, out_right: Tensor, tau: float) -> tuple[Tensor, ...]:
    """Cross-entropy over the other views, the diagonal left out, with both gradients."""
    N, out = len(out_left), torch.cat([out_left, out_right]).requires_grad_()
    scores = (sim_matrix(out) / tau)[~torch.eye(2 * N, dtype=torch.bool)].reshape(2 * N, 2 * N - 1)
    partners = torch.cat([torch.arange(N) + N - 1, torch.arange(N)])  # one place less, behind the diagonal
    loss = F.cross_entropy(scores, partners)
    return loss, *torch.autograd.grad(loss, [out])[0].split(N)


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


def layer_init(blocks: tuple[str, ...], dim: int, dim_feedforward: int, rng: TorchsNormals, std: float, dtype: type):
    """A layer's parameters, drawn in the course's order; norms begin as the identity, like nn.LayerNorm's."""
    torch.manual_seed(rng.seed)
    shapes = {f"{block}.{{}}{name}": (dim, dim) for block in blocks for name in "kqvo"}
    shapes |= {"{}1": (dim, dim_feedforward), "{}2": (dim_feedforward, dim)}
    params = {}
    for name, shape in shapes.items():
        params[name.format("W")] = in_our_layout(lambda w: nn.init.normal_(w, 0, std), shape)
        params[name.format("b")] = torch.zeros(shape[1])
    for k in range(1, len(blocks) + 2):
        norm = nn.LayerNorm(dim)
        params |= {f"norm{k}.gamma": norm.weight, f"norm{k}.beta": norm.bias}
    return {name: cast(value, dtype) for name, value in params.items()}


encoder_layer_init, decoder_layer_init = partial(layer_init, ("self",)), partial(layer_init, ("self", "cross"))


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
