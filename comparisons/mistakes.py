"""Planted mistakes: the tests are tested with edits of from_scratch's source, of the kind that students make.

Every function has at least one that a case of it must catch, every net one that must spoil its loss or a gradient.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from types import ModuleType

import numpy as np

from comparisons.case import Case
from comparisons.nets import NET_CASES, worst_difference
from comparisons.parity import TRAINING, check
from comparisons.public import FUNCTIONS, NETS


@dataclass(frozen=True)
class Mistake:
    """`right` in the source of `where` becomes `wrong`: in the function or net itself, or in a part of its module."""

    function: str
    right: str
    wrong: str
    why: str
    where: str = ""
    home: ModuleType | None = None  # the module in which the function stands, where not from_scratch's

    def __str__(self) -> str:
        return f"{self.function}: {self.why}"

    def concerns(self, case: Case) -> bool:
        return self.function in case.functions

    def module(self) -> ModuleType:
        """A copy of the function's module with the mistake in it.

        Raises ValueError if the right text does not stand just once in the source, because the function has changed.
        """
        planted = (FUNCTIONS | NETS).get(self.function)
        module = self.home or sys.modules[planted.__module__]
        where = self.where or (planted.__qualname__ if planted else self.function)
        part = module
        for name in where.split("."):
            part = getattr(part, name)
        source = inspect.getsource(part)
        if (times := source.count(self.right)) != 1:
            raise ValueError(
                f"the mistake planted in {where} no longer fits: {self.right!r} stands {times} times in its source. "
                f"Plant it anew in comparisons/mistakes.py."
            )
        wrong = source.replace(self.right, self.wrong)
        copy = ModuleType(module.__name__)
        exec(compile(inspect.getsource(module).replace(source, wrong, 1), f"<{self}>", "exec"), vars(copy))
        return copy

    def replacing(self, case: Case) -> dict[str, Callable]:
        """The wrong functions that stand in for those of the case."""
        module = self.module()
        own = {name: f for name, f in case.functions.items() if hasattr(module, f.__qualname__.partition(".")[0])}
        return {name: attrgetter(function.__qualname__)(module) for name, function in own.items()}


@dataclass
class Effect:
    """What a mistake spoils most: the tensor, by how much, and the likely cause that the message names."""

    mistake: Mistake
    tensor: str = ""  # empty: nothing notices the mistake
    relative: float = 0.0
    cause: str = ""


def effect_in_layers(mistake: Mistake, cases: list[Case]) -> Effect:
    with np.errstate(all="ignore"):
        found = [d for case in filter(mistake.concerns, cases) for d in check(case, functions=mistake.replacing(case))]
    found = [Effect(mistake, d.tensor, d.relative, d.cause) for d in found if d.problem]
    return max(found, key=lambda effect: effect.relative, default=Effect(mistake))


def effect_in_nets(mistake: Mistake) -> Effect:
    """The loss or the gradient that is furthest from torch's in the first steps."""
    net = NETS[mistake.function]
    wrong = getattr(mistake.module(), net.__name__)
    cases = [replace(case, net=wrong) for case in NET_CASES.values() if case.net is net]
    found = [Effect(mistake, *worst_difference(case)) for case in cases]
    worst = max(found, key=lambda effect: effect.relative)
    return worst if worst.relative > TRAINING else Effect(mistake)


