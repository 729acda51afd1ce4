"""The beam of NXmx files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from nexus_maker import edit_entry

from xdp.errors import FormatError
from xdp.images.formats.hdf5.nexus import NXmx
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM, is_electron, read_wavelengths


def test_wavelength_of_each_shot(tmp_path, maker):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", rotation=False, wavelength=[1.0, 1.1, 1.2, 1.3, 1.4]))
    assert opened.models(3).beam.wavelength == 1.3
    assert opened.stack_models().beam.wavelength == 1.0


def test_spectrum_is_taken_at_its_mean_energy(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", wavelength=[1.0, 1.25])
    edit_entry(path, lambda e: e["instrument/beam"].create_dataset("incident_wavelength_weights", data=[3.0, 1.0]))
    # Energies go as 1 and 0.8; their mean, weighted 3 to 1, is 0.95.
    assert NXmx(path).stack_models().beam.wavelength == pytest.approx(1.0 / 0.95, rel=1e-14)


def test_electrons(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", wavelength=0.0251 + 0.6)
    edit_entry(path, lambda e: maker.group(e, "source", "NXsource").create_dataset("probe", data="electron"))
    models = NXmx(path).stack_models()
    assert (models.beam.probe, models.beam.polarization_fraction) == ("electron", 0.5)
    assert not models.detector[0].corrects_parallax


def test_an_energy_is_as_good_as_a_wavelength(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["incident_energy"] = [EV_ANGSTROM / 1000.0, EV_ANGSTROM / 2000.0]
        handle["incident_energy"].attrs["units"] = "keV"
        np.testing.assert_allclose(read_wavelengths(handle), [1.0, 2.0], rtol=1e-15)
        handle["incident_energy"][1] = 0.0
        with pytest.raises(FormatError, match="wavelengths must be above 0"):
            read_wavelengths(handle)
        assert not is_electron(handle)
