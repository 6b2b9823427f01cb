"""The likely cause of a difference: a factor, a sign, a transposition, swapped gates, a term left out."""

from itertools import combinations, permutations

import numpy as np

CLOSE = 1e-5  # how well a cause must explain the difference; float32 results are explained too
GATES = "ifog"


def certain_cause(ours: np.ndarray, theirs: np.ndarray, sizes: dict[str, int]) -> str:
    """What turns `ours` into `theirs` number by number, or an empty string; `sizes` are the axes' names and lengths."""
    if not np.isfinite(ours).all():
        return "a division by zero, a root or logarithm of what is not positive, or an overflow"
    if found := zeros(ours, theirs) or factor(ours, theirs, sizes):
        return found
    # Nothing that is right but for its last digits is in another order.
    return "" if close(ours, theirs) else transposed(ours, theirs) or swapped_gates(ours, theirs)


def weight_decay(name: str, ours: np.ndarray, theirs: np.ndarray, inputs: dict) -> str:
    """A multiple of the weights themselves in their gradient, or of their squares in the loss, that torch has not."""
    reg, weights = inputs.get("reg", 0), {}
    for key, value in inputs.items():
        weights |= value if key == "params" else {key: value} if key in ("W", "w") else {}
    found = {}
    if name == "loss":
        biases = [w for key, w in weights.items() if np.ndim(w) == 1]
        for group, part in (("biases", biases), ("weights", [w for w in weights.values() if np.ndim(w) > 1])):
            found[group] = np.array(sum(np.sum(w * w) for w in part) * 0.5)
    elif name[1:] in weights:
        w = weights[name[1:]]
        found["gamma or beta" if name[1:].startswith(("gamma", "beta")) else "biases" if w.ndim == 1 else "weights"] = w
    difference = ours - theirs
    for group, w in found.items():
        ratio = float((difference * w).sum() / max((w * w).sum(), 1e-300)) / reg if reg and w.shape == ours.shape else 0
        known = next((k for k in (0.5, 1.0, 2.0) if abs(abs(ratio) - k) <= CLOSE), None)
        if known and np.abs(difference - ratio * reg * w).max() <= CLOSE * np.abs(difference).max():
            if group != "weights":
                return f"weight decay on {group}: only the weights W decay"
            return f"weight decay {'added' if ratio > 0 else 'left out'}: {known:g} reg {name[1:] if w.ndim else 'W'}"
    return ""


def likely_cause(ours: np.ndarray, theirs: np.ndarray, sizes: dict[str, int]) -> str:
    """A `certain_cause`, or else a guess from where and how much the two differ, or an empty string."""
    return (
        certain_cause(ours, theirs, sizes)
        or constant(ours, theirs)
        or ("" if close(ours, theirs) else factor_along_axis(ours, theirs))
        or slight(ours, theirs)
        or some_places(ours, theirs)
    )


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a - b).max() <= CLOSE * np.abs(b).max())


def zeros(ours: np.ndarray, theirs: np.ndarray) -> str:
    if not theirs.any():
        return "torch's is zero everywhere: nothing may flow here"
    return "" if ours.any() else "a gradient of zeros"


def factor(ours: np.ndarray, theirs: np.ndarray, sizes: dict[str, int]) -> str:
    """One number between the two; of a single number, only one that has a name."""
    ratio = float((ours * theirs).sum() / (theirs * theirs).sum())
    if not close(ours, ratio * theirs) or abs(ratio - 1) < 10 * CLOSE:
        return ""
    if np.isclose(ratio, -1, rtol=CLOSE):
        return "the sign"
    name = name_factor(ratio, sizes)
    return f"a factor {ratio:.6g}{name}" if name or ours.size > 1 else ""


def name_factor(ratio: float, sizes: dict[str, int]) -> str:
    """A factor in terms of sizes: n, 1/n, √n, n/(n - 1), where n is a size or a product of some."""
    for count in (1, 2, 3):
        for names in combinations([name for name, size in sizes.items() if size > 1], count):
            n, label = int(np.prod([sizes[name] for name in names])), "·".join(names)
            label = label if count == 1 else f"({label})"
            known = {label: n, f"1/{label}": 1 / n, f"√{label}": n**0.5, f"1/√{label}": n**-0.5}
            if n > 2:
                known[f"{label}/({label}-1), a variance unbiased for biased"] = n / (n - 1)
                known[f"({label}-1)/{label}, a variance biased for unbiased"] = (n - 1) / n
            for text, value in known.items():
                if np.isclose(ratio, value, rtol=CLOSE):
                    return f", {text} with {', '.join(f'{name} = {sizes[name]}' for name in names)}"
    return ""


def transposed(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Two axes swapped, or an array read in another order of its axes."""
    for axes in permutations(range(theirs.ndim)):
        turned = theirs.transpose(axes)
        if axes != tuple(range(theirs.ndim)) and close(ours.reshape(turned.shape), turned):
            return f"axes in the order {axes}: transposed"
    return ""


def swapped_gates(ours: np.ndarray, theirs: np.ndarray) -> str:
    """The gates of an LSTM in another order along the last axis."""
    if not theirs.ndim or theirs.shape[-1] % 4:
        return ""
    blocks = np.split(theirs, 4, axis=-1)
    for order in permutations(range(4)):
        if close(ours, np.concatenate([blocks[k] for k in order], axis=-1)):
            return f"the gates i, f, o, g in the order {', '.join(GATES[k] for k in order)}: swapped"
    return ""


def constant(ours: np.ndarray, theirs: np.ndarray) -> str:
    """A difference that does not vary along an axis: what a forgotten bias, sum or mean leaves."""
    difference = ours - theirs
    for axis, size in enumerate(theirs.shape):
        if size > 1 and np.ptp(difference, axis=axis).max() <= CLOSE * np.abs(difference).max():
            return f"a term that is constant along axis {axis} is left out, or added twice"
    return ""


def factor_along_axis(ours: np.ndarray, theirs: np.ndarray) -> str:
    """A factor of its own for each index of one axis: what a forgotten gain, gate or standard deviation leaves."""
    for axis, size in enumerate(theirs.shape):
        others = tuple(k for k in range(theirs.ndim) if k != axis)
        if 1 < size < theirs.size:
            squares = (theirs * theirs).sum(axis=others, keepdims=True)
            ratios = (ours * theirs).sum(axis=others, keepdims=True) / np.maximum(squares, 1e-300)
            if close(ours, ratios * theirs):
                what = "the sign of some" if np.allclose(np.abs(ratios), 1, rtol=CLOSE) else "a factor that varies"
                return f"{what} along axis {axis} is left out, or applied twice"
    return ""


def slight(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Differences that are small everywhere."""
    small = np.abs(ours - theirs).max() <= 0.01 * np.abs(theirs).max()
    return "something small, such as an epsilon left out or in another place" if small else ""


def some_places(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Right at some places: where contributions meet, = overwrites what += adds up; and masks blank whole places."""
    right = np.abs(ours - theirs) <= CLOSE * np.abs(theirs).max()
    wrong, both = ~right, (right & (theirs != 0)).sum() / (theirs != 0).sum()
    share = f"right at {right.sum()} of {right.size} places; at the others"
    if right.any() and not theirs[wrong].any():
        return f"{share} torch has 0: a mask, or what a ReLU cuts off, is ignored"
    if both and not ours[wrong].any():
        return f"{share} nothing arrives"
    return f"{share} contributions are lost or added: = for +=, or an edge" if both > 0.2 else ""
