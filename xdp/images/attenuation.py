"""Attenuation of X-rays in detector sensors, from the tables of NIST.

References
----------
J. H. Hubbell and S. M. Seltzer, "Tables of X-Ray Mass Attenuation Coefficients and Mass Energy-Absorption
Coefficients", NISTIR 5632, National Institute of Standards and Technology (1995).
"""

from __future__ import annotations

import functools

import numpy as np

from xdp.errors import OptionError

EV_ANGSTROM = 12398.419843320026
"""Photon energy in eV times wavelength in Å: h c / e."""

# Density in g/cm³; then energy in keV and mass attenuation coefficient in cm²/g. An absorption edge stands twice.
_TABLES: dict[str, tuple[float, str]] = {
    "Si": (2.33, """
        1 1570, 1.5 535.5, 1.8389 309.2, 1.8389 3192, 2 2777, 3 978.4, 4 452.9, 5 245, 6 147, 8 64.68, 10 33.89,
        15 10.34, 20 4.464, 30 1.436, 40 0.7012, 50 0.4385, 60 0.3207, 80 0.2228, 100 0.1835, 150 0.1448, 200 0.1275,
        300 0.1082, 400 0.09614, 500 0.08748, 600 0.08077, 800 0.07082, 1000 0.06361, 1250 0.05688, 1500 0.05183,
        2000 0.0448, 3000 0.03678, 4000 0.0324, 5000 0.02967, 6000 0.02788, 8000 0.02574, 10000 0.02462, 15000 0.02352,
        20000 0.02338"""),
    "CdTe": (6.2, """
        1 7927, 1.003 7875, 1.006 7824, 1.006 8014, 1.5 3291, 2 1664, 3 614.6, 3.537 406.4, 3.537 778.7, 3.631 730,
        3.727 684, 3.727 860.1, 4 723, 4.018 715.1, 4.018 793.4, 4.177 722.1, 4.341 656.2, 4.341 932.8, 4.475 873.9,
        4.612 813.5, 4.612 943.8, 4.773 870.2, 4.939 799.9, 4.939 865.3, 5 839.2, 6 528.6, 8 249.2, 10 138.1, 15 46.57,
        20 21.44, 26.711 9.834, 26.711 29.43, 30 21.82, 31.814 18.73, 31.814 34.92, 40 19.3, 50 10.67, 60 6.542,
        80 3.019, 100 1.671, 150 0.6071, 200 0.3246, 300 0.1628, 400 0.1147, 500 0.09291, 600 0.08042, 800 0.066,
        1000 0.05742, 1250 0.05043, 1500 0.04591, 2000 0.0407, 3000 0.03649, 4000 0.03525, 5000 0.03513, 6000 0.03548,
        8000 0.03687, 10000 0.03857, 15000 0.04273, 20000 0.04616"""),
    "GaAs": (5.32, """
        1 1917, 1.05613 1685, 1.1154 1481, 1.1154 2772, 1.12877 3180, 1.1423 3532, 1.1423 4372, 1.21752 4130,
        1.2977 3657, 1.2977 4066, 1.31034 3971, 1.3231 3879, 1.3231 5652, 1.34073 5525, 1.3586 5415, 1.3586 6266,
        1.5 5159, 1.5265 4939, 1.5265 5278, 2 2731, 3 970.2, 4 453.9, 5 249.5, 6 152.4, 8 69.6, 10 37.8, 10.3671 34.25,
        10.3671 126, 11.0916 105.9, 11.8667 88.99, 11.8667 168.5, 15 92.2, 20 42.58, 30 13.97, 40 6.262, 50 3.365,
        60 2.042, 80 0.9587, 100 0.5598, 150 0.2509, 200 0.1671, 300 0.1137, 400 0.09371, 500 0.08248, 600 0.07484,
        800 0.06452, 1000 0.05751, 1250 0.05122, 1500 0.04676, 2000 0.04102, 3000 0.03538, 4000 0.03288, 5000 0.03172,
        6000 0.03121, 8000 0.03117, 10000 0.0317, 15000 0.03354, 20000 0.03543"""),
}


def attenuation_coefficient(material: str, wavelength: float) -> float:
    """Linear attenuation coefficient of a sensor, mm⁻¹.

    Silicon, CdTe and GaAs are interpolated in NIST's table, logarithm against logarithm; other elements and compounds
    are left to xraydb.

    Parameters
    ----------
    material : str
        Chemical formula or symbol, such as ``Si``.
    wavelength : float
        In Å.

    Raises
    ------
    OptionError
        If the material is not known or the wavelength is not above 0.
    """
    if not 0.0 < wavelength < np.inf:
        raise OptionError(f"wavelength must be above 0 Å, got {wavelength}")
    energy = EV_ANGSTROM / wavelength
    if material not in _TABLES:
        return _from_xraydb(material, energy)
    density, log_energy, log_mass = _table(material)
    return float(np.exp(np.interp(np.log(energy / 1000.0), log_energy, log_mass)) * density / 10.0)


@functools.cache
def _table(material: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Density, and logarithms of energy (keV) and mass attenuation coefficient (cm²/g)."""
    density, text = _TABLES[material]
    rows = np.log(np.array([row.split() for row in text.split(",")], dtype=np.float64))
    return density, rows[:, 0], rows[:, 1]


def _from_xraydb(material: str, energy: float) -> float:
    import xraydb

    try:
        return float(xraydb.material_mu(material, energy)) / 10.0
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(f"sensor material {material!r} is not known") from error
