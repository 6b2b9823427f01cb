"""A student's own package held against torch: published faults are found with their cause, and it ends well."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from comparisons import student
from comparisons.cases import CASES
from comparisons.course import BEYOND, MODULES, OPTIONAL, course_cases
from comparisons.example_package import write
from comparisons.nets import NET_CASES


class Fault(NamedTuple):
    """A fault from students' published notebooks, as they may write it; `cause` is what must be said of it."""

    what: str
    function: str
    file: str
    right: str
    wrong: str
    cause: str


LAYERS, OPTIM, RNN, FC = "layers.py", "optim.py", "rnn_layers.py", "classifiers/fc_net.py"
POOLED = "dx[n, c, rows, columns] += (window == window.max()) * dout[n, c, i, j]"
POOLING = f"""for n, c, i, j in np.ndindex(*dout.shape):
        rows, columns = slice(i * sy, i * sy + height), slice(j * sx, j * sx + width)
        window = x[n, c, rows, columns]
        {POOLED}"""
PADDED = "return dpadded[:, :, py : py + x.shape[2], px : px + x.shape[3]], dw, db"
VAR = "running_var = momentum * running_var + (1 - momentum) * var"
NORMED = "return dx, np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)\n\n\ndef dropout"
EPSILON = '(np.sqrt(vt) + config["epsilon"])'
BOTH_MOMENTS = """    mt = config["m"] / (1 - config["beta1"] ** config["t"])
    vt = config["v"] / (1 - config["beta2"] ** config["t"])
    return w - config["learning_rate"] * mt / (np.sqrt(vt) + config["epsilon"]), config
"""
SECOND_FORM = """    rate = config["learning_rate"] * np.sqrt(1 - config["beta2"] ** config["t"])
    rate /= 1 - config["beta1"] ** config["t"]
    w -= rate * config["m"] / (np.sqrt(config["v"]) + config["epsilon"])
    return w, config
"""
COUNTED = """    config["t"] += 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dw
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dw**2
"""
LATE = COUNTED.replace('    config["t"] += 1\n', "") + BOTH_MOMENTS.replace("return", "w =").replace(", config\n", "\n")
LATE += """    config["t"] += 1
    return w, config
"""
GATES = """i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])"""
TORCHS = """i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 3 * H :])
    g = np.tanh(a[:, 2 * H : 3 * H])"""
