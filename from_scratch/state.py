"""What a training remembers, on the disk: npz files without pickle, and the states of generators."""

import json
import os
from pathlib import Path

import numpy as np


def save_state(path: str | Path, state: dict) -> None:
    """Write dicts, lists, strings, numbers and arrays of numbers to an npz file that appears whole or not at all.

    Nothing is pickled: arrays stay arrays, the rest is JSON that points to them. Raises TypeError for anything
    else, such as a function. Tuples come back as lists, number scalars as plain numbers.
    """
    arrays = {}

    def simplify(value: object) -> object:
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray) or value.dtype == object:
            raise TypeError(f"a checkpoint holds numbers, strings and arrays of numbers, not {value!r}")
        arrays[f"array{len(arrays)}"] = value
        return {"array": f"array{len(arrays) - 1}"}

    text = json.dumps(state, default=simplify)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{path}.part")
    with part.open("wb") as file:
        np.savez(file, state=np.array(text), **arrays)
        file.flush()
        os.fsync(file.fileno())  # a power cut must not leave a name without its content
    os.replace(part, path)


def load_state(path: str | Path) -> dict:
    """Read what `save_state` wrote; raises ValueError for another file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(str(file["state"]), object_hook=lambda d: file[d["array"]] if set(d) == {"array"} else d)
    except OSError:
        raise
    except Exception as error:  # zip, npz and JSON each have their own
        raise ValueError(f"{path} is not a checkpoint of from_scratch: {error}") from error


def generator_state(rng: object) -> dict:
    """The state of a Generator, a RandomState, or the module np.random itself."""
    return rng.bit_generator.state if isinstance(rng, np.random.Generator) else rng.get_state(legacy=False)


def set_generator_state(rng: object, state: dict) -> None:
    """Bring a generator of the same kind to that state."""
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = state
    else:
        rng.set_state(state)
