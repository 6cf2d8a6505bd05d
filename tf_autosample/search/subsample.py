"""A race on a sample of the users, for data on which a full race would be dear."""

import copy
import dataclasses
import logging

import numpy as np

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.data.interactions import Interactions
from tf_autosample.search.snapshots import write_variables

log = logging.getLogger(__name__)

# Above this many training interactions a quarter of the users stands for all of them.
LARGE = 5_000_000
FRACTION = 0.25


def race_on_sample(search, model, batches):
    """Races on a sample of the users and puts the model back to where it was.

    Args:
        search: The `AutoSample` that is about to begin.
        model: The `RetrievalModel`.
        batches: The `TrainingBatches` of all users.

    Returns:
        The finished `AutoSample` of the race, or None if all users are to take part.
    """
    interactions = batches.interactions
    fraction = search.strategy.sample_users
    if fraction is None:
        fraction = FRACTION if len(interactions) > LARGE else 1.0
    if fraction < 1 and (model.is_bound_to_users or batches.arguments is None):
        cannot = type(model) if model.is_bound_to_users else type(batches.dataset)
        log.info("searching on all users: a %s cannot do without some", cannot.__name__)
        fraction = 1.0
    if fraction == 1:
        return None
    chosen = choose_users(search.validation, fraction, batches.arguments["seed"])
    train, validation = (one.select(chosen[one.users]) for one in (interactions, search.validation))
    log.info(
        "searching on %d of %d users, %d of %d training interactions",
        chosen.sum(),
        len(chosen),
        len(train),
        len(interactions),
    )
    sampled = copy.copy(search)  # the same search, on fewer users
    sampled.validation = validation
    sampled.strategy = dataclasses.replace(search.strategy, sample_users=1.0)
    sampled.directory = search.directory and search.directory / "sample"
    # About as many steps in an epoch as with all users: curves keep their shape by epoch.
    size = max(1, round(batches.arguments["batch_size"] * fraction))
    few = training_batches(train, **batches.arguments | {"batch_size": size})
    # The `epochs` of `fit` are those of the final run; the race ends by its own rules.
    epochs = search.max_epochs * (len(model.sampler.samplers) + len(search.arms) + 2)
    model.fit(few, epochs=epochs, callbacks=[sampled], verbose=0)
    write_variables(sampled.runner.variables, sampled.runner.snapshots.load("initial"))
    return sampled


def choose_users(validation: Interactions, fraction: float, seed: int) -> np.ndarray:
    """Returns bool [U]: a random fraction of the users, some of them in validation."""
    random = np.random.default_rng([seed, 1]).permutation(validation.num_users)
    chosen = np.zeros(validation.num_users, bool)
    chosen[random[: max(1, round(fraction * len(random)))]] = True
    if not chosen[validation.users].any():
        raise ValueError(
            "`sample_users` must leave users with validation interactions. "
            f"Received: {fraction}, which leaves none of {len(np.unique(validation.users))}."
        )
    return chosen
