"""All cases, in the course's order, and the sizes that each is also tried with."""

from comparisons import cases_conv, cases_dense, cases_generative, cases_sequences

NOTEBOOKS = {
    "Nearest neighbors": cases_dense.NEIGHBORS,
    "Linear classifiers": cases_dense.LINEAR,
    "FullyConnectedNets": cases_dense.FULLY_CONNECTED + cases_dense.UPDATE_RULES,
    "Initialization": cases_dense.INITIALIZERS,
    "BatchNormalization": cases_dense.NORMALIZATION + cases_dense.BLOCKS,
    "Dropout": cases_dense.DROPOUT,
    "ConvolutionalNetworks": cases_conv.CONVOLUTION + cases_conv.IM2COL + cases_conv.POOLING + cases_conv.BLOCKS,
    "RNN and LSTM captioning": cases_sequences.RECURRENT,
    "Transformer captioning": cases_sequences.TRANSFORMER,
    "Vision transformer": cases_sequences.VISION_TRANSFORMER,
    "Diffusion": cases_generative.DIFFUSION,
    "Contrastive learning": cases_generative.CONTRASTIVE,
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
    "window as large as the image": {"H": 3, "W": 2, "HH": 3, "WW": 2},
    "one head": {"heads": 1},
    "one group": {"G": 1},
    "groups of one": {"K": 1},
}
