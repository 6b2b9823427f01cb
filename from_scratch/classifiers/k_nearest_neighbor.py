"""The k nearest neighbors of a picture vote for its class."""

import numpy as np

from from_scratch import checks

# M test examples, N training examples, D features


class KNearestNeighbor:
    """Remembers all training examples, and compares with each of them. Source: CS231n assignment 1."""

    def train(self, X: np.ndarray, y: np.ndarray) -> None:
        """X (N, D) and whole y (N,) are kept as they are."""
        checks.floats("X", X, 2)
        checks.labels("y", y, X.shape[:1], int(np.max(y)) + 1)
        self.X_train, self.y_train = X, np.asarray(y)

    def predict(self, X: np.ndarray, k: int = 1, num_loops: int = 0) -> np.ndarray:
        """The classes (M,) of X (M, D) by `k` neighbors; distances by 0, 1 or 2 loops, with the same result."""
        ways = (self.compute_distances_no_loops, self.compute_distances_one_loop, self.compute_distances_two_loops)
        checks.choice("num_loops", num_loops, (0, 1, 2))
        return self.predict_labels(ways[num_loops](X), k)

    def compute_distances_two_loops(self, X: np.ndarray) -> np.ndarray:
        """Euclidean distances (M, N) of X (M, D) to the training examples, pair by pair."""
        distances = np.zeros((len(X), len(self.X_train)), X.dtype)
        for i in range(len(X)):
            for j in range(len(self.X_train)):
                distances[i, j] = np.sqrt(np.sum((X[i] - self.X_train[j]) ** 2))
        return distances

    def compute_distances_one_loop(self, X: np.ndarray) -> np.ndarray:
        """As `compute_distances_two_loops`, row by row."""
        distances = np.zeros((len(X), len(self.X_train)), X.dtype)
        for i in range(len(X)):
            distances[i] = np.sqrt(np.sum((X[i] - self.X_train) ** 2, axis=1))
        return distances

    def compute_distances_no_loops(self, X: np.ndarray) -> np.ndarray:
        """As `compute_distances_two_loops`, by one matrix product: |a - b|^2 = |a|^2 - 2 a b + |b|^2."""
        squares = np.sum(X**2, axis=1)[:, None] - 2 * X @ self.X_train.T + np.sum(self.X_train**2, axis=1)
        return np.sqrt(np.maximum(squares, 0))  # rounding may make the square of a zero distance negative

    def predict_labels(self, dists: np.ndarray, k: int = 1) -> np.ndarray:
        """The commonest class (M,) among the `k` training examples of the least distances (M, N); of several that are
        as common, the smallest."""
        checks.size("k", k)
        nearest = self.y_train[np.argsort(dists, axis=1, kind="stable")[:, :k]]  # (M, k)
        votes = (nearest[:, :, None] == np.arange(self.y_train.max() + 1)).sum(axis=1)  # (M, C)
        return votes.argmax(axis=1)
