"""What every contestant shares: how it is asked, how it answers, and how it counts.

A contestant is a program that loads its data once and then answers each line of its standard
input, a batch size, with one line of JSON on its standard output. It runs in an environment of its
own, so this module uses the standard library alone.
"""

import json
import os
import sys
import time
from collections.abc import Callable

WARM_UP = 2  # batches of a measurement before the clock starts


class Clock:
    """Counts the positives of the batches that pass from the third one on, until time is up.

    `tick` is told of each batch before it is trained on: what it waits for between two calls is
    one training step and the making of one batch.
    """

    def __init__(self, seconds: float):
        self.limit, self.started, self.ended = seconds, None, None
        self.batches, self.positives, self.size = 0, 0, 0
        self.cpu_started, self.cpu_ended = 0.0, 0.0

    def tick(self, size: int) -> bool:
        """Notes that a batch of `size` positives comes next. Returns whether time is up."""
        now = time.perf_counter()
        if self.batches == WARM_UP:
            self.started, self.cpu_started = now, time.process_time()
        elif self.batches > WARM_UP:
            self.positives += self.size
            self.ended, self.cpu_ended = now, time.process_time()
        self.batches, self.size = self.batches + 1, size
        return self.ended is not None and self.ended - self.started >= self.limit

    def row(self) -> dict:
        """Returns positives per second, and of CPU time, which a busy machine disturbs less."""
        return {
            "rate": self.positives / (self.ended - self.started),
            "unit": "positives/s",
            "rate_of_cpu": self.positives / (self.cpu_ended - self.cpu_started),
        }


def serve(measure: Callable[[int], dict], versions: dict[str, str]) -> None:
    """Answers every batch size on standard input with what `measure` returns for it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like, but not between the answers
    common = {"versions": {"python": sys.version.split()[0], **versions}, "cpus": os.cpu_count()}
    for line in sys.stdin:
        size = int(line)
        print(json.dumps({"batch_size": size, **measure(size), **common}), file=answers, flush=True)
