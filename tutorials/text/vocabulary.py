"""Tokens and their numbers: words, or subwords learned by byte-pair encoding."""

import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from itertools import chain, takewhile
from typing import Any, Self

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer, set_random_generator_seed

from data import StudyError

PAD, BOS, EOS, UNK = range(4)
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")


class Vocabulary:
    """Tokens by number, the specials first; here a token is what stands between spaces."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens` without the specials, in the order of their numbers."""
        self.tokens = [*SPECIALS, *tokens]
        self.numbers = {token: number for number, token in enumerate(self.tokens)}

    @classmethod
    def build(cls, texts: Iterable[str]) -> Self:
        """The words of the texts, the most frequent first."""
        counts = Counter(chain.from_iterable(map(str.split, texts)))
        kept = [word for word in counts if word not in SPECIALS]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        return len(self.tokens)

    def cut(self, text: str) -> list[str]:
        """The tokens of a text."""
        return text.split()

    def join(self, tokens: Iterable[str]) -> str:
        """The text of some tokens: the inverse of `cut`."""
        return " ".join(tokens)

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that have no number, each once."""
        return list(dict.fromkeys(token for token in self.cut(text) if token not in self.numbers))

    def knows(self, text: str) -> bool:
        """Whether any token of a text has a number, signs aside."""
        return any(token in self.numbers and re.search(r"\w", token) for token in self.cut(text))

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens, and EOS; what has no number is UNK."""
        return [*(self.numbers.get(token, UNK) for token in self.cut(text)), EOS]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of a row of numbers, up to its first EOS, without specials but UNK."""
        kept = takewhile(lambda number: number != EOS, numbers)
        return self.join(self.tokens[number] for number in kept if number not in (PAD, BOS))

    def to_json(self) -> dict[str, Any]:
        """What JSON, and so a checkpoint, can keep."""
        return {"kind": type(self).__name__, "tokens": self.tokens[len(SPECIALS) :]}


class Subwords(Vocabulary):
    """Pieces of words, most frequent words whole, by SentencePiece: no word is unknown whose letters are known.

    Byte-pair encoding (R. Sennrich et al., 2016): begin with letters, and merge the most frequent pair of neighbors,
    again and again. A piece that begins a word carries a mark.
    """

    MARK = "▁"

    def __init__(self, model: bytes) -> None:
        """`model` is SentencePiece's file."""
        self.model, self.processor = model, SentencePieceProcessor(model_proto=model)
        super().__init__(self.processor.id_to_piece([*range(len(SPECIALS), len(self.processor))]))

    @classmethod
    def learn(cls, texts: Iterable[str], size: int) -> Self:
        """At most `size` tokens that cut the texts short; raises StudyError when not even all letters have a place."""
        model = BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(texts), model_writer=model, vocab_size=size, hard_vocab_limit=False,
                model_type="bpe", character_coverage=1.0, normalization_rule_name="identity", num_threads=1,
                max_sentence_length=2**20, pad_id=PAD, bos_id=BOS, eos_id=EOS, unk_id=UNK, minloglevel=3,
            )  # fmt: skip
        except RuntimeError as error:
            few = re.search(r"required_chars\. \d+ vs (\d+)", str(error))
            advice = f"The texts hold {few[1]} different characters. Give a larger number." if few else str(error)
            raise StudyError(f"--subwords: SentencePiece could not learn a vocabulary of {size:,}. {advice}") from error
        return cls(model.getvalue())

    def cut(self, text: str) -> list[str]:
        return self.processor.encode(text, out_type=str)

    def encode_with_dropout(self, texts: Sequence[str], p: float, seed: int) -> list[list[int]]:
        """As `encode`, for many texts; each merge of two neighbors is left out with probability p."""
        set_random_generator_seed(seed)
        rows = self.processor.encode(list(texts), enable_sampling=True, alpha=p, num_threads=1)
        return [[*row, EOS] for row in rows]

    def join(self, tokens: Iterable[str]) -> str:
        return "".join(tokens).replace(self.MARK, " ").strip(" ")

    def to_json(self) -> dict[str, Any]:
        return {"kind": "Subwords", "model": b64encode(self.model).decode()}


class Words(Vocabulary):
    """Whole words and punctuation marks, in such a way that `join` gives back the text, but for runs of spaces."""

    WORD = re.compile(r"(\s*)(\w+|[^\w\s])")
    join = Subwords.join
    MARK = Subwords.MARK

    @classmethod
    def build(cls, texts: Iterable[str]) -> Self:
        return super().build(" ".join(cls.words(text)) for text in texts)

    @classmethod
    def words(cls, text: str) -> list[str]:
        """The words and punctuation marks of a text; what follows a space, and the first, begins with the mark."""
        return [cls.MARK + word if gap else word for gap, word in cls.WORD.findall(" " + text.strip())]

    def cut(self, text: str) -> list[str]:
        return self.words(text)


def from_json(content: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that `to_json` described."""
    if content["kind"] == "Subwords":
        return Subwords(b64decode(content["model"]))
    return {"Words": Words, "Vocabulary": Vocabulary}[content["kind"]](content["tokens"])
