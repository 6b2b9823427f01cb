"""The digits: what they are, and that nothing is tested with that was trained with."""

import numpy as np

import data
from data import digits, tiny


def test_the_digits_are_whole_and_split():
    found = data.load("digits")
    assert found.train_images.shape == (1438, 1, 8, 8) and found.test_images.shape == (359, 1, 8, 8)
    assert found.train_images.dtype == np.float32 and found.train_labels.dtype == np.int64
    assert found.train_images.min() == 0 and found.train_images.max() == 1
    assert set(found.train_labels) == set(found.test_labels) == set(range(10))
    known = {image.tobytes() for image in found.train_images}
    assert not any(image.tobytes() in known for image in found.test_images)


def test_the_twin_is_the_same():
    one, other = tiny.digits(seed=3), digits.official()
    assert all(np.array_equal(value, vars(other)[name]) for name, value in vars(one).items())
