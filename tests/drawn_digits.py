"""Digits as people draw them on a canvas, by synthesis: hand-set points, shaken, bent, slanted and placed at will.

Every digit has several ways of being written (a seven with and without a bar, a zero with a slash, a one with a base,
an open and a closed four), as lists of strokes through control points in a unit square with y downwards. No MNIST
picture went into these shapes, so they test what the network learnt from MNIST on something else. They are synthetic.
"""

from __future__ import annotations

import numpy as np

Stroke = np.ndarray
S = list[list[tuple[float, float]]]


def _ellipse(
    cx: float, cy: float, rx: float, ry: float, start: float, turn: float, n: int = 9
) -> list[tuple[float, float]]:
    angles = np.radians(start) + np.radians(turn) * np.linspace(0, 1, n)
    return [(cx + rx * float(np.cos(a)), cy + ry * float(np.sin(a))) for a in angles]


WAYS: dict[str, tuple[int, S]] = {
    "0 round": (0, [_ellipse(0.5, 0.5, 0.33, 0.45, -90, -365)]),
    "0 narrow": (0, [_ellipse(0.5, 0.5, 0.22, 0.45, -80, 360)]),
    "0 slashed": (0, [_ellipse(0.5, 0.5, 0.33, 0.45, -90, -365), [(0.72, 0.2), (0.28, 0.8)]]),
    "0 slashed beyond": (0, [_ellipse(0.5, 0.5, 0.3, 0.42, -90, -365), [(0.85, 0.05), (0.15, 0.95)]]),
    "1 bar": (1, [[(0.5, 0.05), (0.5, 0.95)]]),
    "1 slanted": (1, [[(0.62, 0.05), (0.4, 0.95)]]),
    "1 flag": (1, [[(0.3, 0.3), (0.55, 0.05), (0.55, 0.95)]]),
    "1 base": (1, [[(0.32, 0.25), (0.52, 0.05), (0.52, 0.93)], [(0.28, 0.94), (0.76, 0.94)]]),
    "1 base only": (1, [[(0.5, 0.05), (0.5, 0.95)], [(0.3, 0.95), (0.7, 0.95)]]),
    "2 plain": (
        2,
        [
            [(0.2, 0.28), (0.35, 0.08), (0.65, 0.07), (0.78, 0.27), (0.62, 0.55), (0.2, 0.93)],
            [(0.2, 0.93), (0.82, 0.93)],
        ],
    ),
    "2 in one": (
        2,
        [[(0.22, 0.25), (0.45, 0.05), (0.75, 0.2), (0.66, 0.5), (0.4, 0.75), (0.2, 0.93), (0.5, 0.92), (0.85, 0.93)]],
    ),
    "2 loop": (
        2,
        [
            [
                (0.22, 0.25),
                (0.45, 0.05),
                (0.75, 0.2),
                (0.62, 0.55),
                (0.3, 0.9),
                (0.18, 0.85),
                (0.3, 0.75),
                (0.55, 0.9),
                (0.85, 0.88),
            ]
        ],
    ),
    "3 round": (
        3,
        [
            [
                (0.22, 0.15),
                (0.5, 0.04),
                (0.75, 0.2),
                (0.66, 0.42),
                (0.42, 0.48),
                (0.7, 0.55),
                (0.8, 0.75),
                (0.55, 0.95),
                (0.2, 0.87),
            ]
        ],
    ),
    "3 flat": (
        3,
        [
            [(0.2, 0.07), (0.76, 0.07)],
            [(0.76, 0.07), (0.45, 0.42)],
            [(0.45, 0.42), (0.75, 0.52), (0.8, 0.75), (0.55, 0.95), (0.2, 0.88)],
        ],
    ),
    "4 open": (4, [[(0.28, 0.08), (0.2, 0.6)], [(0.2, 0.6), (0.82, 0.58)], [(0.66, 0.1), (0.64, 0.95)]]),
    "4 closed": (4, [[(0.62, 0.05), (0.15, 0.65)], [(0.15, 0.65), (0.88, 0.65)], [(0.62, 0.05), (0.62, 0.95)]]),
    "5 two": (
        5,
        [
            [(0.32, 0.07), (0.28, 0.45)],
            [(0.28, 0.45), (0.55, 0.38), (0.78, 0.55), (0.74, 0.82), (0.5, 0.95), (0.2, 0.87)],
            [(0.32, 0.07), (0.78, 0.07)],
        ],
    ),
    "5 in one": (
        5,
        [
            [(0.78, 0.06), (0.34, 0.07)],
            [(0.34, 0.07), (0.29, 0.45)],
            [(0.29, 0.45), (0.55, 0.4), (0.77, 0.58), (0.7, 0.88), (0.42, 0.95), (0.2, 0.85)],
        ],
    ),
    "6 curve": (
        6,
        [[(0.68, 0.05), (0.4, 0.3), (0.25, 0.65), (0.4, 0.94), (0.7, 0.88), (0.74, 0.62), (0.5, 0.5), (0.27, 0.68)]],
    ),
    "6 straight": (6, [[(0.5, 0.05), (0.3, 0.5), (0.26, 0.78), (0.5, 0.95), (0.75, 0.78), (0.6, 0.56), (0.3, 0.68)]]),
    "7 plain": (7, [[(0.18, 0.08), (0.8, 0.08)], [(0.8, 0.08), (0.42, 0.95)]]),
    "7 crossed": (7, [[(0.18, 0.08), (0.8, 0.08)], [(0.8, 0.08), (0.42, 0.95)], [(0.35, 0.5), (0.8, 0.48)]]),
    "7 serif": (7, [[(0.2, 0.22), (0.2, 0.08)], [(0.2, 0.08), (0.8, 0.08)], [(0.8, 0.08), (0.42, 0.95)]]),
    "7 curved": (7, [[(0.18, 0.12), (0.5, 0.08), (0.8, 0.1), (0.6, 0.45), (0.48, 0.95)]]),
    "8 in one": (
        8,
        [
            [
                (0.72, 0.2),
                (0.5, 0.05),
                (0.28, 0.22),
                (0.5, 0.46),
                (0.76, 0.72),
                (0.5, 0.95),
                (0.24, 0.74),
                (0.5, 0.46),
                (0.73, 0.2),
            ]
        ],
    ),
    "8 two rings": (8, [_ellipse(0.5, 0.26, 0.22, 0.21, 90, 362), _ellipse(0.5, 0.71, 0.28, 0.24, -90, 362)]),
    "9 straight": (9, [[*_ellipse(0.48, 0.3, 0.25, 0.24, 0, -360), (0.73, 0.3), (0.7, 0.95)]]),
    "9 curved": (
        9,
        [[*_ellipse(0.48, 0.3, 0.25, 0.24, 0, -360), (0.74, 0.35), (0.68, 0.8), (0.45, 0.96), (0.24, 0.88)]],
    ),
}


