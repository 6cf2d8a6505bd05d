"""What a person sees of a search: its curves, in the terminal and as an image."""

import io
import os
from collections.abc import Mapping
from pathlib import Path


def curves_text(history: Mapping, *, width: int = 80, height: int = 18) -> str:
    """Draws the validation curves of all arms with characters.

    Args:
        history: `AutoSample.history`, or the content of `search.json`.
        width: Columns of text.
        height: Lines of text.

    Returns:
        The drawing without colours: one marker per arm, named in its legend.
    """
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, height)
    plotext.xscale("log")
    plotext.xticks(_ticks(history))
    for arm, marker in zip(_measured(history), "oxs*+.#%@&", strict=False):
        epochs, values = zip(*arm["curve"], strict=True)
        plotext.plot(epochs, values, label=_label(arm, history), marker=marker)
    plotext.title(f"{history['settings']['metric']} by epoch (log scale)")
    return plotext.uncolorize(plotext.build())


def save_curves(history: Mapping, path: str | os.PathLike) -> None:
    """Saves the validation curves of all arms as a PNG, each ending where its arm was dropped.

    Args:
        history: `AutoSample.history`, or the content of `search.json`.
        path: The file to write, whole or not at all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for arm in _measured(history):
        epochs, values = zip(*arm["curve"], strict=True)
        is_winner = arm["name"] == history["winner"]
        (line,) = axes.plot(
            epochs, values, label=_label(arm, history), linewidth=2.5 if is_winner else 1.3
        )
        if arm["dropped"]:
            axes.plot(epochs[-1], values[-1], "x", color=line.get_color(), markersize=9)
        if is_winner:
            axes.plot(arm["best_epoch"], arm["best"], "o", color=line.get_color(), markersize=9)
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(_ticks(history), map(str, _ticks(history)))
    axes.set_xlabel("epoch of the arm")
    axes.set_ylabel(history["settings"]["metric"])
    axes.set_title("Arms of the search (× dropped, ● chosen)")
    axes.grid(alpha=0.3)
    axes.legend()
    image = io.BytesIO()
    FigureCanvasAgg(figure).print_png(image)
    path = Path(path)
    staged = path.with_name(f".{path.name}.tmp")
    staged.write_bytes(image.getvalue())
    os.replace(staged, path)


def _measured(history: Mapping) -> list[dict]:
    return [arm for arm in history["arms"] if arm["curve"]]


def _ticks(history: Mapping) -> list[int]:
    last = max(arm["epochs"] for arm in _measured(history))
    return [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= last]


def _label(arm: Mapping, history: Mapping) -> str:
    if arm["name"] == history["winner"]:
        return f"{arm['name']} (chosen, epoch {arm['best_epoch']})"
    return f"{arm['name']} (dropped at {arm['epochs']})" if arm["dropped"] else arm["name"]
