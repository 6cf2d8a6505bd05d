"""What does a blend of seven samplers cost, against one of them alone? Milliseconds per step.

Trains matrix factorization on synthetic interactions with a step of DNS at M 32, of a mixture of
seven samplers at M 32 whose weights learn, and of the same mixture after the choice (its weights
fixed on DNS), in turns within one process on batches drawn before, and prints the median step of
each and its ratio to DNS. Takes a minute.

    python -m benchmarks.blend [--batch-size 2048] [--rounds 9] [--out FILE]
"""

import argparse
import statistics
from pathlib import Path

from benchmarks.pairs import zipf_interactions
from benchmarks.recording import print_table, write_rows
from benchmarks.samplers import DIM, Contestant
from tf_autosample import SamplerMixture
from tf_autosample.samplers import (
    AdaptiveHardnessSampler,
    DimensionMixupSampler,
    DynamicSampler,
    MixGCFSampler,
    PopularitySampler,
    TopSampler,
    UniformSampler,
)

M = 32


def seven() -> list:
    """The samplers of the blend; the third is DNS."""
    return [
        UniformSampler(),
        PopularitySampler(),
        DynamicSampler(M),
        TopSampler(5, M),
        AdaptiveHardnessSampler(M),
        MixGCFSampler(M),
        DimensionMixupSampler(M),
    ]


def contestants(train, batch_size: int, steps: int) -> dict[str, Contestant]:
    """The steps to compare, by name."""
    chosen = SamplerMixture(seven(), weights=[0, 0, 1, 0, 0, 0, 0])
    makers = {
        f"dns, M {M}": DynamicSampler(M),
        f"blend of seven, M {M}": SamplerMixture(seven()),
        "after the choice of dns": chosen,
    }
    return {
        name: Contestant(train, "mf", sampler, steps, batch_size)
        for name, sampler in makers.items()
    }


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--interactions", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    train = zipf_interactions(arguments.users, arguments.items, arguments.interactions)
    rows = []
    for batch_size in arguments.batch_size:
        racers = contestants(train, batch_size, arguments.steps)
        times = {name: [] for name in racers}
        for _ in range(arguments.rounds):
            for name, one in racers.items():
                times[name].append(one.milliseconds())
        medians = {name: statistics.median(column) for name, column in times.items()}
        dns = next(iter(medians.values()))
        rows += [
            {"batch_size": batch_size, "step": name, "ms": ms, "ratio": ms / dns}
            for name, ms in medians.items()
        ]
    write_rows(arguments.out, rows)
    print(f"MF d {DIM}, {len(train):,} interactions; median of {arguments.rounds} rounds\n")
    print_table(
        ["batch", "step", "ms", "ratio to dns"],
        [
            (row["batch_size"], row["step"], f"{row['ms']:.1f}", f"{row['ratio']:.2f}")
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
