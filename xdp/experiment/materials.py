"""How strongly a sensor's material absorbs X-rays."""

from __future__ import annotations

import numpy as np

from xdp.errors import XdpError

#: Energy (keV) times wavelength (Å): h c / e of the SI.
KEV_ANGSTROM = 6.62607015 * 2.99792458 / 1.602176634

# Energy (keV) and total mass attenuation coefficient with coherent scattering (cm²/g), 1 to 200 keV; an energy that
# stands twice is an absorption edge.
_SILICON = """1 1570 1.5 535.5 1.8389 309.2 1.8389 3192 2 2777 3 978.4 4 452.9 5 245 6 147 8 64.68 10 33.89 15 10.34
20 4.464 30 1.436 40 0.7012 50 0.4385 60 0.3207 80 0.2228 100 0.1835 150 0.1448 200 0.1275"""
_CADMIUM_TELLURIDE = """1 7927 1.003 7875 1.006 7824 1.006 8014 1.5 3291 2 1664 3 614.6 3.537 406.4 3.537 778.7
3.631 730 3.727 684 3.727 860.1 4 723 4.018 715.1 4.018 793.4 4.177 722.1 4.341 656.2 4.341 932.8 4.475 873.9
4.612 813.5 4.612 943.8 4.773 870.2 4.939 799.9 4.939 865.3 5 839.2 6 528.6 8 249.2 10 138.1 15 46.57 20 21.44
26.711 9.834 26.711 29.43 30 21.82 31.814 18.73 31.814 34.92 40 19.3 50 10.67 60 6.542 80 3.019 100 1.671
150 0.6071 200 0.3246"""
_GALLIUM_ARSENIDE = """1 1917 1.05613 1685 1.1154 1481 1.1154 2772 1.12877 3180 1.1423 3532 1.1423 4372 1.21752 4130
1.2977 3657 1.2977 4066 1.31034 3971 1.3231 3879 1.3231 5652 1.34073 5525 1.3586 5415 1.3586 6266 1.5 5159 1.5265 4939
1.5265 5278 2 2731 3 970.2 4 453.9 5 249.5 6 152.4 8 69.6 10 37.8 10.3671 34.25 10.3671 126 11.0916 105.9 11.8667 88.99
11.8667 168.5 15 92.2 20 42.58 30 13.97 40 6.262 50 3.365 60 2.042 80 0.9587 100 0.5598 150 0.2509 200 0.1671"""
#: Density (g/cm³) and table of each material.
_TABLES = {"Si": (2.33, _SILICON), "CdTe": (6.2, _CADMIUM_TELLURIDE), "GaAs": (5.32, _GALLIUM_ARSENIDE)}


def attenuation_coefficient(material: str, wavelength: float) -> float:
    """Linear attenuation coefficient mu of a sensor, mm⁻¹.

    Silicon, cadmium telluride and gallium arsenide: straight lines between the tabulated points in
    log(energy)-log(mu/rho), times the density. Any other material or formula: xraydb (Elam's tables).

    Parameters
    ----------
    material
        ``"Si"``, ``"CdTe"``, ``"GaAs"``, or what xraydb knows: a name, or a formula of known density.
    wavelength
        In Å.

    Raises
    ------
    XdpError
        If the material is unknown or the wavelength outside the tables.

    References
    ----------
    Hubbell & Seltzer, Tables of X-ray mass attenuation coefficients, NISTIR 5632 (1995, online 2004),
    doi:10.18434/T4D01F; Elam, Ravel & Sieber, Radiat. Phys. Chem. 63, 121 (2002).
    """
    if not wavelength > 0.0:
        raise XdpError(f"attenuation of {material}: the wavelength must be above 0 Å, got {wavelength!r}")
    energy = KEV_ANGSTROM / wavelength
    if material not in _TABLES:
        return _from_xraydb(material, energy)
    density, text = _TABLES[material]
    table = np.array(text.split(), dtype=np.float64).reshape(-1, 2)
    if not table[0, 0] <= energy <= table[-1, 0]:
        raise XdpError(f"attenuation of {material}: wavelength {wavelength} Å lies outside the table "
                       f"({KEV_ANGSTROM / table[-1, 0]:.3f} to {KEV_ANGSTROM / table[0, 0]:.3f} Å)")
    # At an edge, which stands twice, the upper branch is taken.
    upper = int(np.clip(np.searchsorted(table[:, 0], energy, side="right"), 1, len(table) - 1))
    (e0, m0), (e1, m1) = np.log(table[upper - 1:upper + 1])
    return float(np.exp(m0 + (m1 - m0) * (np.log(energy) - e0) / (e1 - e0))) * density / 10.0  # cm⁻¹ to mm⁻¹


def _from_xraydb(material: str, energy: float) -> float:
    """Mu of any other material, mm⁻¹, energy in keV."""
    import xraydb

    # xraydb has densities of named materials and, apart from them, of elements
    try:
        density = None if xraydb.find_material(material) else xraydb.atomic_density(material)
        return float(xraydb.material_mu(material, energy * 1000.0, density=density)) / 10.0
    except (ValueError, KeyError, TypeError, AttributeError, Warning) as error:
        raise XdpError(f"attenuation of '{material}': unknown material; use Si, CdTe, GaAs, an element or a name "
                       f"that xraydb knows ({error})") from error
