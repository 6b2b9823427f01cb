"""`python -m data list` shows every data set; `python -m data fetch NAME` brings one."""

import argparse
import sys
import textwrap
from pathlib import Path

from data.errors import StudyError
from data.fetch import default_root, fetch, get_source, megabytes, present
from data.sources import SOURCES, Source


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m data", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data-root", type=Path, default=default_root(), help="default: STUDY_DATA, else data/cache")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[common], help="every data set: present or not, size, license, used by")
    one = commands.add_parser("fetch", parents=[common], help="download, verify and unpack one data set")
    one.add_argument("name", help="a name that `list` shows")
    one.add_argument("files", nargs="*", help="some of its files; without them, all")
    options = parser.parse_args()
    try:
        if options.command == "list":
            list_sources(options.data_root)
        else:
            show(options.name, options.data_root, options.files or None)
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half-downloaded is kept; run the same command again", file=sys.stderr)
        return 130
    return 0


def show(name: str, root: Path, files: list[str] | None) -> None:
    source = get_source(name)
    fetch(name, root, files)
    chosen = [file for file in source.files if present(file, root)]
    held = source.checks or all(file.hash and not file.unpack for file in chosen)
    verified = "and verified" if held else "(nobody publishes hashes of its unpacked files)"
    print(f"{source.title}: present {verified} below {root}\n  license: {source.license}\n  cite: {source.citation}")


def list_sources(root: Path) -> None:
    print(f"Data below {root} (another place: --data-root DIR, or STUDY_DATA in the environment)\n")
    print(f"{'make target':<20} {'present':<9} {'size':>10}  used by")
    for name, source in SOURCES.items():
        target = f"data-{name.replace('_', '-')}"
        print(f"{target:<20} {presence(source, root):<9} {total(source):>10}  {' '.join(source.used_by)}")
        print(
            textwrap.indent(
                textwrap.fill(f"{source.title}. License: {source.license}", 96, break_on_hyphens=False), " " * 21
            )
        )


def presence(source: Source, root: Path) -> str:
    """`yes`, `no`, or how many of the files are there."""
    there = sum(present(file, root) for file in source.files)
    if there in (0, len(source.files)):
        return "yes" if there else "no"
    return f"{there} of {len(source.files)}"


def total(source: Source) -> str:
    sizes = [file.size for file in source.files]
    return megabytes(None if None in sizes else sum(sizes))


if __name__ == "__main__":
    sys.exit(main())
