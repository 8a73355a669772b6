"""From the picture of a digit back to the pen strokes that could have drawn it: thin it to its skeleton and trace that.

A test's own tool, the other way round from `mlhelpers.strokes`; it shares nothing with it. Import it by path.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
from skimage.morphology import skeletonize
from skimage.transform import resize

_FINER = 4  # the skeleton is made on a raster so many times finer than the picture
_CANVAS = 10.0  # canvas pixels for one pixel of the picture: 28 -> 280

_Pixel = tuple[int, int]
_Graph = dict[_Pixel, set[_Pixel]]


def strokes_of(image28: npt.ArrayLike, shortest_spur: float = 2.2) -> list[npt.NDArray[np.float64]]:
    """Return pen strokes that draw a digit.

    Args:
        image28: Grey levels of shape (28, 28), 0 is paper; 0..1 or 0..255.
        shortest_spur: A side branch shorter than this is a burr of the skeleton, in pixels of the picture.

    Returns:
        One (n, 2) array of x and y per stroke, on a canvas of 280x280 pixels, y downwards; points about 5 pixels
        apart, in the order in which a pen would pass: straight on through crossings, from the top downwards.
    """
    image = np.asarray(image28, dtype=np.float64)
    fine = resize(image / image.max(), (28 * _FINER, 28 * _FINER), order=3, anti_aliasing=False)
    graph = _graph(skeletonize(fine > 0.45))
    _prune(graph, shortest_spur * _FINER)
    strokes = []
    while any(graph.values()):
        strokes.append(_finish(_walk(graph, _start(graph))))
    if not strokes:  # a blob without any length
        y, x = np.argwhere(image > image.max() / 2).mean(axis=0)
        strokes = [np.array([[(x + 0.5) * _CANVAS, (y + 0.5) * _CANVAS]])]
    return strokes


def _graph(skeleton: npt.NDArray[np.bool_]) -> _Graph:
    """Join neighbouring pixels; a diagonal that cuts a corner of two joined sides is left out."""
    pixels = {(int(y), int(x)) for y, x in np.argwhere(skeleton)}
    graph: _Graph = {pixel: set() for pixel in pixels}
    for y, x in pixels:
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            other = (y + dy, x + dx)
            corner = dy and dx and ((y, x + dx) in pixels or (y + dy, x) in pixels)
            if other in pixels and not corner:
                graph[y, x].add(other)
                graph[other].add((y, x))
    return graph


def _branch(graph: _Graph, end: _Pixel) -> tuple[list[_Pixel], float]:
    """Follow a free end up to the first crossing or the other end; return the pixels and the length."""
    path, length = [end], 0.0
    before: _Pixel | None = None
    while True:
        onward = [pixel for pixel in graph[path[-1]] if pixel != before]
        if not onward or (len(path) > 1 and len(graph[path[-1]]) > 2):
            return path, length
        before = path[-1]
        path.append(onward[0])
        length += math.dist(before, onward[0])


def _prune(graph: _Graph, shortest: float) -> None:
    """Take burrs away, the shortest first, as long as there are any beside a crossing."""
    while True:
        ends = [pixel for pixel, joined in graph.items() if len(joined) == 1]
        branches = [_branch(graph, end) for end in ends]
        burrs = [(length, path) for path, length in branches if length < shortest and len(graph[path[-1]]) > 2]
        if not burrs:
            return
        _, path = min(burrs)
        for pixel, following in itertools.pairwise(path):
            graph[pixel].discard(following)
            graph[following].discard(pixel)


def _start(graph: _Graph) -> _Pixel:
    """Choose where the pen goes down: the highest free end, else the highest pixel of a closed line."""
    live = [pixel for pixel, joined in graph.items() if joined]
    odd = [pixel for pixel in live if len(graph[pixel]) == 1] or [p for p in live if len(graph[p]) % 2 == 1]
    return min(odd or live)


def _walk(graph: _Graph, start: _Pixel) -> list[_Pixel]:
    """Follow the line from `start`, straight on through crossings, and take away what was walked."""
    path = [start]
    while graph[path[-1]]:
        here = path[-1]
        back = path[max(0, len(path) - 2 * _FINER)]
        heading = (here[0] - back[0], here[1] - back[1])
        following = max(graph[here], key=lambda pixel: _straightness(graph, here, pixel, heading))
        graph[here].discard(following)
        graph[following].discard(here)
        path.append(following)
    return path


def _straightness(graph: _Graph, here: _Pixel, first: _Pixel, heading: _Pixel) -> float:
    """Return the cosine between the heading and the way that begins with `first`, looked at a little ahead."""
    seen, ahead = {here, first}, first
    for _ in range(2 * _FINER):
        onward = sorted(pixel for pixel in graph[ahead] if pixel not in seen)
        if not onward:
            break
        ahead = max(onward, key=lambda pixel: math.dist(pixel, here))
        seen.add(ahead)
    way = (ahead[0] - here[0], ahead[1] - here[1])
    return (way[0] * heading[0] + way[1] * heading[1]) / (math.hypot(*way) * math.hypot(*heading) + 1e-9)


def _finish(path: list[_Pixel]) -> npt.NDArray[np.float64]:
    """Smooth the raster's stairs and thin the points out; closed lines stay closed, free ends stay where they are."""
    points = (np.array(path, dtype=np.float64)[:, ::-1] + 0.5) / _FINER
    reach = min(3, (len(points) - 1) // 2)
    for _ in range(2):
        inner = [points[i - reach : i + reach + 1].mean(axis=0) for i in range(reach, len(points) - reach)]
        points = np.concatenate([points[:reach], inner, points[len(points) - reach :]])
    steps = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    at = np.linspace(0, steps[-1], max(2, round(steps[-1] / 0.5) + 1))
    return _CANVAS * np.column_stack([np.interp(at, steps, points[:, axis]) for axis in (0, 1)])
