"""What every tutorial and study keeps to, on its twin; what is its own is tested beside its module's name."""

import json
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.processes import KILLED, finish, run_ranks, same, start
from tests.programs import (
    CIFAR10,
    CIFAR10_FAST,
    LANGUAGE_MODEL,
    NAMES,
    PRETRAINED,
    SENTIMENT,
    SEQ2SEQ,
    STUDIES,
    TRANSFER,
    TRANSLATION,
    Program,
)
from tutorials.common import plots
from tutorials.tools.run_all import PROGRAMS

TUTORIALS = (CIFAR10, CIFAR10_FAST, PRETRAINED, TRANSFER, NAMES, SENTIMENT, SEQ2SEQ, TRANSLATION, LANGUAGE_MODEL)
TRAINED = tuple(one for one in TUTORIALS if one not in (PRETRAINED, TRANSFER))  # a single training
CURVES = {"loss/train", "loss/val", "lr", "grad_norm", "samples_per_second"}


def named(*programs: Program, quick: tuple[Program, ...] = ()) -> Callable:
    """A test for each program; where some are `quick`, the others are left to make test-slow."""
    slow = set(programs) - set(quick) if quick else ()
    return pytest.mark.parametrize("program", [
        pytest.param(one, id=one.module.rpartition(".")[2], marks=[pytest.mark.slow] * (one in slow))
        for one in programs
    ])  # fmt: skip


def test_every_program_is_here():
    assert {one.module for one in PROGRAMS} == {one.module for one in (*TUTORIALS, *STUDIES.values())}


@named(*TUTORIALS, *STUDIES.values())
def test_a_wrong_option_exits_with_2_and_says_which(program, tmp_path, capsys):
    for argv, message in (
        (("--seed", "x"), "--seed"),
        (("--epochs", "-1"), "--epochs"),
        (("--save-every", "-1"), "--save-every"),
        (("--data", "huge"), "--data"),
        (("--no-such", "1"), "--no-such"),
    ):
        with pytest.raises(SystemExit) as stopped:
            program.main("--run-dir", str(tmp_path / "wrong"), *argv)
        assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


WRONG = [
    (CIFAR10, "--batch-size 0", "--batch-size must be at least 1"),
    (CIFAR10, "--lr -1", "--lr must be at least 0"),
    (CIFAR10, "--val-size 50000", "--val-size must be in 0..49999"),
    (CIFAR10, "--optimizer adamw", "adamw"),
    (PRETRAINED, "--models resnet19", "no classifier 'resnet19'"),
    (PRETRAINED, "--models resnet50-v9", "no weights 'v9'"),
    (PRETRAINED, "--models resnet18 --weights-file alexnet=a.pth", "alexnet has a file but"),
    (PRETRAINED, "--weights-file alexnet", "give NAME=PATH"),
    (PRETRAINED, "--models vgg16-imagenet1k_features", "without a classifier"),
    (TRANSFER, "--frozen-share 1", "--frozen-share must be in 0..0.99"),
    (TRANSFER, "--recipe original --folds 5", "need --probe"),
    (TRANSFER, "--folds 1", "--folds must be 0 or at least 2"),
    (TRANSFER, "--weights-file x.pth", "--weights-file needs --model"),
    (TRANSFER, "--weights-file x.pth --model small", "--weights-file needs --model"),
    (TRANSFER, "--model resnet19", "no classifier 'resnet19'"),
    (NAMES, "--cell transformer", "transformer"),
    (NAMES, "--layers 0", "--layers must be in 1..16"),
    (NAMES, "--grad-clip 0", "--grad-clip must be at least"),
    (NAMES, "--logit-adjustment -1", "--logit-adjustment must be in 0..2"),
    (NAMES, "--cell linear --bidirectional", "--cell linear has one layer and one direction"),
    (SENTIMENT, "--ngrams 4", "--ngrams must be in 1..3"),
    (SENTIMENT, "--val-share 0", "--val-share must be in"),
    (SENTIMENT, "--buckets 1073741824", "--buckets must be in 0..4194304"),
    (SENTIMENT, "--encoding klingon", "--encoding must be the name of an encoding"),
    (SENTIMENT, "--test-csv x.csv", "--test-csv goes with --csv only"),
    (SENTIMENT, "--prefixes 0", "--prefixes must be in 1..20"),
    (SEQ2SEQ, "--attention self", "self"),
    (SEQ2SEQ, "--teacher-forcing 1.5", "--teacher-forcing must be in 0..1"),
    (SEQ2SEQ, "--hidden-size 33", "--hidden-size must be even with"),
    (SEQ2SEQ, "--beam 0", "--beam must be in 1..100"),
    (TRANSLATION, "--optimizer lion", "lion"),
    (TRANSLATION, "--heads 5", "--heads must divide --d-model"),
    (TRANSLATION, "--source a.de", "--source and --target go together"),
    (TRANSLATION, "--dropout 1", "--dropout must be in 0..0.95"),
    (LANGUAGE_MODEL, "--heads 5", "--heads"),
    (LANGUAGE_MODEL, "--top-p 1.5", "--top-p"),
    (LANGUAGE_MODEL, "--length 1", "--length"),
]


