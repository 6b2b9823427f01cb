"""Mistakes in dense layers, norms of rows, dropout, update rules and initialisers."""

from comparisons.mistakes import Mistake

FULLY_CONNECTED = [
    Mistake("affine_forward", "@ w + b", "@ w", "bias forgotten"),
    Mistake("affine_backward", "dout.sum(axis=0)", "dout.mean(axis=0)", "mean for sum in db"),
    Mistake("affine_backward", "dout @ w.T", "dout @ w.ravel().reshape(w.shape[::-1])", "w reshaped, not transposed"),
    Mistake("affine_backward", ".T @ dout,", ".T @ dout / len(x),", "1/N in dw, though the loss has it already"),
    Mistake("relu_forward", "np.maximum(x, 0)", "np.abs(x)", "absolute value for positive part"),
    Mistake("relu_backward", "dout * (cache > 0)", "dout * (dout > 0)", "gradient cut where it is negative itself"),
    Mistake("relu_backward", "cache > 0", "cache < 0", "gradient passed where nothing passed"),
    Mistake("relu_backward", "return dout * (cache > 0)", "dout *= cache > 0\n    return dout", "dout written into"),
    Mistake("leaky_relu_forward", "float(slope) * x), (", "x / 100), (", "slope ignored"),
    Mistake("leaky_relu_backward", "slope * dout)", "0 * dout)", "the plain ReLU's backward"),
    Mistake("sigmoid", "np.where(x < 0, e, np.ones((), x.dtype))", "np.ones((), x.dtype)", "no case for negative x"),
    Mistake("sigmoid_forward", "sigmoid(x), x", "2 * sigmoid(x) - 1, x", "tanh's range"),
    Mistake("sigmoid_backward", "(1 + e) ** 2", "(1 + e)", "only one factor of out (1 - out)"),
    Mistake("tanh_forward", "np.tanh(x)", "np.tanh(x / 2)", "the sigmoid's argument"),
    Mistake("tanh_backward", "-2 * np.abs", "-np.abs", "the sigmoid's e"),
    Mistake("affine_relu_forward", "relu_forward(a)", "(a, a)", "ReLU forgotten"),
    Mistake("affine_relu_backward", "relu_backward(dout, relu_cache)", "dout", "ReLU forgotten on the way back"),
    Mistake("softmax_loss", "dx / N", "dx", "1/N missing in dx"),
    Mistake("softmax_loss", "[np.arange(N), y].mean()", "[np.arange(N), y].sum()", "sum for mean in the loss"),
    Mistake("softmax_loss", "dx[np.arange(N), y] -= 1", "dx[:, y] -= 1", "the label's column in all rows"),
    Mistake("softmax_loss", "axis=1, keepdims=True))", "axis=0, keepdims=True))", "normalised over the batch"),
    Mistake("svm_loss", "margins[np.arange(N), y] = 0", "pass", "the true class counts a margin of 1"),
    Mistake("svm_loss", "-dx.sum(axis=1)", "-1", "the true class pays for one violation only"),
]

RULES = [
    Mistake("sgd", "w - lr * dw", "w + lr * dw", "uphill"),
    Mistake("sgd_momentum", "- lr * dw", "+ lr * dw", "uphill"),
    Mistake("sgd_momentum", 'momentum * config["velocity"] - lr', '(1 - momentum) * config["velocity"] - lr', "1 - mu"),
    Mistake("nesterov", 'w + momentum * config["velocity"] - lr * dw', 'w + config["velocity"]', "no look ahead"),
    Mistake("adagrad", 'config["cache"] + dw * dw', "dw * dw", "= for +=: only the last square"),
    Mistake("adagrad", 'np.sqrt(config["cache"]) + eps', 'np.sqrt(config["cache"] + eps)', "epsilon inside the root"),
    Mistake("rmsprop", 'np.sqrt(config["cache"]) + eps', 'np.sqrt(config["cache"] + eps)', "epsilon inside the root"),
    Mistake("rmsprop", "(1 - decay) * dw * dw", "dw * dw", "1 - decay missing"),
    Mistake("adam", "(1 - beta1**t)", "1", "first moment not freed of its start", where="_adam"),
    Mistake("adam", 'config.get("t", 0) + 1', 'max(1, config.get("t", 0))', "t counted too late", where="_adam"),
    Mistake("adam", "(1 - beta2) * dw * dw", "(1 - beta2) * dw", "dw for its square", where="_adam"),
    Mistake("adamw", "decay * w + step", "step", "weight decay forgotten"),
    Mistake("adamw", "(decay * w + step)", "step - decay * w", "decay without the rate"),
]

