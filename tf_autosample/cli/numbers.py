"""Options that are numbers, each with bounds that its help shows and that nothing passes."""

import functools
import math

from typer import BadParameter, Option

LARGEST = 2**31 - 1  # positions and sizes are int32 further on

count_option = functools.partial(Option, min=1, max=LARGEST)
seed_option = functools.partial(Option, min=0, max=LARGEST)
port_option = functools.partial(Option, min=0, max=65535)


def number_option(*, over=None, least=None, most=None, help: str):
    """Returns an option for a finite number.

    Args:
        over: The number must be greater than this.
        least: The number must not be less than this.
        most: The number must not be greater than this.
        help: The help text.
    """
    wanted = "" if over is None else f"> {over:g}"
    wanted = wanted if least is None else f">= {least:g}"
    if most is not None:
        wanted = f"in ({over:g}, {most:g}]" if least is None else f"in [{least:g}, {most:g}]"

    def parse(text) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadParameter(f"must be a finite number. Received: {text!r}.")
        if (
            (over is not None and value <= over)
            or (least is not None and value < least)
            or (most is not None and value > most)
        ):
            raise BadParameter(f"must be {wanted}. Received: {text}.")
        return value

    metavar = f"NUMBER {wanted}".strip()
    return Option(parser=parse, metavar=metavar, help=help)
