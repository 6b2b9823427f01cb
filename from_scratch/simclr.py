"""SimCLR's loss: two views of a picture shall be alike, and unlike those of all other pictures of the batch.

N pictures, D numbers of a view's representation. The two views of picture k are rows k of `out_left` and `out_right`.
"""

import numpy as np

from from_scratch import checks


def sim(z_i: np.ndarray, z_j: np.ndarray) -> np.floating:
    """The cosine of the angle between two vectors (D,): z_i·z_j / (|z_i| |z_j|). Source: Chen et al., SimCLR (2020)."""
    checks.floats("z_i", z_i, 1)
    checks.shape("z_j", z_j, z_i.shape, "of z_i")
    return z_i @ z_j / (np.sqrt(z_i @ z_i) * np.sqrt(z_j @ z_j))


def simclr_loss_naive(
    out_left: np.ndarray, out_right: np.ndarray, tau: float
) -> tuple[np.floating, np.ndarray, np.ndarray]:
    """The mean cross-entropy of finding a view's partner among all other views of the batch, view by view.

    l(i, j) = -log(e^(sim(i, j)/tau) / sum over k != i of e^(sim(i, k)/tau)); the loss is the mean over all 2N views i
    with their partners j. tau is the temperature.

    out_left, out_right (N, D) -> loss, dout_left, dout_right (N, D). Raises TypeError or ValueError for what does not
    fit. Source: Chen et al., SimCLR (2020), equation 1; CS231n assignment 3, contrastive_loss.
    """
    out, N = both_views(out_left, out_right, tau)
    loss, dout, tau = 0.0, np.zeros_like(out), float(tau)
    for i in range(2 * N):
        partner, others = (i + N) % (2 * N), [k for k in range(2 * N) if k != i]
        scores = np.array([sim(out[i], out[k]) / tau for k in others])
        p = np.exp(scores - scores.max())
        p /= p.sum()
        loss = loss - np.log(p[others.index(partner)]) / (2 * N)
        for k, share in zip(others, p, strict=True):
            dsim = (share - (k == partner)) / (2 * N * tau)
            for a, b in ((i, k), (k, i)):  # d sim(a, b) / d a = (b/|b| - sim(a, b) a/|a|) / |a|
                norm_a, norm_b = np.sqrt(out[a] @ out[a]), np.sqrt(out[b] @ out[b])
                dout[a] += dsim * (out[b] / norm_b - sim(out[a], out[b]) * out[a] / norm_a) / norm_a
    return loss, dout[:N], dout[N:]


def sim_positive_pairs(out_left: np.ndarray, out_right: np.ndarray) -> np.ndarray:
    """The similarity of each picture's two views: (N, D), (N, D) -> (N, 1). Source: CS231n assignment 3."""
    checks.floats("out_left", out_left, 2)
    checks.shape("out_right", out_right, out_left.shape, "of out_left")
    return np.sum(normalized(out_left)[0] * normalized(out_right)[0], axis=1, keepdims=True)


def compute_sim_matrix(out: np.ndarray) -> np.ndarray:
    """The similarities of all pairs of views: (2N, D) -> (2N, 2N). Source: CS231n assignment 3."""
    checks.floats("out", out, 2)
    directions, _ = normalized(out)
    return directions @ directions.T


def simclr_loss_vectorized(
    out_left: np.ndarray, out_right: np.ndarray, tau: float
) -> tuple[np.floating, np.ndarray, np.ndarray]:
    """`simclr_loss_naive` as a softmax of a matrix of similarities, without its diagonal.

    With the directions u = z/|z| and S = u uᵀ/tau: dS = (softmax(S) - partner) / 2N, du = (dS + dSᵀ) u / tau,
    dz = (du - u (u·du)) / |z|: what would only change a length has no effect.

    Shapes, errors and the source are those of `simclr_loss_naive`.
    """
    out, N = both_views(out_left, out_right, tau)
    tau, views = float(tau), np.arange(2 * N)
    partners = (views + N) % (2 * N)
    directions, lengths = normalized(out)
    scores = directions @ directions.T / tau
    scores[views, views] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    dscores = np.exp(log_probs)
    dscores[views, partners] -= 1
    ddirections = (dscores + dscores.T) @ directions / (2 * N * tau)
    along = np.sum(directions * ddirections, axis=1, keepdims=True)
    dout = (ddirections - directions * along) / lengths
    return -log_probs[views, partners].mean(), dout[:N], dout[N:]


def both_views(out_left: np.ndarray, out_right: np.ndarray, tau: float) -> tuple[np.ndarray, int]:
    """Check the arguments of a loss; all views (2N, D), the left ones first, and N."""
    checks.floats("out_left", out_left, 2)
    checks.shape("out_right", out_right, out_left.shape, "of out_left")
    if not out_left.size or tau <= 0:
        raise ValueError(f"out_left must not be empty and tau must be positive, not {out_left.shape} and {tau}")
    return np.concatenate([out_left, out_right]), len(out_left)


def normalized(out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (N, D) of length 1, and the lengths (N, 1)."""
    lengths = np.sqrt(np.sum(out * out, axis=1, keepdims=True))
    return out / lengths, lengths
