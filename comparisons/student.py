"""A student's own solution compared with torch: `python -m comparisons --folder cs231n [function …]`.

Their package runs in a process of its own (`student_package.py`). Each case has bounds of time and memory: one that
exceeds them, or that ends the process, gives a row, and a new process goes on with the rest.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from comparisons.course import MODULES, OPTIONAL, course_cases
from comparisons.table import layout
from data import StudyError
from data.course_package import find_package
from tutorials.common.interrupts import one_line_errors

ROOT = Path(__file__).resolve().parent.parent
STATES = ("red", "raised", "waits", "missing", "left out", "green")  # of a function's cases the first counts
START = 300  # seconds that a process may take to import torch
# Of a function that is right in this case and wrong in others, what it does wrong.
CONTRASTS = {
    "conv_forward_naive": ("conv_naive, no padding", "it is right where nothing is padded: the padding is forgotten"),
    "conv_backward_naive": ("conv_naive, no padding", "it is right where nothing is padded: the padding is forgotten"),
    "max_pool_backward_naive": ("max_pool_naive, gaps", "it is right where no windows overlap: += adds them up"),
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make parity", description="Compare your own cs231n package with torch.")
    parser.add_argument("functions", nargs="*", help="only these, such as affine_forward or TwoLayerNet")
    parser.add_argument("--folder", required=True, help="your cs231n package, or the folder that holds it")
    parser.add_argument("--seconds", type=positive, default=30, help="time limit of a case, seconds (default: 30)")
    parser.add_argument("--gigabytes", type=positive, default=4, help="memory limit of a case, gigabytes (default: 4)")
    options = parser.parse_args(argv)
    with one_line_errors():
        folder = find_package(options.folder)
        chosen = [known(name) for name in options.functions]
        table = Table(folder, chosen)
        table.fill(options.seconds, options.gigabytes)
        print(table)
        return table.code


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return number


def known(name: str) -> str:
    """The name of a function or net; raises StudyError, with the nearest ones, for another."""
    names = {one for functions in MODULES.values() for one in functions}
    if name not in names:
        near = get_close_matches(name, names, cutoff=0.4)
        meant = f" Did you mean: {', '.join(near)}?" if near else ""
        raise StudyError(f"parity: the course has no {name}.{meant}")
    return name


class Table:
    """What is found of each function, by its module and name."""

    def __init__(self, folder: Path, chosen: list[str]) -> None:
        self.folder, self.chosen = folder, chosen
        self.rows: dict[tuple[str, str], list[dict]] = {}
        self.modules: dict[str, dict] = {}  # what is said of a whole module
        self.uses: dict[str, list[str]] = {}
        self.where: dict[str, str] = {}

    def fill(self, seconds: float, gigabytes: float) -> None:
        """Run everything, in as many processes as it takes."""
        cases = [(module, name, case) for module, cases in course_cases().items() for name, case in cases]
        chosen = set(self.chosen)
        todo = [[module, name, case.name] for module, name, case in cases
                if not chosen or chosen & {name, *case.functions}]  # fmt: skip
        broken: list[str] = []
        while stopped := self.follow(
            {"folder": str(self.folder), "todo": todo, "broken": broken, "gigabytes": gigabytes}, seconds
        ):
            module, name, *case = stopped["at"]
            if not case:  # while it was imported
                broken.append(name)
                self.modules[name] = {"state": "raised", "what": stopped["why"]}
                continue
            self.add(module, name, case[0], "raised", {"": [stopped["why"], False]})
            rest = todo[todo.index(stopped["at"]) + 1 :]
            # What calls it would only end the same way.
            todo = [one for one in rest if f"{module}:{name}" not in (f"{one[0]}:{one[1]}", *self.needs(*one[:2]))]
            for one in rest:
                if one not in todo and (one[0], one[1]) not in self.rows:
                    self.add(*one, "waits", {})
        self.contrast()

    def add(self, module: str, name: str, case: str, state: str, said: dict[str, list]) -> None:
        """`said` is of each tensor, or under "" of the whole: a text, and whether it has a certain cause."""
        self.rows.setdefault((module, name), []).append({"case": case, "state": state, "said": said})

    def follow(self, task: dict, seconds: float) -> dict | None:
        """Listen to one process; what it was at, and why it ended, unless it came to its end."""
        at = None
        with Child(task) as child:
            while message := child.message(START if at is None else seconds):
                at = message.get("begin", at or ([] if "ready" in message else None))
                if "module" in message and message["state"]:
                    self.modules[message["module"]] = message
                if "uses" in message:
                    self.uses, self.where, at = message["uses"], message["where"], []
                if "row" in message:
                    self.add(*message["row"], message["state"], message["said"])
                if "done" in message:
                    return None
            why = child.why(seconds)
        if not at:
            raise StudyError(f"parity: the process for {self.folder} did not start: {why}.")
        return {"at": at, "why": why}

    def contrast(self) -> None:
        """Name what is wrong where one case that is right tells it, and nothing else did."""
        for (_, name), rows in self.rows.items():
            right, cause = CONTRASTS.get(name, ("", ""))
            if any(row["case"] == right and row["state"] == "green" for row in rows):
                for row in rows:
                    if row["state"] in ("red", "raised"):
                        row["said"] = {tensor: [text if certain else f"{text.rstrip('.')}. Cause: {cause}.", True]
                                       for tensor, (text, certain) in row["said"].items()}  # fmt: skip

    def needs(self, module: str, name: str) -> list[str]:
        """What a function calls, and of a backward its forward, whose cache it gets."""
        forward = f"{module}:{name.replace('_backward', '_forward').removesuffix('_alt')}"
        return [*self.uses.get(f"{module}:{name}", []), *([forward] if "_backward" in name else [])]

    def state(self, module: str, name: str) -> str:
        """Of all its cases the first of STATES. What is red without a certain cause waits for what it calls."""
        rows = self.rows.get((module, name), [])
        state = next((state for state in STATES if any(row["state"] == state for row in rows)), "missing")
        certain = any(certain for row in rows for _, certain in row["said"].values())
        return "waits" if state in ("red", "raised") and not certain and self.waits_for(module, name) else state

    def waits_for(self, module: str, name: str) -> str:
        """The first function that it calls, or whose cache it gets, that is not green; as a phrase."""
        for one in self.needs(module, name):
            other = tuple(one.split(":"))
            if other in self.rows and other != (module, name):
                states = [row["state"] for row in self.rows[other]]
                state = next((state for state in STATES if state in states), "green")
                if state not in ("green", "left out"):
                    return f"for {other[1]}, which {state if state in ('raised', 'waits') else f'is {state}'}"
        return ""

    def lines(self) -> Iterator[tuple[str, str, str, str]]:
        """State, function, place and what is said, in the course's order."""
        for module in ["__init__.py", "classifiers/__init__.py", *MODULES]:
            said = self.modules.get(module)
            if said and said.get("file", module) != module and said["file"] in self.modules:
                said = {"state": "waits", "what": f"for {said['file']}, which does not run"}
            if said and not self.chosen:
                yield said["state"], module, module, said["what"]
            for name in dict.fromkeys(MODULES.get(module, [])):
                if self.chosen and name not in self.chosen:
                    continue
                if (module, name) in self.rows:
                    yield from self.of_function(module, name)
                elif said:
                    if self.chosen:
                        yield said["state"], name, module, said["what"]
                elif (self.folder / module).exists() and name not in OPTIONAL:
                    yield "missing", name, module, f"not in {module}"

    def of_function(self, module: str, name: str) -> Iterator[tuple[str, str, str, str]]:
        """A line for each tensor that is red and each certain cause of it; else a single line."""
        state, said = self.state(module, name), {}
        for row in self.rows[module, name]:
            for tensor, (text, certain) in row["said"].items() if row["state"] == state else ():
                causes = said.setdefault(tensor, {})
                cause = text.partition("Cause: ")[2] if certain else ""
                causes[cause] = causes.get(cause) or text
        texts = [text for causes in said.values() for cause, text in causes.items() if cause or len(causes) == 1]
        texts = [self.waits_for(module, name)] if state == "waits" else texts or [""]
        yield from ((state, name, self.where.get(f"{module}:{name}", module), text) for text in texts)

    def __str__(self) -> str:
        lines = list(self.lines())
        absent = [name for name in MODULES if not (self.folder / name).exists()]
        text = layout(("", "function", "where", "what"), lines, (0, 1, 2, 3)) if lines else ""
        counts = {state: len({line[1:3] for line in lines if line[0] == state}) for state in STATES[::-1]}
        found = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        files = f"\nNo such file there: {', '.join(absent)}." if absent and not self.chosen else ""
        return f"{text}\n{files}\n{self.folder}: {found or 'nothing of the course in it'}"

    @property
    def code(self) -> int:
        return int(any(line[0] in ("red", "raised") for line in self.lines()))


class Child:
    """The process with the student's package, which is ended with all that it started."""

    def __init__(self, task: dict) -> None:
        self.task, self.lines, self.late = task, queue.Queue(), False

    def __enter__(self) -> "Child":
        self.elsewhere = tempfile.TemporaryDirectory()
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        own = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "comparisons.student_package", json.dumps(self.task)], cwd=self.elsewhere.name,
            env=os.environ | threads | own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def message(self, seconds: float) -> dict | None:
        """What it says next; None when it ends, or says nothing for too long."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            self.late = True
            return None

    def why(self, seconds: float) -> str:
        """Why it ended."""
        if self.late:
            return f"took more than {seconds:g} seconds"
        code = self.process.wait()
        with suppress(ValueError):
            return f"ended the process by {signal.Signals(-code).name}"
        return f"ended the process with exit code {code}"

    def __exit__(self, *_: object) -> None:
        end = (lambda: os.killpg(self.process.pid, signal.SIGKILL)) if hasattr(os, "killpg") else self.process.kill
        with suppress(OSError):
            end()
        self.process.wait()
        with suppress(OSError):
            self.elsewhere.cleanup()
