"""`autosample train --from RUN`: a run goes on with more data."""

import dataclasses
from collections.abc import Collection

import numpy as np

from tf_autosample.cli.data import PARTS, PreparedData, columns_of
from tf_autosample.cli.data_settings import DataSettings, ReadingSettings
from tf_autosample.cli.runs import Run
from tf_autosample.cli.settings import TrainingSettings
from tf_autosample.data.interactions import Interactions
from tf_autosample.data.merging import pair_keys
from tf_autosample.models import RetrievalModel
from tf_autosample.models.grow import grow
from tf_autosample.samplers.named import parse_each
from tf_autosample.search.record import SearchRecord

# What a trained model has settled, and what would cut its data again.
SETTLED = ("data", "core", "model", "dim")


def settings_of(
    run: Run, source: DataSettings, settings: TrainingSettings, given: Collection[str]
) -> tuple[DataSettings, TrainingSettings]:
    """Returns the settings of a run, but for those that were given.

    Args:
        run: The finished run to go on from.
        source: What the command was given, defaults included. Files and splits are its own.
        settings: The same of training.
        given: Names of the options that stand on the command line.
    """
    settled = ", ".join(f"`--{name}`" for name in SETTLED if name in given)
    if settled:
        raise ValueError(
            "What the run has settled must be left out with `--from`, and the new rows come from "
            f"`--train FILE`. Received: {settled}."
        )
    recorded = run.read("run.json")["arguments"]
    training = {**recorded, "sampler": _chosen(run, recorded["sampler"])}
    return (
        _with_recorded(source, dataclasses.fields(ReadingSettings), recorded, given),
        _with_recorded(settings, dataclasses.fields(settings), training, given),
    )


def _with_recorded(settings, fields, recorded: dict, given: Collection[str]):
    names = {one.name for one in fields} & recorded.keys() - set(given)
    return dataclasses.replace(settings, **{name: recorded[name] for name in names})


def _chosen(run: Run, samplers: str) -> str:
    """Returns the chosen sampler as it is written on the command line; of a blend, its samplers."""
    record = SearchRecord.read(run.file("search.json"))
    weights = record.arm(record.winner).weights
    each = parse_each(samplers).items()
    return ",".join(text for text, sampler in each if sampler.name in weights)


def joined(before: PreparedData, more: PreparedData) -> PreparedData:
    """Returns the parts of a run with the new rows, over the ids of both.

    A pair stays in the part that it stood in, so that nothing held out is trained on later.

    Args:
        before: Of the run.
        more: The new rows, over vocabularies that begin with the run's.
    """
    sizes = {"num_users": len(more.users), "num_items": len(more.items)}
    rule = more.train.duplicates
    old = {
        name: Interactions(**columns_of(part), **sizes, duplicates=rule)
        for name, part in before.parts.items()
    }
    parts, num_elsewhere = dict(old), 0
    for name, part in more.parts.items():
        others = [_keys(one) for other, one in old.items() if other != name]
        is_elsewhere = np.isin(_keys(part), np.concatenate(others))
        num_elsewhere += int(is_elsewhere.sum())
        part = part.select(~is_elsewhere)
        parts[name] = old[name].union(part) if name in old else part
    counts = {f"{name} before": {"interactions": len(part)} for name, part in old.items()}
    counts |= {**more.counts, "in another part before": {"rows": num_elsewhere}}
    titles = before.titles
    if titles is not None:
        titles = np.concatenate([titles, more.items.ids[len(titles) :].astype(str)]).astype(object)
    parts = [parts.get(name) for name in PARTS]
    return PreparedData(*parts, more.users, more.items, titles, counts, more.notes)


def _keys(part: Interactions) -> np.ndarray:
    return pair_keys(part.users, part.items, part.num_items)


def grown_model(run: Run, before: PreparedData, data: PreparedData) -> RetrievalModel:
    """Returns the run's model over the ids of the joined data."""
    model = run.load_model()
    edges = data.train if "interactions" in model.grows_with else None
    old, new = (before.users, before.items), (data.users, data.items)
    return grow(model, old, new, interactions=edges)


def take_over(model: RetrievalModel, beginning: RetrievalModel) -> None:
    """Gives an untrained model what another has learned, and what samplers of one name remember."""
    weights = [
        [one for one in each.weights if id(one) not in set(map(id, each.sampler.weights))]
        for each in (model, beginning)
    ]
    samplers = {one.name: one for one in beginning.sampler.samplers}
    for one in model.sampler.samplers:
        if one.name in samplers:
            for group, each in zip(weights, (one, samplers[one.name]), strict=True):
                group += each.weights
    for mine, its in zip(*weights, strict=True):
        mine.assign(its)
    model.trained_users.assign(beginning.trained_users)
    model.trained_items.assign(beginning.trained_items)
