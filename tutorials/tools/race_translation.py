"""The original's greedy decoding, sentence by sentence with the whole prefix anew, beside ours, in one process.

python -m tutorials.tools.race_translation [--run-dir DIR] [--data official] [--data-root DIR] [--sentences 1000]
"""

import argparse
import time
from pathlib import Path

import data
from data import default_root
from tutorials.common import checkpoint
from tutorials.text.translator import Translator, load_translator
from tutorials.translation import Translation, greedy_decode


def race(translator: Translator, sources: list[str]) -> float:
    """Translate all sentences both ways, print the times, and return how many times as fast the batch is."""
    since = time.process_time()
    together = translator(sources)
    ours = time.process_time() - since
    since = time.process_time()
    single = [greedy_decode(translator, text) for text in sources]
    theirs = time.process_time() - since
    same = sum(a == b for a, b in zip(single, together, strict=True))
    print(f"one by one, prefix recomputed: {theirs:.2f} CPU seconds for {len(sources):,} sentences")
    print(f"batched, with cached states:   {ours:.2f} CPU seconds; {same:,} translations are the same")
    print(f"at once is {theirs / ours:.1f} times as fast")
    return theirs / ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--data", default="tiny", choices=("tiny", "official"))
    parser.add_argument("--data-root", type=Path, default=default_root())
    parser.add_argument("--sentences", type=int, default=1000)
    arguments = parser.parse_args()
    path = checkpoint.find_best("translation", arguments.run_dir)
    translator, _ = load_translator(path, "translation", Translation)
    sources = data.load("multi30k", arguments.data, arguments.data_root).test.source
    race(translator, list(sources[: arguments.sentences]))


if __name__ == "__main__":
    main()
