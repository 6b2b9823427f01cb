"""Vanilla RNN and LSTM: one step, the plain loop over the steps of a sequence (`*_naive`), and the same at speed.

The fast sequences are time-major inside, (T, N, ...), so that each step is contiguous; what no step has to wait for
(the input's share of every step, all weight gradients) is one product over all T*N rows. The products that steps do
wait for are written (Whᵀ·hᵀ)ᵀ, weights first: OpenBLAS is up to 1.4 times as fast that way.
"""

import numpy as np

from from_scratch.activations import sigmoid
from from_scratch.checks import floats, shape

# N batch, T time, D input, H hidden


def _check(x: np.ndarray, h: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray, blocks: int, name: str) -> None:
    """Raise unless hidden state and weights fit `x`; `blocks` is 4 for an LSTM and 1 for a vanilla RNN."""
    floats(name, h, 2)
    N, H = x.shape[0], h.shape[1]
    shape(name, h, (N, H), f"to fit x of {x.shape}")
    shape("Wx", Wx, (x.shape[-1], blocks * H), f"to fit x of {x.shape} and {name} of {h.shape}")
    shape("Wh", Wh, (H, blocks * H), f"to fit {name} of {h.shape}")
    shape("b", b, (blocks * H,), f"to fit {name} of {h.shape}")


def rnn_step_forward(
    x: np.ndarray, prev_h: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, tuple]:
    """One step of a vanilla RNN.

    next_h = tanh(x·Wx + prev_h·Wh + b); x (N, D), prev_h and next_h (N, H), Wx (D, H), Wh (H, H), b (H,).
    Raises TypeError for arrays that are not floats and ValueError for shapes that do not fit.
    Source: Elman, Finding structure in time (1990); CS231n, assignment 3.
    """
    floats("x", x, 2)
    _check(x, prev_h, Wx, Wh, b, 1, "prev_h")
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)  # (N, H)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients of `rnn_step_forward`: dx, dprev_h, dWx, dWh, db.

    da = dnext_h · (1 - next_h²), for tanh' = 1 - tanh²; each gradient has the shape of what it belongs to.
    Raises TypeError or ValueError unless dnext_h is (N, H). Source: CS231n, assignment 3.
    """
    x, prev_h, Wx, Wh, next_h = cache
    shape("dnext_h", dnext_h, next_h.shape, "of next_h")
    da = dnext_h * (1 - next_h * next_h)  # (N, H)
    dx, dprev_h = da @ Wx.T, da @ Wh.T  # (N, D), (N, H)
    dWx, dWh, db = x.T @ da, prev_h.T @ da, da.sum(axis=0)  # (D, H), (H, H), (H,)
    return dx, dprev_h, dWx, dWh, db


def rnn_forward_naive(
    x: np.ndarray, h0: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, tuple]:
    """Feed the sequences to `rnn_step_forward`, one step after the other.

    h_t = tanh(x_t·Wx + h_{t-1}·Wh + b); x (N, T, D), h0 (N, H) -> h (N, T, H). Errors and the source are those of
    `rnn_forward`, which computes the same at speed.
    """
    floats("x", x, 3)
    _check(x, h0, Wx, Wh, b, 1, "h0")
    (N, T, _), H = x.shape, h0.shape[1]
    h = np.empty((N, T, H), np.result_type(x, h0, Wx, Wh, b))
    steps, prev_h = [], h0
    for t in range(T):
        prev_h, cache = rnn_step_forward(x[:, t], prev_h, Wx, Wh, b)  # (N, H)
        h[:, t] = prev_h
        steps.append(cache)
    return h, (x, h0, Wx, Wh, b, steps)


def rnn_backward_naive(dh: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients of `rnn_forward_naive`, from the last step to the first: dx, dh0, dWx, dWh, db.

    h_t is an output and the next step's input, so that its gradient is dh_t + dprev_h of step t+1; all steps have the
    same weights, whose gradients add up. Errors and the source are those of `rnn_backward`.
    """
    x, h0, Wx, Wh, b, steps = cache
    (N, T, _), H = x.shape, h0.shape[1]
    shape("dh", dh, (N, T, H), "of h")
    dx, dprev_h, dWx, dWh, db = (np.zeros(v.shape, dh.dtype) for v in (x, h0, Wx, Wh, b))
    for t in reversed(range(T)):
        dx[:, t], dprev_h, dWx_t, dWh_t, db_t = rnn_step_backward(dh[:, t] + dprev_h, steps[t])
        dWx, dWh, db = dWx + dWx_t, dWh + dWh_t, db + db_t
    return dx, dprev_h, dWx, dWh, db


