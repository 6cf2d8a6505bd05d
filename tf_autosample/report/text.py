"""The curves of a search in the terminal."""

from collections.abc import Mapping

from tf_autosample.extras import explain_missing
from tf_autosample.report.arms import epoch_ticks, label, measured


@explain_missing()
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
    plotext.xticks(epoch_ticks(history))
    for arm, marker in zip(measured(history), "oxs*+.#%@&", strict=False):
        epochs, values = zip(*arm["curve"], strict=True)
        plotext.plot(epochs, values, label=label(arm, history), marker=marker)
    plotext.title(f"{history['settings']['metric']} by epoch (log scale)")
    return plotext.uncolorize(plotext.build())
