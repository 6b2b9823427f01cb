"""CIFAR-10 fast: the whitening layer whitens, pictures are shifted and mirrored as said, and the twin is learned."""

import json
import sys

import numpy as np
import torch

import data
from tutorials import cifar10_fast as fast


def test_whitening_leaves_patches_uncorrelated():
    images = torch.from_numpy(data.load("cifar10", "tiny").train_images[:200])
    filters = fast.whitening(images)
    patches = torch.nn.functional.conv2d(fast.normalize(images), filters[:12])
    rows = patches.movedim(1, -1).flatten(0, 2)
    second = rows.T @ rows / len(rows)
    kept = second.diagonal() > 0.5  # directions of next to no variance are not blown up
    assert kept.sum() > 3
    torch.testing.assert_close(second[kept][:, kept], torch.diag(second.diagonal()[kept]), atol=1e-3, rtol=0)
    assert torch.equal(filters[12:], -filters[:12])


def test_every_picture_is_shown_from_both_sides_in_two_epochs():
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), np.uint8)
    dataset = fast.Images(images, np.arange(6), seed=1)
    seen = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        shown, labels = dataset.__getitems__([4, 1])
        assert shown.shape == (2, 3, 32, 32) and labels.tolist() == [4, 1]
        seen.append(dataset.mirrored.clone())
        padded = np.pad(images[4], ((0, 0), (2, 2), (2, 2)), "reflect")
        row, column = dataset.shifts[:, 4].tolist()
        crop = padded[:, row : row + 32, column : column + 32]
        crop = crop[:, :, ::-1].copy() if dataset.mirrored[4] else crop
        torch.testing.assert_close(shown[:1], fast.normalize(torch.from_numpy(crop[None])))
    assert (seen[0] ^ seen[1]).all()


def test_the_twin_is_learnt_in_a_budget(tmp_path, monkeypatch):
    argv = ["--minutes", "0.05", "--width", "8", "--device", "cpu", "--threads", "1"]
    folders = ["--data-root", str(tmp_path), "--run-dir", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["cifar10_fast", *folders, *argv])
    fast.main()
    about = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert about["metrics"]["test/accuracy"] > 0.5 and about["epochs"] >= 1
    assert {path.stem for path in (tmp_path / "run" / "figures").iterdir()} >= {"curves", "class_accuracy", "mistakes"}
