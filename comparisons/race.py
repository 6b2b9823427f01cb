"""A NumPy net and its reference in torch side by side: the same weights, the same batches, one dashboard.

    python -m comparisons.race --net ThreeLayerConvNet --data official --steps 300

The dashboard's custom scalars have `loss` and `milliseconds` of both, one beside the other, and
`gradient/<parameter>`: max |by hand - torch| as a share of torch's largest there.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from comparisons import plots
from comparisons.nets import NET_CASES, Step, relative, side_by_side, summary
from data import default_root
from tutorials.common.checkpoint import write_atomic
from tutorials.common.interrupts import one_line_errors
from tutorials.common.logger import CHARTS, Logger
from tutorials.common.session import IDENTITY, move_aside

SIDES = ("numpy", "torch")
RACE_CHARTS = CHARTS | {
    "NumPy beside torch": {
        **{name: ["Multiline", [f"^{name}/(numpy|torch)$"]] for name in ("loss", "milliseconds")},
        "difference of the gradients": ["Multiline", ["^gradient/"]],
    }
}
DTYPES = {"float64": np.float64, "float32": np.float32}


def main(argv: list[str] | None = None) -> int:
    options = read(argv)
    case, folder = NET_CASES[options.net], options.run_dir or Path("runs") / f"race-{options.net.replace(', ', '-')}"
    with one_line_errors():
        batches = case.batches(options.steps, size=options.batch, source=options.data, root=options.data_root,
                               seed=options.seed)  # fmt: skip
        steps = run(side_by_side(case, *case.start(DTYPES[options.dtype], options.seed), batches), folder, options)
    found = summary(options.net, DTYPES[options.dtype], steps)
    print("loss {:.3f} → {:.3f} by hand, {:.3f} by torch".format(*found["losses"], steps[-1].losses[1]))
    print(f"max |Δloss| / loss {found['loss']:.1e}, max |Δgrad| {found['gradient']:.1e}")
    print("{:.1f} ms a step by hand, {:.1f} ms by torch".format(*found["milliseconds"]))
    print(f"figure: {folder / 'figures' / 'race.png'}; dashboard: make tensorboard")
    return 0


def read(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=NET_CASES, default="ThreeLayerConvNet")
    parser.add_argument("--data", choices=("tiny", "official"), default="tiny", help="the generated twin or CIFAR-10")
    parser.add_argument("--data-root", type=Path, default=default_root(), help="where CIFAR-10 lies")
    parser.add_argument("--steps", type=positive, default=200)
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--dtype", choices=DTYPES, default="float64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run-dir", type=Path, help="default: runs/race-NET")
    return parser.parse_args(argv)


def positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return int(text)


def run(steps: Iterator[Step], folder: Path, options: argparse.Namespace) -> list[Step]:
    """Race, write every step to the dashboard, and draw the figure; what there is after Ctrl-C too."""
    move_aside(folder, print)
    write_atomic(folder / IDENTITY, json.dumps({"tutorial": "race", "net": options.net}).encode())
    logger, done = Logger(folder, charts=RACE_CHARTS), []
    try:
        for step in steps:
            done.append(step)
            values = {f"loss/{side}": loss for side, loss in zip(SIDES, step.losses, strict=True)}
            values |= {f"milliseconds/{side}": 1e3 * time for side, time in zip(SIDES, step.seconds, strict=True)}
            values["loss/difference"] = relative(step)
            values |= {f"gradient/{name}": value for name, value in step.gradients.items()}
            logger.scalars(values, len(done), 0, sum(sum(step.seconds) for step in done))
            if len(done) % 50 == 0 or len(done) == 1:
                print(f"step {len(done)}: loss {step.losses[0]:.6f} by hand, {step.losses[1]:.6f} by torch")
    except KeyboardInterrupt:
        print(f"stopped after {len(done)} steps", file=sys.stderr)
        if not done:
            raise
    finally:
        if done:
            logger.figure("race", plots.race(options.net, done, options.dtype), len(done))
        logger.close()
    return done


if __name__ == "__main__":
    sys.exit(main())
