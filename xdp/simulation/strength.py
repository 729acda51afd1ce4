"""What changes from frame to frame: the strength of the beam, of the crystal in it, and a slip of the crystal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import Experiment
from xdp.simulation.options import SimulationOptions

_STREAM = (1 << 40) + 1
"""Tells the random numbers of the beam from those of the frames, (seed, frame), and of defects, (seed, 1 << 40)."""


@dataclass(frozen=True)
class FrameScales:
    """Factors of each frame.

    Attributes
    ----------
    spots : float64 (n_frames,)
        On reflections: of beam and crystal together.
    beam : float64 (n_frames,)
        On the background.
    """

    spots: np.ndarray
    beam: np.ndarray

    @property
    def is_constant(self) -> bool:
        """Whether all factors on reflections are 1."""
        return bool(np.all(self.spots == 1.0))


def make_frame_scales(n_frames: int, options: SimulationOptions, seed: int) -> FrameScales:
    r"""Make the factors: one wave of the crystal's strength over the scan, and a jitter of the beam.

    Frame i of n has the wave :math:`1 + A \sin(2 \pi (i + 1/2) / n)`. The jitter is normal with mean 1, cut at 0.

    Parameters
    ----------
    n_frames : int
    options : SimulationOptions
        ``scale_wave`` and ``scale_jitter``.
    seed : int
        Of the jitter.

    Returns
    -------
    FrameScales

    Examples
    --------
    >>> make_frame_scales(4, SimulationOptions(scale_wave=0.1), seed=0).spots.round(2).tolist()
    [1.07, 1.07, 0.93, 0.93]
    """
    # a real beam flickers, and all that it lights up with it; the crystal's share of it changes slowly
    beam = np.ones(n_frames)
    if options.scale_jitter:
        noise = np.random.default_rng([seed, _STREAM]).normal(size=n_frames)
        beam = np.maximum(1.0 + options.scale_jitter * noise, 0.0)
    wave = np.sin(2.0 * np.pi * (np.arange(n_frames) + 0.5) / n_frames)
    return FrameScales(beam * (1.0 + options.scale_wave * wave), beam)


def list_lattices(experiment: Experiment, options: SimulationOptions
                  ) -> list[tuple[Experiment, tuple[int, int]]]:
    """List the orientations of a crystal with the frames on which each holds.

    Parameters
    ----------
    experiment : Experiment
        With crystal and scan.
    options : SimulationOptions
        ``slip`` and ``slip_frame``.

    Returns
    -------
    list of (Experiment, (first, last))
        Half-open ranges of array indices: one, or two where the crystal slips within the scan.
    """
    first, last = experiment.known.scan.array_range
    if not any(options.slip):
        return [(experiment, (first, last))]
    # each orientation is predicted over the whole scan, and recorded on its own frames
    slip = first + (options.slip_frame or (last - first) // 2)
    if slip >= last:
        return [(experiment, (first, last))]
    slipped = replace(experiment, crystal=turn_lattice(experiment.known.crystal, options.slip))
    return [(experiment, (first, slip)), (slipped, (slip, last))]


def turn_lattice(crystal: Crystal, rotation: tuple[float, float, float]) -> Crystal:
    """Turn a crystal.

    Parameters
    ----------
    crystal : Crystal
    rotation : three float
        Rotation vector in the frame of its setting (the laboratory's at rotation angle 0), degrees.

    Returns
    -------
    Crystal
    """
    matrix = Rotation.from_rotvec(np.deg2rad(rotation)).as_matrix()
    a, b, c = (tuple(float(v) for v in matrix @ row) for row in crystal.real_space_matrix)
    return replace(crystal, real_space_a=a, real_space_b=b, real_space_c=c)
