"""Progress of a search on standard error."""

import logging

import keras
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tf_autosample.cli.data import PreparedData
from tf_autosample.cli.options import counts_text
from tf_autosample.search.auto_sample import AutoSample


def open_console(quiet: bool = False) -> Console:
    """Returns a console on standard error that also shows what the library logs."""
    console = Console(stderr=True, quiet=quiet)
    handler = RichHandler(console=console, show_path=False, show_level=False, markup=False)
    logger = logging.getLogger("tf_autosample")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    return console


def print_data(data: PreparedData, console: Console) -> None:
    """Says what was recognised in the data, and what became of every row."""
    for note in data.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    console.print(counts_text(data.counts), highlight=False, markup=False, soft_wrap=True)


class SearchProgress(keras.callbacks.Callback):
    """Shows the arm at work, its metric, and the leader. Stand it after `AutoSample` in `fit`."""

    def __init__(self, search: AutoSample, console: Console):
        super().__init__()
        self.search = search
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=None, state="")

    def on_train_begin(self, logs=None):
        self.bar.start()

    def on_epoch_end(self, epoch, logs=None):
        arm = self.search.record.arms[logs["arm"]]
        leader = self.search.record.arms[logs["leader"]]
        decisions = reversed(self.search.record.decisions)
        until = next(one.until for one in decisions if arm.name in one.train)
        self.bar.update(
            self.task,
            description=f"{arm.name:>12}",
            completed=arm.epochs,
            total=max(until, arm.epochs),
            state=f"{self.search.metric} {logs[self.search.metric]:.4f} · leader {leader.name} "
            f"{leader.best:.4f} · {logs['arms_alive']} of {len(self.search.record.arms)} arms left",
        )

    def on_train_end(self, logs=None):
        self.bar.stop()
