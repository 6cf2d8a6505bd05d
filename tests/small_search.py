"""A search that takes seconds. As a script it runs in a directory and may kill itself."""

import os
import signal
import sys
from dataclasses import dataclass

import keras
import numpy as np

from tf_autosample import (
    AutoSample,
    DynamicSampler,
    Interactions,
    LazyAdam,
    MatrixFactorization,
    SamplerMixture,
    UniformSampler,
    split_random,
    training_batches,
)
from tf_autosample.search.strategies import Decision, Strategy

NUM_USERS, NUM_ITEMS = 200, 150


def taste_data():
    """Users choose the 15 items nearest to their taste, but for chance and fashion."""
    rng = np.random.default_rng(0)
    taste, kind = rng.normal(size=(NUM_USERS, 6)), rng.normal(size=(NUM_ITEMS, 6))
    fashion = 0.8 * rng.normal(size=NUM_ITEMS)
    appeal = 1.2 * taste @ kind.T + fashion + rng.gumbel(size=(NUM_USERS, NUM_ITEMS))
    items = np.argsort(-appeal, axis=1)[:, :15]
    users = np.repeat(np.arange(NUM_USERS), 15)
    split = split_random(Interactions(users, items.ravel(), NUM_USERS, NUM_ITEMS), 0.2, seed=1)
    return split.first, split.second


TRAIN, VALIDATION = taste_data()


def build_model(samplers=None, *, seed=1, eager=False, kind=MatrixFactorization):
    samplers = samplers or [UniformSampler(), DynamicSampler(4), DynamicSampler(8)]
    model = kind(NUM_USERS, NUM_ITEMS, SamplerMixture(samplers), dim=16, seed=seed)
    model.compile(optimizer=LazyAdam(0.15), run_eagerly=eager)
    return model


def build_batches(model, *, seed=3):
    """Three batches an epoch, the last one smaller."""
    return training_batches(TRAIN, 1000, model.sampler.proposal, seed=seed)


@dataclass(frozen=True)
class Rehearsed(Strategy):
    """Drops the first arm at epoch 2; the others take turns, whatever the curves say."""

    rungs: tuple[int, ...] = (2, 3, 4, 6)

    def first_arms(self, arms):
        return list(arms)

    def decide(self, arms, max_epochs):
        first, *others = arms
        is_over = first.dropped or all(arm.epochs >= min(2, max_epochs) for arm in arms)
        drops = {first.name: "as rehearsed"} if is_over and not first.dropped else {}
        alive = [arm for arm in (others if is_over else arms) if not arm.stopped]
        for until in [*self.rungs, max_epochs]:
            for arm in alive:
                if arm.epochs < until:
                    return Decision(drops, (arm.name,), until, f"all to {until}")
        return Decision(drops, reason="the play is over")


def build_search(**options):
    options = {"strategy": Rehearsed(), "max_epochs": 9, "patience": 99} | options
    return AutoSample(VALIDATION, **options)


def run(model, search, *, epochs=100, callbacks=(), batches=None, verbose=0):
    batches = batches or build_batches(model)
    return model.fit(batches, epochs=epochs, callbacks=[search, *callbacks], verbose=verbose)


def tables(model):
    return [np.asarray(emb) for emb in model.final_embeddings()]


class KillAfter(keras.callbacks.Callback):
    """Kills the process at the end of an epoch of `fit`, leaving it no time for a farewell."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at_replace(count):
    """Kills the process when a file is about to be put in its place for the n-th time."""
    replace = os.replace

    def counted(source, target):
        nonlocal count
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = counted


def main(directory, kill, count):
    callbacks = [KillAfter(int(count))] if kill == "epoch" else []
    if kill == "replace":
        kill_at_replace(int(count))
    model = build_model()
    search = build_search(max_epochs=3, directory=f"{directory}/run", resume=True)
    run(model, search, callbacks=callbacks)
    np.savez(f"{directory}/final.npz", *tables(model))


if __name__ == "__main__":
    main(*sys.argv[1:])
