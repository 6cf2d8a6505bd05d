"""The curves of a search in the terminal."""

from tf_autosample.extras import explain_missing
from tf_autosample.report.arms import epoch_ticks, label
from tf_autosample.search.record import SearchRecord


@explain_missing()
def curves_text(record: SearchRecord, *, width: int = 80, height: int = 18) -> str:
    """Draws the validation curves of all arms with characters.

    Args:
        record: `AutoSample.record`, or what `SearchRecord.read` finds in `search.json`.
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
    plotext.xticks(epoch_ticks(record))
    for arm, marker in zip(record.measured, "oxs*+.#%@&", strict=False):
        epochs, values = zip(*arm.curve, strict=True)
        plotext.plot(epochs, values, label=label(arm, record), marker=marker)
    plotext.title(f"{record.settings['metric']} by epoch (log scale)")
    return plotext.uncolorize(plotext.build())
