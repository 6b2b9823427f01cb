"""Compute what `data.captions` reads for Flickr8k's photographs: `python -m tutorials.tools.caption_features`.

torchvision's SqueezeNet 1.0 (Iandola et al. 2016), trained on ImageNet, turns each photograph into 512 feature maps;
their averages over space are the features. Downloads the photographs (1.1 GB) and the weights (5 MB) when missing.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torchvision.models import SqueezeNet, squeezenet1_0
from torchvision.transforms import v2
from tqdm import tqdm

from data import StudyError, default_root
from data.captions import FEATURES, PHOTOGRAPHS, TEXT, read_splits
from data.fetch import fetch
from data.pictures import open_picture
from data.unpack import workspace
from tutorials.vision import models

MODEL = "squeezenet1_0"
PREPARE = v2.Compose(
    [
        v2.Resize((224, 224), antialias=True),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--data-root", type=Path, default=default_root(), help="default: STUDY_DATA, else data/cache")
    parser.add_argument("--force", action="store_true", help="replace features that are there already")
    options = parser.parse_args()
    try:
        compute(options.data_root, options.force)
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half-computed is kept; run the same command again", file=sys.stderr)
        return 130
    return 0


def compute(root: Path, force: bool = False) -> None:
    """Write the features of all photographs below `root`; raises StudyError where there are some already."""
    path = root / FEATURES
    if path.exists() and not force:
        raise StudyError(f"features: {path} is there already. To compute it again, add --force.")
    net = load_net(models.locate(MODEL, root=root))  # 5 MB, before 1.1 GB
    fetch("flickr8k", root)
    files = find_photographs(root)
    save(path, root, files, extract(net, files))
    print(f"features: {path} holds {len(files):,} photographs' features")


def find_photographs(root: Path) -> list[Path]:
    """All photographs in the order of their names; raises StudyError unless every split's are among them."""
    files = sorted((root / PHOTOGRAPHS).glob("*.jpg"))
    wanted = {name for names in read_splits(root / TEXT).values() for name in names}
    missing = wanted - {file.name for file in files}
    if missing:
        raise StudyError(
            f"features: {root / PHOTOGRAPHS} lacks {len(missing):,} of {len(wanted):,} photographs, as {min(missing)}. "
            "Remove the folder and run again: it is then unpacked or downloaded anew."
        )
    return files


def load_net(path: Path) -> SqueezeNet:
    """SqueezeNet 1.0 with the weights of a file, ready to use; raises StudyError for any other file."""
    net = squeezenet1_0()
    models.fit(net, models.read_state(path), MODEL, path)
    return net.eval()


@torch.inference_mode()
def extract(net: SqueezeNet, files: Sequence[Path], batch_size: int = 32) -> np.ndarray:
    """Averages over space of the last feature maps, after their ReLU: N pictures -> (N, 512) float32."""
    features = []
    with tqdm(total=len(files), desc="features", unit="picture", leave=False, disable=None) as bar:
        for start in range(0, len(files), batch_size):
            images = torch.stack([PREPARE(open_picture(file)) for file in files[start : start + batch_size]])
            maps = net.features(images)  # (B, 512, 13, 13)
            features.append(maps.mean((2, 3)).numpy())
            bar.update(len(images))
    return np.concatenate(features)


def save(path: Path, root: Path, files: Sequence[Path], features: np.ndarray) -> None:
    """Write the .npz file; it appears under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with workspace(root) as folder:
        part = folder / path.name
        np.savez_compressed(part, features=features.astype(np.float16), files=np.array([file.name for file in files]))
        os.replace(part, path)


if __name__ == "__main__":
    sys.exit(main())
