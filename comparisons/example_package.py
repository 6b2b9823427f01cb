"""A student-shaped `cs231n` package with right solutions, for the tests: from `solutions_*.py` and from here."""

import inspect
import re
from pathlib import Path

from comparisons.solutions import SOLUTIONS

HEAD = "from past.builtins import xrange\nimport numpy as np\n"
FC_NET = """
class TwoLayerNet(object):
    def __init__(self, input_dim=3 * 32 * 32, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0):
        self.params, self.reg = {}, reg
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b1"], self.params["b2"] = np.zeros(hidden_dim), np.zeros(num_classes)

    def loss(self, X, y=None):
        p, grads = self.params, {}
        hidden, cache1 = affine_relu_forward(X, p["W1"], p["b1"])
        scores, cache2 = affine_forward(hidden, p["W2"], p["b2"])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))
        dhidden, grads["W2"], grads["b2"] = affine_backward(dscores, cache2)
        _, grads["W1"], grads["b1"] = affine_relu_backward(dhidden, cache1)
        grads["W1"] += self.reg * p["W1"]
        grads["W2"] += self.reg * p["W2"]
        return loss, grads


class FullyConnectedNet(object):
    def __init__(self, hidden_dims, input_dim=3 * 32 * 32, num_classes=10, dropout=1, normalization=None, reg=0.0,
                 weight_scale=1e-2, dtype=np.float32, seed=None):
        self.normalization, self.use_dropout, self.reg, self.dtype = normalization, dropout != 1, reg, dtype
        self.num_layers, self.params = 1 + len(hidden_dims), {}
        sizes = [input_dim, *hidden_dims, num_classes]
        for i in xrange(1, self.num_layers + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(sizes[i - 1], sizes[i])
            self.params["b%d" % i] = np.zeros(sizes[i])
            if normalization and i < self.num_layers:
                self.params["gamma%d" % i], self.params["beta%d" % i] = np.ones(sizes[i]), np.zeros(sizes[i])
        self.dropout_param = {"mode": "train", "p": dropout} if self.use_dropout else {}
        self.bn_params = [{"mode": "train"} for _ in hidden_dims] if normalization == "batchnorm" else []
        if normalization == "layernorm":
            self.bn_params = [{} for _ in hidden_dims]
        self.params = {k: v.astype(dtype) for k, v in self.params.items()}

    def loss(self, X, y=None):
        X, mode, caches, p = X.astype(self.dtype), "test" if y is None else "train", [], self.params
        if self.use_dropout:
            self.dropout_param["mode"] = mode
        if self.normalization == "batchnorm":
            for bn_param in self.bn_params:
                bn_param["mode"] = mode
        out = X
        for i in xrange(1, self.num_layers):
            out, fc = affine_forward(out, p["W%d" % i], p["b%d" % i])
            norm = drop = None
            if self.normalization:
                forward = batchnorm_forward if self.normalization == "batchnorm" else layernorm_forward
                out, norm = forward(out, p["gamma%d" % i], p["beta%d" % i], self.bn_params[i - 1])
            out, relu = relu_forward(out)
            if self.use_dropout:
                out, drop = dropout_forward(out, self.dropout_param)
            caches.append((fc, norm, relu, drop))
        L = self.num_layers
        scores, last = affine_forward(out, p["W%d" % L], p["b%d" % L])
        if y is None:
            return scores
        loss, dout = softmax_loss(scores, y)
        grads = {}
        dout, grads["W%d" % L], grads["b%d" % L] = affine_backward(dout, last)
        for i in reversed(range(1, L)):
            fc, norm, relu, drop = caches[i - 1]
            if self.use_dropout:
                dout = dropout_backward(dout, drop)
            dout = relu_backward(dout, relu)
            if self.normalization:
                backward = batchnorm_backward if self.normalization == "batchnorm" else layernorm_backward
                dout, grads["gamma%d" % i], grads["beta%d" % i] = backward(dout, norm)
            dout, grads["W%d" % i], grads["b%d" % i] = affine_backward(dout, fc)
        for i in xrange(1, L + 1):
            loss += 0.5 * self.reg * np.sum(p["W%d" % i] ** 2)
            grads["W%d" % i] += self.reg * p["W%d" % i]
        return loss, grads
"""
CNN = """
class ThreeLayerConvNet(object):
    def __init__(self, input_dim=(3, 32, 32), num_filters=32, filter_size=7, hidden_dim=100, num_classes=10,
                 weight_scale=1e-3, reg=0.0, dtype=np.float32):
        (C, H, W), self.params, self.reg, self.dtype = input_dim, {}, reg, dtype
        shapes = {"W1": (num_filters, C, filter_size, filter_size), "W2": (num_filters * H * W // 4, hidden_dim)}
        for name, shape in dict(shapes, W3=(hidden_dim, num_classes)).items():
            self.params[name] = weight_scale * np.random.randn(*shape)
        for name, size in (("b1", num_filters), ("b2", hidden_dim), ("b3", num_classes)):
            self.params[name] = np.zeros(size)
        self.params = {k: v.astype(dtype) for k, v in self.params.items()}

    def loss(self, X, y=None):
        p, grads = self.params, {}
        conv_param = {"stride": 1, "pad": (p["W1"].shape[2] - 1) // 2}
        pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
        out, cache1 = conv_relu_pool_forward(X, p["W1"], p["b1"], conv_param, pool_param)
        out, cache2 = affine_relu_forward(out, p["W2"], p["b2"])
        scores, cache3 = affine_forward(out, p["W3"], p["b3"])
        if y is None:
            return scores
        loss, dout = softmax_loss(scores, y)
        dout, grads["W3"], grads["b3"] = affine_backward(dout, cache3)
        dout, grads["W2"], grads["b2"] = affine_relu_backward(dout, cache2)
        _, grads["W1"], grads["b1"] = conv_relu_pool_backward(dout, cache1)
        for name in ("W1", "W2", "W3"):
            loss += 0.5 * self.reg * np.sum(p[name] ** 2)
            grads[name] += self.reg * p[name]
        return loss, grads
"""
RNN = """
class CaptioningRNN(object):
    def __init__(self, word_to_idx, input_dim=512, wordvec_dim=128, hidden_dim=128, cell_type="rnn", dtype=np.float32):
        self.cell_type, self.dtype, self.params, self._null = cell_type, dtype, {}, word_to_idx["<NULL>"]
        V, k = len(word_to_idx), {"lstm": 4, "rnn": 1}[cell_type]
        shapes = {"W_embed": (V, wordvec_dim), "W_proj": (input_dim, hidden_dim), "Wx": (wordvec_dim, k * hidden_dim)}
        for name, shape in dict(shapes, Wh=(hidden_dim, k * hidden_dim), W_vocab=(hidden_dim, V)).items():
            self.params[name] = np.random.randn(*shape) / np.sqrt(shape[0])
        for name, size in (("b_proj", hidden_dim), ("b", k * hidden_dim), ("b_vocab", V)):
            self.params[name] = np.zeros(size)
        self.params = {k: v.astype(dtype) for k, v in self.params.items()}

    def loss(self, features, captions):
        p, grads, mask = self.params, {}, captions[:, 1:] != self._null
        forward = rnn_forward if self.cell_type == "rnn" else lstm_forward
        backward = rnn_backward if self.cell_type == "rnn" else lstm_backward
        h0, proj = affine_forward(features, p["W_proj"], p["b_proj"])
        x, embed = word_embedding_forward(captions[:, :-1], p["W_embed"])
        h, cell = forward(x, h0, p["Wx"], p["Wh"], p["b"])
        scores, vocab = temporal_affine_forward(h, p["W_vocab"], p["b_vocab"])
        loss, dscores = temporal_softmax_loss(scores, captions[:, 1:], mask, verbose=False)
        dh, grads["W_vocab"], grads["b_vocab"] = temporal_affine_backward(dscores, vocab)
        dx, dh0, grads["Wx"], grads["Wh"], grads["b"] = backward(dh, cell)
        grads["W_embed"] = word_embedding_backward(dx, embed)
        _, grads["W_proj"], grads["b_proj"] = affine_backward(dh0, proj)
        return loss, grads
"""
NEURAL_NET = """
class TwoLayerNet(object):
    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        self.params = {"W1": std * np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size)}
        self.params.update(W2=std * np.random.randn(hidden_size, output_size), b2=np.zeros(output_size))

    def loss(self, X, y=None, reg=0.0):
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        N, D = X.shape
        hidden = np.maximum(0, X.dot(W1) + b1)
        scores = hidden.dot(W2) + b2
        if y is None:
            return scores
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.mean(np.log(p[np.arange(N), y])) + reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        p[np.arange(N), y] -= 1
        p /= N
        dhidden = p.dot(W2.T) * (hidden > 0)
        grads = {"W2": hidden.T.dot(p) + 2 * reg * W2, "b2": p.sum(axis=0)}
        grads.update(W1=X.T.dot(dhidden) + 2 * reg * W1, b1=dhidden.sum(axis=0))
        return loss, grads
"""


