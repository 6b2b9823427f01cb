"""Read a pickle without unpickling it: only plain values come out, and nothing that it names is ever called.

A pickle is a program for a small stack machine. Python's unpickler calls what the program names, and a forged one
brings down NumPy's own classes (an array of pointers from the file) and the unpickler itself (a memo of 2^32 entries,
a dictionary key nested a million deep). So `pickletools` only takes the program apart, and the few instructions that
CIFAR-10's batches and `np.save` need are followed here.
"""

import math
import pickletools
from collections.abc import Callable
from enum import Enum, auto
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np

MAX_BYTES = 2**28  # a batch of CIFAR-10 has 31 million
MAX_STEPS = 1_000_000  # instructions; a batch has 30,000. One of a single byte may build an object of 64


class Part(Enum):
    """What stands on the stack for NumPy's names: no class or function of NumPy is ever there."""

    RECONSTRUCT = auto()
    NDARRAY = auto()
    DTYPE = auto()
    UINT8 = auto()
    OBJECT = auto()
    ARRAY = auto()  # begun by RECONSTRUCT, without its content


NAMES = {
    "numpy.core.multiarray _reconstruct": Part.RECONSTRUCT,  # NumPy 1
    "numpy._core.multiarray _reconstruct": Part.RECONSTRUCT,  # NumPy 2
    "numpy ndarray": Part.NDARRAY,
    "numpy dtype": Part.DTYPE,
}


def read(file: BinaryIO) -> Any:
    """What a pickle holds: None, bools, ints, str, bytes, lists, tuples, dicts and uint8 arrays, which are read-only.

    Strings of Python 2 come as bytes, an object array without axes as its one object. Raises UnpicklingError for a
    pickle of anything else, or of more than MAX_BYTES or MAX_STEPS.
    """
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnpicklingError(f"it has more than {MAX_BYTES} bytes")
    machine = Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if step == MAX_STEPS:
                raise UnpicklingError(f"it has more than {MAX_STEPS} instructions")
            machine.follow(opcode.name, argument)
        (value,) = machine.stack
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise UnpicklingError(f"it is cut short or damaged: {error}") from error
    return value


class Machine:
    """The values that a pickle is building. Its stack holds nothing that can be called."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}  # Python's own is an array as long as the largest number asks for

    def follow(self, name: str, argument: Any) -> None:
        """Do one instruction."""
        if name in MEMO:
            MEMO[name](self.memo, self.stack, argument)
        elif name in PUSH:
            self.stack.append(PUSH[name](argument))
        elif name in COMBINE:
            count, combine = COMBINE[name]
            self.stack.append(combine(*self.take(count)))
        elif name in GATHER:
            values = self.take(len(self.stack) - self.marks.pop())
            GATHER[name](self.stack, values)
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise UnpicklingError(f"it has the instruction {name}, which plain data does not need")

    def take(self, count: int) -> list[Any]:
        """Remove the last so many values from the stack, and return them."""
        place = len(self.stack) - count
        if place < 0:
            raise IndexError("the stack is empty")
        values = self.stack[place:]
        del self.stack[place:]
        return values


def find(name: str) -> Part:
    """What stands for a name, `module name`; raises UnpicklingError for any but NumPy's three."""
    if name not in NAMES:
        raise UnpicklingError(f"it asks for {name[:80].replace(' ', '.')!r}, which plain data does not need")
    return NAMES[name]


def extend(target: Any, *values: Any) -> list[Any]:
    """A list, longer by some values."""
    if type(target) is not list:
        raise TypeError("values for what is not a list")
    target.extend(values)
    return target


def update(target: Any, *items: Any) -> dict[Any, Any]:
    """A dictionary with further items: a key, its value, the next key."""
    if type(target) is not dict or not all(type(key) in (bytes, str, int) for key in items[::2]):
        raise TypeError("items for what is no dictionary, or a key that is neither string nor int")
    target.update(zip(items[::2], items[1::2], strict=True))
    return target


