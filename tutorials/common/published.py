"""What the originals printed, how much it spreads, where, and how long they took: the other side of the scorecard.

The tutorials are not seeded, so each build of a page prints other figures: where many builds were read, the figure is
their mean with its standard deviation. For CS231n it is the range over the published notebooks of seven students.
"""

from dataclasses import dataclass

STUDENTS = "notebooks of seven students of CS231n"


@dataclass(frozen=True)
class Figure:
    """A metric of ours that counts, and what the original has of it: a figure, mean and std, or a range."""

    metric: str
    mean: float | None = None  # None: the original printed none
    deviation: float | None = None
    low: float | None = None
    high: float | None = None
    lower_is_better: bool = False


@dataclass(frozen=True)
class Original:
    """One tutorial or assignment: its figures, where they stand, its training time, and what keeps us from ours."""

    figures: tuple[Figure, ...]
    source: str
    minutes: float | None = None  # of training, as printed
    machine: str = ""
    needs: str = "not run yet"  # shown where there is no run of ours on the official data
    learn: str = ""  # what a reader learns there
    page: str = ""  # its address
    shown: str = ""  # the figure of ours that the README shows


ORIGINALS = {
    "cifar10": Original(
        (Figure("test/accuracy", 0.539, 0.016), Figure("test/macro_f1")),
        "81 builds of the page, 2017 to 2019; time of the whole script: page of 2025",
        81 / 60,
        "PyTorch's build machine",
        learn="a convolutional net, from the pictures to its most confident mistakes",
        page="https://pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html",
        shown="test/accuracy",
    ),
    "cifar10-fast": Original(
        (Figure("test/accuracy", 0.94),),
        "K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024",
        3.29 / 60,
        "an A100 GPU",
        needs="",
        learn="how few minutes a net needs: whitening, Muon, small pictures first",
        page="https://arxiv.org/abs/2404.00498",
        shown="test/accuracy",
    ),
    "pretrained": Original(
        (Figure("alexnet/top1", 0.56522), Figure("vgg16/top1", 0.71592), Figure("resnet50/top1", 0.80858),
         Figure("densenet121/top1", 0.74434)),
        "torchvision 0.18.1, on the 50,000 validation images of ImageNet",
        needs="6 GB of torchvision's weights and ImageNet's validation images were not within reach",
        learn="four families of nets that know ImageNet: cost, accuracy, robustness",
        page="https://pytorch.org/vision/stable/models.html",
        shown="resnet50/top1",
    ),
    "transfer": Original(
        (Figure("frozen/test_best_accuracy", 0.9530, 0.0131), Figure("finetune/test_best_accuracy", 0.9375, 0.0146),
         Figure("frozen/fold_mean")),
        "93 builds of the page, 2017 to 2019; times: page of torch 2.4, both nets",
        94 / 60,
        "a GPU",
        "torchvision's weights of ResNet-18 were not within reach",
        learn="what a pretrained net is worth on 244 pictures",
        page="https://pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
        shown="frozen/fold_mean",
    ),
    "names": Original(
        (Figure("train/loss_epoch_25", 0.4345, lower_is_better=True), Figure("test/accuracy"), Figure("test/macro_f1")),
        "page of 2025, which prints the training loss only",
        331 / 60,
        "PyTorch's build machine",
        learn="a recurrent net, letter by letter",
        page="https://pytorch.org/tutorials/intermediate/char_rnn_classification_tutorial.html",
        shown="test/accuracy",
    ),
    "sentiment": Original(
        (Figure("test/accuracy", 0.907), Figure("test/macro_f1")),
        "page of torchtext 0.12 to 0.18; ten epochs of about 11.2 s",
        112 / 60,
        "a GPU",
        "AG_NEWS's training file was not within reach",
        learn="bags of n-grams: embeddings, offsets, collate functions",
        page="https://web.archive.org/web/2023/https://pytorch.org/tutorials/beginner/text_sentiment_ngrams_tutorial.html",
        shown="test/accuracy",
    ),
    "seq2seq": Original(
        (Figure("train/nll_padded", 0.0291, lower_is_better=True), Figure("test/bleu"), Figure("test/chrf")),
        "page of torch 2.4, which evaluates on its training pairs",
        506 / 60,
        "a GPU",
        "takes hours on two cores",
        learn="an encoder, a decoder, and attention between them",
        page="https://pytorch.org/tutorials/intermediate/seq2seq_translation_tutorial.html",
        shown="test/bleu",
    ),
    "translation": Original(
        (Figure("val/loss_epoch_16", 1.873, lower_is_better=True), Figure("test/bleu"), Figure("test/mbr_bleu"),
         Figure("test/chrf")),
        "page of 2021: 16 epochs of about 38.4 s; the last edition printed nothing",
        16 * 38.4 / 60,
        "a GPU",
        "takes hours on two cores",
        learn="`nn.Transformer`: masks, positions, decoding",
        page="https://pytorch.org/tutorials/beginner/translation_transformer.html",
        shown="test/bleu",
    ),
    "language-model": Original(
        (Figure("test/perplexity_by_chunks", 240.24, lower_is_better=True),
         Figure("test/perplexity", lower_is_better=True),
         Figure("test/bits_per_character", lower_is_better=True)),
        "causal build of the page, 2023",
        207 / 60,
        "a GPU",
        "takes hours on two cores",
        learn="a causal transformer that writes",
        page="https://web.archive.org/web/2023/https://pytorch.org/tutorials/beginner/transformer_tutorial.html",
        shown="test/perplexity_by_chunks",
    ),
    "linear": Original(
        (Figure("knn/best_test_accuracy", 0.282), Figure("svm/val_accuracy", 0.39),
         Figure("softmax/val_accuracy", 0.37, low=0.35, high=0.39), Figure("features/svm_val_accuracy", 0.42),
         Figure("features/two_layer_val_accuracy", 0.55), Figure("features/two_layer_test_accuracy")),
        "CS231n assignment 1: what its notebooks print or ask for",
        learn="nearest neighbors, SVM, softmax; what features are worth",
        page="https://cs231n.github.io",
        shown="features/two_layer_val_accuracy",
    ),
    "fully-connected": Original(
        (Figure("best/test_accuracy", 0.530, low=0.505, high=0.555),
         Figure("two_layer/val_accuracy", 0.520, low=0.50, high=0.54), Figure("3_layers/train_accuracy", 1.0)),
        STUDENTS,
        learn="nets of any depth, all update rules",
        page="https://cs231n.github.io",
        shown="best/test_accuracy",
    ),
    "initialization": Original((Figure("he/10_layers/train_accuracy"),), "an experiment of ours",
        learn="what the first weights do",
        shown="he/10_layers/train_accuracy",
    ),
    "batchnorm": Original(
        (Figure("deep/batch_norm/train_accuracy", 0.795, low=0.77, high=0.82),
         Figure("deep/no_norm/train_accuracy", 0.720, low=0.71, high=0.73)),
        STUDENTS,
        learn="batch and layer normalization",
        page="https://cs231n.github.io",
        shown="deep/batch_norm/train_accuracy",
    ),
    "dropout": Original(
        (Figure("keep_1/train_accuracy", 0.990, low=0.98, high=1.0),
         Figure("keep_0.25/train_accuracy", 0.920, low=0.91, high=0.93),
         Figure("keep_0.25/val_accuracy", 0.325, low=0.32, high=0.33)),
        STUDENTS,
        learn="dropout against overfitting",
        page="https://cs231n.github.io",
        shown="keep_0.25/val_accuracy",
    ),
    "convnet": Original(
        (Figure("one_epoch/val_accuracy", 0.4925, low=0.48, high=0.505), Figure("deep/test_accuracy")),
        STUDENTS,
        learn="convolution by hand, three layers and seven",
        page="https://cs231n.github.io",
        shown="deep/test_accuracy",
    ),
    "captioning": Original(
        (Figure("overfit/rnn_loss", 0.082, lower_is_better=True),
         Figure("overfit/lstm_loss", 0.13, low=0.08, high=0.18, lower_is_better=True),
         Figure("overfit/transformer_loss", 0.020, low=0.019, high=0.021, lower_is_better=True),
         Figure("test/bleu"), Figure("test/beam_bleu")),
        STUDENTS,
        learn="an RNN, an LSTM, a transformer write captions",
        page="https://cs231n.github.io",
        shown="test/beam_bleu",
    ),
    "vision-transformer": Original(
        (Figure("overfit/train_accuracy", 1.0), Figure("two_epochs/test_accuracy", 0.45),
         Figure("longer/test_accuracy"), Figure("convnet/test_accuracy")),
        "CS231n assignment 3: what its notebook asks for",
        learn="patches, positions, GELU, attention",
        page="https://cs231n.github.io",
        shown="two_epochs/test_accuracy",
    ),
    "diffusion": Original(
        (Figure("class/recognized"), Figure("no_class/recognized"), Figure("guided/recognized"),
         Figure("real/recognized")),
        "an experiment of ours",
        learn="digits out of noise by a U-Net",
        page="https://cs231n.github.io",
        shown="class/recognized",
    ),
}  # fmt: skip