@pytest.mark.parametrize("program, words, message", WRONG, ids=[words for _, words, _ in WRONG])
def test_options_have_limits_and_must_fit_each_other(program, words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        program.main("--run-dir", str(tmp_path / "wrong"), *words.split())
    assert stopped.value.code == 2 and message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "wrong").exists()


# The original recipe's published values; what else belongs to the protocol is tested on a run of each.
PUBLISHED = [
    (CIFAR10, dict(epochs=2, batch_size=4, lr=1e-3, momentum=0.9, optimizer="sgd", val_size=0, flip=False, shift=0)),
    (TRANSFER, dict(epochs=25, batch_size=4, optimizer="sgd", lr=1e-3, schedule="step", select_best=True, probe=False)),
    (NAMES, dict(epochs=27, batch_size=64, optimizer="sgd", lr=0.15, grad_clip=3, cell="linear", hidden_size=128,
                 sum_losses=True, schedule="constant", logit_adjustment=0)),
    (SENTIMENT, dict(epochs=10, batch_size=64, lr=5.0, grad_clip=0.1, val_share=0.05, embed_dim=64, ngrams=1,
                     idf=False, bayes=0.0)),
    (SEQ2SEQ, dict(epochs=80, batch_size=32, lr=1e-3, dropout=0.1, attention="bahdanau", count_padding=True,
                   schedule="constant", held_out=0)),
    (TRANSLATION, dict(epochs=16, d_model=512, heads=8, layers=3, dim_feedforward=512, batch_size=128, lr=1e-4,
                       schedule="constant", label_smoothing=0, optimizer="adam", subwords=0, beam=1, by_length=False)),
    (LANGUAGE_MODEL, dict(epochs=3, d_model=200, heads=2, layers=2, dim_feedforward=200, dropout=0.2, lr=5.0,
                          batch_size=20, length=35, grad_clip=0.5, norm_first=False, shuffle=False)),
]  # fmt: skip


@pytest.mark.parametrize("program, values", PUBLISHED, ids=[one.module.rpartition(".")[2] for one, _ in PUBLISHED])
def test_the_original_recipe_is_the_published_protocol(program, values):
    options = program.options("--recipe", "original", "--data", "official")
    assert {name: getattr(options, name) for name in values} == values


@named(SENTIMENT, LANGUAGE_MODEL)  # the others' have tests of their own beside their module's name
def test_the_original_recipe_runs(program, tmp_path):
    code, printed = program.run(tmp_path / "original", "--recipe", "original", *program.small, "--epochs", "1")
    assert code == 0, printed
    summary = json.loads((tmp_path / "original" / "summary.json").read_text())
    assert summary["recipe"] == "original" and summary["published"] == {} and summary["epochs"] == 1


FIGURES = {
    CIFAR10: "training_images curves confusion class_accuracy filters mistakes test_batch",
    CIFAR10_FAST: "curves class_accuracy mistakes",
    PRETRAINED: "accuracy_against_gflops latency cost_against_size reliability robustness gallery hardest "
                "families_differ grad_cam filters_resnet18 filters_shufflenet_v2_x0_5",
    TRANSFER: "training_batch confusion predictions grad_cam folds curves_finetune",
    NAMES: "curves confusion language_accuracy length_accuracy saliency letter_by_letter vanishing_gradients",
    SENTIMENT: "curves confusion class_accuracy telling_ngrams learning_curve",
    SEQ2SEQ: "curves attention",
    TRANSLATION: "curves attention heads positions lengths",
    LANGUAGE_MODEL: "curves leak attention perplexity_by_time",
}  # fmt: skip


