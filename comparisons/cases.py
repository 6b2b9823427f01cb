"""All cases, in the course's order, and the sizes that each is also tried with."""

from comparisons.cases_captioning import RECURRENT, TRANSFORMER
from comparisons.cases_conv import CONVOLUTION, SANDWICHES, SPATIAL_NORMS
from comparisons.cases_dense import BATCH_NORMALIZATION, DROPOUT, FULLY_CONNECTED, INITIALISERS, UPDATE_RULES

NOTEBOOKS = {
    "FullyConnectedNets": FULLY_CONNECTED + UPDATE_RULES,
    "Initialisation": INITIALISERS,
    "BatchNormalization": BATCH_NORMALIZATION,
    "Dropout": DROPOUT,
    "ConvolutionalNetworks": CONVOLUTION + SPATIAL_NORMS + SANDWICHES,
    "RNN and LSTM captioning": RECURRENT,
    "Transformer captioning": TRANSFORMER,
}
CASES = [case for cases in NOTEBOOKS.values() for case in cases]

# What goes wrong at the edges, for every case that has these sizes.
EDGES = {
    "batch of one": {"N": 1},
    "one time step": {"T": 1},
    "one channel": {"C": 1},
    "one feature": {"D": 1},
    "one unit": {"M": 1},
    "stride > filter": {"stride": 4},
    "odd padding": {"pad": 3},
    "window of one": {"HH": 1, "WW": 1},
    "window as large as the image": {"HH": 7, "WW": 5, "pad": 0},
    "one head": {"heads": 1},
    "one group": {"G": 1},
    "groups of one": {"K": 1},
}
