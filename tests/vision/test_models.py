"""torchvision's models by name: building, published figures, loading of weights, heads, features, Grad-CAM."""

from pathlib import Path

import pytest
import torch
from torch import nn

from data import StudyError
from data.sources import SOURCES
from tests.weights import publish, save_own
from tutorials.vision import benchmark, models
from tutorials.vision.gradcam import grad_cam, last_map

NAMES = [name for names in models.FAMILIES.values() for name in names]
SMALL = "squeezenet1_0"  # the smallest model whose file is in data/sources.py


@pytest.fixture(scope="module")
def squeezenet() -> nn.Module:
    torch.manual_seed(0)
    return models.build(SMALL).eval()


def test_the_four_families_have_eighteen_architectures_with_the_published_figures():
    assert len(set(NAMES)) == 18
    for name in NAMES:
        with torch.device("meta"):
            net, image = models.build(name).eval(), torch.zeros(1, 3, 224, 224)
            meta = models.find_weights(name).meta
            assert sum(weight.numel() for weight in net.parameters()) == meta["num_params"], name
            assert benchmark.count_gflops(net, image) == pytest.approx(meta["_ops"], rel=0.01), name


def test_every_weight_file_of_the_families_is_among_the_sources():
    for name in NAMES:
        members = [entry for entry in type(models.find_weights(name)) if entry.name != "IMAGENET1K_FEATURES"]
        for member in members:
            assert models.weight_file(name, member.name) in SOURCES["weights"].files
    assert models.weight_file("resnet50").path == "weights/resnet50-11ad3fa6.pth"
    assert models.weight_file("resnet50", "v1").path == "weights/resnet50-0676ba61.pth"
    file, published = models.weight_file(SMALL), models.find_weights(SMALL)
    assert file.urls[0] == published.url and abs(file.size - published.meta["_file_size"] * 2**20) < 600
    other = models.weight_file("mobilenet_v2")
    assert other.hash == "sha256:7ebf99e0" and other.urls[0].endswith("mobilenet_v2-7ebf99e0.pth")


@pytest.fixture
def listed(monkeypatch, squeezenet, tmp_path) -> Path:
    """A file in the place of the published one below a data root, hash and all."""
    monkeypatch.setattr("data.fetch.RETRIES", 0)
    path = tmp_path / models.weight_file(SMALL).path
    path.parent.mkdir()
    torch.save(squeezenet.state_dict(), path)
    publish(monkeypatch, path)
    return path


def test_published_weights_are_loaded_from_the_data_root(listed, squeezenet, tmp_path):
    net = models.build(SMALL).eval()
    weights = models.load_weights(net, SMALL, root=tmp_path)
    assert weights.name == "IMAGENET1K_V1" and models.published(weights) == {"top1": 0.58092, "top5": 0.8042}
    assert len(weights.meta["categories"]) == 1000 and weights.meta["categories"][0] == "tench"
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(net(images), squeezenet(images))


def test_a_damaged_or_missing_file_is_named_with_its_place(listed, tmp_path):
    listed.write_bytes(b"damaged")
    with pytest.raises(StudyError, match=rf"{listed.name} is there, but its hash is not sha256:\w+"):
        models.load_weights(models.build(SMALL), SMALL, root=tmp_path)
    listed.unlink()
    with pytest.raises(StudyError) as failure:
        models.locate_all([(SMALL, None), ("resnet18", None), ("resnet50", "v1")], tmp_path)
    told = str(failure.value)
    assert "3 in all" in told and "--weights-file" in told
    for name in (SMALL, "resnet18", "resnet50-0676ba61"):
        assert any(name in line and str(tmp_path / "weights") in line and "MB)" in line for line in told.splitlines())


