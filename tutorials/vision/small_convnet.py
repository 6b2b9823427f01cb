"""The twin's pretrained net: three convolutions with batch norm, trained on CIFAR-10's twin in seconds."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.utils.data import TensorDataset

import data
from tutorials.common.experiment import Trial
from tutorials.vision.images import Preset

SMALL = "small"
PRESET = Preset(32, 36, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class SmallNet(nn.Module):
    """A classifier of images (N, 3, 32, 32)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(self.block(*sizes) for sizes in ((3, 16), (16, 32), (32, 64))))
        self.fc = nn.Linear(64, classes)

    @staticmethod
    def block(before: int, after: int) -> nn.Sequential:
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        return nn.Sequential(convolution, nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(x).mean((2, 3)))  # (N, 64, 4, 4) -> (N, C)


def pretrain(trial: Trial) -> dict[str, dict[str, Tensor]]:
    """Train a SmallNet on the ten patterns of CIFAR-10's twin; returns its weights as `net`."""
    twin = data.load("cifar10", "tiny", seed=trial.options.seed)
    images = torch.from_numpy(twin.train_images).float() / 127.5 - 1
    loader = trial.loader(TensorDataset(images, torch.from_numpy(twin.train_labels)), 100, shuffle=True)
    net = SmallNet()
    model = trial.distribute(net)
    optimizer = optim.AdamW(model.parameters(), 1e-2)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, trial.options.epochs * len(loader))
    trial.track(net=model, optimizer=optimizer, scheduler=scheduler)
    for _ in trial.epochs():
        model.train()
        for x, labels in trial.batches(loader):
            optimizer.zero_grad()
            scores = model(x)
            loss = F.cross_entropy(scores, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            trial.log("train", loss=loss, accuracy=(scores.argmax(1) == labels).float().mean())
    return {"net": {name: value.cpu() for name, value in net.state_dict().items()}}
