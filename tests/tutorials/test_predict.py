"""A prediction starts as fast as torch: it imports nothing that only training, testing or drawing needs."""

import subprocess
import sys

import pytest

from tutorials.common.weights import SAFE

HEAVY = {"tensorboard", "torch.utils.tensorboard", "matplotlib", "torchmetrics", "torchvision", "scipy", "sklearn"}
HEAVY |= {"requests", "sacrebleu", "torch._dynamo"}
LOOK = """
import runpy, sys
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print("heavy:", *sorted(HEAVY & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "module, words",
    [
        ("cifar10", ["--image", "x.png"]),
        ("char_rnn", ["--name", "Satoshi"]),
        ("text_sentiment", ["--text", "Stocks fell"]),
        ("seq2seq", ["--text", "Je suis fatigué."]),
        ("translation", ["--text", "Ein Hund läuft."]),
        ("language_model", ["--text", "The river"]),
    ],
)
def test_a_prediction_imports_nothing_heavy(tmp_path, module, words):
    """Up to the loading of a net, of which there is none here; then what the nets themselves import."""
    code = f"import sys; sys.argv = sys.argv[1:]; HEAVY = {HEAVY}\n{LOOK}"
    command = [sys.executable, "-c", code, f"tutorials.{module}", *words, "--run-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "there is no saved net" in done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize("module", ["pretrained", "transfer_learning"])
def test_torchvision_comes_without_the_compiler(module):
    """Whose import takes as long as torch's; torchvision 0.18 cannot do without."""
    heavy = HEAVY - ({"torchvision"} if SAFE else {"torchvision", "torch._dynamo"})
    code = f"import sys, tutorials.{module}\nprint('heavy:', *sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "heavy:\n", done.stderr


@pytest.mark.slow
def test_what_compiles_still_finds_the_compiler():
    code = """
import tutorials, torch
from torchvision.ops import roi_align
pooled = roi_align(torch.arange(64.0).view(1, 1, 8, 8), torch.tensor([[0, 0, 0, 4.0, 4.0]]), 2, aligned=True)
print(pooled.flatten().tolist(), torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[4.5, 6.5, 20.5, 22.5] 2.0\n", done.stderr


@pytest.mark.slow
def test_nor_does_a_saved_net(tmp_path):
    words = ["-m", "tutorials.char_rnn", "--run-dir", str(tmp_path / "run")]
    subprocess.run([sys.executable, *words, "--epochs", "1"], check=True, capture_output=True, timeout=300)
    code = f"import sys; sys.argv = sys.argv[2:]; HEAVY = {HEAVY}\n{LOOK}"
    command = [sys.executable, "-c", code, *words, "--name", "Satoshi"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 5 and done.stdout.splitlines()[-1] == "heavy:"
