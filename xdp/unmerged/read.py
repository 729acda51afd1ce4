"""Files of unmerged intensities, whichever program wrote them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from xdp.errors import OptionError

if TYPE_CHECKING:
    from xdp.experiment.experiment import ExperimentList
    from xdp.reflections.table import ReflectionTable


def read_unmerged(path: str | os.PathLike, polarization_fraction: float | None = None
                  ) -> tuple[ExperimentList, ReflectionTable]:
    """Read unmerged intensities of MOSFLM, Pointless, Aimless, DIALS or XDS, for symmetry, scaling and merging.

    Parameters
    ----------
    path : path
        An unmerged MTZ file, XDS_ASCII.HKL or INTEGRATE.HKL; which one is told by its first bytes.
    polarization_fraction : float, optional
        Part of the beam that is polarised in the plane (XDS' FRACTION_OF_POLARIZATION), for INTEGRATE.HKL, which is
        corrected for an unpolarised beam (0.5).

    Returns
    -------
    ExperimentList
        An experiment for each sweep, without images.
    ReflectionTable
        Flagged as integrated; scaled where the file is.

    Raises
    ------
    FormatError
        If the file is of no such kind, damaged, or merged.
    OptionError
        If the fraction is given for a file that is corrected for polarisation.

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation import make_integrated
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "lysozyme.mtz")
    ...     written = xdp.export(*make_integrated(), {"mtz.hklout": path})
    ...     experiments, reflections = xdp.read_unmerged(path)
    >>> len(reflections) == written.n_written, experiments[0].scan.n_frames
    (True, 10)
    """
    from xdp.unmerged.mtz import read_mtz_intensities
    from xdp.unmerged.xds import read_xds_intensities

    # what a file is says its beginning: names of such files are free
    with open(path, "rb") as stream:
        head = stream.read(64)
    if polarization_fraction is not None and not head.startswith(b"!OUTPUT_FILE=INTEGRATE.HKL"):
        raise OptionError(f"input.polarization_fraction: {os.fspath(path)} is corrected for polarisation already; it "
                          "is for INTEGRATE.HKL of XDS")
    if head.startswith(b"MTZ "):
        return read_mtz_intensities(path)
    return read_xds_intensities(path, polarization_fraction)
