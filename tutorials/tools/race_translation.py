"""The original's greedy decoding, sentence by sentence with the whole prefix anew, beside ours, in one process.

python -m tutorials.tools.race_translation [--run-dir DIR] [--data official] [--data-root DIR] [--sentences 1000]
"""

import argparse
import time
from pathlib import Path

import torch

import data
from data import default_root
from tutorials.common import checkpoint
from tutorials.text.decoding import NEVER
from tutorials.text.translator import Translator, load_translator
from tutorials.text.vocabulary import BOS, EOS
from tutorials.translation import Translation


@torch.no_grad()
def one_by_one(translator: Translator, text: str) -> str:
    """The likeliest next token again and again; each is found by a pass over all tokens before it."""
    net = translator.net.eval()
    source, lengths = next(translator.batches([text]))
    memory, _ = net.read(source, lengths)
    written = torch.tensor([[BOS]])
    while written.shape[1] <= translator.limit and written[0, -1] != EOS:
        embedded = net.embed(net.target, written)
        T = written.shape[1]
        states = net.transformer.decoder(embedded, memory, torch.ones(T, T, dtype=torch.bool).triu(1))
        scores = net.out(states[:, -1])
        scores[:, NEVER] = -torch.inf
        written = torch.cat([written, scores.argmax(-1)[None]], 1)
    return translator.languages[1].decode(written[0, 1:].tolist())


def race(translator: Translator, sources: list[str]) -> float:
    """Translate all sentences both ways, print the times, and return how many times as fast the batch is."""
    since = time.process_time()
    together = translator(sources)
    ours = time.process_time() - since
    since = time.process_time()
    single = [one_by_one(translator, text) for text in sources]
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
