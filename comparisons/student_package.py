"""The process that imports a student's package as `cs231n`, and runs its functions: `student.py` starts and watches it.

It reads what to do from its arguments, and writes a line of JSON for each thing it begins and finishes, on the
standard output that it was given; what the student's code prints goes nowhere. Nothing is written into their folder.
"""

import ast
import gc
import importlib
import importlib.util
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import CodeType, ModuleType

from comparisons.case import Case
from comparisons.course import BLANK_ZEROS, MODULES, course_cases, exact, first_step
from comparisons.nets import NET_CASES
from comparisons.verdicts import Outcome, run, tell

PACKAGE, LONGEST = "cs231n", 300  # letters of an error
TORCH = "written in torch itself: there is nothing to compare it with"
COMPILED = "needs im2col_cython, which is not built: python setup.py build_ext --inplace"


def main() -> None:
    task = json.loads(sys.argv[1])
    folder, out = Path(task["folder"]), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(quiet, stream)

    def tell_parent(**message: object) -> None:
        os.write(out, (json.dumps(message) + "\n").encode())

    cases = course_cases()
    bound_memory(task["gigabytes"])
    find_only(folder)
    modules = {}
    tell_parent(ready=True)
    for name in ["__init__.py", "classifiers/__init__.py", *MODULES]:
        if name not in task["broken"] and (folder / name).exists():
            tell_parent(begin=["", name])
            modules[name] = None
            row = import_module(folder, name, modules)
            tell_parent(module=name, **row)
    found = {name: objects(name, module) for name, module in modules.items() if module and name in MODULES}
    names = [[name, function] for name, functions in found.items() for function in functions]
    uses = {f"{name}:{function}": used(found[name][function], found) for name, function in names}
    where = {f"{name}:{function}": place(found[name][function], folder, name) for name, function in names}
    tell_parent(uses=uses, where=where)
    for module, functions in found.items():
        for name, case in cases[module]:
            if name in functions and [module, name, case.name] in task["todo"]:
                tell_parent(begin=[module, name, case.name])
                tell_parent(row=[module, name, case.name], **judge(folder, name, case, functions))
                gc.collect()  # a traceback holds what its frames had, be it gigabytes
    tell_parent(done=True)


def bound_memory(gigabytes: float) -> None:
    """Let an allocation beyond so much more than now fail, where the system can."""
    with suppress(ImportError, OSError, ValueError, StopIteration):
        import resource

        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (used + int(gigabytes * 2**30),) * 2)


def find_only(folder: Path) -> None:
    """Let imports find the student's modules, and none of ours; `past` stands in where it is not installed."""
    ours = Path(__file__).resolve().parent.parent
    others = [path for path in sys.path if Path(path or ".").resolve() != ours]
    sys.path = [str(folder.parent), *others, str(folder)]
    sys.dont_write_bytecode = True
    if not importlib.util.find_spec("past"):
        past, builtins = ModuleType("past"), ModuleType("past.builtins")
        vars(builtins).update(xrange=range, range=range, basestring=str, unicode=str, long=int, raw_input=input)
        past.builtins = builtins
        sys.modules |= {"past": past, "past.builtins": builtins}


def import_module(folder: Path, name: str, modules: dict) -> dict:
    """Import one file, and say what came of it; a package whose own file fails is there all the same."""
    parts = name.removesuffix(".py").split("/")
    for depth in range(len(parts)):  # what has no __init__.py, or one that fails, is a package of nothing but modules
        package = ".".join([PACKAGE, *parts[:depth]])
        if package not in sys.modules:
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [str(folder.joinpath(*parts[:depth]))]
    try:
        text = (folder / name).read_bytes()
        if imports_torch(text, name):
            return {"state": "left out", "what": TORCH}
        if parts[-1] == "__init__":
            full = ".".join([PACKAGE, *parts[:-1]])
            spec = importlib.util.spec_from_file_location(
                full, folder / name, submodule_search_locations=[str((folder / name).parent)]
            )
            module = sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            modules[name] = importlib.import_module(".".join([PACKAGE, *parts]))
    except BaseException as error:
        return {
            "state": "raised",
            "what": told(error, folder),
            "file": "".join(own_lines(error, folder)[-1:]).rpartition(":")[0],
        }
    return {"state": "", "what": ""}


