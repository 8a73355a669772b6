"""Synthetic mammograms, drawn by rule: no picture here shows a person, and no name here belongs to one.

The real pictures (163.6 GB, an account) cannot come with a small package; these phantoms have their layout, sizes,
names and labels, so that the whole road from picture to prediction can be walked offline. What a model learns here says
nothing about real mammograms.

What is drawn, and after whom:

- *Density.* The classes are the four of BI-RADS, 4th edition (American College of Radiology, 2003), which are told by
  the share of the breast that is fibroglandular tissue: under 25 %, 25 to 50 %, 51 to 75 %, over 75 %. `SHARES` keeps
  clear of the borders, where no reader could decide.
- *Texture.* Tissue is a random field whose power falls with spatial frequency as 1/f^beta, beta about 3, which is what
  mammograms show (A. E. Burgess, "Mammographic structure: data preparation and spatial statistics analysis", Proc.
  SPIE 3661, 1999; means of 2.5 and 2.9 in two groups of women: H. Li, M. L. Giger and O. I. Olopade, "Power spectral
  analysis of mammographic parenchymal patterns", Proc. SPIE 6144, 2006). The strongest part of the field, so much of
  the breast's area as the share says, is tissue.
- *Exposure.* Film, tube and compression differ between patients far more than their tissue does: fog, gain, contrast,
  the film's curve, the heel effect and the breast's size are drawn for every patient. A picture's brightness therefore
  does not give its density away; the pattern inside the breast does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import unknown_name

__all__ = ["HEIGHT", "PARTS", "SHARES", "WIDTH", "Phantom", "View", "arrays", "blur", "draw", "power_law", "views"]

HEIGHT, WIDTH = 128, 95
PARTS = {"train": "Training", "test": "Test"}
SHARES = ((0.04, 0.14), (0.31, 0.40), (0.60, 0.69), (0.85, 0.96))
"""Share of the breast's area that is tissue, least and greatest, for BI-RADS density 1 to 4."""

_VIEWS_OF_TEN = (4, 2, 2, 1, 1)  # five patients of one density have ten pictures: some all four views, some one
_PICTURES = {"train": 100, "test": 30}  # of each density
_SIDES = (("LEFT", "CC"), ("LEFT", "MLO"), ("RIGHT", "CC"), ("RIGHT", "MLO"))

Picture = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Whose picture it is and how it is taken.

    Attributes:
        patient: Number of the made-up patient; the two parts share none.
        density: BI-RADS density, 1 to 4, the same in all views of a patient.
        side: "LEFT" or "RIGHT".
        projection: "CC" (from above) or "MLO" (oblique, with the pectoral muscle).
    """

    patient: int
    density: int
    side: str
    projection: str


@dataclass(frozen=True)
class Phantom:
    """A drawn picture and what it was drawn from.

    Attributes:
        image: Grey levels, shape (128, 95), uint16, 0 black to 65535 white.
        breast: Where the breast is, muscle not counted; shape (128, 95), bool.
        tissue: Where fibroglandular tissue is, a part of `breast`; shape (128, 95), bool.
        muscle: Where the pectoral muscle is; empty on CC views; shape (128, 95), bool.
    """

    image: NDArray[np.uint16]
    breast: NDArray[np.bool_]
    tissue: NDArray[np.bool_]
    muscle: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Return the share of the breast's area that is tissue, 0 to 1."""
        return float(self.tissue.sum() / self.breast.sum())


def arrays(part: str, seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.int64], list[str], list[str]]:
    """Draw all synthetic pictures of a part: 400 of "train" or 120 of "test", as many of each density.

    Args:
        part: "train" or "test". They share no patient.
        seed: Another seed draws other patients.

    Returns:
        Images (n, 128, 95) uint16, 0 black to 65535 white; labels (n,) int64, density - 1, 0 to 3; case names such as
        `Phantom-Training_P_00001_LEFT_CC`; patients such as `Phantom_P_00001`.

    Raises:
        UsageError: There is no such part.
    """
    plan = views(part, seed)
    images = np.stack([draw(view, seed).image for view in plan])
    labels = np.array([view.density - 1 for view in plan], np.int64)
    cases = [f"Phantom-{PARTS[part]}_P_{view.patient:05d}_{view.side}_{view.projection}" for view in plan]
    return images, labels, cases, [f"Phantom_P_{view.patient:05d}" for view in plan]