def taken(*names: str) -> str:
    """Solutions, as those of one module that calls its own."""
    sources = [inspect.getsource(SOLUTIONS[name]) for name in names]
    return "\n\n".join(re.sub(r"\b(?:L|R|lu|fast)\.(\w+)", r"\1", source) for source in sources)


def both(*names: str) -> str:
    return taken(*(f"{name}_{way}" for name in names for way in ("forward", "backward")))


def method(*names: str) -> str:
    return "\n".join("    " + taken(name).replace("\n", "\n    ").rstrip() + "\n" for name in names)


LAYERS = "from cs231n.layers import *\n"
FAST = """
try:
    from cs231n.im2col_cython import col2im_6d_cython
except ImportError:
    print("run the following from the cs231n directory and try again: python setup.py build_ext --inplace")

conv_forward_fast, conv_backward_fast = conv_forward_naive, conv_backward_naive
max_pool_forward_fast, max_pool_backward_fast = max_pool_forward_naive, max_pool_backward_naive
conv_forward_strides, max_pool_forward_reshape = conv_forward_naive, max_pool_forward_naive


def conv_backward_strides(dout, cache):
    return col2im_6d_cython(dout, *dout.shape), None, None


max_pool_backward_reshape = max_pool_backward_naive
"""


def modules() -> dict[str, str]:
    """The text of every file."""
    kinds = [f"compute_distances_{loops}" for loops in ("two_loops", "one_loop", "no_loops")]
    neighbors = "class KNearestNeighbor(object):\n    def __init__(self):\n        pass\n\n" + method(
        *kinds, "predict_labels"
    )
    files = {
        "__init__.py": "",
        "classifiers/__init__.py": "from cs231n.classifiers.k_nearest_neighbor import *\n"
                                   "from cs231n.classifiers.linear_svm import *\n",
        "classifiers/k_nearest_neighbor.py": neighbors,
        "classifiers/linear_svm.py": taken("svm_loss_naive", "svm_loss_vectorized"),
        "classifiers/softmax.py": taken("softmax_loss_naive", "softmax_loss_vectorized"),
        "classifiers/neural_net.py": NEURAL_NET,
        "layers.py": "\n\n".join([
            both("affine", "relu"), taken("softmax_loss", "svm_loss", "standardize", "standardize_backward"),
            both("batchnorm"), taken("batchnorm_backward_alt"), both("layernorm", "dropout"), taken("pair"),
            taken("conv_forward_naive", "conv_backward_naive", "max_pool_forward_naive", "max_pool_backward_naive"),
            both("spatial_batchnorm", "spatial_groupnorm"),
        ]),
        "layer_utils.py": LAYERS + "from cs231n.fast_layers import *\n" + both(
            "affine_relu", "conv_relu", "conv_bn_relu", "conv_relu_pool"
        ),
        "fast_layers.py": LAYERS + FAST,
        "im2col.py": taken("get_im2col_indices", "im2col_indices", "col2im_indices"),
        "optim.py": taken("defaults", "sgd", "sgd_momentum", "adagrad", "rmsprop", "adam"),
        "classifiers/fc_net.py": LAYERS + "from cs231n.layer_utils import *\n" + FC_NET,
        "classifiers/cnn.py": LAYERS + "from cs231n.layer_utils import *\n" + CNN,
        "rnn_layers.py": "\n\n".join([
            both("rnn_step", "lstm_step", "word_embedding", "temporal_affine"),
            taken("temporal_softmax_loss", "sigmoid"),
            taken("rnn_forward", "lstm_forward", "backward_of", "rnn_backward_naive", "lstm_backward_naive"),
            "rnn_backward, lstm_backward = rnn_backward_naive, lstm_backward_naive",
        ]),
        "classifiers/rnn.py": LAYERS + "from cs231n.rnn_layers import *\n" + RNN,
    }  # fmt: skip
    return {name: text if name.endswith("__init__.py") else HEAD + text for name, text in files.items()}


def write(folder: Path, changes: dict[str, list[tuple[str, str]]]) -> Path:
    """Write the package into `folder`/cs231n, in each changed file the first text of every pair as the second.

    Raises ValueError for a text that does not stand just once in its file.
    """
    for name, text in modules().items():
        for right, wrong in changes.get(name, []):
            if text.count(right) != 1:
                raise ValueError(f"{right!r} stands {text.count(right)} times in {name}")
            text = text.replace(right, wrong)
        path = folder / "cs231n" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "cs231n"