def begin(function: Any, arguments: Any) -> Part:
    """What NumPy's `_reconstruct(ndarray, (0,), 'b')` and `dtype(code, False, True)` begin."""
    arguments = tuple(text(one) for one in arguments)
    if function is Part.RECONSTRUCT and arguments == (Part.NDARRAY, (0,), "b"):
        return Part.ARRAY
    if function is Part.DTYPE and arguments == ("u1", False, True):
        return Part.UINT8
    if function is Part.DTYPE and arguments in (("O8", False, True), ("O4", False, True)):
        return Part.OBJECT
    raise UnpicklingError("it calls something that plain data does not need, or makes an array not of uint8")


def build(begun: Any, state: Any) -> Any:
    """A dtype or an array from its state, which is checked whole before NumPy sees any of it."""
    if begun in (Part.UINT8, Part.OBJECT):
        flags = 0 if begun is Part.UINT8 else 63
        if tuple(text(one) for one in state) != (3, "|", None, None, None, -1, -1, flags):
            raise UnpicklingError("it has a dtype of another state than its name")
        return begun
    if begun is not Part.ARRAY:
        raise UnpicklingError("it gives a state to what has none")
    _, shape, dtype, fortran, content = state
    if dtype is Part.OBJECT and shape == () and type(content) is list and len(content) == 1:
        return content[0]
    if dtype is not Part.UINT8 or type(content) is not bytes or type(shape) is not tuple:
        raise UnpicklingError("it has an array that is not of uint8")
    if not all(type(side) is int and 0 <= side <= len(content) for side in shape) or math.prod(shape) != len(content):
        raise UnpicklingError(f"it has an array whose shape does not fit its {len(content)} bytes")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def text(value: Any) -> Any:
    """A string of Python 2 as one of Python 3."""
    return value.decode("latin-1") if type(value) is bytes else value


def same(value: Any) -> Any:
    return value


def join(*values: Any) -> tuple[Any, ...]:
    return values


def encode(decoded: str) -> bytes:
    """A string of Python 2, which pickletools has decoded as Latin-1."""
    return decoded.encode("latin-1")


# The instructions, by what they do: push a value made of their argument;
PUSH: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None, "NEWFALSE": lambda _: False, "NEWTRUE": lambda _: True,
    "BININT": same, "BININT1": same, "BININT2": same, "LONG1": same,
    "BINUNICODE": same, "SHORT_BINUNICODE": same, "BINBYTES": same, "SHORT_BINBYTES": same,
    "BINSTRING": encode, "SHORT_BINSTRING": encode,
    "EMPTY_LIST": lambda _: [], "EMPTY_DICT": lambda _: {}, "EMPTY_TUPLE": lambda _: (), "GLOBAL": find,
}  # fmt: skip
# make one value of the last few;
COMBINE: dict[str, tuple[int, Callable[..., Any]]] = {
    "TUPLE1": (1, join), "TUPLE2": (2, join), "TUPLE3": (3, join), "APPEND": (2, extend), "SETITEM": (3, update),
    "STACK_GLOBAL": (2, lambda *names: find(" ".join(names))), "REDUCE": (2, begin), "BUILD": (2, build),
}  # fmt: skip
# take what was pushed since the last MARK;
GATHER: dict[str, Callable[[list[Any], list[Any]], Any]] = {
    "TUPLE": lambda stack, values: stack.append(tuple(values)),
    "APPENDS": lambda stack, values: extend(stack[-1], *values),
    "SETITEMS": lambda stack, values: update(stack[-1], *values),
}


def remember(memo: dict[int, Any], stack: list[Any], number: int | None) -> None:
    memo[len(memo) if number is None else number] = stack[-1]


def recall(memo: dict[int, Any], stack: list[Any], number: int) -> None:
    stack.append(memo[number])


# keep a value under a number, and push it again.
MEMO = {"BINPUT": remember, "LONG_BINPUT": remember, "MEMOIZE": remember, "BINGET": recall, "LONG_BINGET": recall}
