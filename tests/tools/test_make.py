"""make: what it offers, how a user's values reach Python, and the environments that it builds."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tutorials.tools.run_all import PROGRAMS

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")
ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.M)
VARIABLES = re.search(r"VARIABLES := ((?:.*\\\n)*.*)", MAKEFILE)[1].replace("\\", "").split()
# What would leave a file `ran` behind if make or a shell read any of it.
EVIL = "'\";touch ran;`touch ran`$(touch ran)$(shell touch ran)${IFS}&touch ran|touch ran\n\ttouch ran\n#(1) $HOME %*"
# Stands for every environment's python: shows what would be run.
STUB = f"""#!{sys.executable}
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from tutorials.tools import launch
if sys.argv[1:3] == ["-m", "tutorials.tools.launch"]:
    launch.runpy.run_module = lambda module, **_: print(json.dumps(sys.argv))
    sys.executable, sys.argv = sys.argv[0], sys.argv[2:]
    sys.exit(launch.main())
print(json.dumps(sys.argv[2:]))
sys.exit(any(argument == "--seed=7" for argument in sys.argv))
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """What make needs of the repository, with environments that are ready and only show what they would run."""
    for file in ("Makefile", "pyproject.toml", *(path.name for path in ROOT.glob("*.lock"))):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "tutorials/tools").mkdir(parents=True)
    shutil.copy(ROOT / "tutorials/tools/setup.sh", tmp_path / "tutorials/tools")
    for kind, source in {
        "": "requirements.lock", "-torchtext": "requirements-torchtext.lock",
        "-latest": "pyproject.toml", "-lowest": "pyproject.toml",
    }.items():  # fmt: skip
        python = tmp_path / f".venv{kind}" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(STUB)
        python.chmod(0o755)
        shutil.copy(ROOT / source, tmp_path / f".venv{kind}" / ".ready")
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", *VARIABLES)}
    return subprocess.run(
        [shutil.which("make"), "-s", "-C", folder, *arguments], env=clean | environment, capture_output=True, text=True
    )


