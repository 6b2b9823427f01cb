"""Images as columns of windows and back: by indices, as in the course, and block by block, for speed."""

import numpy as np

from from_scratch import checks
from from_scratch.convolution import output_size, pad_image, pair, read_conv

# N batch, C channels, H W image, fh fw (or HH WW) window, OH OW output, K = C HH WW

BLOCK_BYTES = 1 << 20  # of columns at a time: larger falls out of the second-level cache, smaller pays for more calls


def get_im2col_indices(
    x_shape: tuple[int, int, int, int], field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices (k, i, j) so that padded[:, k, i, j] is every window of every image: (N, C fh fw, OH OW).

    k (C fh fw, 1) is the channel, i and j (C fh fw, OH OW) are row and column in the padded image; windows run in
    reading order, and a rest that holds no whole window is left out. Raises ValueError if the window does not fit.
    Source: CS231n assignment 2, im2col.
    """
    _, C, H, W = x_shape
    field = pair("field", (field_height, field_width), 1)
    (sy, sx), pad = pair("stride", stride, 1), pair("padding", padding, 0)
    OH, OW = output_size((H, W), field, (sy, sx), pad)
    k, i, j = (axis.reshape(-1, 1) for axis in np.indices((C, *field)))
    row, column = (axis.reshape(1, -1) for axis in np.indices((OH, OW)))
    return k, i + sy * row, j + sx * column


def im2col_indices(x: np.ndarray, field_height: int, field_width: int, padding: int = 1, stride: int = 1) -> np.ndarray:
    """Copy every window of x (N, C, H, W) into a column: (C fh fw, OH OW N).

    Rows run over channel, row and column of the field; columns over the output's position, then the example. Raises
    TypeError for integers, ValueError if the window does not fit. Source: CS231n assignment 2, im2col.
    """
    checks.floats("x", x, 4)
    k, i, j = get_im2col_indices(x.shape, field_height, field_width, padding, stride)
    windows = pad_image(x, pair("padding", padding, 0))[:, k, i, j]  # (N, C fh fw, OH OW)
    return windows.transpose(1, 2, 0).reshape(len(k), -1)


def col2im_indices(
    cols: np.ndarray,
    x_shape: tuple[int, int, int, int],
    field_height: int = 3,
    field_width: int = 3,
    padding: int = 1,
    stride: int = 1,
) -> np.ndarray:
    """Add every column back where `im2col_indices` took it from (its adjoint): (C fh fw, OH OW N) -> (N, C, H, W).

    Raises ValueError if the columns are not those of images of `x_shape`. Source: CS231n assignment 2, im2col.
    """
    N, C, H, W = x_shape
    k, i, j = get_im2col_indices(x_shape, field_height, field_width, padding, stride)
    checks.shape("cols", cols, (len(k), i.shape[1] * N), f"(C fh fw, OH OW N) for images of {tuple(x_shape)}")
    py, px = pair("padding", padding, 0)
    padded = np.zeros((N, C, H + 2 * py, W + 2 * px), cols.dtype)
    np.add.at(padded, (slice(None), k, i, j), cols.reshape(len(k), -1, N).transpose(2, 0, 1))
    return padded[:, :, py : py + H, px : px + W]


class Unfolding:
    """The windows of a block of images as columns (K, OH OW), with a row of ones below them, and the way back.

    One axis at a time, so that the many copies are long: windows across give `wide` (WW, n, C, S, R, OW), whose rows
    are sorted by their remainder S modulo the stride; a window down is then a contiguous run of OH rows.
    """

    def __init__(self, x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict):
        self.stride, self.pad, self.size = read_conv(x, w, b, conv_param)
        (N, C, _, W), (_, _, HH, WW), (OH, OW) = x.shape, w.shape, self.size
        dtype, phases, rows = np.result_type(x, w, b), min(self.stride[0], HH), OH + (HH - 1) // self.stride[0]
        bytes_per_image = (C * HH * WW + 1) * OH * OW * dtype.itemsize
        self.block = n = max(1, min(N, round(BLOCK_BYTES / bytes_per_image)))
        self.padded = np.zeros((n, C, phases, rows, W + 2 * self.pad[1]), dtype)
        self.wide = np.empty((WW, n, C, phases, rows, OW), dtype)
        self.columns = np.ones((n, C * HH * WW + 1, OH * OW), dtype)
        # Views made once. Across: (padded rows, wide) per column of the window; down: (rows of wide, windows) per row.
        (sy, sx), windows = self.stride, self.columns[:, :-1].reshape(n, C, HH, WW, OH, OW)
        wide = self.wide.transpose(1, 2, 0, 3, 4, 5)  # (n, C, WW, S, R, OW)
        self.across = [(self.padded[..., j : j + sx * (OW - 1) + 1 : sx], self.wide[j]) for j in range(WW)]
        self.down = [(wide[:, :, :, i % sy, i // sy : i // sy + OH], windows[:, :, i]) for i in range(HH)]

    def rows_of(self, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The rows of the images beside their places in the padded block, remainder by remainder: two views each."""
        (sy, _), (py, px), W = self.stride, self.pad, x.shape[3]
        views = []
        for phase in range(self.padded.shape[2]):
            first = max(0, -((phase - py) // sy))  # the rows before it are padding
            image = x[:, :, first * sy + phase - py :: sy][:, :, : max(0, self.padded.shape[3] - first)]
            views.append((image, self.padded[: len(x), :, phase, first : first + image.shape[2], px : px + W]))
        return views

    def unfold(self, x: np.ndarray) -> np.ndarray:
        """The columns (n, K + 1, OH OW) of n <= block images; the next call overwrites them."""
        self.padded.fill(0)
        for image, place in self.rows_of(x):
            place[...] = image
        for source, target in self.across + self.down:
            target[...] = source
        return self.columns[: len(x)]

    def fold(self, dx: np.ndarray) -> None:
        """Add up what stands in the first K rows of the columns where it came from, into dx (n, C, H, W)."""
        self.wide.fill(0)
        add_up(self.down, self.stride[0])
        self.padded.fill(0)
        add_up(self.across, self.stride[1])
        for image, place in self.rows_of(dx):
            image[...] = place


def add_up(shifts: list[tuple[np.ndarray, np.ndarray]], stride: int) -> None:
    """Add each second array to its place; the first `stride` places are zero and apart, so there a copy will do."""
    for place, part in shifts[:stride]:
        place[...] = part
    for place, part in shifts[stride:]:
        place += part


def blocks(count: int, size: int) -> list[slice]:
    """0..count-1 in slices of `size`."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