def _time_major(x: np.ndarray) -> np.ndarray:
    return x.transpose(1, 0, 2).copy()  # never a view, not even of one sample


def _transposed(w: np.ndarray) -> np.ndarray:
    """wᵀ, contiguous; 16 rows at a time stay in the cache, which takes less than half the time of one copy."""
    out = np.empty(w.shape[::-1], w.dtype)
    for i in range(0, len(w), 16):
        out[:, i : i + 16] = w[i : i + 16].T
    return out


def _inputs(x: np.ndarray, Wx: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x·Wx + b for all steps at once: (T, N, D) -> (T, N, M)."""
    T, N, D = x.shape
    a = x.reshape(T * N, D) @ Wx
    a = a.astype(np.result_type(a, b), copy=False)
    a += b
    return a.reshape(T, N, Wx.shape[1])


def _sequence_gradients(da: np.ndarray, x: np.ndarray, h: np.ndarray, Wx: np.ndarray) -> tuple[np.ndarray, ...]:
    """dx, dWx, dWh and db from the gradients `da` (T, N, M) of all pre-activations; `h` holds the states before."""
    T, N, D = x.shape
    rows = da.reshape(T * N, Wx.shape[1])
    dx = (rows @ Wx.T).reshape(T, N, D)
    dWx = x.reshape(T * N, D).T @ rows
    dWh = h.reshape(T * N, h.shape[2]).T @ rows
    return np.ascontiguousarray(dx.transpose(1, 0, 2)), dWx, dWh, rows.sum(axis=0)


def rnn_forward(
    x: np.ndarray, h0: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, tuple]:
    """A vanilla RNN over whole sequences.

    h_t = tanh(x_t·Wx + h_{t-1}·Wh + b); x (N, T, D), h0 (N, H) -> h (N, T, H); weights as in `rnn_step_forward`.
    Raises TypeError for arrays that are not floats and ValueError for shapes that do not fit.
    Source: CS231n, assignment 3.
    """
    floats("x", x, 3)
    _check(x, h0, Wx, Wh, b, 1, "h0")
    x = _time_major(x)
    a = _inputs(x, Wx, b)
    h = np.empty((len(x) + 1, *h0.shape), np.result_type(a, h0, Wh))  # the states before step 0, after step 0, ...
    h[0] = h0
    for t in range(len(x)):
        np.tanh(a[t] + h[t] @ Wh, out=h[t + 1])
    return h[1:].transpose(1, 0, 2).copy(), (x, h, Wx, Wh)


def rnn_backward(dh: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients of `rnn_forward`: dx, dh0, dWx, dWh, db.

    `dh` (N, T, H) is each step's own upstream gradient; what flows back from step t+1 is added here.
    Raises TypeError or ValueError unless dh is (N, T, H). Source: CS231n, assignment 3.
    """
    x, h, Wx, Wh = cache
    T, (N, H) = len(x), h.shape[1:]
    shape("dh", dh, (N, T, H), "of h")
    da = np.empty((T, N, H), np.result_type(dh, h))
    dprev_h = np.zeros((N, H), da.dtype)
    for t in reversed(range(T)):
        np.multiply(dh[:, t] + dprev_h, 1 - h[t + 1] * h[t + 1], out=da[t])
        dprev_h = (Wh @ da[t].T).T
    dx, dWx, dWh, db = _sequence_gradients(da, x, h[:-1], Wx)
    return dx, np.ascontiguousarray(dprev_h), dWx, dWh, db


def lstm_step_forward(
    x: np.ndarray, prev_h: np.ndarray, prev_c: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """One step of an LSTM; returns next_h, next_c and the cache.

    a = x·Wx + prev_h·Wh + b, split in the order i, f, o, g; i, f, o sigmoid, g tanh;
    next_c = f·prev_c + i·g, next_h = o·tanh(next_c).
    x (N, D), states (N, H), Wx (D, 4H), Wh (H, 4H), b (4H,).
    Raises TypeError for arrays that are not floats and ValueError for shapes that do not fit.
    Source: Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000); CS231n, assignment 3.
    """
    floats("x", x, 2)
    _check(x, prev_h, Wx, Wh, b, 4, "prev_h")
    shape("prev_c", prev_c, prev_h.shape, "of prev_h")
    a = x @ Wx + prev_h @ Wh + b  # (N, 4H)
    i, f, o, g = np.split(a, 4, axis=1)  # (N, H) each
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    next_h = o * tanh_c
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c)


def lstm_step_backward(dnext_h: np.ndarray, dnext_c: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients of `lstm_step_forward`: dx, dprev_h, dprev_c, dWx, dWh, db.

    The cell state is reached from both outputs: dc = dnext_c + dnext_h·o·(1 - tanh²(next_c)).
    Raises TypeError or ValueError unless dnext_h and dnext_c are (N, H). Source: CS231n, assignment 3.
    """
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c = cache
    shape("dnext_h", dnext_h, tanh_c.shape, "of next_h")
    shape("dnext_c", dnext_c, tanh_c.shape, "of next_c")
    do = dnext_h * tanh_c  # (N, H), like all of these
    dc = dnext_c + dnext_h * o * (1 - tanh_c * tanh_c)
    di, df, dg, dprev_c = dc * g, dc * prev_c, dc * i, dc * f
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g * g)])  # (N, 4H)
    dx, dprev_h = da @ Wx.T, da @ Wh.T  # (N, D), (N, H)
    dWx, dWh, db = x.T @ da, prev_h.T @ da, da.sum(axis=0)  # (D, 4H), (H, 4H), (4H,)
    return dx, dprev_h, dprev_c, dWx, dWh, db


def lstm_forward_naive(
    x: np.ndarray, h0: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, tuple]:
    """Feed the sequences to `lstm_step_forward`, one step after the other, from a cell state of zeros.

    x (N, T, D), h0 (N, H) -> h (N, T, H); weights have the gates in the order i, f, o, g. Errors and the source are
    those of `lstm_forward`, which computes the same at speed.
    """
    floats("x", x, 3)
    _check(x, h0, Wx, Wh, b, 4, "h0")
    (N, T, _), H = x.shape, h0.shape[1]
    h = np.empty((N, T, H), np.result_type(x, h0, Wx, Wh, b))
    steps, prev_h, prev_c = [], h0, np.zeros_like(h0)
    for t in range(T):
        prev_h, prev_c, cache = lstm_step_forward(x[:, t], prev_h, prev_c, Wx, Wh, b)  # (N, H), (N, H)
        h[:, t] = prev_h
        steps.append(cache)
    return h, (x, h0, Wx, Wh, b, steps)


def lstm_backward_naive(dh: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients of `lstm_forward_naive`, from the last step to the first: dx, dh0, dWx, dWh, db.

    As `rnn_backward_naive`, gates in the order i, f, o, g; the cell state's gradient goes from step to step beside that
    of h, and starts as zeros. Errors and the source are those of `lstm_backward`.
    """
    x, h0, Wx, Wh, b, steps = cache
    (N, T, _), H = x.shape, h0.shape[1]
    shape("dh", dh, (N, T, H), "of h")
    dx, dprev_h, dprev_c, dWx, dWh, db = (np.zeros(v.shape, dh.dtype) for v in (x, h0, h0, Wx, Wh, b))
    for t in reversed(range(T)):
        dx[:, t], dprev_h, dprev_c, dWx_t, dWh_t, db_t = lstm_step_backward(dh[:, t] + dprev_h, dprev_c, steps[t])
        dWx, dWh, db = dWx + dWx_t, dWh + dWh_t, db + db_t
    return dx, dprev_h, dWx, dWh, db


def _cell(a: np.ndarray, prev_c: np.ndarray, c: np.ndarray, tanh_c: np.ndarray, h: np.ndarray) -> None:
    """The LSTM cell: turns the pre-activations `a` (N, 4H) into gates in place and fills c, tanh(c) and h."""
    H = prev_c.shape[1]
    # sigmoid(a) = (1 + tanh(a/2))/2 cannot overflow, and makes all four gates one call of tanh.
    sigmoids = a[:, : 3 * H]
    sigmoids *= 0.5
    np.tanh(a, out=a)
    sigmoids += 1
    sigmoids *= 0.5
    i, f, o, g = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
    np.multiply(f, prev_c, out=c)
    c += i * g
    np.tanh(c, out=tanh_c)
    np.multiply(o, tanh_c, out=h)


def _cell_backward(
    dh: np.ndarray, dc: np.ndarray, gates: np.ndarray, prev_c: np.ndarray, tanh_c: np.ndarray, da: np.ndarray
) -> np.ndarray:
    """Fill `da` (N, 4H), the gradient of the pre-activations, and return dprev_c."""
    H = prev_c.shape[1]
    i, f, o, g = gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H : 3 * H], gates[:, 3 * H :]
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    sigmoids = gates[:, : 3 * H]
    np.multiply(sigmoids, 1 - sigmoids, out=da[:, : 3 * H])
    da[:, :H] *= dc * g
    da[:, H : 2 * H] *= dc * prev_c
    da[:, 2 * H : 3 * H] *= dh * tanh_c
    np.multiply(dc * i, 1 - g * g, out=da[:, 3 * H :])
    return dc * f


def lstm_forward(
    x: np.ndarray, h0: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, tuple]:
    """An LSTM over whole sequences, from a cell state of zeros; the cell states are not returned.

    x (N, T, D), h0 (N, H) -> h (N, T, H); formula and weights as in `lstm_step_forward`, with the gates in the order
    i, f, o, g: sigmoids but for g, a tanh.
    Raises TypeError for arrays that are not floats and ValueError for shapes that do not fit.
    Source: CS231n, assignment 3.
    """
    floats("x", x, 3)
    _check(x, h0, Wx, Wh, b, 4, "h0")
    x = _time_major(x)
    a = _inputs(x, Wx, b)
    a = a.astype(np.result_type(a, h0, Wh), copy=False)
    h, c = (np.empty((len(x) + 1, *h0.shape), a.dtype) for _ in range(2))
    tanh_c = np.empty((len(x), *h0.shape), a.dtype)
    h[0], c[0] = h0, 0
    WhT = _transposed(Wh)
    for t in range(len(x)):
        a[t] += (WhT @ h[t].T).T
        _cell(a[t], c[t], c[t + 1], tanh_c[t], h[t + 1])  # a[t] then holds the gates i, f, o, g themselves
    return h[1:].transpose(1, 0, 2).copy(), (x, h, c, tanh_c, a, Wx, Wh)


def lstm_backward(dh: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients of `lstm_forward`: dx, dh0, dWx, dWh, db.

    `dh` (N, T, H) is each step's own upstream gradient; the last cell state has none.
    Raises TypeError or ValueError unless dh is (N, T, H). Source: CS231n, assignment 3.
    """
    x, h, c, tanh_c, gates, Wx, Wh = cache
    T, N, H = tanh_c.shape
    shape("dh", dh, (N, T, H), "of h")
    da = np.empty(gates.shape, np.result_type(dh, gates))
    dprev_h, dprev_c = np.zeros((2, N, H), da.dtype)
    for t in reversed(range(T)):
        dprev_c = _cell_backward(dh[:, t] + dprev_h, dprev_c, gates[t], c[t], tanh_c[t], da[t])
        dprev_h = (Wh @ da[t].T).T
    dx, dWx, dWh, db = _sequence_gradients(da, x, h[:-1], Wx)
    return dx, np.ascontiguousarray(dprev_h), dWx, dWh, db