SOFTMAX = """loss = -np.sum(kept * np.log(probs[np.arange(N * T), words])) / N
    dx = probs.copy()
    dx[np.arange(N * T), words] -= 1
    dx /= N
"""
FAULTS = [
    Fault("max-pool gradients overwritten", "max_pool_backward_naive", LAYERS, POOLED, POOLED.replace("+=", "="),
          "= for +=: windows overlap"),
    Fault("max-pool gradients overwritten, argmax", "max_pool_backward_naive", LAYERS, POOLED,
          "k = np.unravel_index(window.argmax(), window.shape)\n"
          "        dx[n, c, i * sy + k[0], j * sx + k[1]] = dout[n, c, i, j]", "= for +=: windows overlap"),
    Fault("padding left on dx", "conv_backward_naive", LAYERS, PADDED, "return dpadded, dw, db", "padding forgotten"),
    Fault("padding cut at the wrong side", "conv_backward_naive", LAYERS, PADDED,
          "return dpadded[:, :, : x.shape[2], : x.shape[3]], dw, db", "padding forgotten"),
    Fault("padding cut by [pad:-pad]", "conv_backward_naive", LAYERS, PADDED,
          "return dpadded[:, :, py:-py, px:-px], dw, db", "[pad:-pad] is empty where nothing is padded"),
    Fault("padding forgotten in dw", "conv_backward_naive", LAYERS,
          "dw[f] += padded[n, :, rows, columns]", "dw[f] += x[n, :, rows, columns]",
          "it is right where nothing is padded"),
    Fault("max-pool gradients overwritten, last window first", "max_pool_backward_naive", LAYERS, POOLING,
          POOLING.replace("np.ndindex(*dout.shape)", "reversed(list(np.ndindex(*dout.shape)))").replace("+=", "="),
          "it is right where no windows overlap"),
    Fault("running variance as deviation", "batchnorm_forward", LAYERS, VAR, VAR.replace("* var", "* np.sqrt(var)"),
          "the standard deviation in running_var"),
    Fault("running variance as deviation, epsilon in it", "batchnorm_forward", LAYERS, VAR,
          VAR.replace("* var", "* std"), "the standard deviation in running_var"),
    Fault("running deviation, in testing too", "batchnorm_forward", LAYERS,
          "x_hat, cache = (x - running_mean) / np.sqrt(running_var + eps), None",
          "x_hat, cache = (x - running_mean) / (running_var + eps), None",
          "running_var taken for a standard deviation"),
    Fault("layer norm's dgamma, dbeta over the wrong axis", "layernorm_backward", LAYERS, NORMED,
          NORMED.replace("axis=0", "axis=1"), "dgamma and dbeta summed over the features"),
    Fault("layer norm's dgamma over the wrong axis", "layernorm_backward", LAYERS, NORMED,
          NORMED.replace("x_hat, axis=0", "x_hat, axis=1"), "dgamma summed over the features"),
    Fault("AdaGrad's epsilon inside the root", "adagrad", OPTIM,
          'config["cache"] = config["cache"] + dw**2\n'
          '    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"]), config',
          'config["cache"] = config["cache"] + dw**2\n'
          '    return w - config["learning_rate"] * dw / np.sqrt(config["cache"] + config["epsilon"]), config',
          "epsilon inside the root"),
    Fault("RMSProp's epsilon inside the root", "rmsprop", OPTIM,
          '["decay_rate"]) * dw**2\n    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + ',
          '["decay_rate"]) * dw**2\n    return w - config["learning_rate"] * dw / np.sqrt((config["cache"]) + ',
          "epsilon inside the root"),
    Fault("Adam's epsilon inside the root", "adam", OPTIM, EPSILON, 'np.sqrt(vt + config["epsilon"])',
          "epsilon inside the root"),
    Fault("Adam's t increased after use", "adam", OPTIM, COUNTED + BOTH_MOMENTS, LATE, "t increased after it is used"),
    Fault("dropout scaled in testing", "dropout_forward", LAYERS, "out = x\n", "out = x * p\n",
          "scaled in test mode too"),
    Fault("temporal softmax divided by N*T", "temporal_softmax_loss", RNN, SOFTMAX, SOFTMAX.replace("/ N", "/ (N * T)")
          .replace("/= N", "/= N * T"), "divided by N*T, not by N"),
    Fault("temporal softmax's dx divided by N*T", "temporal_softmax_loss", RNN, "    dx /= N\n    dx *= kept",
          "    dx /= N * T\n    dx *= kept", "dx is divided by N*T"),
    Fault("temporal softmax divided by the words that count", "temporal_softmax_loss", RNN, SOFTMAX,
          SOFTMAX.replace("/ N", "/ mask.sum()").replace("/= N", "/= mask.sum()"),
          "divided by the number of words that count"),
    Fault("ReLU backward writes into its input", "relu_backward", LAYERS, "dx = dout.copy()\n", "dx = dout\n",
          "relu_backward writes into it"),
    Fault("LSTM gates in torch's order", "lstm_step_forward", RNN, GATES, TORCHS, "gates in torch's order i, f, g, o"),
    Fault("LSTM gates' gradients in torch's order", "lstm_step_backward", RNN,
          "dnext_h * tanh_c * o * (1 - o), dc * i * (1 - g**2)]",
          "dc * i * (1 - g**2), dnext_h * tanh_c * o * (1 - o)]",
          "gates in torch's order i, f, g, o"),
    Fault("word-embedding gradients assigned", "word_embedding_backward", RNN, "np.add.at(dW, x, dout)", "dW[x] = dout",
          "= for +=: a repeated word counts once"),
    Fault("word-embedding gradients by fancy +=", "word_embedding_backward", RNN, "np.add.at(dW, x, dout)",
          "dW[x] += dout", "= for +=: a repeated word counts once"),
    Fault("weight decay on biases", "FullyConnectedNet", FC, 'grads["W%d" % i] += self.reg * p["W%d" % i]\n',
          'grads["W%d" % i] += self.reg * p["W%d" % i]\n'
          '            grads["b%d" % i] += self.reg * p["b%d" % i]\n'
          '            loss += 0.5 * self.reg * np.sum(p["b%d" % i] ** 2)\n', "weight decay on biases"),
    Fault("weight decay on biases, gradients alone", "TwoLayerNet", FC, 'grads["W2"] += self.reg * p["W2"]\n',
          'grads["W2"] += self.reg * p["W2"]\n        grads["b1"] += self.reg * p["b1"]\n', "weight decay on biases"),
    Fault("weight decay on biases, assignment 1", "TwoLayerNet", "classifiers/neural_net.py",
          '"b2": p.sum(axis=0)}', '"b2": p.sum(axis=0) + 2 * reg * b2}', "weight decay on biases"),
]  # fmt: skip


def copies(faults: list[Fault]) -> list[list[Fault]]:
    """The faults in as few copies as may be, none of which has two in the same layer, forward and backward."""
    found: list[list[Fault]] = []
    for fault in faults:
        layer = fault.file, re.sub("_(forward|backward)", "", fault.function)
        for copy in found:
            if layer not in [(one.file, re.sub("_(forward|backward)", "", one.function)) for one in copy]:
                copy.append(fault)
                break
        else:
            found.append([fault])
    return found