def draw(way: str, rng: np.random.Generator, canvas: float = 280.0) -> list[Stroke]:
    """Draw a digit in one way, anywhere on a canvas and at any size, as a hand would: never twice the same."""
    _, strokes = WAYS[way]
    bend = np.array([[1 + rng.normal(0, 0.08), rng.normal(0, 0.12)], [rng.normal(0, 0.07), 1 + rng.normal(0, 0.08)]])
    size = canvas * rng.uniform(0.2, 0.85) * np.array([rng.uniform(0.6, 1.0), 1.0])
    place = rng.uniform(0, 1, 2) * np.maximum(canvas - size, 1)
    drawn = []
    for points in strokes:
        shaken = np.asarray(points) + rng.normal(0, 0.018, (len(points), 2))
        path = _smooth(shaken, per_part=int(rng.integers(3, 14)))
        hand = (path - 0.5) @ bend.T + 0.5
        tremor = rng.normal(0, 0.004, hand.shape)
        drawn.append((hand + tremor) * size + place)
    return drawn


def sample(n_per_way: int, seed: int = 0) -> tuple[list[list[Stroke]], list[int], list[str]]:
    """Draw every way `n_per_way` times; return strokes, digits and the ways' names."""
    rng = np.random.default_rng(seed)
    drawn, digits, ways = [], [], []
    for way, (digit, _) in WAYS.items():
        for _ in range(n_per_way):
            drawn.append(draw(way, rng))
            digits.append(digit)
            ways.append(way)
    return drawn, digits, ways


def _smooth(points: np.ndarray, per_part: int) -> np.ndarray:
    """Put a Catmull-Rom curve through the points (E. Catmull and R. Rom, 1974)."""
    if len(points) == 2:
        return np.linspace(points[0], points[1], per_part + 1)
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, per_part, endpoint=False)[:, None]
    parts = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        parts.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return np.vstack([*parts, points[-1:]])