def test_the_keys_of_old_densenet_files_are_renamed(tmp_path):
    torch.manual_seed(0)
    net = models.build("densenet121", 3)
    state = {}
    for key, value in net.state_dict().items():
        if not key.endswith("num_batches_tracked"):  # nor had they these
            for part in ("norm1", "norm2", "conv1", "conv2"):
                key = key.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.") if "denselayer" in key else key
            state[key] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    path = save_own(state, tmp_path / "old")
    other = models.build("densenet121", 3)
    models.fit(other, models.read_state(path), "densenet121", path)
    for key, value in net.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_what_does_not_fit_is_told_by_its_first_keys(squeezenet, tmp_path):
    path = save_own(squeezenet.state_dict() | {"more": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(StudyError, match="more is not in the model"):
        models.load_weights(models.build(SMALL), SMALL, path=path)
    with pytest.raises(StudyError, match=r"classifier.1.weight is \(1000, 512, 1, 1\), not \(7, 512, 1, 1\)"):
        models.fit(models.build(SMALL, 7), squeezenet.state_dict(), SMALL, path)
    with pytest.raises(StudyError, match=r"does not fit shufflenet_v2_x0_5: conv1.0.weight is missing.* and .* more"):
        models.load_weights(models.build("shufflenet_v2_x0_5"), "shufflenet_v2_x0_5", path=path)
    with pytest.raises(StudyError, match="there is no file"):
        models.read_state(tmp_path / "missing.pth")


HEADS = {"alexnet": "classifier.6", "vgg11_bn": "classifier.6", "resnet18": "fc", "densenet121": "classifier",
         "squeezenet1_1": "classifier.1", "mobilenet_v3_small": "classifier.3", "convnext_tiny": "classifier.2",
         "googlenet": "fc", "inception_v3": "fc", "vit_b_32": "heads.head"}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_found_and_replaced(name):
    size = models.input_size(name)
    with torch.device("meta"):
        net = models.build(name).eval()
        assert models.head_name(net) == HEADS[name]
        wide = models.features(net, torch.zeros(2, 3, size, size)).shape
        new = models.replace_head(net, 7)
        assert net.get_submodule(models.head_name(net)) is new
        assert net(torch.zeros(2, 3, size, size)).shape == (2, 7)
    assert wide == (2, getattr(new, "in_features", None) or new.in_channels)


def test_a_new_head_learns_even_when_all_its_scores_are_negative():
    torch.manual_seed(0)
    net = models.build("squeezenet1_1").eval()  # its own head ends with a ReLU
    head = models.replace_head(net, 2)
    nn.init.constant_(head.bias, -100)
    scores = net(torch.randn(2, 3, 64, 64))
    assert (scores < 0).all()
    nn.functional.cross_entropy(scores, torch.tensor([0, 0])).backward()
    assert head.weight.grad.abs().max() > 0


def test_features_are_what_the_head_sees(squeezenet):
    torch.manual_seed(0)
    net, images = models.build("shufflenet_v2_x0_5", 5).eval(), torch.randn(3, 3, 64, 64)
    assert torch.allclose(net.fc(models.features(net, images)), net(images), atol=1e-6)
    maps = squeezenet.features(images)
    assert torch.allclose(models.features(squeezenet, images), maps.mean((2, 3)), atol=1e-6)


def test_the_transform_is_the_weights_own():
    assert [models.find_weights("resnet50", member).transforms().resize_size for member in (None, "v1")] == [
        [232],
        [256],
    ]
    assert models.input_size("inception_v3") == 299 and models.input_size("alexnet") == 224


class Linear(nn.Module):
    """Maps, averaged over space, under a linear head: its Grad-CAM is known."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop, self.fc = nn.Conv2d(3, 4, 1), nn.Dropout(0.5), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.drop(self.conv(x).mean((2, 3))))


def test_grad_cam_by_hand():
    torch.manual_seed(0)
    net, images = Linear(), torch.randn(2, 3, 5, 6)
    net.conv.eval()
    for weight in net.parameters():
        weight.requires_grad_(False)
    got = grad_cam(net, images, [0, 1])
    expected = torch.einsum("nchw,nc->nhw", net.conv(images), net.fc.weight).relu()
    assert torch.allclose(got, expected / expected.amax((1, 2), keepdim=True), atol=1e-5)
    assert (net.training, net.conv.training, net.drop.training) == (True, False, True)
    assert not net.conv._forward_hooks


@pytest.mark.parametrize(
    "name, layer",
    [("alexnet", "avgpool"), ("vgg11", "avgpool"), ("resnet18", "layer4"), ("densenet121", "features"),
     ("squeezenet1_1", "classifier.0")],
)  # fmt: skip
def test_the_last_map_is_found_in_every_family(name, layer):
    with torch.device("meta"):
        assert last_map(models.build(name), torch.zeros(1, 3, 224, 224)) == layer


def test_grad_cam_of_real_architectures_lies_in_0_to_1(squeezenet):
    for net in (squeezenet, models.build("resnet18", 5)):
        got = grad_cam(net, torch.randn(2, 3, 64, 64), torch.tensor([1, 2]))
        assert got.shape == (2, 64, 64) and got.min() >= 0 and got.max() <= 1
    with pytest.raises(StudyError, match="no feature maps"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.randn(1, 3, 2, 2), [0])