@named(*TUTORIALS)
def test_the_twin_is_learnt_and_shown(program, tmp_path_factory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = program.shared_study(tmp_path_factory)
    summary = json.loads((folder / "summary.json").read_text())
    row = next(row for row in PROGRAMS if row.module == program.module)
    value, chance = summary["metrics"][row.headline], summary["chance"][row.headline]
    assert (value > row.learned) == (row.learned > chance) and summary["data"] == "tiny" and summary["published"] == {}
    assert {path.stem for path in (folder / "figures").iterdir()} == set(FIGURES[program].split())
    for path in (folder / "figures").glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).std() > 5, f"{path.name} is blank"
        assert path.with_suffix(".svg").exists()
    tags = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload().Tags()
    assert {f"figures/{path.stem}" for path in (folder / "figures").glob("*.png")} <= set(tags["images"])
    if program in TRAINED:
        assert {name for name in summary["metrics"] if name.startswith("test/")} | CURVES <= set(tags["scalars"])


@named(*TUTORIALS, STUDIES["dropout"], quick=(SEQ2SEQ, STUDIES["dropout"]))
def test_killed_in_the_middle_it_goes_on_to_the_same_bits(program, tmp_path, tmp_path_factory):
    whole = program.shared_study(tmp_path_factory)[0] if program.study == program.small else tmp_path / "whole"
    if not whole.exists():
        code, printed = program.run(whole, *program.small)
        assert code == 0, printed
    folder, output = tmp_path / "killed", tmp_path / "killed.txt"
    argv = ("--data-root", str(tmp_path / "data"), *program.small, "--save-every", "0.05", "--resume")
    codes = []
    for _ in range(2):
        began = time.time_ns()
        process = start(program.main, "--run-dir", str(folder), *argv, output=output)
        while process.is_alive() and not any(
            path.stat().st_mtime_ns > began
            for name in ("last.safetensors", "checkpoint.npz", "done.safetensors")
            for path in folder.rglob(name)
        ):
            time.sleep(0.005)
        time.sleep(0.1)
        process.kill()  # which may have ended by itself
        codes.append(finish(process))
    assert codes[0] == KILLED and codes[1] in (0, KILLED), output.read_text()
    code, printed = program.run(folder, *program.small, "--resume")
    assert code == 0, printed
    same(whole, folder)
    code, printed = program.run(folder, *program.small, "--resume", "--seed", "1")
    assert code in (0, 1) and ("seed: 0 in the checkpoint, 1 now" in printed or "finished already" in printed)


# Each process of the translators weighs its own words equally: the mean over both is nearly that over all.
TOLERANCE = {SEQ2SEQ: 0.02, TRANSLATION: 0.1}


@named(NAMES, SENTIMENT, SEQ2SEQ, TRANSLATION, LANGUAGE_MODEL, quick=(NAMES,))
def test_two_processes_give_the_loss_curve_of_one(program, tmp_path):
    argv = (*program.small, "--recipe", "original", "--epochs", "1", "--log-every", "1", "--dropout", "0")
    argv = argv if program not in (NAMES, SENTIMENT) else argv[:-2]
    assert program.run(tmp_path / "one", *argv)[0] == 0
    assert run_ranks(program.main, tmp_path / "two", "--data-root", str(tmp_path / "data"), *argv) == [0, 0]
    one, two = (plots.read_curves(tmp_path / name / "metrics.jsonl")["loss/train"] for name in ("one", "two"))
    assert one[0] == two[0] and len(one[0]) > 3
    np.testing.assert_allclose(two[1][:20], one[1][:20], rtol=TOLERANCE.get(program, 1e-4))  # before rounding grows


def test_several_processes_are_refused_where_times_are_measured(tmp_path):
    assert run_ranks(PRETRAINED.main, tmp_path / "two", *PRETRAINED.small) == [1, 1]
    assert "Leave out NPROC" in (tmp_path / "two.0.txt").read_text()