# Function, right, wrong, why; and where the text stands, if not in the function itself.
IN_LAYERS = [
    ("compute_distances_two_loops", "** 2))", "** 2)) ** 2", "the root forgotten"),
    ("compute_distances_two_loops", "X[i] - self.X_train[j]", "X[i] - self.X_train[i]", "i for j"),
    ("compute_distances_one_loop", "axis=1", "axis=None", "summed over all training examples"),
    ("compute_distances_no_loops", "- 2 * X", "- X", "2 forgotten before the product"),
    ("predict_labels", "[:, :k]", "[:, -k:]", "the furthest neighbors vote"),
    ("predict_labels", "votes.argmax(axis=1)", "votes.shape[1] - 1 - votes[:, ::-1].argmax(axis=1)",
     "the largest label wins a tie"),
    ("svm_loss_naive", "dW[:, y[i]] -= X[i]", "pass", "the true class's column forgotten"),
    ("svm_loss_naive", "c != y[i] and margin > 0", "margin > 0", "the true class counts a margin of 1"),
    ("svm_loss_naive", "2 * reg * W", "reg * W", "0.5 in the regularization's gradient, not in the loss"),
    ("svm_loss_vectorized", "reg * np.sum(W * W)", "0.5 * reg * np.sum(W * W)", "0.5 in the loss alone"),
    ("svm_loss_vectorized", "X.T @ dscores + 2 * reg * W", "X.T @ dscores", "no gradient of the regularization"),
    ("softmax_loss_naive", "(p[c] - (c == y[i]))", "p[c]", "the true class's 1 not taken off"),
    ("softmax_loss_naive", "dW / N + 2", "dW + 2", "1/N missing in dW"),
    ("softmax_loss_naive", "loss -= np.log(p[y[i]])", "loss -= np.log(p.max())", "the largest class for the true one"),
    ("softmax_loss_vectorized", "+ 2 * reg * W", "+ reg * W", "0.5 in the regularization's gradient, not in the loss"),
    ("softmax_loss_vectorized", "X.T @ dscores", "X.T @ dscores / len(X)", "1/N twice"),
    ("affine_forward", "@ w + b", "@ w", "bias forgotten"),
    ("affine_backward", "dout.sum(axis=0)", "dout.mean(axis=0)", "mean for sum in db"),
    ("affine_backward", "dout @ w.T", "dout @ w.ravel().reshape(w.shape[::-1])", "w reshaped, not transposed"),
    ("affine_backward", ".T @ dout,", ".T @ dout / len(x),", "1/N in dw, though the loss has it already"),
    ("relu_forward", "np.maximum(x, 0)", "np.abs(x)", "absolute value for positive part"),
    ("relu_backward", "dout * (cache > 0)", "dout * (dout > 0)", "gradient cut where it is negative itself"),
    ("relu_backward", "cache > 0", "cache < 0", "gradient passed where nothing passed"),
    ("relu_backward", "return dout * (cache > 0)", "dout *= cache > 0\n    return dout", "dout written into"),
    ("relu_backward", "return dout * (cache > 0)", "dout[cache < 0] = 0\n    return dout",
     "the gradient of where x is negative is zeroed in dout itself"),
    ("relu_forward", "return np.maximum(x, 0), x", "x[x < 0] = 0\n    return x, x", "x written into"),
    ("leaky_relu_forward", "float(slope) * x), (", "x / 100), (", "slope ignored"),
    ("leaky_relu_backward", "slope * dout)", "0 * dout)", "the plain ReLU's backward"),
    ("sigmoid", "np.maximum(e, x >= 0)", "np.ones((), x.dtype)", "no case for negative x"),
    ("sigmoid_forward", "sigmoid(x), x", "2 * sigmoid(x) - 1, x", "tanh's range"),
    ("sigmoid_backward", "(1 + e) ** 2", "(1 + e)", "only one factor of out (1 - out)"),
    ("tanh_forward", "np.tanh(x)", "np.tanh(x / 2)", "the sigmoid's argument"),
    ("tanh_backward", "-2 * np.abs", "-np.abs", "the sigmoid's e"),
    ("affine_relu_forward", "relu_forward(a)", "(a, a)", "ReLU forgotten"),
    ("affine_relu_backward", "relu_backward(dout, relu_cache)", "dout", "ReLU forgotten on the way back"),
    ("softmax_loss", "dx / N", "dx", "1/N missing in dx"),
    ("softmax_loss", "[np.arange(N), y].mean()", "[np.arange(N), y].sum()", "sum for mean in the loss"),
    ("softmax_loss", "dx[np.arange(N), y] -= 1", "dx[:, y] -= 1", "the label's column in all rows"),
    ("softmax_loss", "axis=1, keepdims=True))", "axis=0, keepdims=True))", "normalized over the batch"),
    ("svm_loss", "margins[np.arange(N), y] = 0", "pass", "the true class counts a margin of 1"),
    ("svm_loss", "-dx.sum(axis=1)", "-1", "the true class pays for one violation only"),
    ("sgd", "w - lr * dw", "w + lr * dw", "uphill"),
    ("sgd_momentum", "- lr * dw", "+ lr * dw", "uphill"),
    ("sgd_momentum", 'momentum * config["velocity"] - lr', '(1 - momentum) * config["velocity"] - lr', "1 - mu"),
    ("nesterov", 'w + momentum * config["velocity"] - lr * dw', 'w + config["velocity"]', "no look ahead"),
    ("adagrad", 'config["cache"] + dw * dw', "dw * dw", "= for +=: only the last square"),
    ("adagrad", 'np.sqrt(config["cache"]) + eps', 'np.sqrt(config["cache"] + eps)', "epsilon inside the root"),
    ("rmsprop", 'np.sqrt(config["cache"]) + eps', 'np.sqrt(config["cache"] + eps)', "epsilon inside the root"),
    ("rmsprop", "(1 - decay) * dw * dw", "dw * dw", "1 - decay missing"),
    ("adam", 't = config["t"] = config.get("t", 0) + 1', 't = config.get("t", 0)\n    config["t"] = t + 1',
     "t increased after it is used", "_adam"),
    ("adam", "np.sqrt(config[\"v\"] / (1 - beta2**t)) + eps", "np.sqrt(config[\"v\"] / (1 - beta2**t) + eps)",
     "epsilon inside the root", "_adam"),
    ("adam", "np.sqrt(config[\"v\"] / (1 - beta2**t)) + eps", "np.sqrt(config[\"v\"]) + eps",
     "second moment not freed of its start", "_adam"),
    ("adam", "config[\"m\"] / (1 - beta1**t) / (np.sqrt(config[\"v\"] / (1 - beta2**t)) + eps)",
     "config[\"m\"] / (np.sqrt(config[\"v\"]) + eps)", "no bias correction", "_adam"),
    ("adam", "(1 - beta1**t)", "1", "first moment not freed of its start", "_adam"),
    ("adam", 'config.get("t", 0) + 1', 'max(1, config.get("t", 0))', "t counted too late", "_adam"),
    ("adam", "(1 - beta2) * dw * dw", "(1 - beta2) * dw", "dw for its square", "_adam"),
    ("adamw", "decay * w + step", "step", "weight decay forgotten"),
    ("adamw", "(decay * w + step)", "step - decay * w", "decay without the rate"),
    ("gaussian", "float(scale)", "float(scale) ** 2", "variance for deviation"),
    ("xavier", "2 / sum(fans(shape))", "1 / sum(fans(shape))", "factor 2 missing"),
    ("he", "fans(shape)[0]", "fans(shape)[1]", "fan out for fan in"),
    ("he", "shape[1] * field, shape[0] * field", "shape[1], shape[0]", "window not counted", "fans"),
    ("orthogonal", "np.where(np.diag(r) < 0, -1.0, 1.0)", "1.0", "signs of the QR left as they come"),
    ("orthogonal", "float(gain) *", "", "gain ignored"),
    ("standardize", "x_hat * x_hat, axis=axis, keepdims=True)", "x_hat * x_hat)", "one variance for all rows"),
    ("standardize_backward", "- x_hat * along", "", "the variance's path left out"),
    ("batchnorm_forward", "momentum * old + (1 - momentum) * new[0]", "(1 - momentum) * old + momentum * new[0]",
     "momentum as torch means it"),
    ("batchnorm_forward", "momentum * old + (1 - momentum) * new[0]", "new[0]", "no running average"),
    ("batchnorm_forward", "x_hat, std, *batch = standardize(x, 0, eps)",
     "x_hat, std, mean, var = standardize(x, 0, eps)\n        batch = mean, np.sqrt(var)",
     "the standard deviation in running_var, which holds a variance"),
    ("batchnorm_forward", "x_hat, std, *batch = standardize(x, 0, eps)",
     "x_hat, std, mean, var = standardize(x, 0, eps)\n        batch = mean, std",
     "the standard deviation in running_var, which holds a variance"),
    ("batchnorm_forward", "np.sqrt(running[1] + eps)", "running[1]", "running_var taken for a standard deviation"),
    ("batchnorm_forward", "np.sqrt(running[1] + eps)", "(np.sqrt(running[1]) + eps)", "epsilon outside of the root"),
    ("batchnorm_forward", "np.sqrt(var + float(eps))", "np.sqrt(var) + float(eps)", "epsilon outside of the root",
     "standardize"),
    ("batchnorm_forward", "np.mean(x_hat * x_hat, axis=axis, keepdims=True)",
     "np.sum(x_hat * x_hat, axis=axis, keepdims=True) / (x.shape[axis] - 1)", "unbiased variance", "standardize"),
    ("batchnorm_forward", "np.sqrt(running[1] + eps)", "(running[1] + eps)",
     "running_var taken for a standard deviation"),
    ("batchnorm_forward", "float(eps))", "0)", "epsilon forgotten", "standardize"),
    ("batchnorm_backward", "dcentred + dmean / len(dout)", "dcentred", "the mean's path left out"),
    ("batchnorm_backward", "dcentred += dvar * 2 *", "dcentred = dvar * 2 *", "= for +="),
    ("batchnorm_backward", "x_hat * std) / len(dout)", "x_hat * std)", "1/N missing in the variance's path"),
    ("batchnorm_backward_alt", "dx -= dbeta / len(dout)", "dx -= dbeta", "1/N missing"),
    ("batchnorm_backward_alt", "dx *= gamma / std", "dx /= std", "gamma forgotten"),
    ("layernorm_forward", "standardize(x, 1,", "standardize(x, 0,", "normalized over the batch"),
    ("layernorm_forward", "np.sqrt(var + float(eps))", "np.sqrt(var) + float(eps)", "epsilon outside of the root",
     "standardize"),
    *(
        ("layernorm_backward", "(dout * x_hat).sum(axis=0), dout.sum(axis=0)",
         f"(dout * x_hat).sum({a}), dout.sum({b})",
         f"{what} summed over the features, not over the batch")
        for a, b, what in (
            ("axis=1", "axis=1", "dgamma and dbeta"), ("axis=1", "axis=0", "dgamma"), ("axis=0", "axis=1", "dbeta"),
            ("axis=1, keepdims=True", "axis=1, keepdims=True", "dgamma and dbeta"),
        )
    ),
    ("layernorm_backward", "(dout * x_hat).sum(axis=0)", "dout.sum(axis=0)", "x_hat forgotten in dgamma"),
    ("layernorm_backward", "dout * gamma, x_hat", "dout, x_hat", "gamma forgotten"),
    ("groupnorm_forward", '*scale, gn_param["G"]', "*scale, 1", "one group for all channels"),
    ("groupnorm_backward", "dgamma.ravel(), dbeta.ravel()", "dbeta.ravel(), dgamma.ravel()", "two swapped"),
    ("affine_norm_relu_dropout_forward", "out, relu_cache = relu_forward(out)", "relu_cache = relu_forward(out)[1]",
     "ReLU's output thrown away"),
    ("affine_norm_relu_dropout_forward", "out, dropout_cache = dropout_forward(out, dropout_param)",
     "dropout_cache = None", "dropout forgotten"),
    ("affine_norm_relu_dropout_forward", "out, norm_cache = NORM", "_, norm_cache = NORM", "norm thrown away"),
    ("affine_norm_relu_dropout_backward", "dout = relu_backward(dout, relu_cache)", "pass", "ReLU forgotten"),
    ("affine_norm_relu_dropout_backward", "dout, dgamma, dbeta = NORM", "_, dgamma, dbeta = NORM",
     "the norm passes its gradient through unchanged"),
    ("dropout_forward", ".astype(x.dtype) / p", ".astype(x.dtype)", "not divided by p"),
    ("dropout_forward", "random(x.shape) < p", "random(x.shape) < 1 - p", "p as torch means it"),
    ("dropout_forward", "return x, (dropout_param, None)", "return x * p, (dropout_param, None)",
     "scaled in test mode too"),
    ("dropout_forward", "return x, (dropout_param, None)", "return x / p, (dropout_param, None)",
     "scaled in test mode too"),
    ("dropout_backward", "return dout * mask", "return dout", "mask ignored"),
    ("dropout_backward", "        return dout\n", "        return dout / 2\n", "scaled in test mode too"),
    ("conv_forward_naive", "window * w[f]", "window * w[f, :, ::-1, ::-1]", "filter flipped"),
    ("conv_forward_naive", "j * sx : j * sx + WW", "j : j + WW", "stride ignored across"),
    ("conv_backward_naive", "dpadded[window] +=", "dpadded[window] =", "= for +=: windows overwrite each other"),
    ("conv_backward_naive", "dw[f] += dout[n, f, i, j] * padded", "dw[f] = dout[n, f, i, j] * padded",
     "= for +=: only the last window counts"),
    ("conv_backward_naive", "pad[0] : pad[0] + H", ": H", "padding left on at the top, cut at the bottom"),
    ("conv_backward_naive", "pad[0] : pad[0] + H, pad[1] : pad[1] + W", ": H, : W",
     "padding forgotten: left on at the top and the left of dx, cut at the bottom and the right"),
    ("conv_backward_naive", "dpadded[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + W]", "dpadded",
     "padding forgotten: it is not taken off dx"),
    ("conv_backward_naive", "pad[0] : pad[0] + H, pad[1] : pad[1] + W", "pad[0] : -pad[0], pad[1] : -pad[1]",
     "[pad:-pad] is empty where nothing is padded"),
    ("conv_backward_naive", "padded = pad_image(x, pad)",
     "padded = np.pad(x, ((0, 0), (0, 0), (0, 2 * pad[0]), (0, 2 * pad[1])))",
     "padding forgotten: the windows of dw are those of x without the zeros before it"),
    ("conv_backward_naive", "dout.sum(axis=(0, 2, 3))", "dout[0].sum(axis=(1, 2))", "db of one example"),
    ("conv_forward_im2col", "+ b[:, None]", "", "bias forgotten"),
    ("conv_forward_im2col", ".reshape(len(w), *size, len(x))\n",
     ".reshape(len(w), len(x), *size)\n    out = out.transpose(0, 2, 3, 1)\n", "columns read with the example first"),
    ("conv_backward_im2col", "dout.transpose(1, 2, 3, 0)", "dout.transpose(1, 0, 2, 3)", "columns in another order"),
    ("conv_forward_strides", ":: stride[0], :: stride[1]]", ":: stride[0], :: stride[1]][..., ::-1]", "filter flipped",
     "strided_columns"),
    ("conv_backward_strides", "+= dcols", "= dcols", "= for +=: windows overwrite each other"),
    ("conv_backward_strides", "py : py + H, px : px + W", ": H, : W", "padding cut at the wrong side"),
    ("conv_forward_fast", "b[:, None]]", "0 * b[:, None]]", "bias forgotten"),
    ("conv_backward_fast", "dweights +=", "dweights[...] =", "= for +=: only the last block of images counts"),
    ("conv_backward_fast", "np.matmul(weights, dout[block]", "np.matmul(weights, dout[:len(dout[block])]",
     "every block of images gets the gradient of the first"),
    ("get_im2col_indices", "i + sy * row", "i + row", "stride ignored down"),
    ("im2col_indices", "windows.transpose(1, 2, 0)", "windows.transpose(1, 0, 2)", "example before position"),
    ("col2im_indices", "np.add.at(padded, (slice(None), k, i, j), ", "padded.__setitem__((slice(None), k, i, j), ",
     "= for +=: fancy indices count once"),
    ("max_pool_forward_naive", ".max()", ".mean()", "average pooling"),
    ("max_pool_backward_naive", "dx[window][k, m] +=", "dx[window][k, m] =", "= for +=: windows overlap"),
    ("max_pool_backward_naive", "dx[window][k, m] +=", "dx[window] = 0\n        dx[window][k, m] =",
     "= for +=: windows overlap"),
    ("max_pool_backward_naive", "dx[window][k, m] +=", "dx[window] +=", "gradient to the whole window"),
    ("max_pool_forward_im2col", "maximum(shifted(x, *read_pool(x, pool_param)))",
     "np.mean(shifted(x, *read_pool(x, pool_param)), axis=0)", "average pooling"),
    ("max_pool_backward_im2col", "target += dout * hit", "target[...] = dout * hit", "= for +=: windows overlap"),
    ("max_pool_forward_reshape", "maximum(shifted(x, window, stride, size))",
     "shifted(x, window, stride, size)[0].copy()", "the first for the largest"),
    ("max_pool_backward_reshape", "np.multiply(share, hit, out=target)", "target[...] = share", "to all of the tile"),
    ("max_pool_forward_fast", "out, (kind, inner)", "out - out.mean(), (kind, inner)", "centered"),
    ("max_pool_backward_fast", "(dout, inner)", "(dout[::-1], inner)", "examples in the wrong order"),
    ("spatial_batchnorm_forward", "x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])", "x.reshape(-1, x.shape[1])",
     "reshaped without moving the channels last", "to_rows"),
    ("spatial_batchnorm_backward", "to_rows(dout), cache", "to_rows(dout) / len(dout), cache", "1/N twice"),
    ("spatial_groupnorm_forward", "x.reshape(N * G, -1)", "x.reshape(N * C, -1)", "instance norm: G ignored"),
    ("spatial_groupnorm_backward", "(dout * gamma).reshape", "dout.reshape", "gamma forgotten"),
    ("conv_relu_forward", "relu_forward(a)", "(a, a)", "ReLU forgotten"),
    ("conv_relu_backward", "relu_backward(dout, relu_cache)", "dout", "ReLU forgotten on the way back"),
    ("conv_bn_relu_forward", "a, bn_cache = ", "_, bn_cache = ", "norm computed and thrown away"),
    ("conv_bn_relu_backward", "relu_backward(dout, relu_cache)", "dout", "ReLU forgotten on the way back"),
    ("conv_relu_pool_forward", "a, relu_cache = ", "_, relu_cache = ", "ReLU computed and thrown away"),
    ("conv_relu_pool_backward", "relu_backward(max_pool_backward_fast(dout, pool_cache), relu_cache)",
     "max_pool_backward_fast(dout, pool_cache)", "ReLU forgotten on the way back"),
    ("rnn_step_forward", "prev_h @ Wh", "prev_h @ Wh.T", "weights transposed"),
    ("rnn_step_backward", "1 - next_h * next_h", "1 - next_h", "1 - tanh for 1 - tanh²"),
    ("rnn_step_backward", "da @ Wh.T", "da @ Wh", "weights transposed"),
    ("rnn_forward_naive", "h[:, t] = prev_h", "h[:, -t - 1] = prev_h", "the steps in reverse"),
    ("rnn_backward_naive", "dh[:, t] + dprev_h", "dh[:, t]", "the gradient of later steps left out"),
    ("rnn_backward_naive", "dWh + dWh_t", "dWh_t", "= for +=: the weights of the first step only"),
    ("rnn_backward_naive", "dWx + dWx_t, dWh + dWh_t, db + db_t", "dWx_t, dWh_t, db_t",
     "= for +=: the weights of the first step only"),
    ("rnn_forward", "h[t] @ Wh", "h[0] @ Wh", "every step starts from h0"),
    ("rnn_backward", "dh[:, t] + dprev_h", "dh[:, t]", "the gradient of later steps left out"),
    ("rnn_backward", "x, h[:-1], Wx)", "x, h[1:], Wx)", "state after the step for the one before"),
    ("word_embedding_forward", "return W[x]", "return W[x[:, ::-1]]", "words in reverse"),
    ("word_embedding_backward", "np.add.reduceat(dout.reshape(-1, D)[order], starts, axis=0)",
     "dout.reshape(-1, D)[order][starts]", "= for +=: a repeated word counts once"),
    ("word_embedding_backward", "dW[words[starts]] = np.add.reduceat(dout.reshape(-1, D)[order], starts, axis=0)",
     "dW[x] = dout", "= for +=: a repeated word counts once"),
    ("temporal_affine_forward", "@ w + b)", "@ w)", "bias forgotten"),
    ("temporal_affine_backward", "rows.sum(axis=0)", "dout.sum(axis=1)[0]", "db of one sample"),
    ("temporal_softmax_loss", "weights = mask.ravel().astype(x.dtype)", "weights = np.ones(N * T, x.dtype)",
     "mask ignored"),
    ("temporal_softmax_loss", "(weights / (total * N))", "(weights / (total * N * T))", "divided by T too"),
    *(
        ("temporal_softmax_loss", "return loss, dx.reshape(N, T, V)", f"return loss{a}, dx.reshape(N, T, V){b}", why)
        for a, b, why in (
            (" / T", " / T", "divided by N*T, not by N"), (" / T", "", "the loss is divided by N*T, not by N"),
            ("", " / T", "dx is divided by N*T, not by N"),
            (" * N / mask.sum()", " * N / mask.sum()", "divided by the number of words that count, not by N"),
        )
    ),
    ("lstm_step_forward", "+ i * g", "+ i * o", "gates swapped"),
    ("lstm_step_forward", "f * prev_c + i * g", "i * g", "the old cell forgotten"),
    ("lstm_step_backward", "dnext_c + dnext_h * o", "dnext_h * o", "dnext_c forgotten"),
    ("lstm_step_forward", "i, f, o, g = np.split", "i, f, g, o = np.split", "gates in torch's order i, f, g, o"),
    ("lstm_step_backward", "do * o * (1 - o), dg * (1 - g * g)]", "dg * (1 - g * g), do * o * (1 - o)]",
     "gates in torch's order i, f, g, o"),
    ("lstm_backward_naive", "dWx + dWx_t, dWh + dWh_t, db + db_t", "dWx_t, dWh_t, db_t",
     "= for +=: the weights of the first step only"),
    ("lstm_step_backward", "dc * prev_c", "dc * g", "the input gate's factor"),
    ("lstm_forward_naive", "prev_h, prev_c, cache =", "prev_h, _, cache =", "the cell state is not handed on"),
    ("lstm_backward_naive", "dprev_h, dprev_c, dWx_t", "dprev_h, _, dWx_t", "nothing flows along the cell"),
    ("lstm_backward_naive", "dWh + dWh_t", "dWh_t", "= for +=: the weights of the first step only"),
    ("lstm_forward", "c += i * g", "c += i * o", "gates swapped", "_cell"),
    ("lstm_forward", "c += i * g", "c[...] = i * g", "= for +=: the old cell forgotten", "_cell"),
    ("lstm_backward", "dc = dc + dh", "dc = dh", "the next step's cell forgotten", "_cell_backward"),
    ("lstm_backward", "*= dc * prev_c", "*= dc * g", "the input gate's factor", "_cell_backward"),
    ("lstm_forward", "a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]",
     "a[:, H : 2 * H], a[:, 3 * H :], a[:, 2 * H : 3 * H]", "gates in torch's order i, f, g, o", "_cell"),
    ("lstm_backward", "dprev_c = _cell_backward", "_ = _cell_backward", "nothing flows along the cell"),
    ("lstm_backward", "*= dh * tanh_c", "*= dc * tanh_c", "dc for dh in the output gate", "_cell_backward"),
    ("positional_encoding", "[np.sin(angles), np.cos(angles)]", "[np.cos(angles), np.sin(angles)]",
     "sine and cosine swapped"),
    ("split_heads", "reshape(N, T, heads, E // heads).transpose(0, 2, 1, 3)", "reshape(N, heads, T, E // heads)",
     "reshaped without moving the heads"),
    ("join_heads", "x.transpose(0, 2, 1, 3)", "x", "reshaped without moving the heads back"),
    ("attention_forward", "q.dtype.type(q.shape[-1] ** -0.5)", "q.dtype.type(q.shape[-1] ** -1.0)", "d for √d"),
    ("attention_forward", "np.asarray(mask) != 0", "np.ones_like(np.asarray(mask) != 0)", "mask ignored"),
    ("attention_backward", "- (dweights * weights).sum(axis=-1, keepdims=True)", "", "softmax's sum left out"),
    ("attention_backward", "dscores *= q.dtype.type(q.shape[-1] ** -0.5)", "pass", "√d forgotten"),
    ("multi_head_attention_forward", "split_heads(x, num_heads) for x in (q, k, v)",
     "split_heads(x, num_heads) for x in (q, k, k)", "keys for values"),
    ("multi_head_attention_backward", "dinputs.append(dx)", "dinputs.insert(0, dx)", "three in reverse"),
    ("feed_forward_forward", "hidden, active = ACTIVATIONS[activation][0](hidden)",
     "active = ACTIVATIONS[activation][0](hidden)[1]", "activation's output thrown away"),
    ("feed_forward_forward", "hidden, dropped = _drop(hidden, dropout_param)", "dropped = (None, None)",
     "hidden units not dropped"),
    ("feed_forward_backward", "ACTIVATIONS[activation][1](dropout_backward(dhidden, dropped), active)",
     "dropout_backward(dhidden, dropped)", "activation forgotten on the way back"),
    ("decoder_layer_forward", '_norm(x + new, params, "norm2")', '_norm(new, params, "norm2")',
     "no way around the attention"),
    ("decoder_layer_backward", "dx + dquery + dkey + dvalue", "dx + dquery", "x is key and value as well"),
    ("decoder_layer_backward", "dmemory = dkey + dvalue", "dmemory = dvalue", "memory is key as well"),
    ("decoder_layer_step", "np.concatenate([past[name], new], axis=2)", "new", "earlier positions forgotten"),
    ("decoder_layer_init", "rng.standard_normal((dim, dim)) * std", "rng.standard_normal((dim, dim))", "std ignored",
     "_layer_init"),
    ("erf", "np.copysign(1 - np.exp(-z * z) * p, x)", "1 - np.exp(-z * z) * p", "the sign lost"),
    ("erf", "else 18]", "else 8]", "float32's polynomial for float64"),
    ("gelu_forward", "0.5 * (1 + erf(x * 0.5**0.5))", "0.5 * (1 + np.tanh((2 / np.pi)**0.5 * (x + 0.044715 * x**3)))",
     "the tanh approximation"),
    ("gelu_forward", "erf(x * 0.5**0.5)", "erf(x)", "√2 forgotten"),
    ("gelu_backward", " + x * np.exp(-0.5 * x * x) * (2 * math.pi) ** -0.5", "", "the share taken for a constant"),
    ("gelu_backward", "np.exp(-0.5 * x * x)", "np.exp(-x * x)", "the slope of erf(x), not of erf(x/√2)"),
    ("split_patches", "transpose(0, 2, 4, 1, 3, 5)", "transpose(0, 4, 2, 1, 3, 5)", "patches column by column"),
    ("split_patches", "transpose(0, 2, 4, 1, 3, 5)", "transpose(0, 2, 4, 3, 5, 1)", "channels last in a patch"),
    ("join_patches", "H // side, W // side", "W // side, H // side", "rows and columns of patches swapped"),
    ("patch_embedding_forward", "split_patches(x, side)", "x.reshape(len(x), -1, len(w))",
     "reshaped: strips of rows, not patches"),
    ("patch_embedding_backward", "join_patches(dpatches, picture, side)", "dpatches.reshape(-1, *picture)",
     "reshaped: pixels in the wrong places"),
    ("encoder_layer_forward", '_norm(x + new, params, "norm1")', '_norm(new, params, "norm1")',
     "no way around the attention"),
    ("encoder_layer_forward", '"gelu"', '"relu"', "the decoder's activation"),
    ("encoder_layer_forward", "new, dropped2 = _drop(new, dropout_param)", "dropped2 = (None, None)",
     "the second branch not dropped"),
    ("encoder_layer_backward", "dx + dquery + dkey + dvalue", "dx + dquery", "x is key and value as well"),
    ("encoder_layer_backward", "dropout_backward(dx, dropped1)", "dx", "mask ignored"),
    ("encoder_layer_init", 'in "kqvo"', 'in "qkvo"', "drawn in another order", "_layer_init"),
    ("linear_beta_schedule", "0.02 * scale", "0.02", "the end not scaled to the number of steps"),
    ("cosine_beta_schedule", "np.pi / 2) ** 2", "np.pi / 2)", "the cosine not squared"),
    ("cosine_beta_schedule", "np.minimum(1 - left[1:] / left[:-1], 0.999)", "1 - left[1:] / left[:-1]", "not cut off"),
    ("q_sample", "np.sqrt(1 - left)", "(1 - left)", "the noise's variance for its deviation"),
    ("q_sample", "np.cumprod(1 - betas)", "1 - betas", "one step of noise for all up to t"),
    ("predict_start_from_noise", "/ at(np.sqrt(left), t, x_t)", "", "not divided by what is left of the picture"),
    ("predict_noise_from_start", "/ at(np.sqrt(1 - left), t, x_t)", "/ at(np.sqrt(left), t, x_t)", "roots swapped"),
    ("q_posterior", "np.append(1.0, left[:-1])", "left", "a of this step for that of the step before"),
    ("q_posterior", "np.sqrt(betas * (1 - before) / (1 - left))", "np.sqrt(betas)",
     "the other of the paper's deviations"),
    ("q_posterior", "np.sqrt(betas * (1 - before) / (1 - left))", "betas * (1 - before) / (1 - left)",
     "variance for deviation"),
    ("silu_forward", "return x * gate", "return gate", "the gate alone"),
    ("silu_backward", "gate * (1 + x * (1 - gate))", "gate * (1 - gate)", "the sigmoid's slope"),
    ("silu_backward", "(1 + x * (1 - gate))", "1", "the gate's own slope left out"),
    ("upsample_forward", "x.repeat(factor, axis=2)", "np.tile(x, (1, 1, factor, 1))", "the image beside itself"),
    ("upsample_backward", ".sum(axis=(3, 5))", "[:, :, :, 0, :, 0]", "the gradient of one copy only"),
    ("modulate_forward", "1 + scale_shift", "scale_shift", "a scale of 0 shuts the channel"),
    ("modulate_backward", "(dout * x).sum(axis=(2, 3)), dout", "dout.sum(axis=(2, 3)), dout", "x forgotten in dscale"),
    ("modulate_backward", "dout * factor, np", "dout, np", "the scale forgotten on the way back"),
    ("resnet_block_forward", "return around + h", "return h", "no way around"),
    ("resnet_block_forward", "h, modulate = modulate_forward", "_, modulate = modulate_forward",
     "the embedding computed and thrown away"),
    ("resnet_block_backward", "return dx + daround", "return dx", "the way around left out"),
    ("resnet_block_backward", "modulate_backward(silu_backward(dh, silu2), modulate)",
     "modulate_backward(dh, modulate)", "SiLU forgotten on the way back"),
    ("embed_forward", "h + of_class", "h", "the class ignored"),
    ("embed_backward", "silu_backward(dh, silu1), first", "dh, first", "SiLU forgotten on the way back"),
    ("unet_forward", "[h, skips[i]]", "[skips[i], h]", "the skip before the way up"),
    ("unet_forward", "[h, skips[i]]", "[h, h[:, : skips[i].shape[1]]]", "no skip connection"),
    ("unet_backward", "dh + dskips[i]", "dh", "nothing flows back along the skips"),
    ("unet_backward", "demb = demb + demb_of_block", "demb = demb_of_block", "= for +=: the time of one block only"),
    ("sim", "/ (np.sqrt(z_i @ z_i) * np.sqrt(z_j @ z_j))", "/ (z_i @ z_i * (z_j @ z_j))", "squares for lengths"),
    ("simclr_loss_naive", "if k != i]", "]", "a view is its own candidate"),
    ("simclr_loss_naive", "for a, b in ((i, k), (k, i))", "for a, b in ((i, k),)", "only the view itself learns"),
    ("simclr_loss_naive", "- sim(out[a], out[b]) * out[a] / norm_a", "", "the length's path left out"),
    ("sim_positive_pairs", "normalized(out_left)[0]", "out_left", "the left views not normalized"),
    ("compute_sim_matrix", "directions, _ = normalized(out)", "directions = out", "dot products for cosines"),
    ("simclr_loss_vectorized", "scores[views, views] = -np.inf", "pass", "a view is its own candidate"),
    ("simclr_loss_vectorized", "dscores + dscores.T", "dscores", "only the view itself learns"),
    ("simclr_loss_vectorized", "/ (2 * N * tau)", "/ (2 * N)", "the temperature forgotten on the way back"),
    ("simclr_loss_vectorized", "(views + N) % (2 * N)", "views[::-1]", "partners counted from the end"),
]  # fmt: skip
IN_NETS = [
    ("neural_net.TwoLayerNet", "2 * reg * p[name]", "reg * p[name]", "0.5 in the gradient, not in the loss",
     "TwoLayerNet.loss"),
    ("neural_net.TwoLayerNet", 'in ("W1", "W2")', "in p", "weight decay on biases", "TwoLayerNet.loss"),
    ("TwoLayerNet", "self.add_weight_decay(loss, grads), grads", "loss, grads", "weight decay forgotten",
     "TwoLayerNet.loss"),
    ("FullyConnectedNet", "range(last - 1, 0, -1)", "range(last - 1, 1, -1)", "the first layer never learns",
     "FullyConnectedNet._backward"),
    ("FullyConnectedNet", "affine_backward(dout, last_cache)", "affine_backward(dout / 2, last_cache)",
     "a factor on the way back", "FullyConnectedNet._backward"),
    ("ThreeLayerConvNet", "relu_backward(max_pool_backward_fast(dpooled, pool_cache), relu_cache)",
     "max_pool_backward_fast(dpooled, pool_cache)", "ReLU forgotten on the way back", "ThreeLayerConvNet.loss"),
    ("DeepConvNet", "dout = relu_backward(dout, relu_cache)", "pass", "ReLU forgotten on the way back",
     "DeepConvNet.conv_backward"),
    ("VisionTransformer", "x.mean(axis=1)", "x[:, 0]", "the first patch for the mean", "VisionTransformer.forward"),
    ("VisionTransformer", "dmean[:, None] / shape[1]", "dmean[:, None]", "1/P missing", "VisionTransformer.backward"),
    ("VisionTransformer", "dx.sum(axis=0)", "dx.mean(axis=0)", "mean for sum: positions serve every picture",
     "VisionTransformer.backward"),
    ("CaptioningRNN", "targets != self._null", "targets == targets", "<NULL> counts", "CaptioningRNN.loss"),
    ("CaptioningRNN", "captions[:, :-1], captions[:, 1:]", "captions[:, :-1], captions[:, :-1]",
     "each word predicts itself", "CaptioningRNN.loss"),
    ("CaptioningTransformer", "self.positions[:T]", "self.positions[0]", "every word in the first place",
     "CaptioningTransformer.forward"),
    ("CaptioningTransformer", "dmemory = dmemory + dmore", "dmemory = dmore", "= for +=: the memory of one layer only",
     "CaptioningTransformer.backward"),
    ("CaptioningTransformer", "np.tri(T)", "np.ones((T, T))", "the future is visible", "CaptioningTransformer.forward"),
    ("GaussianDiffusion", "np.mean(weighted * error)", "np.sum(weighted * error)", "sum for mean in the loss",
     "GaussianDiffusion.p_losses"),
    ("GaussianDiffusion", "weighted * error.dtype.type(2 / error.size)", "weighted * error.dtype.type(1 / error.size)",
     "the square's 2 forgotten", "GaussianDiffusion.p_losses"),
    ("GaussianDiffusion", "x_start = 2 * x_start - 1", "pass", "pictures in 0..1 under noise of mean 0",
     "GaussianDiffusion.errors"),
    ("GaussianDiffusion", "left / (1 - left)", "np.ones(timesteps)", "the picture's error not weighted",
     "GaussianDiffusion.__init__"),
]  # fmt: skip
# What is no mistake, though it makes other numbers than torch's: it is right by the course.
ACCEPTED = [
    Mistake("adam", "config[\"m\"] / (1 - beta1**t) / (np.sqrt(config[\"v\"] / (1 - beta2**t)) + eps)",
            "np.sqrt(1 - beta2**t) / (1 - beta1**t) * config[\"m\"] / (np.sqrt(config[\"v\"]) + eps)",
            "epsilon is added before the bias correction, the second form of Kingma and Ba", "_adam"),
]  # fmt: skip
MISTAKES, NET_MISTAKES = ([Mistake(*row) for row in rows] for rows in (IN_LAYERS, IN_NETS))
