"""Training of captioning models, as the course does it."""

import numpy as np

from from_scratch.coco_utils import sample_coco_minibatch
from from_scratch.solver import LossSolver


class CaptioningSolver(LossSolver):
    """Trains a model that has `params` and `loss(features, captions)` on the dict of `load_coco_data`.

    The options are the Solver's; `augment(features, captions, rng)` gives each training batch. As in the course, only
    losses are tracked; with `num_val_samples`, beyond the course, the mean loss of so many validation captions is
    measured after each epoch too (`val_loss_history`), and the model ends with the parameters of the lowest.
    Raises ValueError or TypeError for options and data that do not fit. Source: CS231n, assignment 3.
    """

    def _read(self, data: dict) -> int:
        self.data = data
        for split in ("train",) if self.num_val_samples is None else ("train", "val"):
            for name in (f"{split}_captions", f"{split}_image_idxs", f"{split}_features"):
                if name not in data:
                    raise ValueError(f"data must have {name}, but has {', '.join(map(str, data)) or 'nothing'}")
        return len(data["train_captions"])

    def _minibatch(self) -> tuple[np.ndarray, np.ndarray]:
        captions, features, _ = sample_coco_minibatch(self.data, self.batch_size, "train", self.rng)
        return self.augment(features, captions, self.rng) if self.augment else (features, captions)

    def check_loss(self, split: str = "val", num_samples: int | None = None, batch_size: int = 100) -> float:
        """The mean loss of a split's captions, or of `num_samples` of them spread evenly over it."""
        captions, images = self.data[f"{split}_captions"], self.data[f"{split}_image_idxs"]
        chosen = np.linspace(0, len(captions) - 1, min(num_samples or len(captions), len(captions))).astype(int)
        total = 0.0
        for i in range(0, len(chosen), batch_size):
            part = chosen[i : i + batch_size]
            total += len(part) * self.model.loss(self.data[f"{split}_features"][images[part]], captions[part])[0]
        return float(total / len(chosen))
