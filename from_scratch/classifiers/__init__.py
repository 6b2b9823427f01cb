"""The course's nets."""

from from_scratch.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from from_scratch.classifiers.k_nearest_neighbor import KNearestNeighbor
from from_scratch.classifiers.linear_classifier import LinearSVM, Softmax

__all__ = ["FullyConnectedNet", "KNearestNeighbor", "LinearSVM", "Softmax", "TwoLayerNet"]
