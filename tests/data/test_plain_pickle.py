"""Pickles are taken apart, never unpickled: forged ones end in one line, whatever they hold; good ones are read."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import StudyError, plain_pickle
from from_scratch.data_utils import load_imagenet_val
from tests.data.test_cifar10 import Forged, batch, python2_pickle

RECONSTRUCT = np.empty(0).__reduce__()[0]
# A reader that a forged file would bring down is tried in a process of its own, with 2 GB of memory at most.
READER = """
import random, sys
from pathlib import Path
from data import StudyError
from data.cifar10 import read_batch
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
except ImportError:
    pass
path = Path(sys.argv[1])
"""


def array(dtype: object, content: object, shape: tuple = (1,)) -> Forged:
    """An array of any dtype and content, as NumPy would write it."""
    return Forged(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, content))


def dtype(code: str, *state: object) -> Forged:
    """A dtype whose state may belie its code."""
    return Forged(np.dtype, (code, False, True), (3, "|", *state))


POINTER = b"\x10" * 8  # an address of nothing
PLAIN_OBJECT = dtype("O8", None, None, None, -1, -1, 0)  # without the flags that say: these are pointers
STRUCT = dtype("V8", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)
UINT8 = np.dtype("u1")
CRASHING = {
    "objects with forged flags": array(PLAIN_OBJECT, POINTER),
    "an ndarray over a buffer of objects": Forged(np.ndarray, ((1,), np.dtype("O"), POINTER)),
    "a struct with a field of objects": array(STRUCT, POINTER),
}
GREEDY = {
    "shape": array(UINT8, b"1234", (2**62,)),
    "shape whose product overflows": array(UINT8, b"", (2**32, 2**32)),
    "empty axes": array(UINT8, b"", (0, 2**62)),
    "negative shape": array(UINT8, b"12", (-2, -1)),
    "shape of a number of a hundred digits": array(UINT8, b"1", (10**100,)),
}


def run_reader(program: str, path: Path) -> str:
    """What a program prints that begins with READER; it must end in good order."""
    argv = [sys.executable, "-c", READER + program, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, f"exit code {done.returncode} after {done.stdout[-200:]}: {done.stderr}"
    return done.stdout


READ_ALL = """
for one in sorted(path.iterdir()):
    print(one.name, end=": ", flush=True)  # the last one before a crash
    try:
        read_batch(one)
    except StudyError as error:
        print(error)
"""


DOUBLED = [1]
for _ in range(40):
    DOUBLED = [DOUBLED, DOUBLED]  # a kilobyte of pickle, a million million numbers
GREEDY_BYTES = {
    "a long of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "bytes of 2^62": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b".",
    "bytes of 4 GB": b"\x80\x03B\xff\xff\xff\xff.",
    "a bytearray of 1 TB": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".",
    "a memo of 2^32": b"\x80\x02Nr\xff\xff\xff\xff.",
    "a long line of digits": b"L" + b"9" * 10_000_000 + b"L\n.",
    "lists without end": b"\x80\x02" + b"]" * 30_000_000 + b".",
    "a nested list": b"\x80\x02" + b"]" * 400_000 + b"a" * 399_999 + b".",
    "a nested tuple as a key": b"\x80\x02})" + b"\x85" * 900_000 + b"Ns.",
    "lists of the same list": b"\x80\x02]q\x00" + b"(" + b"h\x00" * 100 + b"e" + b"(" + b"h\x00" * 100 + b"e" + b".",
    "a name of lists of the same list": b"\x80\x04]q\x00" + b"(h\x00h\x00lq\x00" * 40 + b"h\x00h\x00\x93.",
    "labels doubled forty times": python2_pickle(batch(labels=DOUBLED)),
    "a stack that is too short": b"\x80\x02\x86.",
    "a mark that is not there": b"\x80\x02u.",
    "nothing": b"",
    "an instance": b"(ios\nsystem\n.",
    "a persistent name": b"\x80\x02Pname\n.",
    "an extension": b"\x80\x02\x82\x01.",
}


def test_forged_arrays_and_instructions_are_refused_in_one_line_within_bounded_memory(tmp_path):
    contents = dict(GREEDY_BYTES)
    for name, forged in (CRASHING | GREEDY).items():
        for place in ("data", "labels"):
            content = python2_pickle(batch(**{place: forged}))
            for module in (b"numpy.core", b"numpy._core"):
                contents[f"{name}, {place} {module.decode()}"] = content.replace(b"numpy.core", module)
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with (tmp_path / "a hole").open("wb") as file:
        file.truncate(plain_pickle.MAX_BYTES + 2)  # it takes no place on the disk, and is not read whole
    told = dict(line.split(": ", 1) for line in run_reader(READ_ALL, tmp_path).splitlines())
    assert told.keys() == contents.keys() | {"a hole"}
    for name, line in told.items():
        assert "is not a CIFAR-10 batch" in line and "run again" in line and len(line) < 500, f"{name}: {line}"
    assert "more than 268435456 bytes" in told["a hole"]


MUTATE = """
OPCODES = b"()]}.0NqrhjabestuRcKMJ" + bytes([0x81, 0x85, 0x86, 0x87, 0x8a, 0x8b, 0x93, 0x94])
good = [one.read_bytes() for one in sorted(path.iterdir())]
rng, refused = random.Random(0), 0
for _ in range(6000):
    content = bytearray(rng.choice(good))
    skeleton = [at for at in range(len(content)) if at < 600 or at > len(content) - 600]
    for _ in range(rng.randint(1, 6)):
        at = rng.choice(skeleton) % len(content)
        kind = rng.randrange(4)
        if kind == 0:
            content[at] = rng.randrange(256)
        elif kind == 1:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            content[at:at] = bytes(rng.choices(OPCODES, k=rng.randint(1, 4)))
        else:
            del content[at:at + rng.randint(1, 8)]
    (path / "mutant").write_bytes(content)
    try:
        read_batch(path / "mutant")
    except StudyError:
        refused += 1
