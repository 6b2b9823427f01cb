"""The two-layer net of assignment 1 as it was from 2018 to 2020, which trains itself."""

import numpy as np

from from_scratch import checks
from from_scratch.affine import affine_backward, affine_forward
from from_scratch.classifiers.fc_net import read_sizes
from from_scratch.initialization import gaussian
from from_scratch.layer_utils import affine_relu_backward, affine_relu_forward
from from_scratch.losses import softmax_loss

# N batch, D input features, H hidden units, C classes


class TwoLayerNet:
    """affine - ReLU - affine - softmax, in float64; fc_net.py has the net of the same name that a Solver trains.

    `params`: W1 (D, H), b1, W2 (H, C), b2; weights Gaussian with `std`, biases zero. `rng` draws them (default:
    NumPy's global generator). Raises ValueError for sizes below 1. Source: CS231n assignment 1, 2018 to 2020.
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, std: float = 1e-4, rng: object = np.random
    ) -> None:
        sizes, self.params = read_sizes(input_size, [hidden_size], output_size), {}
        for layer in (1, 2):
            self.params[f"W{layer}"] = gaussian(sizes[layer - 1 : layer + 1], std, rng)
            self.params[f"b{layer}"] = np.zeros(sizes[layer])

    def loss(self, X: np.ndarray, y: np.ndarray | None = None, reg: float = 0.0) -> np.ndarray | tuple[float, dict]:
        """Scores (N, C) of X (N, D); with labels y (N,) the loss and its gradients.

        loss = mean cross-entropy + reg (sum of W1^2 + sum of W2^2), without the 0.5 of assignment 2
        """
        p, grads = self.params, {}
        hidden, cache1 = affine_relu_forward(X, p["W1"], p["b1"])
        scores, cache2 = affine_forward(hidden, p["W2"], p["b2"])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        dhidden, grads["W2"], grads["b2"] = affine_backward(dscores, cache2)
        _, grads["W1"], grads["b1"] = affine_relu_backward(dhidden, cache1)
        for name in ("W1", "W2"):
            loss += reg * np.sum(p[name] * p[name])
            grads[name] += 2 * reg * p[name]
        return loss, grads

    def train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        X_val: np.ndarray,
        y_val: np.ndarray,
        learning_rate: float = 1e-3,
        learning_rate_decay: float = 0.95,
        reg: float = 5e-6,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
        rng: object = np.random,
    ) -> dict[str, list[float]]:
        """Stochastic gradient descent; the learning rate decays once an epoch, after its first step, as in the course.

        X (N, D), whole y (N,), X_val, y_val -> loss_history (every step), train_acc_history (of the batch) and
        val_acc_history (both once an epoch). Batches are drawn with replacement, by `rng` (default: NumPy's global
        generator). Raises ValueError or TypeError for what does not fit.
        """
        for name, number in (("num_iters", num_iters), ("batch_size", batch_size)):
            checks.size(name, number)
        history = {"loss_history": [], "train_acc_history": [], "val_acc_history": []}
        epoch = max(len(X) // batch_size, 1)
        for step in range(num_iters):
            batch = rng.choice(len(X), batch_size)
            loss, grads = self.loss(X[batch], y[batch], reg)
            history["loss_history"].append(loss)
            self.params = {name: w - learning_rate * grads[name] for name, w in self.params.items()}
            if verbose and step % 100 == 0:
                print(f"iteration {step} / {num_iters}: loss {loss:f}")
            if step % epoch == 0:
                history["train_acc_history"].append(np.mean(self.predict(X[batch]) == y[batch]))
                history["val_acc_history"].append(np.mean(self.predict(X_val) == y_val))
                learning_rate *= learning_rate_decay
        return history

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The class of the highest score of each row of X (N, D): (N,)."""
        return self.loss(X).argmax(axis=1)