# Losses that the originals printed on the way, by split: the epoch of the first, the epochs between two, the losses. A
# training loss is a mean, and lies in the middle of what it is the mean of.
LOSSES = {
    "seq2seq": {
        "train": (2.5, 5, (1.5304, 0.6776, 0.3528, 0.1948, 0.1203, 0.0834, 0.0637, 0.0521, 0.0452, 0.0404, 0.0374,
                           0.0346, 0.0326, 0.0314, 0.0299, 0.0291)),
    },
    "translation": {
        "train": (0.5, 1, (5.316, 3.727, 3.131, 2.741, 2.454, 2.223, 2.030, 1.866, 1.724, 1.600, 1.488, 1.390, 1.299,
                           1.219, 1.141, 1.070)),
        "val": (1, 1, (4.065, 3.285, 2.881, 2.625, 2.428, 2.291, 2.191, 2.104, 2.044, 1.994, 1.969, 1.929, 1.898,
                       1.885, 1.890, 1.873)),
    },
}  # fmt: skip


def losses_by_step(target: str, steps: int, epochs: int) -> dict[str, dict[float, float]]:
    """The original's losses against the step of a run of so many `steps` in all."""
    found: dict[str, dict[float, float]] = {}
    for split, (first, every, losses) in LOSSES[target].items():
        places = (first + every * number for number in range(len(losses)))
        found[split] = {steps / epochs * at: loss for at, loss in zip(places, losses, strict=True) if at <= epochs}
    return found
