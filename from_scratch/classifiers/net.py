"""What the classifiers share: regularisation, and parameters in a file."""

import numpy as np


class Net:
    """A net of `params`, whose weights W decay by `reg`."""

    params: dict[str, np.ndarray]
    reg: float

    def add_weight_decay(self, loss: float, grads: dict[str, np.ndarray]) -> float:
        """The loss plus 0.5 reg sum W^2; reg W is added to the gradients. For weights alone: no bias, gamma or beta."""
        for name, w in self.params.items():
            if name.startswith("W") and self.reg:
                loss = loss + w.dtype.type(0.5 * self.reg) * np.sum(w * w)
                grads[name] = grads[name] + float(self.reg) * w
        return loss

    def save(self, fname: str) -> None:
        """Write the parameters to a file of just this name, as npz."""
        with open(fname, "wb") as file:
            np.savez(file, **self.params)

    def load(self, fname: str) -> None:
        """Read the parameters that `save` wrote; raises ValueError if they are another net's."""
        with np.load(fname, allow_pickle=False) as file:
            params = {name: file[name] for name in file.files}
        shapes, wanted = ({name: w.shape for name, w in p.items()} for p in (params, self.params))
        if shapes != wanted:
            raise ValueError(f"{fname} holds the parameters {shapes}, and this net needs {wanted}")
        self.params = params
