"""The figures of a report, as PNG for anywhere and as SVG for the page."""

import io
import math
import os
import re
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_autosample.data.files import replacing
from tf_autosample.report.arms import epoch_ticks, label
from tf_autosample.search.contenders import Contender
from tf_autosample.search.record import SearchRecord

INK = "#24292f"  # in an SVG replaced by the colour of the text around it
# Told apart on white and on black alike.
COLOURS = ("#2f7fd0", "#d9661f", "#179b72", "#c264a4", "#b8860b", "#7a6be0", "#8a8f98", "#c0392b")
DASHES = ("-", "--", ":", "-.")
STYLE = {
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "tf_autosample",  # the same record gives the same bytes
    "text.parse_math": False,  # the name of an arm may hold a dollar sign
}
WIDTH, HEIGHT = 5.6, 3.5  # inches: at the width of a phone the letters are still read


@rc_context(STYLE)
def curves_figure(record: SearchRecord) -> Figure:
    """Draws the validation curves of all arms, with a cross where each was dropped."""
    arms = record.measured
    figure, axes = _canvas()
    notes = []
    for arm in arms:
        epochs, values = zip(*arm.curve, strict=True)
        is_winner = arm.name == record.winner
        colour, dash = _look(arm, record)
        width = 2.5 if is_winner else 1.3
        axes.plot(epochs, values, dash, color=colour, linewidth=width, label=label(arm, record))
        if arm.dropped:
            at = arm.epochs, values[-1]
            axes.plot(*at, "x", color=colour, markersize=7, markeredgewidth=2)
            notes.append((str(arm.epochs), at))
        if is_winner:
            axes.plot(arm.best_epoch, arm.best, "o", color=colour, markersize=8)
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(epoch_ticks(record), map(str, epoch_ticks(record)))
    axes.set_xlabel("epoch of the arm (log scale)")
    axes.set_ylabel(record.settings["metric"])
    axes.set_title("Arms of the search (× dropped at this epoch, ● chosen)", fontsize=9)
    _legend(figure, axes)
    _annotate(figure, axes, notes)
    return figure


@rc_context(STYLE)
def cost_figure(record: SearchRecord) -> Figure:
    """Draws each arm's best metric against the seconds that it took."""
    figure, axes = _canvas()
    arms = sorted(record.measured, key=lambda arm: (arm.name != record.winner, -arm.best))
    for arm in arms:
        colour, _ = _look(arm, record)
        at = arm.seconds, arm.best
        is_winner = arm.name == record.winner
        marker = "o" if is_winner else "x" if arm.dropped else "s"
        axes.plot(*at, marker, color=colour, markersize=9 if is_winner else 7, markeredgewidth=2)
    _scale_seconds(axes, [arm.seconds for arm in arms])
    axes.set_ylabel(f"best {record.settings['metric']}")
    axes.set_title("Cost against quality (× dropped, ● chosen)", fontsize=9)
    _annotate(figure, axes, [(arm.name, (arm.seconds, arm.best)) for arm in arms])
    return figure


@rc_context(STYLE)
def weights_figure(record: SearchRecord) -> Figure | None:
    """Draws the weights of the arm that learns them, None if there is no such arm."""
    arm = next((arm for arm in record.arms if arm.learned), None)
    if arm is None:
        return None
    epochs, weights = zip(*arm.learned, strict=True)
    figure, axes = _canvas()
    for position, name in enumerate(weights[0]):
        colour, dash = _nth_look(position)
        shares = [one[name] for one in weights]
        axes.plot(epochs, shares, dash, color=colour, marker=".", label=name)
    axes.set_ylim(0, 1)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel("weight")
    axes.set_title(f"Learned weights of {arm.name}", fontsize=9)
    _legend(figure, axes)
    return figure


@rc_context(STYLE)
def comparison_figure(rows: Sequence[Mapping], metric: str) -> Figure:
    """Draws the test metric of every name and seed against the seconds that it took."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    figure, axes = _canvas()
    for position, name in enumerate(names):
        own = [row for row in rows if row["name"] == name]
        taken, values = zip(*((row["seconds"], row["metrics"][metric]) for row in own), strict=True)
        colour, _ = _nth_look(position)
        marker = "o" if name == "search" else "x+^vsd"[position // len(COLOURS) % 6]
        axes.plot(taken, values, marker, color=colour, markersize=6, label=name)
    _scale_seconds(axes, [row["seconds"] for row in rows])
    axes.set_ylabel(f"test {metric}")
    axes.set_title("Cost against quality, one point per seed", fontsize=9)
    _legend(figure, axes)
    return figure


@rc_context(STYLE)
def png(figure: Figure) -> bytes:
    """The figure as a PNG on white."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=160, facecolor="white")
    return image.getvalue()


@rc_context(STYLE)
def svg(figure: Figure) -> str:
    """The figure as an SVG element without background, in the colour of the text around it."""
    image = io.BytesIO()
    figure.savefig(image, format="svg", transparent=True, metadata={"Date": None})
    text = image.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style).*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="\w+_\d+"', "<g", text)  # would be found twice in a page of two figures
    return text.replace(INK, "currentColor")


def save_curves(record: SearchRecord, path: str | os.PathLike) -> None:
    """Saves the validation curves of all arms as a PNG, each ending where its arm was dropped.

    Args:
        record: `AutoSample.record`, or what `SearchRecord.read` finds in `search.json`.
        path: The file to write, whole or not at all.
    """
    image = png(curves_figure(record))
    with replacing(path) as staged:
        staged.write_bytes(image)


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    return figure, figure.add_subplot()


def _legend(figure: Figure, axes: Axes) -> None:
    labels = axes.get_legend_handles_labels()[1]
    columns = 2 if max(map(len, labels)) <= 40 else 1
    figure.set_figheight(HEIGHT + 0.17 * math.ceil(len(labels) / columns))
    figure.legend(loc="outside lower center", ncols=columns)


def _annotate(figure: Figure, axes: Axes, notes: Sequence[tuple[str, tuple[float, float]]]) -> None:
    """Writes a text beside each point, left of those on the right; one without room is left out."""
    figure.draw_without_rendering()  # only now the places are known
    taken = []
    for text, at in notes:
        is_right = axes.transAxes.inverted().transform(axes.transData.transform(at))[0] > 0.6
        note = axes.annotate(
            text,
            at,
            xytext=(-6 if is_right else 6, 4),
            textcoords="offset points",
            horizontalalignment="right" if is_right else "left",
            fontsize=8,
        )
        box = note.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            note.remove()
        else:
            taken.append(box)


def _scale_seconds(axes: Axes, seconds: Sequence[float]) -> None:
    is_log = min(seconds) > 0 and max(seconds) > 20 * min(seconds)
    if is_log:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.08, y=0.12)  # room for the names
    axes.set_xlabel("seconds of training and validation" + (" (log scale)" if is_log else ""))


def _look(arm: Contender, record: SearchRecord) -> tuple[str, str]:
    return _nth_look(record.arms.index(arm))


def _nth_look(position: int) -> tuple[str, str]:
    return COLOURS[position % len(COLOURS)], DASHES[position // len(COLOURS) % len(DASHES)]
