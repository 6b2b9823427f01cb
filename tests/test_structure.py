"""The repository's own rules: who may import whom, what make offers, what the README shows."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in ("tutorials", "from_scratch", "comparisons", "data", "docs")
    for file in sorted((ROOT / package).rglob("*.py"))
}
SPINE = {"tutorials.common", "data"}
MODALITIES = {"tutorials.text", "tutorials.vision"}
# What a package may import of ours, beside itself; docs may import anything.
DIRECTIONS = {
    "data": set(),
    "tutorials.common": {"data"},
    "tutorials.text": SPINE,
    "tutorials.vision": SPINE,
    "tutorials.reports": SPINE | MODALITIES,
    "tutorials": SPINE | MODALITIES | {"tutorials.reports"},
    "tutorials.tools": SPINE | MODALITIES | {"tutorials.reports", "tutorials"},
    "from_scratch": {"data"},
    "from_scratch.studies": SPINE | {"from_scratch"},
    # The tokenizer and the vocabulary of our own are proved equal to torchtext's.
    "comparisons": SPINE | {"from_scratch", "tutorials.text.tokenizer"},
}
# And of libraries, beside the standard one; the tutorials may import any.
LIBRARIES = {
    "data": {"numpy", "PIL", "pooch", "requests", "sklearn", "tqdm"},  # requests and tqdm come with pooch's extras
    "from_scratch": {"numpy", "h5py"},  # h5py reads the course's COCO files, where it is installed
    "from_scratch.studies": {"numpy", "matplotlib", "PIL", "sacrebleu", "threadpoolctl", "tqdm"},
    "comparisons": {"numpy", "torch", "matplotlib", "threadpoolctl", "tabulate", "markdown", "pytest", "hypothesis"},
}
# Modules of text and vision that one module alone imports, and why they stand apart from it.
IMPORTED_ONCE = {
    "tutorials.text.adaptive_softmax": "an output layer that the page on language models does not have",
    "tutorials.text.char_ngrams": "a bag of n-grams, which the page on names does not have",
    "tutorials.text.classification_data": "which texts are read from AG_NEWS or a user's csv",
    "tutorials.text.dynamic_evaluation": "published methods on top of any language model, beyond the page",
    "tutorials.vision.benchmark": "the timing of any net, of which the page shows nothing",
    "tutorials.vision.fine_tuning_comparison": "cross-validation of what the page shows on a single split",
    "tutorials.vision.model_selection": "the words of --models and --weights-file become models",
    "tutorials.vision.small_convnet": "stands in for the pretrained net on the tiny twin alone",
    "tutorials.vision.training_history": "measures how much the choice of the best epoch flatters, beyond the page",
}


def package_of(module: str) -> str:
    """The package whose rule holds: that with the longest name."""
    return max((name for name in DIRECTIONS if f"{module}.".startswith(f"{name}.")), key=len, default="")


def imports(file: Path) -> set[str]:
    """What a file imports, anywhere in it: our own modules and those of libraries, by their full names."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found = members & MODULES.keys()
            names |= found if found == members else found | {node.module}
    return names


GRAPH = {name: imports(file) for name, file in MODULES.items()}


def test_the_rules_cover_every_module():
    assert {name for name in MODULES if not package_of(name)} == {name for name in MODULES if name.startswith("docs")}


@pytest.mark.parametrize("package", DIRECTIONS)
def test_import_directions(package):
    allowed = DIRECTIONS[package] | {package}
    libraries = LIBRARIES.get(package)
    for module in (name for name in MODULES if package_of(name) == package):
        for other in GRAPH[module]:
            top = other.split(".")[0]
            if top in ("tutorials", "from_scratch", "comparisons", "data", "docs", "tests"):
                assert other in allowed or package_of(other) in allowed, f"{module} imports {other}"
            elif libraries is not None:
                assert top in libraries | sys.stdlib_module_names, f"{module} imports {other}"


def test_no_imports_go_round_in_a_circle():
    TopologicalSorter({name: others & MODULES.keys() for name, others in GRAPH.items()}).prepare()  # or CycleError


def test_what_is_shared_has_two_importers_or_a_reason():
    once = set()
    for module in (name for name in MODULES if package_of(name) in MODALITIES):
        importers = [name for name, others in GRAPH.items() if module in others and ".test_" not in name]
        assert importers, f"nothing imports {module}"
        once |= {module} if len(importers) == 1 else set()
    assert once == IMPORTED_ONCE.keys()


def test_each_concern_has_one_home():
    homes = {
        r"(?m)^\s*(?:import|from) torchtext": {"tutorials/text/tokenizer.py"},
        r"\bcuda\b|\bRANK\b|\bdist\.": {"tutorials/common/device.py", "tutorials/common/options.py"},
        r"SummaryWriter": {"tutorials/common/logger.py"},
        r"https?://": {"tutorials/common/published.py"},  # the originals' pages; of data, data/sources.py
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


@pytest.mark.parametrize("page", ["README", "docs/how-to-run"])
@pytest.mark.parametrize("language", ["", ".ko"])
def test_a_page_names_what_there_is(page, language):
    file = ROOT / f"{page}{language}.md"
    text = file.read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z0-9-]+)", text):
        assert target in TARGETS or target.startswith("data-"), target
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (file.parent / link).exists(), link


def test_every_picture_that_a_page_names_is_there():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "from_scratch").glob("*.md")]
    picture = r"!\[[^\]]*\]\((?!https?:)([^)]+)\)"
    named = [(page, name) for page in pages for name in re.findall(picture, page.read_text(encoding="utf-8"))]
    assert len(named) > 3
    for page, name in named:
        assert (page.parent / name).exists(), f"{page}: {name}"


def test_the_korean_readme_keeps_step():
    def facts(name: str) -> list[tuple[str, list[str]]]:
        """Of each section: the levels of its headings, and its commands, code, links and numbers in any order."""
        sections = re.split(r"^(?=#)", (ROOT / name).read_text(encoding="utf-8"), flags=re.M)
        found = r"^    [^#\n]+|`[^`]+`|\]\((?!(?:\.\./)?README|docs/how-to-run)[^)]+\)|<http[^>]+>|\d[\d.,]*(?<![.,])"
        return [(re.match("#*", text)[0], sorted(map(str.strip, re.findall(found, text, re.M)))) for text in sections]

    for page in ("README", "docs/how-to-run"):
        for english, korean in zip(facts(f"{page}.md"), facts(f"{page}.ko.md"), strict=True):
            assert english == korean


def test_the_page_of_dashboards_speaks_of_every_tutorial_and_of_what_there_is():
    from tutorials.tools.run_all import PROGRAMS

    text = (ROOT / "docs/dashboards.md").read_text(encoding="utf-8")
    modules = {program.target: program.module for program in PROGRAMS if program.module.startswith("tutorials.")}
    assert modules.keys() <= set(re.findall(r"^## (.*)", text, re.M))
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tutorials").rglob("*.py"))
    for name in re.findall(r"`figures/(\w+)`", text):
        assert f'"{name}"' in code, name
    for name in re.findall(r"`(\w+)/(?:train|val)`", text):
        assert re.search(rf"\b{name}=", code), name
