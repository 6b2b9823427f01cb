"""A prediction starts as fast as torch: it imports nothing that only training, testing or drawing needs."""

import subprocess
import sys

import pytest

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
    assert "there is no saved net" in done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_nor_does_a_saved_net(tmp_path):
    words = ["-m", "tutorials.char_rnn", "--run-dir", str(tmp_path / "run")]
    subprocess.run([sys.executable, *words, "--epochs", "1"], check=True, capture_output=True, timeout=300)
    code = f"import sys; sys.argv = sys.argv[2:]; HEAVY = {HEAVY}\n{LOOK}"
    command = [sys.executable, "-c", code, *words, "--name", "Satoshi"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 5 and done.stdout.splitlines()[-1] == "heavy:"