def views(part: str, seed: int = 0) -> list[View]:
    """Return whose pictures a part holds, patient by patient, in an order that does not follow density.

    Args:
        part: "train" or "test".
        seed: As in `arrays`.

    Raises:
        UsageError: There is no such part.
    """
    if part not in PARTS:
        raise unknown_name("part of the phantoms", part, PARTS)
    per_density = _PICTURES[part] // sum(_VIEWS_OF_TEN)
    people = [(density, n) for density in (1, 2, 3, 4) for _ in range(per_density) for n in _VIEWS_OF_TEN]
    first = 1 if part == "train" else 1 + len(_VIEWS_OF_TEN) * 4 * _PICTURES["train"] // sum(_VIEWS_OF_TEN)
    rng = np.random.default_rng([seed, len(people)])
    plan = []
    for number, index in enumerate(rng.permutation(len(people)), start=first):
        density, n = people[index]
        chosen = sorted(rng.choice(4, n, replace=False)) if n != 2 else [0, 1] if rng.random() < 0.5 else [2, 3]
        plan += [View(number, density, *_SIDES[i]) for i in chosen]
    return plan


def draw(view: View, seed: int = 0) -> Phantom:
    """Draw one view of one patient; the same view and seed always give the same picture.

    Args:
        view: Whose and how.
        seed: As in `arrays`.
    """
    person = np.random.default_rng([seed, view.patient])
    habitus = _Habitus(person)
    film = _Film(person)
    share = person.uniform(*SHARES[view.density - 1])
    rng = np.random.default_rng([seed, view.patient, _SIDES.index((view.side, view.projection))])
    low, high = SHARES[view.density - 1]
    share = float(np.clip(share + rng.normal(0, 0.02), low, high))

    thickness, muscle = _outline(habitus, view.projection, rng)
    breast = (thickness > 0) & ~muscle
    tissue = _tissue(breast, thickness, share, rng)
    image = film.expose(thickness, tissue, muscle, rng)
    if view.side == "RIGHT":  # its chest wall is at the right edge of the film
        return Phantom(image[:, ::-1], breast[:, ::-1], tissue[:, ::-1], muscle[:, ::-1])
    return Phantom(image, breast, tissue, muscle)


class _Habitus:
    """How large and how shaped a patient's breasts are; fractions of the film's height and width."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.half_height = rng.uniform(0.27, 0.44)
        self.depth = rng.uniform(0.45, 0.85)
        self.power = rng.uniform(1.9, 2.6)
        self.edge = rng.uniform(0.08, 0.30)  # how far inside the outline the full thickness is reached
        self.tilt = rng.uniform(0.15, 0.45)
        self.muscle_width = rng.uniform(0.20, 0.42)
        self.muscle_height = rng.uniform(0.35, 0.65)


def _outline(habitus: _Habitus, projection: str, rng: np.random.Generator) -> tuple[Picture, NDArray[np.bool_]]:
    """Return thickness, 0 outside to 1 where the paddle presses, and where the muscle is; chest wall at the left."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    y, x = (y + 0.5) / HEIGHT, (x + 0.5) / WIDTH
    half, depth = (value * rng.uniform(0.95, 1.05) for value in (habitus.half_height, habitus.depth))
    oblique = projection == "MLO"
    centre = (0.56 if oblique else 0.5) + rng.uniform(-0.04, 0.04)
    slope = habitus.tilt if oblique else rng.uniform(-0.06, 0.06)
    across, along = x / depth, (y - centre - slope * (x * WIDTH / HEIGHT)) / half
    radius = (across**habitus.power + np.abs(along) ** habitus.power) ** (1 / habitus.power)
    muscle = np.zeros((HEIGHT, WIDTH), bool)
    if oblique:
        armpit = x / (habitus.muscle_width * 1.5) + y / (habitus.muscle_height * 1.6)
        radius = np.minimum(radius, armpit)
        muscle = x / habitus.muscle_width + y / habitus.muscle_height + 0.02 * np.sin(9 * y) < 1
    thickness = np.clip((1 - radius) / habitus.edge, 0, 1) ** 0.5
    return thickness, muscle


