"""Pictures of digits, moved and drawn otherwise: what a person with a mouse does that MNIST's writers did not.

Everything works on a whole batch inside the input pipeline, and depends on the seed alone: the same step of the same
run always gets the same pictures. A process that sees some rows of a batch draws for all, and gets what a process on
its own gets for these rows.
"""

from __future__ import annotations

from typing import Any

from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.cluster import Rows

__all__ = ["add_variants", "change_pen", "move"]

_CENTRE = 13.5  # of a 28-pixel axis, in pixels


def move(
    images: Any,
    seed: Any,
    rows: Rows | None = None,
    rotate: float = 0.2,
    scale: float = 0.12,
    shear: float = 0.2,
    shift: float = 1.5,
) -> Any:
    """Turn, stretch, slant and shift every picture by its own random affine map.

    Args:
        images: Shape (n, 28, 28, 1), float32, 0 paper to 1 ink.
        seed: Two int64 numbers.
        rows: Which rows of a batch they are; None for a whole one.
        rotate: Greatest turn to either side, in radians.
        scale: Greatest change of width and of height, as a natural logarithm.
        shear: Greatest slant.
        shift: Greatest shift along either axis, in pixels.

    Returns:
        Pictures of the same shape and range.
    """
    tf = import_tensorflow()
    draw = 2.0 * _draw(tf, 6, images, seed, rows) - 1.0
    cos, sin = tf.cos(draw[0] * rotate), tf.sin(draw[0] * rotate)
    wide, high = tf.exp(draw[1] * scale), tf.exp(draw[2] * scale)
    slant = draw[3] * shear
    xx, xy = cos * wide, (cos * slant - sin) * high
    yx, yy = sin * wide, (sin * slant + cos) * high
    dx = _CENTRE - (xx + xy) * _CENTRE + draw[4] * shift
    dy = _CENTRE - (yx + yy) * _CENTRE + draw[5] * shift
    nothing = tf.zeros_like(xx)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, dx, yx, yy, dy, nothing, nothing], axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def change_pen(images: Any, seed: Any, rows: Rows | None = None, share: float = 0.3) -> Any:
    """Redraw a share of the pictures with a thicker or a thinner pen (grey dilation and erosion).

    Args:
        images: Shape (n, 28, 28, 1), float32, 0 to 1.
        seed: Two int64 numbers.
        rows: Which rows of a batch they are; None for a whole one.
        share: How many get a thicker pen, and how many a thinner one, 0 to 0.5 each.

    Returns:
        Pictures of the same shape and range.
    """
    tf = import_tensorflow()
    draw = _draw(tf, 2, images, seed, rows)[..., None, None, None]
    # A cross of five pixels moves the edge by about one pixel; mixing makes every width in between. Slices of a padded
    # batch are nine times quicker here than a pooling layer.
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    up, down, left, right = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    wider = tf.maximum(tf.maximum(tf.maximum(up, down), tf.maximum(left, right)), images)
    thinner = tf.minimum(tf.minimum(tf.minimum(up, down), tf.minimum(left, right)), images)
    kind, amount = draw[0], draw[1]
    change = tf.where(kind < share, 0.8 * (wider - images), tf.where(kind > 1 - share, 0.45 * (thinner - images), 0.0))
    return images + amount * change


def add_variants(images: Any, labels: Any, seed: Any, rows: Rows | None = None, share: float = 0.15) -> Any:
    """Give some digits the strokes that people add: a slash through zero, a bar through seven, a base or flag to one.

    MNIST was written by Americans and has next to none of these.

    Args:
        images: Shape (n, 28, 28, 1), float32, 0 to 1.
        labels: Shape (n,), int32.
        seed: Two int64 numbers.
        rows: Which rows of a batch they are; None for a whole one.
        share: Which share of the zeros, sevens and ones is changed, 0 to 1.

    Returns:
        Pictures of the same shape and range.
    """
    tf = import_tensorflow()
    draw = _draw(tf, 6, images, seed, rows)
    ink = tf.cast(images[..., 0] > 0.3, tf.float32)
    row, column = tf.reduce_max(ink, 2), tf.reduce_max(ink, 1)
    left, right = _first(tf, column), 27.0 - _first(tf, tf.reverse(column, [1]))
    top, bottom = _first(tf, row), 27.0 - _first(tf, tf.reverse(row, [1]))
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    head_x = _first(tf, tf.gather(ink, tf.cast(top, tf.int32), axis=1, batch_dims=1))
    shift, tilt, reach = (draw[1] - 0.5) * 3, (draw[2] - 0.5) * 3, 0.25 + 0.4 * draw[3]
    half = 2.5 + 3.5 * draw[3]

    wide, high = reach * (right - left), reach * (bottom - top)
    slash = middle_x - wide, middle_y + high, middle_x + wide, middle_y - high
    bar = middle_x - half + shift, middle_y + tilt + draw[4], middle_x + half + shift, middle_y + tilt
    base = middle_x - half, bottom - draw[4], middle_x + half + shift, bottom - draw[5]
    flag = head_x, top + 0.5, head_x - 1.2 * half, top + half * (0.6 + 0.8 * draw[4])
    zero, seven, flagged = tf.equal(labels, 0), tf.equal(labels, 7), draw[5] < 0.5
    segment = [
        tf.where(zero, of_zero, tf.where(seven, of_seven, tf.where(flagged, of_one, or_one)))
        for of_zero, of_seven, of_one, or_one in zip(slash, bar, flag, base, strict=True)
    ]
    changed = (zero | seven | tf.equal(labels, 1)) & (draw[0] < share)
    line = _line(tf, segment, 0.9 + 0.6 * draw[5])
    return tf.maximum(images, tf.where(changed[:, None, None, None], line, 0.0))


def _draw(tf: Any, count: int, images: Any, seed: Any, rows: Rows | None) -> Any:
    """Draw `count` numbers from 0 to 1 for each picture, shape (count, n), from what the whole batch would get."""
    n = tf.shape(images)[0] if rows is None else rows.of
    draw = tf.random.stateless_uniform([count, n], seed)
    return draw if rows is None else draw[:, rows.part]


def _first(tf: Any, marks: Any) -> Any:
    return tf.cast(tf.argmax(marks, axis=1), tf.float32)


def _line(tf: Any, segment: list[Any], radius: Any) -> Any:
    """Draw one straight stroke per picture, by the distance of every pixel to it; shape (n, 28, 28, 1)."""
    x0, y0, x1, y1 = (value[:, None, None] for value in segment)
    axis = tf.range(28, dtype=tf.float32)
    x, y = axis[None, None, :], axis[None, :, None]
    length2 = tf.maximum((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-6)
    along = tf.clip_by_value(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length2, 0.0, 1.0)
    distance = tf.sqrt((x - x0 - along * (x1 - x0)) ** 2 + (y - y0 - along * (y1 - y0)) ** 2)
    return tf.clip_by_value(radius[:, None, None] + 0.5 - distance, 0.0, 1.0)[..., None]
