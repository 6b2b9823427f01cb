"""Cases of nearest neighbors, linear classifiers, the notebooks FullyConnectedNets, BatchNormalization and Dropout;
update rules and initializers."""

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from comparisons import reference
from comparisons.case import Case, Draw
from comparisons.reference import TorchsMask, TorchsNormals
from from_scratch import initialization, layer_utils, layers, normalization, optim
from from_scratch.classifiers import linear_svm, softmax
from from_scratch.classifiers.k_nearest_neighbor import KNearestNeighbor


def images(draw, N, C, H, W):
    return dict(x=draw(N, C, H, W))


def rows(draw, N, D):
    return dict(x=draw(N, D))


def affine(draw, N, C, H, W, M):
    return images(draw, N, C, H, W) | dict(w=draw(C * H * W, M), b=draw(M))


def scores(draw, N, C):
    return dict(x=draw(N, C), y=draw.whole(C, N))


def linear(draw, N, D, C):
    return dict(W=draw(D, C), X=draw(N, D), y=draw.whole(C, N), reg=0.3)


LINEAR = [
    Case(function.__name__, function, None, reference.with_gradient(loss), linear, sizes={"N": 11},
         outputs=("loss", "dW"))
    for loss, functions in (
        (reference.linear_svm, (linear_svm.svm_loss_naive, linear_svm.svm_loss_vectorized)),
        (reference.linear_softmax, (softmax.softmax_loss_naive, softmax.softmax_loss_vectorized)),
    )
    for function in functions
]  # fmt: skip


def neighbors(draw, N, S, D):
    return dict(X_train=draw(N, D), X=draw(S, D))


def voting(draw, N, S, C):
    return dict(y_train=draw.whole(C, N), dists=np.abs(draw(S, N)), k=min(4, N))


def of_trained(method: Callable, X_train: np.ndarray, X: np.ndarray) -> np.ndarray:
    knn = KNearestNeighbor()
    knn.X_train = X_train
    return method(knn, X)


def by_vote(method: Callable, y_train: np.ndarray, dists: np.ndarray, k: int) -> np.ndarray:
    knn = KNearestNeighbor()
    knn.y_train = y_train
    chosen = method(knn, dists, k)  # the course keeps labels as floats
    return chosen.astype(y_train.dtype) if np.array_equal(chosen, np.rint(chosen)) else chosen


WAYS = [getattr(KNearestNeighbor, f"compute_distances_{loops}") for loops in ("two_loops", "one_loop", "no_loops")]
NEIGHBORS = [
    *(Case(way.__name__, way, None, reference.distances, neighbors, sizes={"N": 11}, outputs=("dists",),
           call=of_trained) for way in WAYS),
    Case("predict_labels", KNearestNeighbor.predict_labels, None, reference.vote, voting, sizes={"N": 11, "S": 23},
         outputs=("y_pred",), call=by_vote),
]  # fmt: skip
LOSS = dict(sizes={"N": 11}, outputs=("loss", "dx"))
FULLY_CONNECTED = [
    Case("affine", layers.affine_forward, layers.affine_backward, reference.affine, affine),
    Case("relu", layers.relu_forward, layers.relu_backward, F.relu, images),
    Case("leaky_relu", layers.leaky_relu_forward, layers.leaky_relu_backward, F.leaky_relu,
         lambda draw, N, C, H, W: dict(x=draw(N, C, H, W), slope=0.2)),
    Case("sigmoid", layers.sigmoid_forward, layers.sigmoid_backward, torch.sigmoid, rows),
    Case("tanh", layers.tanh_forward, layers.tanh_backward, torch.tanh, rows),
    Case("affine_relu", layer_utils.affine_relu_forward, layer_utils.affine_relu_backward, reference.affine_relu,
         affine),
    Case("softmax_loss", layers.softmax_loss, None, reference.with_gradient(F.cross_entropy), scores, **LOSS),
    Case("svm_loss", layers.svm_loss, None, reference.with_gradient(reference.svm_loss), scores, **LOSS),
]  # fmt: skip


def trajectory(rule: Callable, w: np.ndarray, gradients: np.ndarray, rates: list, decay: float, config: dict) -> dict:
    """An update rule over 100 steps: the weights on the way, and the state at the end."""
    results, config = {}, copy.deepcopy(config)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        config |= {} if rate is None else {"learning_rate": rate}
        w, config = rule(w, gradient + w.dtype.type(decay) * w, config)
        if step in (1, 10, len(gradients)):
            results[f"w after {step}"] = w.copy()  # a rule may go on writing into it
    return results | {name: value for name, value in config.items() if isinstance(value, np.ndarray)}


