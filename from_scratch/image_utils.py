"""Pictures for the style and captioning notebooks. Reading files and URLs takes Pillow: see `data.pictures`."""

import numpy as np

from from_scratch.checks import floats

SQUEEZENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
SQUEEZENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def blur_image(X: np.ndarray) -> np.ndarray:
    """Blur pictures a little, each channel by itself: X (N, C, H, W) -> the same shape.

    Convolution with [[1, 2, 1], [2, 188, 2], [1, 2, 1]] / 200, with zeros around the picture.
    Raises TypeError or ValueError unless X is an array of floats with 4 axes. Source: CS231n, assignment 3.
    """
    from from_scratch.fast_layers import conv_forward_fast

    floats("X", X, 4)
    channels = X.shape[1]
    w = np.zeros((channels, channels, 3, 3), X.dtype)
    w[range(channels), range(channels)] = np.array([[1, 2, 1], [2, 188, 2], [1, 2, 1]]) / 200
    return conv_forward_fast(X, w, np.zeros(channels, X.dtype), {"stride": 1, "pad": 1})[0]


def preprocess_image(img: np.ndarray) -> np.ndarray:
    """(img / 255 - mean) / std of SqueezeNet's training pictures, float32; img (..., 3) in 0..255."""
    return (np.asarray(img).astype(np.float32) / 255 - SQUEEZENET_MEAN) / SQUEEZENET_STD


def deprocess_image(img: np.ndarray, rescale: bool = False) -> np.ndarray:
    """Undo `preprocess_image`: uint8 in 0..255; `rescale` stretches the picture's range to all of it first."""
    img = np.asarray(img) * SQUEEZENET_STD + SQUEEZENET_MEAN
    if rescale and np.ptp(img) > 0:
        img = (img - img.min()) / np.ptp(img)
    return np.clip(255 * img, 0, 255).astype(np.uint8)