print(refused)
"""


@pytest.mark.slow
def test_mutated_batches_are_read_or_refused(tmp_path):
    small = batch(data=np.zeros((1, 3072), np.uint8), labels=[1], filenames=[b"a.png"])
    (tmp_path / "two").write_bytes(python2_pickle(small))
    (tmp_path / "three").write_bytes(pickle.dumps(small, protocol=4))
    assert 3000 < int(run_reader(MUTATE, tmp_path)) <= 6000


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_batch_of_this_numpy_is_read(protocol):
    content = batch()
    found = plain_pickle.read(io.BytesIO(pickle.dumps(content, protocol)))
    assert (found[b"data"] == content[b"data"]).all() and found[b"labels"] == content[b"labels"]
    columns = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert (plain_pickle.read(io.BytesIO(pickle.dumps(columns, protocol))) == columns).all()


# The course's 25 pictures of ImageNet, whose class names are an object array


def write_course_file(path: Path, label_map: object) -> Path:
    np.savez(path, X=np.zeros((3, 4, 4, 3), np.uint8), y=np.arange(3), label_map=label_map)
    return path


def test_the_courses_class_names_are_read(tmp_path):
    path = write_course_file(tmp_path / "a.npz", np.array({0: "tench", 1: "cock, rooster"}, dtype=object))
    X, y, names = load_imagenet_val(2, path)
    assert X.shape == (2, 4, 4, 3) and y.tolist() == [0, 1] and names == {0: "tench", 1: "cock, rooster"}


def test_a_forged_map_of_class_names_is_refused(tmp_path):
    forged = {"code": Forged(open, (str(tmp_path / "ran"), "w")), "two objects": 0, "a list": [0]} | CRASHING
    (tmp_path / "maps").mkdir()
    for name, value in forged.items():
        objects = np.empty(2 if name == "two objects" else (), dtype=object)
        objects[...] = value
        write_course_file(tmp_path / "maps" / f"{name}.npz", objects)
    program = f"from from_scratch.data_utils import load_imagenet_val\n{READ_ALL}"
    lines = run_reader(program.replace("read_batch(one)", "load_imagenet_val(2, one)"), tmp_path / "maps").splitlines()
    assert len(lines) == len(forged) and all("is not the course's file" in line for line in lines), lines
    assert not (tmp_path / "ran").exists()


def test_a_course_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = write_course_file(tmp_path / "a.npz", np.array({0: "tench"}, dtype=object))
    monkeypatch.setattr(plain_pickle, "MAX_BYTES", 100)
    with pytest.raises(StudyError, match="unpacks to more"):
        load_imagenet_val(2, path)