def hold(folder: Path, *arguments: str, capsys) -> tuple[int, str]:
    """Exit code and all that is printed."""
    try:
        code = student.main(["--folder", str(folder), *arguments])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def rows(text: str, function: str, file: str = "") -> list[str]:
    return [line for line in text.splitlines() if re.search(rf"  {function}  +{file}", line)]


def test_published_faults_are_found_with_their_cause(tmp_path, capsys):
    found = {}
    for number, copy in enumerate(copies(FAULTS)):
        changes: dict[str, list[tuple[str, str]]] = {}
        for fault in copy:
            changes.setdefault(fault.file, []).append((fault.right, fault.wrong))
        folder = write(tmp_path / str(number), changes)
        code, text = hold(folder, *{fault.function for fault in copy}, capsys=capsys)
        assert code == 1
        for fault in copy:
            lines = rows(text, fault.function, fault.file)
            found[fault] = any(line.startswith(("red", "raised")) and f"Cause: {fault.cause}" in line for line in lines)
            with capsys.disabled():
                print(f"\n{'found' if found[fault] else 'NOT FOUND':10}{fault.what}: {fault.cause}", end="")
    assert sum(found.values()) >= 0.9 * len(FAULTS), [fault.what for fault in found if not found[fault]]


def snapshot(folder: Path) -> dict[str, tuple]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


RIGHT_WAYS = {
    LAYERS: [
        ("mask = (np.random.rand(*x.shape) < p) / p", "mask = (np.random.rand(*x.shape) > 1 - p) / p"),
        ("return x.reshape(x.shape[0], -1).dot(w) + b, (x, w, b)", "print('a' * 9999)\n    np.random.seed(0)\n"
         "    return x.reshape(x.shape[0], -1).dot(w) + b, (x, w, b)"),
        ("    return loss / N, dx / N\n", "    return np.float32(loss / N), (dx / N).astype(np.float32)\n"),
    ],
    OPTIM: [
        (BOTH_MOMENTS, SECOND_FORM),
        ('return w - config["learning_rate"] * dw, config', 'w -= config["learning_rate"] * dw\n    return w, config'),
    ],
}  # fmt: skip


def test_right_ways_are_green_and_nothing_is_written_there(tmp_path, capsys):
    folder = write(tmp_path / "my assignment", RIGHT_WAYS)
    (folder / "layers.py").chmod(0o444)
    folder.chmod(0o555)
    before = snapshot(tmp_path)
    code, text = hold(folder.parent, capsys=capsys)
    folder.chmod(0o755)
    assert code == 0 and "71 green, 1 left out" in text and "aaa" not in text, text
    assert snapshot(tmp_path) == before
    (line,) = rows(text, "adam")
    assert "epsilon is added before the bias correction" in line
    (line,) = rows(text, "conv_backward_strides")
    assert "left out" in line and "im2col_cython" in line and "fast_layers.py:" in line
    assert "No such file there: transformer_layers.py, classifiers/transformer.py." in text


HAZARDS = {
    "classifiers/softmax.py": [
        ("def softmax_loss_naive(W, X, y, reg):\n", "def softmax_loss_naive(W, X, y, reg):\n    while True: pass\n"),
    ],
    "classifiers/linear_svm.py": [("def svm_loss_naive(W, X, y, reg):\n", "def svm_loss_naive(W, X, y, reg)\n")],
    "classifiers/neural_net.py": [("        N, D = X.shape\n", "        return 0.0, {}\n")],
    "classifiers/rnn.py": [("import numpy as np\n", "import numpy as np\nimport not_there\n")],
    OPTIM: [
        ('return w - config["learning_rate"] * dw, config', "import os\n    os._exit(0)"),
        ("def adagrad(w, dw, config=None):\n", "def adagrad(w, dw, config=None):\n    raise NotImplementedError\n"),
        ("def adam(w, dw, config=None):\n", "def adam(w, dw, config=None):\n    import sys\n    sys.exit(0)\n"),
        ("def rmsprop(", "def rmsprop_(")],
    "im2col.py": [("    return padded[:, k, i, j]", "    np.zeros(100 * 2**30)\n    return padded[:, k, i, j]")],
    LAYERS: [
        ("dx[cache <= 0] = 0\n    return dx", "return None"),
        ("return x.reshape(x.shape[0], -1).dot(w) + b, (x, w, b)",
         "x *= 2\n    return x.reshape(x.shape[0], -1).dot(w) / 2 + b, (x / 2, w, b)"),
        ("x_hat, std, gamma = cache\n    N = len(dout)", "x_hat, std, gamma = cache\n    N = cache[7]"),
    ],
    "fast_layers.py": [("conv_forward_strides, max_pool_forward_reshape",
                        "exec('raise SystemExit')\nconv_forward_strides, max_pool_forward_reshape")],
}  # fmt: skip


