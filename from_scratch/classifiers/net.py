"""What the classifiers share: regularization, and parameters in a file."""

import numpy as np

AVERAGES = ("running_mean", "running_var")


class Net:
    """A net of `params`, whose weights W decay by `reg`."""

    params: dict[str, np.ndarray]
    reg: float

    def add_weight_decay(self, loss: float, grads: dict[str, np.ndarray]) -> float:
        """The loss plus 0.5 reg sum W^2; reg W is added to the gradients. For weights alone: no bias, gamma or beta."""
        for name, w in self.params.items():
            if name.rpartition(".")[2].startswith("W") and self.reg:  # behind the name of a layer, too
                loss = loss + w.dtype.type(0.5 * self.reg) * np.sum(w * w)
                grads[name] = grads[name] + float(self.reg) * w
        return loss

    def save(self, fname: str) -> None:
        """Write the parameters, and the running averages of batch norm, to a file of just this name, as npz."""
        averages = {f"{key}{layer}": value for layer, bn_param in enumerate(getattr(self, "bn_params", []), 1)
                    for key, value in bn_param.items() if key in AVERAGES}  # fmt: skip
        with open(fname, "wb") as file:
            np.savez(file, **self.params, **averages)

    def load(self, fname: str) -> None:
        """Read what `save` wrote, into the net's own dtype; raises ValueError if it is not this net's."""
        try:
            with np.load(fname, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except OSError:
            raise
        except Exception as error:  # zip and npz each have their own
            raise ValueError(f"{fname} holds no parameters that a net saved: {error}") from error
        averages = {name: arrays.pop(name) for name in list(arrays) if name.startswith(AVERAGES)}
        shapes, wanted = ({name: w.shape for name, w in p.items()} for p in (arrays, self.params))
        if shapes != wanted:
            raise ValueError(f"{fname} holds the parameters {shapes}, and this net needs {wanted}")
        self.params = {name: array.astype(self.params[name].dtype) for name, array in arrays.items()}
        for name, value in averages.items():
            key, layer = name.rstrip("0123456789"), int(name.lstrip("abcdefghijklmnopqrstuvwxyz_"))
            self.bn_params[layer - 1][key] = value
