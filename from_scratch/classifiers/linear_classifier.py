"""Linear classifiers: scores X W, trained by stochastic gradient descent."""

import numpy as np

from from_scratch import checks
from from_scratch.classifiers.linear_svm import svm_loss_vectorized
from from_scratch.classifiers.softmax import softmax_loss_vectorized

# N batch, D input features (a 1 among them for the bias), C classes


class LinearClassifier:
    """What LinearSVM and Softmax share; `W` (D, C) is None before the training. Source: CS231n assignment 1."""

    def __init__(self) -> None:
        self.W: np.ndarray | None = None

    def train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        learning_rate: float = 1e-3,
        reg: float = 1e-5,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
        rng: object = np.random,
    ) -> list[float]:
        """Descend from W = 0.001 randn, or from where the last training ended; returns the loss of every step.

        X (N, D), whole y (N,). Batches are drawn with replacement. `rng` draws weights and batches (default: NumPy's
        global generator, in the course's order). Raises ValueError or TypeError for what does not fit.
        """
        checks.floats("X", X, 2)
        for name, number in (("num_iters", num_iters), ("batch_size", batch_size)):
            checks.size(name, number)
        if self.W is None:
            draw = getattr(rng, "randn", None) or (lambda *shape: rng.standard_normal(shape))
            self.W = 0.001 * draw(X.shape[1], int(np.max(y)) + 1)
        losses = []
        for step in range(num_iters):
            batch = rng.choice(len(X), batch_size)
            loss, dW = self.loss(X[batch], y[batch], reg)
            losses.append(loss)
            self.W = self.W - learning_rate * dW
            if verbose and step % 100 == 0:
                print(f"iteration {step} / {num_iters}: loss {loss:f}")
        return losses

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The class of the highest score of each row of X (N, D): (N,)."""
        return (X @ self.W).argmax(axis=1)

    def loss(self, X_batch: np.ndarray, y_batch: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
        """The loss and its gradient dW (D, C)."""
        raise NotImplementedError(f"{type(self).__name__} has no loss: take LinearSVM or Softmax")

    def save(self, fname: str) -> None:
        """Write W to a file of just this name."""
        with open(fname, "wb") as file:
            np.save(file, self.W)

    def load(self, fname: str) -> None:
        """Read what `save` wrote; raises ValueError for anything else."""
        with open(fname, "rb") as file:
            self.W = np.load(file, allow_pickle=False)


class LinearSVM(LinearClassifier):
    """A linear classifier with the multiclass hinge loss."""

    def loss(self, X_batch: np.ndarray, y_batch: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
        """See `svm_loss_vectorized`."""
        return svm_loss_vectorized(self.W, X_batch, y_batch, reg)


class Softmax(LinearClassifier):
    """A linear classifier with the softmax's cross-entropy."""

    def loss(self, X_batch: np.ndarray, y_batch: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
        """See `softmax_loss_vectorized`."""
        return softmax_loss_vectorized(self.W, X_batch, y_batch, reg)