def rule_cases(rule: Callable, rate: float = 1e-2, decay: float = 0.3, **config: float) -> list[Case]:
    """Two cases of a rule: as it comes, and with every option changed, rates that vary and weight decay."""

    def case(note: str, **options: object) -> Case:
        def inputs(draw, D, M):
            return dict(w=draw(D, M), gradients=draw(100, D, M)) | copy.deepcopy(options)

        theirs = partial(reference.trajectory, rule.__name__)
        return Case(f"{rule.__name__}, {note}", rule, None, theirs, inputs, call=trajectory)

    waves = [0.1 * rate * (2 + np.cos(step / 7)) for step in range(100)]
    varied = case("rates vary, L2" if decay else "rates vary", rates=waves, decay=decay, config=config)
    return [case("defaults", rates=[None] * 100, decay=0.0, config={}), varied]


def begun(draw, D, M):
    """Adam after five steps, where a t that is counted too late divides by no zero."""
    config = {"t": 5, "m": draw(D, M), "v": np.abs(draw(D, M))}
    return dict(w=draw(D, M), gradients=draw(100, D, M), rates=[None] * 100, decay=0.0, config=config)


# Epsilons as large as this tell whether they stand inside or outside of the root.
UPDATE_RULES = [
    *rule_cases(optim.sgd),
    *rule_cases(optim.sgd_momentum, momentum=0.7),
    *rule_cases(optim.nesterov, momentum=0.7),
    *rule_cases(optim.adagrad, epsilon=0.1),
    *rule_cases(optim.rmsprop, decay_rate=0.8, epsilon=0.1),
    *rule_cases(optim.adam, 1e-3, beta1=0.8, beta2=0.95, epsilon=0.1),
    Case("adam, begun", optim.adam, None, partial(reference.trajectory, "adam"), begun, call=trajectory),
    *rule_cases(optim.adamw, 1e-3, decay=0, beta1=0.8, beta2=0.95, epsilon=0.1, weight_decay=0.3),
]


def weights(draw: Draw, *shape: int, **option: float) -> dict:
    return dict(shape=shape) | option | dict(rng=TorchsNormals(3), dtype=draw.dtype)


def filters(draw, F, C, HH, WW):
    return weights(draw, F, C, HH, WW)


def wide(draw, D, M):
    draw.needs(D < M)  # of a square matrix torch decomposes the transposed
    return weights(draw, D, M, gain=1.7)


def tall(draw, D, M):
    draw.needs(D < M)
    return weights(draw, M, D, gain=1.7)


INITIALIZERS = [
    Case("gaussian", initialization.gaussian, None, reference.gaussian,
         lambda draw, D, M: weights(draw, D, M, scale=0.05)),
    Case("xavier", initialization.xavier, None, reference.xavier, lambda draw, D, M: weights(draw, D, M)),
    Case("xavier, filters", initialization.xavier, None, reference.xavier, filters),
    Case("he", initialization.he, None, reference.he, lambda draw, D, M: weights(draw, D, M)),
    Case("he, filters", initialization.he, None, reference.he, filters),
    Case("orthogonal, wide", initialization.orthogonal, None, reference.orthogonal, wide),
    Case("orthogonal, tall", initialization.orthogonal, None, reference.orthogonal, tall),
    Case("orthogonal, filters", initialization.orthogonal, None, reference.orthogonal,
         lambda draw, F, C, HH, WW: weights(draw, F, C, HH, WW, gain=1.7)),
]  # fmt: skip


def averages(draw: Draw, features: int, mode: str = "train") -> dict:
    """Batch norm's options, all of them other than the defaults, with running averages of a past."""
    past = dict(running_mean=draw(features), running_var=draw.rng.uniform(0.5, 2, features).astype(draw.dtype))
    return {"mode": mode, "eps": 1e-3, "momentum": 0.8} | past


def norm(draw, N, D):
    return dict(x=draw(N, D), gamma=draw(D), beta=draw(D))


def batchnorm(draw, N, D):
    draw.needs(N > 1)  # torch takes no batch of one
    return norm(draw, N, D) | dict(bn_param=averages(draw, D))


def groupnorm(draw, N, G, K):
    draw.needs(N * K > 1)  # nor a group of one number
    return norm(draw, N, G * K) | dict(gn_param={"G": G, "eps": 1e-3})


def centering(draw, N, D):
    return dict(x=draw(N, D), axis=1, eps=1e-3)


def through_standardize(backward: Callable, dx_hat: np.ndarray, x: np.ndarray, axis: int, eps: float) -> np.ndarray:
    return backward(dx_hat, *normalization.standardize(x, axis, eps)[:2], axis)


def last_of_batches(forward: Callable, batches: np.ndarray, *scale_and_options: object) -> np.ndarray:
    return [forward(x, *scale_and_options)[0] for x in batches][-1]