def imports_torch(text: bytes, name: str) -> bool:
    """Whether a file's own lines import torch; raises SyntaxError."""
    nodes = list(ast.walk(ast.parse(text, name)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return any(name.split(".")[0] == "torch" for name in names)


def objects(name: str, module: ModuleType) -> dict[str, object]:
    """The functions and classes of the course in one of their modules, methods of nearest neighbors among them."""
    found = {}
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    for function in MODULES[name]:
        value = vars(module).get(function)
        owner = next((cls for cls in classes if function in vars(cls)), None)
        if value is None and owner and function in MODULES["classifiers/k_nearest_neighbor.py"]:
            value = method_of(owner, function)
        if callable(value):
            found[function] = value
    return found


def method_of(cls: type, name: str) -> Callable:
    """The method as a function of any object with the same attributes."""

    @wraps(getattr(cls, name))
    def call(owner: object, *rest: object) -> object:
        mine = cls()
        vars(mine).update(vars(owner))
        return getattr(mine, name)(*rest)

    return call


def used(thing: object, found: dict) -> list[str]:
    """The functions of the course that a function or class of theirs calls, at whatever depth, as module:name."""
    known = {id(inner(value)): f"{module}:{name}" for module, own in found.items() for name, value in own.items()}
    seen, left, names = set(), [inner(thing)], []
    while left:
        value = left.pop()
        if id(value) in seen or not str(getattr(value, "__module__", "")).startswith(PACKAGE):
            continue
        seen.add(id(value))
        names += [known[id(value)]] if id(value) in known and value is not inner(thing) else []
        functions = [v for cls in value.__mro__ for v in vars(cls).values()] if isinstance(value, type) else [value]
        for function in functions:
            code, spread = getattr(inner(function), "__code__", None), getattr(inner(function), "__globals__", {})
            left += [inner(spread[name]) for name in words(code) if name in spread] if code else []
    return sorted(set(names))


def inner(value: object) -> object:
    return getattr(value, "__wrapped__", value)


def words(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from words(part)


def place(thing: object, folder: Path, name: str) -> str:
    """Where it stands, as layers.py:12."""
    thing = inner(thing)
    if isinstance(thing, type):
        thing = next((value for value in vars(thing).values() if hasattr(value, "__code__")), thing)
    code = getattr(thing, "__code__", None)
    return f"{relative(code.co_filename, folder) or name}:{code.co_firstlineno}" if code else name


def relative(file: str, folder: Path) -> str:
    """A file's name in their package, or nothing for any other."""
    with suppress(ValueError, OSError):
        return Path(file).resolve().relative_to(folder.resolve()).as_posix()
    return ""


def told(error: BaseException, folder: Path) -> str:
    """An error in one line: its type, what it says, and their own line that it comes from."""
    own = own_lines(error, folder)
    said = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    said = "".join(letter if letter.isprintable() else "?" for letter in said)
    said = said if len(said) <= LONGEST else f"{said[:LONGEST]} …"
    kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    return (f"{kind}: {said}" if said else kind) + (f" ({own[-1]})" if own else "")


def own_lines(error: BaseException, folder: Path) -> list[str]:
    """Their own lines that an error went through, as layers.py:12, the last one last."""
    frames = [(relative(frame.filename, folder), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames += [(relative(error.filename, folder) or error.filename, error.lineno)]
    return [f"{file}:{line}" for file, line in frames if file]


def judge(folder: Path, name: str, case: Case, functions: dict[str, Callable]) -> dict:
    """A function of theirs in one case: state and, for red, what of it, for each tensor."""
    pair = {one: functions[one] for one in case.functions if one in functions}
    if name[0].isupper():
        pair = {name: first_step(NET_CASES[case.name], functions[name])}
    if missing := [one for one in case.functions if one not in pair]:
        return says("waits", f"for {missing[0]}, which is missing")
    try:
        return what_of(run(case, name, pair, package=True, sizes=exact(case)), name, folder)
    except BaseException as error:  # SystemExit too
        return says("raised", told(error, folder))


def says(state: str, text: str) -> dict:
    return {"state": state, "said": {"": [text, False]}}


def what_of(outcome: Outcome, name: str, folder: Path) -> dict:
    """What is said of an outcome: of a red one of each tensor, and whether that has a certain cause."""
    error, trial = outcome.error, outcome.trial
    if outcome.state == "green":
        return says("green", outcome.note)
    if outcome.state == "missing":
        return says("missing", f"still to be written: {str(error) or 'NotImplementedError'}")
    if outcome.state == "raised":
        compiled = isinstance(error, NameError | ImportError) and re.search("(im2col|col2im).*_cython", str(error))
        return says("left out", COMPILED) if compiled else says("raised", told(error, folder))
    if name in BLANK_ZEROS and trial.calls and not any(array.any() for array in trial.calls[0].arrays.values()):
        return says("missing", "still to be written: returns zeros")
    if trial.undrawn and not outcome.written:
        return says("red", "draws no mask by np.random.rand(*x.shape) < p, the only one that torch's dropout can share")
    cause = f" Cause: {outcome.cause}." if outcome.cause else ""
    if error:
        return {"state": "red", "said": {"": [f"{error}.{cause}", bool(cause)]}}
    said = {argument: [f"{argument} is changed. Cause: {name} writes into it, and must leave it alone.", True]
            for argument in outcome.written}  # fmt: skip
    wrong = [d for d in outcome.differences if d.problem]
    said |= {d.tensor: [tell(d, outcome), bool(outcome.cause or (d.cause and d.certain))] for d in wrong}
    return {"state": "red", "said": said}


if __name__ == "__main__":
    main()
