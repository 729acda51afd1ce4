r"""Kapton tape under the crystal: how far a ray runs through it, and what it absorbs.

Serial crystals come on a tape that runs past the beam. Rays to one side of the detector cross the tape at a slant.
Their intensities are multiplied by :math:`\exp(\mu p)`, with the path :math:`p` in the tape.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.materials import KEV_ANGSTROM
from xdp.integration.corrections.absorption_options import KaptonOptions

# Energy (keV) and attenuation length (mm) of polyimide, C22H10N2O5, 1.43 g/cm³: points from the table of DIALS
# (kapton_correction), which is of Henke's data.
_ATTENUATION = np.array([
    [6.00, 0.482643], [6.56, 0.636382], [7.05, 0.795846], [7.54, 0.980535], [8.03, 1.19220], [8.52, 1.43272],
    [9.01, 1.70349], [9.50, 2.00582], [9.99, 2.34086], [10.48, 2.70998], [11.04, 3.17396], [11.53, 3.61723],
    [12.02, 4.09511], [12.51, 4.60725], [13.00, 5.15269]])


class Tape(NamedTuple):
    """Where the tape lies: mm and radians.

    The beam goes along -z. The tape's plane holds the beam's direction; it is turned about the beam by `angle` from
    the vertical y, and lies `height` from the crystal, towards +x in the older model, towards -x in the newer, as in
    DIALS. It ends `half_width` downstream.
    """

    height: float
    thickness: float
    half_width: float
    angle: float


class PathLength(Protocol):
    """A model of the tape: mm (n,) that unit rays (n, 3) from the crystal run through it."""

    def __call__(self, tape: Tape, rays: np.ndarray) -> np.ndarray:
        """Path lengths, mm (n,)."""


def compute_kapton_attenuation(wavelength: float) -> float:
    """Compute the attenuation coefficient of Kapton.

    It is interpolated linearly in log(energy) and log(length) between tabulated points from 6 to 13 keV, and
    extrapolated beyond: there is no absorption edge between 1 and 100 keV.

    Parameters
    ----------
    wavelength : float
        Å.

    Returns
    -------
    float
        mm⁻¹.

    Examples
    --------
    >>> round(compute_kapton_attenuation(1.3), 3)
    0.493

    References
    ----------
    Henke, Gullikson & Davis, At. Data Nucl. Data Tables 54, 181 (1993), doi:10.1006/adnd.1993.1013.
    """
    energy, length = np.log(_ATTENUATION).T
    x = np.log(KEV_ANGSTROM / wavelength)
    i = int(np.clip(np.searchsorted(energy, x) - 1, 0, len(energy) - 2))
    slope = (length[i + 1] - length[i]) / (energy[i + 1] - energy[i])
    return float(np.exp(-(length[i] + slope * (x - energy[i]))))


def make_tape(options: KaptonOptions) -> Tape:
    """Make the tape that options describe.

    Parameters
    ----------
    options : KaptonOptions

    Raises
    ------
    OptionError
        If one of the four values is missing or a length is not above 0.
    """
    # an angle may be 0 or negative; a length may not
    values = {name: getattr(options, name).value for name in _NAMES}
    for name, value in values.items():
        if value is None or (name != "rotation_angle_deg" and not value > 0.0):
            raise OptionError(f"absorption_correction.fuller_kapton.{name}.value must be a number"
                              f"{'' if name == 'rotation_angle_deg' else ' above 0'}, got {value}")
    height, angle, half_width, thickness = values.values()
    return Tape(height, thickness, half_width, np.deg2rad(angle))


#: The values of a tape, in the order in which they are read; the angle is the only one that is no length.
_NAMES = ("xtal_height_above_kapton_mm", "rotation_angle_deg", "kapton_half_width_mm", "kapton_thickness_mm")


def make_varied_tapes(options: KaptonOptions) -> list[Tape]:
    """Make tapes with each value lowered and raised by its standard deviation in turn; lengths stay at 1 µm or more.

    Parameters
    ----------
    options : KaptonOptions

    Returns
    -------
    list of Tape
        Two for each of the four values.

    Raises
    ------
    OptionError
        If a standard deviation is missing or below 0.
    """
    tape, varied = make_tape(options), []
    sigmas = {name: getattr(options, name).sigma for name in _NAMES}
    for name, sigma in sigmas.items():
        if sigma is None or sigma < 0.0:
            raise OptionError(f"absorption_correction.fuller_kapton.{name}.sigma must be at least 0, got {sigma}")
    height, angle, half_width, thickness = sigmas.values()
    for field, sigma in (("height", height), ("thickness", thickness), ("half_width", half_width)):
        value = getattr(tape, field)
        varied += [tape._replace(**{field: max(value - sigma, 0.001)}), tape._replace(**{field: value + sigma})]
    turn = np.deg2rad(angle)
    return [*varied, tape._replace(angle=tape.angle - turn), tape._replace(angle=tape.angle + turn)]


def compute_infinite_tape_path(tape: Tape, rays: np.ndarray) -> np.ndarray:
    """Compute the path through a tape without an upstream end: the model ``fuller_kapton``.

    A ray reaches the near face after ``height / c``, the far face after ``(height + thickness) / c`` and the plane of
    the downstream edge after ``half_width / b``, c and b its components towards the tape and along the beam. The path
    is what lies between the near face and the first of the two others; none where the edge comes before the near face,
    or the ray leads away from the tape.

    Parameters
    ----------
    tape : Tape
    rays : (n, 3)
        Unit vectors in the laboratory.

    Returns
    -------
    (n,) float64
        mm.

    References
    ----------
    Fuller et al., Nature Methods 14, 443 (2017), doi:10.1038/nmeth.4195 (the drop-on-tape set-up).
    """
    towards = rays @ np.array([np.cos(tape.angle), np.sin(tape.angle), 0.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.where(towards != 0.0, tape.height / towards, 0.0)
        far = np.where(towards != 0.0, (tape.height + tape.thickness) / towards, 0.0)
        edge = tape.half_width / -rays[:, 2]
    path = np.where(edge < far, edge, far) - near
    return np.where((edge < near) | (near < 0.0), 0.0, path)


def compute_box_path(tape: Tape, rays: np.ndarray) -> np.ndarray:
    """Compute the path through a tape that ends up- and downstream: the model ``kapton_2019``.

    The tape is a box: `thickness` along its normal, twice `half_width` along the beam, twenty times `half_width` long.
    A ray that crosses two of its faces (near, far, downstream, upstream) has the path between them; one that leaves
    through an end of the box's long side has none.

    Parameters
    ----------
    tape : Tape
    rays : (n, 3)
        Unit vectors in the laboratory.

    Returns
    -------
    (n,) float64
        mm.
    """
    c, s = np.cos(tape.angle), np.sin(tape.angle)
    x, y, z = rays @ np.array([c, s, 0.0]), rays @ np.array([-s, c, 0.0]), rays[:, 2]
    half_length = 10.0 * tape.half_width
    first, last = np.full(len(rays), np.inf), np.full(len(rays), -np.inf)
    crossed = np.zeros(len(rays), np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        for component, position in ((x, -tape.height), (x, -tape.height - tape.thickness),
                                    (z, -tape.half_width), (z, tape.half_width)):
            # the ray meets the plane of this face after t mm; a face is hit if the point lies on it
            t = position / component
            hits = (t > 0.0) & np.isfinite(t) & (np.abs(t * y) < half_length)
            if component is x:
                hits &= np.abs(t * z) < tape.half_width
            else:
                hits &= (t * x < -tape.height) & (t * x > -tape.height - tape.thickness)
            first, last = np.where(hits & (t < first), t, first), np.where(hits & (t > last), t, last)
            crossed += hits
    return np.where(crossed >= 2, last - first, 0.0)