@pytest.mark.slow
def test_whatever_their_code_does_gives_a_row_and_the_rest_goes_on(tmp_path, capsys):
    folder = write(tmp_path, HAZARDS)
    (folder / "rnn_layers.py").write_text("import torch\n\n\ndef rnn_step_forward(x, prev_h, Wx, Wh, b):\n    pass\n")
    (folder / "transformer_layers.py").write_text("from torch import nn\n")
    before = snapshot(tmp_path)
    code, text = hold(folder, "--seconds=8", "--gigabytes=2", capsys=capsys)
    assert code == 1 and snapshot(tmp_path) == before
    for function, told in {
        "softmax_loss_naive": r"raised .*softmax.py:3 +took more than 8 seconds",
        "softmax_loss_vectorized": "green",
        "classifiers/linear_svm.py": r"raised .*SyntaxError: expected ':' \(classifiers/linear_svm.py:3\)",
        "classifiers/__init__.py": "waits .*for classifiers/linear_svm.py, which does not run",
        "classifiers/rnn.py": r"raised .*ModuleNotFoundError: No module named 'not_there' \(classifiers/rnn.py:3\)",
        "fast_layers.py": r"raised .*SystemExit \(fast_layers.py:\d+\)",
        "layer_utils.py": "waits .*for fast_layers.py, which does not run",
        "predict_labels": "green",
        "sgd": r"raised .*optim.py:\d+ +ended the process with exit code 0",
        "sgd_momentum": "green",
        "adagrad": "missing .*still to be written: NotImplementedError",
        "rmsprop": "missing .*not in optim.py",
        "adam": r"raised .*SystemExit: 0 \(optim.py:\d+\)",
        "im2col_indices": r"raised .*MemoryError: .*\(im2col.py:\d+\)",
        "col2im_indices": "green",
        "relu_backward": "missing .*still to be written: returns None",
        "affine_forward": "red .*x is changed. Cause: affine_forward writes into it",
        "batchnorm_backward": r"raised .*IndexError: tuple index out of range \(layers.py:\d+\)",
        "batchnorm_backward_alt": "green",
        "spatial_batchnorm_backward": "waits .*for batchnorm_backward, which raised",
        "rnn_layers.py": "left out .*written in torch itself",
        "transformer_layers.py": "left out .*written in torch itself",
    }.items():
        (line, *_) = [*rows(text, re.escape(function)), f"no row for {function}"]
        assert re.match(told, line), f"{line}\n{text}"
    (line, *_) = rows(text, "TwoLayerNet", "classifiers/neural_net.py")
    assert line.startswith("missing")
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("none", "FOLDER={}/none is not there. Give the folder"),
        ("file", "FOLDER={}/file is a file. Give the folder"),
        ("empty", "FOLDER={}/empty holds no cs231n package: no layers.py, optim.py"),
        ("all", "FOLDER={0}/all holds 2 packages. Give one of: {0}/all/assignment1/cs231n, "),
    ],
)
def test_a_wrong_folder_is_told_in_one_line(given, told, tmp_path, capsys):
    (tmp_path / "file").touch()
    for name in ("empty", "all/assignment1/cs231n", "all/assignment2/cs231n"):
        (tmp_path / name).mkdir(parents=True)
    code, text = hold(tmp_path / given, capsys=capsys)
    assert code == 1 and text.startswith(told.format(tmp_path)) and text.count("\n") == 1


def test_the_tables_name_what_there_is():
    names = {case.name for case in CASES} | NET_CASES.keys()
    assert names >= BEYOND and {case for case, _ in student.CONTRASTS.values()} <= names
    for module, cases in course_cases().items():
        assert {name for name, _ in cases} == set(MODULES[module]), module
    assert {name for names in MODULES.values() for name in names} >= OPTIONAL | student.CONTRASTS.keys()


@pytest.mark.parametrize("option", ["--seconds=0", "--seconds=nan", "--gigabytes=-1", "--gigabytes=much"])
def test_a_bound_is_a_number_above_zero(option, tmp_path, capsys):
    code, text = hold(tmp_path, option, capsys=capsys)
    assert code == 2 and "error: argument --" in text and "Traceback" not in text


def test_an_unknown_function_names_the_nearest(tmp_path, capsys):
    (tmp_path / "layers.py").touch()
    code, text = hold(tmp_path, "affine_forwards", capsys=capsys)
    assert code == 1 and text.startswith("parity: the course has no affine_forwards. Did you mean: affine_forward,")
