"""The digits are their own twin: real, small, and always there."""

from data import digits as real


def digits(seed: int = 0) -> real.Digits:
    """The same 1,797 digits; there is nothing for the seed to generate."""
    return real.official()
