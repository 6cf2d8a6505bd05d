"""What do gradients on the samplers' weights choose? Their choices against the recorded curves.

Runs `GradientSearch` with each criterion for its epochs of mixture, and looks up in the rows of
`curves.py` how good the heaviest sampler is when it trains alone, as the strategy would then do.

    python -m research.gradient_search curves.jsonl --data movielens-100k toy.npz ...
        [--seeds 1 2] [--epochs 10] [--out gradient.jsonl]
"""

import argparse
import json
from pathlib import Path

import keras

from research.quality import read
from research.replay import FORMER, Judge, read_cells
from tf_autosample import (
    AutoSample,
    GradientSearch,
    LazyAdam,
    MatrixFactorization,
    SamplerMixture,
    training_batches,
)
from tf_autosample.samplers.named import parse_samplers
from tf_autosample.search.strategies.gradient import CRITERIA


def learn(data, criterion: str, seed: int, epochs: int) -> dict[str, float]:
    """Returns the learned weight of each sampler."""
    mixture = SamplerMixture(parse_samplers(",".join(FORMER)))
    model = MatrixFactorization(
        data.train.num_users, data.train.num_items, mixture, dim=64, seed=seed
    )
    model.compile(optimizer=LazyAdam(1e-3))
    batches = training_batches(data.train, 2048, model.sampler.proposal, seed=seed)
    search = AutoSample(data.valid, GradientSearch(criterion, epochs))
    model.fit(batches, epochs=epochs, callbacks=[search], verbose=0)
    return search.record.arms[0].learned[-1][1]


def print_table(rows: list[dict], judge: Judge) -> None:
    """Prints what each criterion chose, as Markdown."""
    print("| data | seed | criterion | heaviest | weight | regret % | lightest |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        weights = row["weights"]
        heaviest, lightest = max(weights, key=weights.get), min(weights, key=weights.get)
        means = judge.means.get((row["data"], "mf"))
        regret = f"{100 * (1 - means[heaviest] / max(means.values())):.1f}" if means else "-"
        print(
            f"| {row['data']} | {row['seed']} | {row['criterion']} | {heaviest} "
            f"| {weights[heaviest]:.2f} | {regret} | {lightest} {weights[lightest]:.3f} |"
        )


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("curves", type=Path)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("gradient.jsonl"))
    arguments = parser.parse_args()
    rows = []
    if arguments.out.exists():
        rows = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    done = {(row["data"], row["seed"], row["criterion"], row["epochs"]) for row in rows}
    for seed in arguments.seeds:
        for source in arguments.data:
            for criterion in CRITERIA:
                if (Path(source).stem, seed, criterion, arguments.epochs) in done:
                    continue
                weights = learn(read(source, seed), criterion, seed, arguments.epochs)
                row = {"data": Path(source).stem, "seed": seed, "criterion": criterion}
                row |= {"epochs": arguments.epochs, "weights": weights}
                with arguments.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                rows.append(row)
                keras.backend.clear_session()
    print_table(rows, Judge(read_cells(arguments.curves, list(FORMER))))


if __name__ == "__main__":
    main()