def without_cache(forward: Callable, *inputs: object) -> np.ndarray:
    return forward(*inputs)[0]


BATCH = dict(sizes={"N": 11})  # two examples leave hardly a gradient
BATCH_NORM = layers.batchnorm_forward, layers.batchnorm_backward, reference.batchnorm
LAYER_NORM = layers.layernorm_forward, layers.layernorm_backward, reference.layernorm
NORMALIZATION = [
    Case("standardize", normalization.standardize, None, reference.standardize, centering,
         outputs=("x_hat", "std", "mean", "var")),
    Case("standardize_backward", normalization.standardize_backward, None, reference.standardize_backward,
         lambda draw, N, D: dict(dx_hat=draw(N, D)) | centering(draw, N, D), call=through_standardize),
    Case("batchnorm", *BATCH_NORM, batchnorm, **BATCH),
    Case("batchnorm, defaults", *BATCH_NORM,
         lambda draw, N, D: batchnorm(draw, N, D) | dict(bn_param={"mode": "train"}), **BATCH),
    Case("batchnorm, backward_alt", layers.batchnorm_forward, layers.batchnorm_backward_alt, reference.batchnorm,
         batchnorm, **BATCH),
    Case("batchnorm, test mode", layers.batchnorm_forward, None, reference.batchnorm,
         lambda draw, N, D: norm(draw, N, D) | dict(bn_param=averages(draw, D, "test")), call=without_cache),
    Case("batchnorm_forward, 7 batches", layers.batchnorm_forward, None, reference.batchnorm_of_batches,
         lambda draw, N, D: batchnorm(draw, N, D) | dict(x=draw(7, N, D), bn_param={"mode": "train"}),
         call=last_of_batches, **BATCH),
    Case("layernorm", *LAYER_NORM, lambda draw, N, D: norm(draw, N, D) | dict(ln_param={"eps": 1e-3})),
    Case("layernorm, defaults", *LAYER_NORM, lambda draw, N, D: norm(draw, N, D) | dict(ln_param={})),
    Case("groupnorm", layer_utils.groupnorm_forward, layer_utils.groupnorm_backward, reference.groupnorm,
         groupnorm),
]  # fmt: skip


def dropping(draw: Draw, mode: str = "train", keep: float = 0.7) -> dict:
    """Dropout's options; NumPy's layer gets torch's mask by way of its generator."""
    return {"p": keep, "mode": mode, "rng": TorchsMask(7, keep, draw.dtype)}


DROP = layers.dropout_forward, layers.dropout_backward, reference.dropout
DROPOUT = [
    Case("dropout", *DROP, lambda draw, N, C, H, W: dict(x=draw(N, C, H, W), dropout_param=dropping(draw))),
    Case("dropout, keeping 0.3", *DROP,
         lambda draw, N, C, H, W: dict(x=draw(N, C, H, W), dropout_param=dropping(draw, keep=0.3))),
    Case("dropout, test mode", *DROP,
         lambda draw, N, C, H, W: dict(x=draw(N, C, H, W), dropout_param=dropping(draw, mode="test"))),
]  # fmt: skip


def block(draw, N, D, M, normalization=None, norm_param=None, dropout_param=None):
    """affine - norm - ReLU - dropout."""
    params = dict(x=draw(N, D), w=draw(D, M), b=draw(M))
    params |= dict(gamma=draw(M), beta=draw(M)) if normalization else dict(gamma=None, beta=None)
    return params | dict(normalization=normalization, norm_param=norm_param, dropout_param=dropout_param)


def block_with_batchnorm(draw, N, D, M):
    draw.needs(N > 1)
    return block(draw, N, D, M, "batchnorm", averages(draw, M))


def block_with_groupnorm(draw, N, D, M, G):
    draw.needs(M % G == 0 and M > G)
    return block(draw, N, D, M, "groupnorm", {"G": G, "eps": 1e-3}, dropping(draw))


BLOCK = (
    layer_utils.affine_norm_relu_dropout_forward,
    layer_utils.affine_norm_relu_dropout_backward,
    reference.affine_norm_relu_dropout,
)
BLOCKS = [
    Case("affine_norm_relu_dropout, no norm", *BLOCK, lambda draw, N, D, M: block(draw, N, D, M)),
    Case("affine_norm_relu_dropout, batch norm", *BLOCK, block_with_batchnorm, vanishing=("db",),  # it takes b away
         **BATCH),
    Case("affine_norm_relu_dropout, layer norm, dropout", *BLOCK,
         lambda draw, N, D, M: block(draw, N, D, M, "layernorm", {"eps": 1e-3}, dropping(draw))),
    Case("affine_norm_relu_dropout, group norm, dropout", *BLOCK, block_with_groupnorm, sizes={"M": 6}),
]  # fmt: skip
