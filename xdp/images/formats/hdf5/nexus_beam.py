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
from xdp.images.formats.hdf5.files import child, text, text_of
from xdp.images.formats.hdf5.nexus_axes import values_of, where_of

EV_ANGSTROM = 12398.419843320026
"""Photon energy in eV times wavelength in Å."""


def read_wavelengths(beam: h5py.Group) -> np.ndarray:
    """Wavelengths in Å, shape (1,) or (n_images,); that of a spectrum is at its mean energy.

    Raises
    ------
    FormatError
        If there is none above zero.
    """
    dataset = child(beam, "incident_wavelength")
    if not isinstance(dataset, h5py.Dataset):
        energy = child(beam, "incident_energy")
        if not isinstance(energy, h5py.Dataset):
            raise FormatError(f"{where_of(beam)}: has no incident_wavelength")
        return _positive(EV_ANGSTROM / np.where((e := values_of(energy, "energy")) > 0, e, np.nan), energy)
    spectrum = _spectrum(beam, dataset)
    if spectrum is None:
        return _positive(values_of(dataset, "wavelength"), dataset)
    wavelengths, weights, is_variant = spectrum
    if is_variant:
        return _positive(values_of(dataset, "wavelength"), dataset)
    return _positive(_mean_energy_wavelengths(wavelengths, weights), wavelengths)


def _positive(wavelengths: np.ndarray, dataset: h5py.Dataset) -> np.ndarray:
    if not (np.isfinite(wavelengths).all() and (wavelengths > 0.0).all()):
        raise FormatError(f"{where_of(dataset)}: wavelengths must be above 0 Å, got {wavelengths[:5]}")
    return wavelengths


def _spectrum(beam: h5py.Group, dataset: h5py.Dataset) -> tuple[h5py.Dataset, h5py.Dataset, bool] | None:
    """Wavelengths and weights of the beam's spectra, and whether they are a variant of a single wavelength."""
    names = ["incident_wavelength"]
    while len(names) < 16:
        item = dataset if len(names) == 1 else child(beam, names[-1])
        weights = child(beam, f"{names[-1]}_weights") or child(beam, f"{names[-1]}_weight")
        if isinstance(item, h5py.Dataset) and isinstance(weights, h5py.Dataset):
            return item, weights, len(names) > 1
        variant = text(item.attrs.get("variant")) if isinstance(item, h5py.Dataset) else None
        if not variant or variant in names:
            return None
        names.append(variant)
    return None


def _mean_energy_wavelengths(wavelengths: h5py.Dataset, weights: h5py.Dataset) -> np.ndarray:
    channels = wavelengths.shape[-1] if wavelengths.ndim else 1
    energies = EV_ANGSTROM / values_of(wavelengths, "wavelength").reshape(-1, channels)
    heights = np.asarray(weights[()], dtype=np.float64).reshape(-1, weights.shape[-1] if weights.ndim else 1)
    if heights.shape[1] != channels or not np.isfinite(heights).all() or (heights.sum(axis=1) <= 0.0).any():
        raise FormatError(f"{where_of(weights)}: wanted weights for {channels} wavelengths, got {weights.shape}")
    return EV_ANGSTROM / ((energies * heights).sum(axis=1) / heights.sum(axis=1))


def make_beam(wavelength: float) -> Beam:
    """A beam along NeXus' z axis."""
    return Beam(direction=(0.0, 0.0, 1.0), wavelength=float(wavelength))


def is_electron(entry: h5py.Group) -> bool:
    """Whether the source is one of electrons."""
    source = child(entry, "source")
    return isinstance(source, h5py.Group) and (text_of(source, "probe") or "").strip().lower() == "electron"