def _tissue(breast: NDArray[np.bool_], thickness: Picture, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return where tissue is: the strongest part of a power-law field, drawn towards the middle of the breast."""
    field = power_law(rng, rng.uniform(2.7, 3.3)) + rng.uniform(0.3, 1.0) * thickness
    border = np.quantile(field[breast], 1 - share)
    tissue: NDArray[np.bool_] = breast & (field > border)
    return tissue


def power_law(rng: np.random.Generator, beta: float, coarsest: float = np.inf) -> Picture:
    """Draw a random field whose power falls as 1/f^beta.

    Args:
        rng: Where chance comes from.
        beta: Exponent; about 3 in mammograms.
        coarsest: Longest wavelength that it holds, in pixels.

    Returns:
        Shape (128, 95), float64, mean 0 and standard deviation 1 over the field.
    """
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    frequency[0, 0] = np.inf  # no constant part
    spectrum = np.fft.rfft2(rng.standard_normal((HEIGHT, WIDTH))) * frequency ** (-beta / 2)
    spectrum[frequency < 1 / coarsest] = 0
    field: Picture = np.fft.irfft2(spectrum, s=(HEIGHT, WIDTH))
    field /= field.std()
    return field


class _Film:
    """How a patient's pictures are exposed and scanned."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.fat = rng.uniform(0.15, 0.40)
        self.contrast = rng.uniform(0.26, 0.44)
        self.gain = rng.uniform(0.6, 1.1)
        self.curve = rng.uniform(0.7, 1.3)
        self.fog = rng.uniform(0.01, 0.06)
        self.heel = rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)  # brightness lost over the film, down and across
        self.noise = rng.uniform(0.002, 0.006)
        self.size = rng.uniform(0.86, 1.0), rng.uniform(0.86, 1.0)

    def expose(
        self, thickness: Picture, tissue: NDArray[np.bool_], muscle: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.uint16]:
        """Return the scanned film, (128, 95) uint16, black below and at the far side of it where it is smaller."""
        y, x = np.mgrid[-0.5 : 0.5 : HEIGHT * 1j, -0.5 : 0.5 : WIDTH * 1j]
        lobules = power_law(rng, 3.0, coarsest=12.0)
        dense = blur(tissue * (1 + 0.25 * lobules) + 0.9 * muscle, rng.uniform(0.5, 0.8))
        dense *= 1 + 0.1 * power_law(rng, 3.0)
        signal = thickness * (self.fat + self.contrast * dense)
        signal *= 1 + self.heel[0] * y + self.heel[1] * x
        grey = self.fog + self.gain * np.clip(signal, 0, None) ** self.curve
        grey = grey + rng.normal(0, self.noise, grey.shape)
        self._add_marker(grey, rng)
        rows, columns = (round(size * full) for size, full in zip(self.size, (HEIGHT, WIDTH), strict=True))
        grey[rows:], grey[:, columns:] = 0, 0
        return np.round(np.clip(grey, 0, 1) * 65535).astype(np.uint16)

    def _add_marker(self, grey: Picture, rng: np.random.Generator) -> None:
        """Stick the lead letters' label to the film, in the corner far from the chest wall."""
        top, left = int(rng.integers(2, 12)), int(rng.integers(68, 76))
        grey[top : top + 6, left : left + 5] = rng.uniform(0.7, 1.0)


def blur(picture: Picture, sigma: float) -> Picture:
    """Blur with a Gaussian of `sigma` pixels; the picture's borders are not mixed with the opposite ones."""
    pad = 4
    framed = np.pad(picture, pad, mode="edge")
    fy, fx = np.fft.fftfreq(framed.shape[0])[:, None], np.fft.rfftfreq(framed.shape[1])[None, :]
    gauss = np.exp(-2 * (np.pi * sigma) ** 2 * (fy**2 + fx**2))
    blurred: Picture = np.fft.irfft2(np.fft.rfft2(framed) * gauss, s=framed.shape)
    return blurred[pad:-pad, pad:-pad]
