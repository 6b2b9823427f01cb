"""All planted mistakes: at least one for every function, each caught by at least one of its cases."""

from comparisons.planted_captioning import RECURRENT, TRANSFORMER
from comparisons.planted_conv import CONVOLUTION, SPATIAL_NORMS
from comparisons.planted_dense import BATCH_NORMALIZATION, DROPOUT, FULLY_CONNECTED, INITIALISERS, RULES
from comparisons.planted_nets import WHOLE_NETS

__all__ = ["MISTAKES", "WHOLE_NETS"]

MISTAKES = [
    *FULLY_CONNECTED,
    *RULES,
    *INITIALISERS,
    *BATCH_NORMALIZATION,
    *DROPOUT,
    *CONVOLUTION,
    *SPATIAL_NORMS,
    *RECURRENT,
    *TRANSFORMER,
]
