"""A checkpoint is read back to the bit, or refused."""

import random

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorials.common import checkpoint
from tutorials.common.checkpoint import BrokenCheckpointError
from tutorials.common.device import get_random_states, seed_everything, set_random_states

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(trees)
def test_any_tree_comes_back_as_it_was(tree):
    tensors = {}
    assert checkpoint.unflatten(checkpoint.flatten(tree, "", tensors), tensors) == tree


def test_tensors_of_every_kind_come_back(tmp_path):
    shared = torch.randn(3, 5)
    tree = {
        "half": torch.randn(2).half(), "int": torch.arange(3), "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(1.5), "empty": torch.zeros(0, 4), "turned": shared.T, "tied": [shared, shared],
        "array": np.arange(5, dtype=np.uint32), "nested": {0: (shared,)},
    }  # fmt: skip
    checkpoint.save(tmp_path / "a.safetensors", tree)
    back = checkpoint.load(tmp_path / "a.safetensors")
    for name in ("half", "int", "bool", "scalar", "empty", "turned"):
        assert torch.equal(back[name], tree[name]) and back[name].dtype == tree[name].dtype
    assert torch.equal(back["tied"][1], shared) and torch.equal(back["nested"][0][0], shared)
    assert back["array"].dtype == np.uint32 and (back["array"] == tree["array"]).all()


KINDS = ["float16", "float32", "float64", "bool", "int8", "int64", "uint8", "uint32", "uint64"]


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind_come_back(kind, tmp_path):
    array = (100 * np.random.default_rng(0).random((3, 4)).T).astype(kind)
    checkpoint.save(tmp_path / "a.safetensors", {"array": array, "number": array[0, 0:1].reshape(())})
    back = checkpoint.load(tmp_path / "a.safetensors")
    assert back["array"].dtype == array.dtype and np.array_equal(back["array"], array)
    assert back["number"].shape == () and back["number"] == array[0, 0]


def test_random_states_come_back(tmp_path):
    def draw() -> tuple:
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_everything(3)
    draw()
    checkpoint.save(tmp_path / "a.safetensors", get_random_states())
    drawn = draw()
    seed_everything(4)
    set_random_states(checkpoint.load(tmp_path / "a.safetensors"))
    assert draw() == drawn


def test_a_file_that_was_cut_or_altered_anywhere_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"weight": torch.randn(50), "epoch": 3})
    whole, rng = path.read_bytes(), random.Random(0)
    for length in [0, 1, 8, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(30))]:
        path.write_bytes(whole[:length])
        with pytest.raises(BrokenCheckpointError, match=r"a\.safetensors"):
            checkpoint.load(path)
    for place in [rng.randrange(len(whole)) for _ in range(60)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BrokenCheckpointError):
            checkpoint.load(path)
    path.write_bytes(whole[:-100] + bytes(100))  # the right length, the end lost
    with pytest.raises(BrokenCheckpointError, match="checksum"):
        checkpoint.load(path)


def test_another_programs_safetensors_is_no_checkpoint(tmp_path):
    safetensors.torch.save_file({"weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(BrokenCheckpointError):
        checkpoint.load(tmp_path / "a.safetensors")


def test_an_interrupted_write_leaves_the_file_before_it(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"epoch": 1})
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, {"epoch": 2})
    assert checkpoint.load(path) == {"epoch": 1}


def test_what_cannot_be_kept_is_named():
    with pytest.raises(TypeError, match="tracked/thing"):
        checkpoint.flatten({"tracked": {"thing": object()}}, "", {})
