"""A linear probe: logistic regression on a frozen net's features."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tutorials.vision import models

# N samples, D features, C classes
Head = tuple[Tensor, Tensor]  # weight (C, D), bias (C,)


@torch.no_grad()
def compute_features(net: nn.Module, dataset: Dataset, device: torch.device) -> Tensor:
    """The input of a net's last layer for all images of a data set: (N, D), on the CPU."""
    net.eval()
    return torch.cat([models.features(net, images.to(device)).cpu() for images, _ in DataLoader(dataset, 32)])


def fit_head(features: Tensor, labels: Tensor, seed: int, folds: int = 3) -> Head:
    """L2-regularized logistic regression on standardized features (N, D) and labels (N,), its inverse regularization
    strength chosen by cross-validation of the log loss; as the layer of a net that takes the features as they are."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    strengths = np.logspace(-3, 0, 7)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strengths[0], max_iter=1000))
    folds = min(folds, int(labels.bincount().min()))
    if folds > 1:
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        model = GridSearchCV(model, {"logisticregression__C": strengths}, scoring="neg_log_loss", cv=splitter)
    with threadpool_limits(1):  # on matrices so small, threads wait for each other
        model.fit(features.double().numpy(), labels.numpy())
    scaler, classifier = getattr(model, "best_estimator_", model)
    weight, bias = classifier.coef_, classifier.intercept_
    if len(weight) == 1:  # of two classes: the logit of the second, here the difference of two
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / scaler.scale_
    return torch.from_numpy(weight).float(), torch.from_numpy(bias - weight @ scaler.mean_).float()


def logits(features: Tensor, head: Head) -> Tensor:
    """Features (N, D) -> logits (N, C)."""
    weight, bias = head
    return features @ weight.T + bias


@torch.no_grad()
def set_head(net: nn.Module, head: Head) -> None:
    """Copy a head into a net's last layer, a Linear or a 1 x 1 convolution."""
    layer = net.get_submodule(models.head_name(net))
    weight, bias = head
    layer.weight.copy_(weight.view_as(layer.weight))
    layer.bias.copy_(bias)