INITIALISERS = [
    Mistake("gaussian", "float(scale)", "float(scale) ** 2", "variance for deviation"),
    Mistake("xavier", "2 / sum(fans(shape))", "1 / sum(fans(shape))", "factor 2 missing"),
    Mistake("he", "fans(shape)[0]", "fans(shape)[1]", "fan out for fan in"),
    Mistake("he", "shape[1] * field, shape[0] * field", "shape[1], shape[0]", "window not counted", where="fans"),
    Mistake("orthogonal", "np.where(np.diag(r) < 0, -1.0, 1.0)", "1.0", "signs of the QR left as they come"),
    Mistake("orthogonal", "float(gain) *", "", "gain ignored"),
]

BATCH_NORMALIZATION = [
    Mistake("standardise", "x_hat * x_hat, axis=axis, keepdims=True)", "x_hat * x_hat)", "one variance for all rows"),
    Mistake("standardise_backward", "- x_hat * along", "", "the variance's path left out"),
    Mistake("batchnorm_forward", "momentum * old + (1 - momentum) * new[0]", "(1 - momentum) * old + momentum * new[0]",
            "momentum as torch means it"),
    Mistake("batchnorm_forward", "momentum * old + (1 - momentum) * new[0]", "new[0]", "no running average"),
    Mistake("batchnorm_forward", "np.mean(x_hat * x_hat, axis=axis, keepdims=True)",
            "np.sum(x_hat * x_hat, axis=axis, keepdims=True) / (x.shape[axis] - 1)", "unbiased variance",
            where="standardise"),
    Mistake("batchnorm_forward", "np.sqrt(running[1] + eps)", "(running[1] + eps)", "root forgotten in test mode"),
    Mistake("batchnorm_forward", "float(eps))", "0)", "epsilon forgotten", where="standardise"),
    Mistake("batchnorm_backward", "dcentred + dmean / len(dout)", "dcentred", "the mean's path left out"),
    Mistake("batchnorm_backward", "dcentred += dvar * 2 *", "dcentred = dvar * 2 *", "= for +="),
    Mistake("batchnorm_backward", "x_hat * std) / len(dout)", "x_hat * std)", "1/N missing in the variance's path"),
    Mistake("batchnorm_backward_alt", "dx -= dbeta / len(dout)", "dx -= dbeta", "1/N missing"),
    Mistake("batchnorm_backward_alt", "dx *= gamma / std", "dx /= std", "gamma forgotten"),
    Mistake("layernorm_forward", "standardise(x, 1,", "standardise(x, 0,", "normalised over the batch"),
    Mistake("layernorm_backward", "(dout * x_hat).sum(axis=0)", "dout.sum(axis=0)", "x_hat forgotten in dgamma"),
    Mistake("layernorm_backward", "dout * gamma, x_hat", "dout, x_hat", "gamma forgotten"),
    Mistake("groupnorm_forward", "*scale, gn_param[\"G\"]", "*scale, 1", "one group for all channels"),
    Mistake("groupnorm_backward", "dgamma.ravel(), dbeta.ravel()", "dbeta.ravel(), dgamma.ravel()", "two swapped"),
    Mistake("affine_norm_relu_dropout_forward", "out, relu_cache = relu_forward(out)",
            "relu_cache = relu_forward(out)[1]", "ReLU's output thrown away"),
    Mistake("affine_norm_relu_dropout_forward", "out, dropout_cache = dropout_forward(out, dropout_param)",
            "dropout_cache = None", "dropout forgotten"),
    Mistake("affine_norm_relu_dropout_forward", "out, norm_cache = NORM", "_, norm_cache = NORM", "norm thrown away"),
    Mistake("affine_norm_relu_dropout_backward", "dout = relu_backward(dout, relu_cache)", "pass", "ReLU forgotten"),
    Mistake("affine_norm_relu_dropout_backward", "dout, dgamma, dbeta = NORM", "_, dgamma, dbeta = NORM",
            "the norm passes its gradient through unchanged"),
]  # fmt: skip

DROPOUT = [
    Mistake("dropout_forward", ".astype(x.dtype) / p", ".astype(x.dtype)", "not divided by p"),
    Mistake("dropout_forward", "random(x.shape) < p", "random(x.shape) < 1 - p", "p as torch means it"),
    Mistake("dropout_forward", "return x, (dropout_param, None)", "return x * p, (dropout_param, None)",
            "scaled in test mode too"),
    Mistake("dropout_backward", "return dout * mask", "return dout", "mask ignored"),
    Mistake("dropout_backward", "        return dout\n", "        return dout / 2\n", "scaled in test mode too"),
]  # fmt: skip
