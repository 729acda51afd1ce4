"""Draw the spot list of a still: reflections near the Ewald sphere, and spots of nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import Experiment
from xdp.prediction.reflections import predict_stills
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import draw_rotation, make_beam, make_crystal, make_detector
from xdp.simulation.structures.structure import draw_intensities

_REACH = 4.0  # standard deviations of the mosaic spread, beyond which nothing is seen


def make_still_spots(n_spots: int = 60, n_spurious: int = 0, seed: int = 1, *,
                     crystals: Sequence[Crystal] | None = None, mosaicity: float = 0.08, sigma_px: float = 0.3
                     ) -> tuple[Experiment, ReflectionTable]:
    """Make a still of lysozyme, or of other crystals, and its strongest spots.

    Parameters
    ----------
    n_spots : int
        Spots of each crystal, those of most photons.
    n_spurious : int
        Spots at random places of the detector.
    seed : int
        Of the orientation, the errors of positions and the spurious spots.
    crystals : sequence of Crystal, optional
        One lysozyme crystal in an orientation of `seed` by default.
    mosaicity : float
        Standard deviation of the spread of orientations, degrees.
    sigma_px : float
        Error of positions, px.

    Returns
    -------
    experiment : Experiment
        With beam, detector, and the first crystal (if there is one).
    spots : ReflectionTable
        With the true ``miller_index``, and ``id``, the number of the crystal, -1 of spurious spots.

    Examples
    --------
    >>> experiment, spots = make_still_spots(n_spots=40, n_spurious=10)
    >>> len(spots), int((spots["id"] == -1).sum())
    (50, 10)
    """
    rng = np.random.default_rng(seed)
    if crystals is None:
        crystals = [make_crystal(orientation=draw_rotation(seed))]
    frame = Experiment(f"still-{seed}", make_beam(1.3), make_detector((800, 800), distance=140.0, wavelength=1.3))
    parts = [_draw_crystal(frame, crystal, n_spots, mosaicity, rng) for crystal in crystals]
    xy = np.concatenate([p[0] for p in parts] + [rng.uniform(0.0, 800.0, (n_spurious, 2))])
    index = np.concatenate([p[1] for p in parts] + [np.zeros((n_spurious, 3), dtype=np.int32)])
    ids = np.concatenate([np.full(len(p[0]), k) for k, p in enumerate(parts)] + [np.full(n_spurious, -1)])
    n = len(xy)
    xy = xy + rng.normal(0.0, sigma_px, xy.shape)
    table = ReflectionTable({
        "id": ids.astype(np.int32), "imageset_id": np.zeros(n, dtype=np.int32), "panel": np.zeros(n, dtype=np.uint64),
        "miller_index": index.astype(np.int32), "flags": np.full(n, int(Flag.STRONG), dtype=np.uint64),
        "xyzobs.px.value": np.column_stack([xy, np.full(n, 0.5)]),
        "xyzobs.px.variance": np.full((n, 3), sigma_px**2)})
    first = crystals[0] if len(crystals) else None
    return Experiment(frame.identifier, frame.beam, frame.detector, crystal=first), table


def _draw_crystal(frame: Experiment, crystal: Crystal, n: int, mosaicity: float, rng: np.random.Generator
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Positions (px) and indices of a crystal's strongest spots; a mosaic block is seen where it meets the sphere."""
    experiment = Experiment(frame.identifier, frame.beam, frame.detector, crystal=crystal)
    table = predict_stills(experiment, max_delta_psi=_REACH * mosaicity)
    photons = draw_intensities(crystal, table["miller_index"], wilson_b=20.0, seed=1) * np.exp(
        -0.5 * (np.degrees(table["delpsical.rad"]) / mosaicity) ** 2)
    strongest = np.argsort(-photons * rng.uniform(0.8, 1.2, len(photons)))[:n]
    return table["xyzcal.px"][strongest, :2], table["miller_index"][strongest]
