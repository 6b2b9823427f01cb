"""The repository's own rules: who may import whom, what make offers, what the README shows."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# torch-free and small: data may need these beyond the standard library (requests and tqdm come with pooch's extras).
ALLOWED = {
    "data": {"numpy", "PIL", "pooch", "requests", "tqdm", "data"},
    "from_scratch": {"numpy", "data", "from_scratch"},
    "tutorials": None,
    "comparisons": None,
}


def imported(file: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", [name for name, allowed in ALLOWED.items() if allowed])
def test_import_directions(package):
    for file in (ROOT / package).rglob("*.py"):
        if "studies" not in file.parts:
            extra = imported(file) - ALLOWED[package] - sys.stdlib_module_names
            assert not extra, f"{file.relative_to(ROOT)} imports {extra}"


def test_each_concern_has_one_home():
    homes = {
        r"(?m)^\s*(?:import|from) torchtext": {"tutorials/text/tokenizer.py"},
        r"\bcuda\b|\bRANK\b|\bdist\.": {"tutorials/common/device.py", "tutorials/common/options.py"},
        r"SummaryWriter": {"tutorials/common/logger.py"},
        r"https?://": {"data/sources.py"},
    }
    for pattern, allowed in homes.items():
        for file in (ROOT / "tutorials").rglob("*.py"):
            name = str(file.relative_to(ROOT))
            if name not in allowed:
                assert not re.search(pattern, file.read_text()), f"{pattern} in {name}"


def test_nothing_unpickles_a_file_but_the_home_of_weights():
    unpickles = r"torch\.load\(|jit\.load|pickle\.loads?\b|Unpickler\b|read_pickle|joblib|allow_pickle=True"
    for folder in ("tutorials", "data", "from_scratch", "comparisons", "docs"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.relative_to(ROOT).as_posix() != "tutorials/common/weights.py":
                assert not re.search(unpickles, file.read_text(encoding="utf-8")), file


TARGETS = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize(
    ("lock", "versions"),
    [
        ("requirements.lock", {"torch": "2.15.0", "torchvision": "0.29.2"}),
        ("requirements-torchtext.lock", {"torch": "2.3.1", "torchvision": "0.18.1", "torchtext": "0.18.0"}),
    ],
)
def test_a_lock_is_exact_and_hashed_and_names_no_index(lock, versions):
    text = (ROOT / lock).read_text()
    assert "://" not in text and "--index" not in text
    packages = re.split(r"\n(?=\S)", text.split("\n", 2)[2])
    pins = {}
    for package in filter(str.strip, packages):
        name, version = re.match(r"([a-z0-9_.-]+)==(\S+)", package).groups()
        assert "--hash=sha256:" in package, name
        pins[name] = version
    assert {name: pins[name] for name in ("torch", "torchvision", "torchtext") if name in pins} == versions


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_shows_what_there_is(name):
    from tutorials.tools import scorecard

    text = (ROOT / name).read_text(encoding="utf-8")
    summaries = scorecard.read_summaries(ROOT / "docs/results")
    assert scorecard.replace_table(text, scorecard.table(summaries)) == text, "stale: run make scorecard"
    for target in re.findall(r"`make ([a-z0-9-]+)", text):
        assert target in TARGETS or target.startswith("data-"), target
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (ROOT / link).exists(), link


def test_the_korean_readme_keeps_step():
    def facts(name: str) -> list[tuple[str, list[str]]]:
        """Of each section: the levels of its headings, and its commands, code, links and numbers in any order."""
        sections = re.split(r"^(?=#)", (ROOT / name).read_text(encoding="utf-8"), flags=re.M)
        found = r"^    [^#\n]+|`[^`]+`|\]\((?!README)[^)]+\)|<http[^>]+>|\d[\d.,]*(?<![.,])"
        return [(re.match("#*", text)[0], sorted(map(str.strip, re.findall(found, text, re.M)))) for text in sections]

    for english, korean in zip(facts("README.md"), facts("README.ko.md"), strict=True):
        assert english == korean