def shown(folder: Path, *arguments: str, **environment: str) -> list[list[str]]:
    """The commands of a target: module and arguments."""
    done = make(folder, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def test_plain_make_lists_every_target():
    listed = make(ROOT).stdout
    assert all(re.search(rf"^  make {target} +\S", listed, re.M) for target in TARGETS)
    assert {"study", "test", "cifar10", "predict-cifar10", "data-list", "tensorboard", "setup"} <= set(TARGETS)


NOT_RUN = {"setup", "lock", "clean", "from-scratch", "test-debian"}  # they build, remove or only name others


@pytest.mark.parametrize("target", sorted({*TARGETS, "data-names"} - NOT_RUN))
def test_nothing_that_is_given_runs_and_all_of_it_arrives(checkout, target):
    given = dict.fromkeys(VARIABLES, EVIL) | {"ARGS": shlex.quote(EVIL), "TORCHTEXT": "0"}
    for numeric in ("TORCH", "SEEDS", "NPROC", "NNODES", "NODE_RANK", "RESTARTS"):
        given.pop(numeric)
    for name in ("CSV", "MODELS", "FILES"):
        given[name] = shlex.quote(EVIL)
    planned = re.search(r"tools\.launch.*", make(checkout, "-n", target).stdout)
    words = set(re.findall(r"\b[A-Z]+\b", planned[0] if planned else "")) - {"NPROC", "SEEDS", "RESUME", "REPLACE"}
    assert words <= set(VARIABLES)
    commands = shown(checkout, target, *(f"{name}={value}" for name, value in given.items()))
    assert commands
    if planned:
        got = [argument.partition("=")[2] if argument.startswith("--") else argument for argument in commands[-1]]
        assert sum(value == EVIL for value in got) >= len(words - {"CSV", "MODELS", "FILES"}) + 1, "ARGS, and each word"
    assert not list(checkout.rglob("ran"))


@pytest.mark.parametrize(
    "name", ["NPROC", "NNODES", "RESTARTS", "SEEDS", "SEED", "DATA", "TORCHTEXT", "TORCH", "PYTHON"]
)
def test_a_value_that_makes_no_sense_runs_nothing(checkout, name):
    shutil.rmtree(checkout / ".venv-torchtext")
    target = "setup" if name in ("TORCH", "PYTHON") else "cifar10"
    if name == "PYTHON":
        shutil.rmtree(checkout / ".venv")
    done = make(checkout, target, f"{name}={EVIL}", PATH=str(fake_path(checkout)))
    told = re.sub(r"make: \*\*\*.*\n", "", done.stderr)
    assert name in ("SEED", "DATA") or (done.returncode == 2 and told.startswith(("make cifar10: ", "setup: ")))
    assert not list(checkout.rglob("ran"))


def test_a_targets_name_is_not_run(checkout):
    assert shown(checkout, "data-x;touch ran;'`touch ran`") == [["data", "fetch", "x;touch ran;'`touch ran`"]]
    assert not list(checkout.rglob("ran"))


def test_no_recipe_names_what_a_user_gives():
    after = MAKEFILE.split("export $(foreach", 1)[1].split("\n", 1)[1].replace("$(filter-out 0,$(TORCHTEXT))", "")
    assert not set(re.findall(r"\$[({](\w+)", after)) & set(VARIABLES)


def test_variables_become_options(checkout):
    given = ["DATA=official", "RECIPE=original", "SEED=3", "NPROC=2", "RESUME=1", "ARGS=--lr 0.1 --text 'a b'"]
    assert shown(checkout, "cifar10", *given) == [
        ["tutorials.tools.torchrun", "2", "tutorials.cifar10", "--data=official", "--recipe=original", "--seed=3",
         "--resume", "--lr", "0.1", "--text", "a b"]
    ]  # fmt: skip
    assert shown(checkout, "cifar10", "NPROC=1", "RESUME=0") == [["tutorials.cifar10"]]
    assert shown(checkout, "exercise", "LAYER=affine_forward") == [["comparisons.exercise", "affine_forward"]]
    assert shown(checkout, "data-ag-news", "FILES=train.csv test.csv")[0][2:] == ["ag-news", "train.csv", "test.csv"]
    assert shown(checkout, "predict-names") == [["tutorials.char_rnn", "--name="]]
    done = make(checkout, "predict-cifar10")
    assert done.returncode == 2 and "make predict-cifar10: give IMAGE=photo.jpg" in done.stderr
    done = make(checkout, "names", "ARGS=--name 'O")
    assert done.returncode == 2 and "ARGS=--name 'O cannot be split into words: no closing quotation" in done.stderr


def test_a_file_whose_name_has_blanks_is_one_file(checkout):
    (checkout / "my news.csv").touch()
    assert shown(checkout, "sentiment", "CSV=my news.csv")[0] == ["tutorials.text_sentiment", "--csv", "my news.csv"]
    assert shown(checkout, "sentiment", "CSV='my news.csv' b.csv")[0][1:] == ["--csv", "my news.csv", "b.csv"]


def test_the_seeds_run_one_after_another_until_one_fails(checkout):
    for program in PROGRAMS:
        runs = [[program.module, "--data=official", f"--seed={seed}"] for seed in (0, 1)]
        mean = ["tutorials.tools.scorecard", "--seeds", "2", program.target]
        assert shown(checkout, program.target, "SEEDS=2", "DATA=official") == [*runs, mean]
    done = make(checkout, "names", "SEEDS=9")
    assert done.returncode and done.stdout.splitlines()[-1] == '["tutorials.char_rnn", "--seed=7"]'
    assert shown(checkout, "names", "SEED=4") == [["tutorials.char_rnn", "--seed=4"]]
    assert "leave out --run-dir" in make(checkout, "names", "SEEDS=2", "ARGS=--run-dir=x").stderr


def test_torchtext_chooses_the_other_environment(checkout):
    planned = {kind: make(checkout, "-n", "names", *given, **env).stdout for kind, (given, env) in {
        "": ((), {}), "0": (("TORCHTEXT=0",), {}), "after": (("TORCHTEXT=1",), {}), "before": ((), {"TORCHTEXT": "1"}),
    }.items()}  # fmt: skip
    for kind, text in planned.items():
        folder = ".venv-torchtext/" if kind in ("after", "before") else ".venv/"
        assert f"\n{folder}bin/python" in text and f"setup.sh {'torchtext' if 'text' in folder else 'default'}" in text
    assert ".venv-latest/bin/python" in make(checkout, "-n", "test-latest").stdout


# Building an environment


def fake_path(folder: Path, *pythons: tuple[str, int, bool], uv: bool = False) -> Path:
    """A folder for PATH: the usual tools, and Pythons of a name, a minor version, and with or without ensurepip.

    An environment that they make, or `uv`, writes down what it is asked for.
    """
    path = folder / "path"
    path.mkdir(exist_ok=True)
    for tool in ("sh", "uname", "cmp", "sed", "awk", "cp", "mv", "rm", "touch", "mkdir", "cat", "chmod", "env"):
        if not (path / tool).exists():
            (path / tool).symlink_to(shutil.which(tool))
    record = f'echo "$@" >>"{folder}/calls"\n'
    scripts = {"git": "exit 0\n"}
    for name, minor, ensurepip in pythons:
        hide = "" if ensurepip else "sys.modules['ensurepip'] = None\n"
        scripts[name] = (
            f'if [ "$1" = -c ]; then exec {sys.executable} -c "import sys; sys.version_info = (3, {minor})\n{hide}$2"\n'
            f"fi\n{record}mkdir -p $4/bin; cp path/environment $4/bin/python\n"
        )
    scripts["environment"] = record
    if uv:
        scripts["uv"] = record + (
            'if [ "$1" = venv ]; then for folder; do :; done; mkdir -p $folder/bin; fi\n'
            "cp path/environment $folder/bin/python 2>/dev/null || true\n"
        )
    for name, text in scripts.items():
        (path / name).write_text(f"#!/bin/sh\n{text}")
        (path / name).chmod(0o755)
    return path


def build(folder: Path, kind: str = "default", *pythons: tuple[str, int, bool], uv: bool = False, **environment: str):
    """Run the set-up in a checkout without environments: exit code, all that it printed, what it asked others for."""
    for one in folder.glob(".venv*"):
        shutil.rmtree(one)
    (folder / "calls").unlink(missing_ok=True)
    path = fake_path(folder, *pythons, uv=uv)
    done = subprocess.run(
        ["sh", "tutorials/tools/setup.sh", kind], cwd=folder, env={"PATH": str(path)} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    calls = folder / "calls"
    return done.returncode, done.stdout, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize(
    ("kind", "pythons", "told"),
    [
        ("default", [], "needs Python 3.11 to 3.14. Debian/Ubuntu: sudo apt install python3 python3-venv; "),
        ("default", [("python3", 10, True)], "needs Python 3.11 to 3.14; python3 is 3.10. "),
        ("default", [("python3", 15, True)], "python3 is 3.15. "),
        ("torchtext", [("python3", 13, True)], "needs Python 3.11 to 3.12; python3 is 3.13. "),
        ("default", [("python3", 13, False)], "python3 (3.13) cannot make environments with pip. "),
    ],
)
def test_a_missing_python_is_told_in_one_line_with_what_to_install(checkout, kind, pythons, told):
    code, printed, calls = build(checkout, kind, *pythons)
    assert code == 1 and not calls and printed.startswith("setup: ") and printed.count("\n") == 1
    assert told in printed
    for system in ("Debian/Ubuntu: sudo apt", "Fedora: sudo dnf", "macOS: brew", "Windows: winget", "or install uv"):
        assert system in printed


def test_the_first_python_that_suits_is_taken(checkout):
    code, printed, calls = build(checkout, "default", ("python3", 10, True), ("python3.12", 12, True))
    assert code == 0, printed
    assert calls[0] == "-m venv --clear .venv" and calls[1].endswith("--require-hashes --requirement requirements.lock")
    assert "building .venv from requirements.lock" in printed and "GB" in printed
    assert "study.pth" in (checkout / "calls").read_text(), "scripts find this checkout from any folder"
    again = subprocess.run(["sh", "tutorials/tools/setup.sh", "default"], cwd=checkout, capture_output=True, text=True)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", ""), "a ready environment is left alone"
    (checkout / "requirements.lock").write_text("other\n")
    assert "building" in build(checkout, "default", ("python3", 11, True))[1]


def test_uv_does_without_ensurepip_and_without_a_python(checkout):
    for pythons, chosen in (([("python3", 13, False)], "python3"), ([("python3", 10, True)], "3.13")):
        code, printed, calls = build(checkout, "default", *pythons, uv=True)
        assert code == 0, printed
        assert calls[0] == f"venv --quiet --clear --python {chosen} .venv"
        assert "pip install --python .venv/bin/python --require-hashes" in calls[1]


def test_the_named_python_is_the_one_or_none(checkout):
    assert build(checkout, "default", ("mine", 12, True), ("python3", 13, True), PYTHON="mine")[0] == 0
    code, printed, calls = build(checkout, "default", ("mine", 9, True), ("python3", 13, True), PYTHON="mine")
    assert code == 1 and "PYTHON=mine is not Python 3.11 to 3.14: mine is 3.9" in printed and not calls


def test_a_build_without_cuda_takes_the_rest_from_the_lock(checkout):
    code, printed, calls = build(checkout, "default", ("python3", 13, True), uv=True, TORCH="cpu")
    assert code == 0 and "no NVIDIA driver" not in printed, printed
    assert re.search(r"--torch-backend cpu torch==\S+ torchvision==\S+$", calls[1])
    rest = (checkout / ".venv/without-cuda.txt").read_text()
    assert "numpy==" in rest and not re.search(r"^(torch|torchvision|nvidia-\S+|cuda-\S+|triton)==", rest, re.M)
    assert rest.count("--hash=") > 500 and calls[2].endswith("--no-deps --requirement .venv/without-cuda.txt")
    assert build(checkout, "default", ("python3", 13, True), TORCH="rocm")[:2] == (
        1, "setup: TORCH=rocm: the only choice is TORCH=cpu, torch without CUDA\n"
    )  # fmt: skip
