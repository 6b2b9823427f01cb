"""What every layer asks of its arguments; errors name the argument and the shapes."""

import operator

import numpy as np


def floats(name: str, x: np.ndarray, ndim: int | None = None) -> None:
    """Raise unless `x` is an array of floats with so many axes."""
    if not isinstance(x, np.ndarray) or not np.issubdtype(x.dtype, np.floating):
        kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise TypeError(f"{name} must be an array of floats, not {kind}")
    if ndim is not None and x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not the shape {x.shape}")


def shape(name: str, x: np.ndarray, wanted: tuple[int, ...], why: str) -> None:
    """Raise unless `x` is an array of floats of just that shape; `why` says where the shape comes from."""
    floats(name, x)
    if x.shape != wanted:
        raise ValueError(f"{name} must have the shape {wanted} {why}, not {x.shape}")


def floating(values: np.ndarray, dtype: type) -> np.ndarray:
    """An array of whole numbers in `dtype`, any other as it is: the notebooks have biases and gains of integers."""
    whole = isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.integer)
    return values.astype(dtype) if whole else values


def size(name: str, value: object, least: int = 1) -> int:
    """The value as a plain int; raise unless it is a whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number


def labels(name: str, y: np.ndarray, wanted: tuple[int, ...], classes: int) -> None:
    """Raise unless `y` is an array of whole numbers in 0..classes-1 of just that shape."""
    y = np.asarray(y)
    if not np.issubdtype(y.dtype, np.integer):
        raise TypeError(f"{name} must be an array of whole numbers, not of {y.dtype}")
    if y.shape != wanted:
        raise ValueError(f"{name} must have the shape {wanted}, not {y.shape}")
    if y.size and (y.min() < 0 or y.max() >= classes):
        raise ValueError(f"{name} must lie in 0..{classes - 1}, but has {y.min()}..{y.max()}")


def choice(name: str, value: object, allowed: tuple) -> None:
    """Raise unless the option is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
