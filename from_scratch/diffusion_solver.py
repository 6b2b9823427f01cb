"""Training of diffusion models."""

import numpy as np

from from_scratch.solver import LossSolver


class DiffusionSolver(LossSolver):
    """Trains a `GaussianDiffusion` on pictures in 0..1 and their classes: X_train, y_train, X_val, y_val.

    The options are the Solver's. The validation loss is of `num_val_samples` pictures, at steps spread evenly over all
    and with the same noise each time, so that two measurements differ by the net alone.
    """

    def check_loss(self, split: str = "val", num_samples: int | None = None) -> float:
        """The unweighted mean squared error on the first pictures of a split."""
        X, y = (getattr(self, f"{kind}_{split}")[:num_samples] for kind in "Xy")
        t = np.linspace(0, self.model.num_timesteps - 1, len(X)).astype(int)
        noise = np.random.default_rng(0).standard_normal(X.shape).astype(X.dtype)
        error, _ = self.model.errors(X, t, noise, y)
        return float(np.mean(error * error))
