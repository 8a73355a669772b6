"""Plots of the series: arrays in, matplotlib axes out.

Every function draws on the axes it is given, or on a new figure, and returns the axes, so that a caller can go on
drawing. Ink is dark on light paper everywhere, titles and axis names with units are set here, the colours can be told
apart by colour-blind readers, and nothing changes matplotlib's settings for anyone else.

To add a plot: a function in `pictures` or `scans` (they show images, dark or light on top), `boxes` (what was found
in one), `charts` (it shows numbers), `curves` (what a run reported), `studies` (the trials of a search) or `groups` (it
compares groups) that takes arrays and `ax`, its name below, and a test on its artists. May import `errors` alone of the
project.
"""

from mlhelpers.errors import MissingExtraError

try:
    import matplotlib  # noqa: F401  # asked for here, so that its absence is told once and in full
except ImportError as error:
    raise MissingExtraError("matplotlib, which draws the plots,", "notebooks") from error

from mlhelpers.plots.boxes import detections, write_detections
from mlhelpers.plots.charts import (
    class_balance,
    compare,
    confusion_matrix,
    histogram,
    learning_curve,
    probability_bars,
)
from mlhelpers.plots.classes import ranges, scatter
from mlhelpers.plots.curves import metric_curves
from mlhelpers.plots.groups import mean_and_spread
from mlhelpers.plots.pictures import digit, image_grid, mistakes, strokes
from mlhelpers.plots.scans import label_strips, scans
from mlhelpers.plots.searches import best_so_far, search_maps
from mlhelpers.plots.studies import foreign_settings, restyle, study_curves, study_history, to_png

__all__ = [
    "best_so_far",
    "class_balance",
    "compare",
    "confusion_matrix",
    "detections",
    "digit",
    "foreign_settings",
    "histogram",
    "image_grid",
    "label_strips",
    "learning_curve",
    "mean_and_spread",
    "metric_curves",
    "mistakes",
    "probability_bars",
    "ranges",
    "restyle",
    "scans",
    "scatter",
    "search_maps",
    "strokes",
    "study_curves",
    "study_history",
    "to_png",
    "write_detections",
]
