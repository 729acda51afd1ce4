"""The beam of an NXmx file, as DIALS makes it.

References
----------
NeXus manual, application definition NXmx, https://manual.nexusformat.org/classes/applications/NXmx.html;
H. J. Bernstein et al. (2020), IUCrJ 7, 784, doi 10.1107/S2052252520008672.
"""

from __future__ import annotations

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam
from xdp.images.formats.hdf5.files import decode_text, get_child, read_text
from xdp.images.formats.hdf5.nexus_axes import locate, read_values

EV_ANGSTROM = 12398.419843320026
"""Photon energy in eV times wavelength in Å: h c, exact since 2019 (CODATA)."""


def read_wavelengths(beam: h5py.Group) -> np.ndarray:
    """Read wavelengths.

    Parameters
    ----------
    beam : h5py.Group
        An NXbeam.

    Returns
    -------
    (1,) or (n_images,) float64
        Å; that of a spectrum is at its mean energy.

    Raises
    ------
    FormatError
        If there is none above zero.
    """
    dataset = get_child(beam, "incident_wavelength")
    if not isinstance(dataset, h5py.Dataset):
        energy = get_child(beam, "incident_energy")
        if not isinstance(energy, h5py.Dataset):
            raise FormatError(f"{locate(beam)}: has no incident_wavelength")
        return _check_positive(EV_ANGSTROM / np.where((e := read_values(energy, "energy")) > 0, e, np.nan), energy)
    spectrum = _find_spectrum(beam, dataset)
    if spectrum is None:
        return _check_positive(read_values(dataset, "wavelength"), dataset)
    wavelengths, weights, is_variant = spectrum
    if is_variant:
        return _check_positive(read_values(dataset, "wavelength"), dataset)
    return _check_positive(_average_spectra(wavelengths, weights), wavelengths)


def _check_positive(wavelengths: np.ndarray, dataset: h5py.Dataset) -> np.ndarray:
    """The wavelengths, which must be above 0."""
    if not (np.isfinite(wavelengths).all() and (wavelengths > 0.0).all()):
        raise FormatError(f"{locate(dataset)}: wavelengths must be above 0 Å, got {wavelengths[:5]}")
    return wavelengths


def _find_spectrum(beam: h5py.Group, dataset: h5py.Dataset) -> tuple[h5py.Dataset, h5py.Dataset, bool] | None:
    """Find wavelengths and weights of the beam's spectra, and whether they are a variant of a single wavelength."""
    # A data set may name a variant of itself in an attribute, that one another: a circle ends, and so does a long row.
    names = ["incident_wavelength"]
    while len(names) < 16:
        item = dataset if len(names) == 1 else get_child(beam, names[-1])
        weights = get_child(beam, f"{names[-1]}_weights") or get_child(beam, f"{names[-1]}_weight")
        if isinstance(item, h5py.Dataset) and isinstance(weights, h5py.Dataset):
            return item, weights, len(names) > 1
        variant = decode_text(item.attrs.get("variant")) if isinstance(item, h5py.Dataset) else None
        if not variant or variant in names:
            return None
        names.append(variant)
    return None


def _average_spectra(wavelengths: h5py.Dataset, weights: h5py.Dataset) -> np.ndarray:
    """The wavelength at the mean energy of each spectrum, Å: E = Σ w E / Σ w."""
    channels = wavelengths.shape[-1] if wavelengths.ndim else 1
    energies = EV_ANGSTROM / read_values(wavelengths, "wavelength").reshape(-1, channels)
    heights = np.asarray(weights[()], dtype=np.float64).reshape(-1, weights.shape[-1] if weights.ndim else 1)
    if heights.shape[1] != channels or not np.isfinite(heights).all() or (heights.sum(axis=1) <= 0.0).any():
        raise FormatError(f"{locate(weights)}: wanted weights for {channels} wavelengths, got {weights.shape}")
    return EV_ANGSTROM / ((energies * heights).sum(axis=1) / heights.sum(axis=1))


def build_nexus_beam(wavelength: float) -> Beam:
    """Build a beam along NeXus' z axis, from the source to the sample; `wavelength` is in Å."""
    return Beam(direction=(0.0, 0.0, 1.0), wavelength=float(wavelength))


def is_electron(entry: h5py.Group) -> bool:
    """Whether the source is one of electrons."""
    source = get_child(entry, "source")
    return isinstance(source, h5py.Group) and (read_text(source, "probe") or "").strip().lower() == "electron"
