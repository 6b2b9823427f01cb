"""Multi30k, task 1: captions of photographs, German to English.

Source: D. Elliott et al., "Multi30K: Multilingual English-German Image Descriptions", 2016.
"""

from pathlib import Path

from data.errors import StudyError
from data.fetch import fetch
from data.parallel import Parallel, read_files

SPLITS = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}


def official(root: Path | None = None) -> Parallel:
    """The published pairs and split, downloaded when missing; raises StudyError when they cannot be had.

    Either edition will do: of the authors' repository, or of the archives, whose files end with an empty line.
    """
    folder = fetch("multi30k", root) / "multi30k"
    parts = []
    for name, count in SPLITS.items():
        pairs = read_files(folder / f"{name}.de", folder / f"{name}.en")
        if len(pairs) != count:
            raise StudyError(
                f"multi30k: {folder / name}.de and .en have {len(pairs):,} pairs, not {count:,}. Remove {folder} and "
                "run again."
            )
        parts.append(pairs)
    return Parallel(*parts)
