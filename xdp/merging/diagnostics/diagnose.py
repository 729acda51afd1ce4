"""What merged intensities tell of the crystal, in one result with its warnings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xdp.merging.diagnostics.ice import find_ice_rings
from xdp.merging.diagnostics.moments import Moments, compute_moments
from xdp.merging.diagnostics.normalise import normalise
from xdp.merging.diagnostics.translation import PattersonPeak, find_patterson_peak
from xdp.merging.diagnostics.twinning import TwinLaw, find_twin_laws
from xdp.merging.diagnostics.wilson import WilsonLine, fit_wilson_line
from xdp.merging.unique import UniqueReflections
from xdp.report.tables import Table
from xdp.space_groups import AnySpaceGroup

_TWIN_BY_L = 0.46
"""Mean of abs(L) below which neighbours differ too little. A twin fraction of 0.06 gives this; so does chance, once in
1,000 times with 400 pairs (the standard deviation of abs(L) is 0.29)."""
_TWIN_FRACTION = 0.05  # of a law, below which it is not told: intensities of such twins are off by 5 % at most


@dataclass(frozen=True)
class Diagnostics:
    """What merged intensities tell of the crystal.

    Attributes
    ----------
    wilson : WilsonLine or None
        None with too few reflections beyond 4 Å.
    moments : Moments
    twin_laws : tuple of TwinLaw
        That the lattice allows; the largest fraction first.
    patterson : PattersonPeak or None
        The largest peak far from the origin.
    ice : tuple of float
        Rings of ice that show, Å.
    """

    wilson: WilsonLine | None
    moments: Moments
    twin_laws: tuple[TwinLaw, ...]
    patterson: PattersonPeak | None
    ice: tuple[float, ...]

    def list_warnings(self) -> list[str]:
        """List what is unusual, a sentence each, the gravest first.

        Returns
        -------
        list of str
            Empty for a crystal like most.
        """
        said = []
        peak, moments = self.patterson, self.moments
        has_translation = peak is not None and peak.is_translation
        law = next((law for law in self.twin_laws if law.fraction > _TWIN_FRACTION
                    and law.fraction > 3.0 * law.fraction_error), None)
        looks_twinned = moments.mean_abs_l < _TWIN_BY_L
        if looks_twinned and law is not None:
            said.append(f"The crystal is most likely twinned: by {law.operation} with a fraction of {law.fraction:.2f} "
                        f"(standard deviation {law.fraction_error:.2f}); the mean of |L| is {moments.mean_abs_l:.3f}, "
                        "where crystals without twinning have 0.5.")
        elif looks_twinned:
            said.append(f"Neighbouring reflections differ little (mean of |L| {moments.mean_abs_l:.3f}, 0.5 without "
                        "twinning), and no operation of the lattice explains it: the crystal may be a twin whose Laue "
                        "group is taken too high, or its spots overlap.")
        elif law is not None and not np.isfinite(moments.mean_abs_l):
            said.append(f"{law.operation} is nearly a symmetry of the intensities (twin fraction {law.fraction:.2f} by "
                        "the H test): a twin, or pseudosymmetry. The data are too weak for the L test, which tells "
                        "these apart.")
        elif law is not None:
            said.append(f"{law.operation} is nearly a symmetry of the intensities (twin fraction {law.fraction:.2f} by "
                        "the H test), though neighbours differ as without twinning (mean of |L| "
                        f"{moments.mean_abs_l:.3f}): pseudosymmetry, or the space group has this symmetry.")
        if has_translation and peak is not None:
            vector = ", ".join(f"{x:.3f}" for x in peak.vector)
            said.append(f"The Patterson function has a peak of {100 * peak.height:.0f} % of its origin at ({vector}): "
                        "copies in equal orientation (translational pseudosymmetry). Moments of intensities mislead "
                        "then.")
        if self.ice:
            rings = ", ".join(f"{d:.2f}" for d in self.ice)
            said.append(f"Powder rings of ice change the intensities at {rings} Å.")
        return said

    def to_dict(self) -> dict[str, Any]:
        """The numbers by their names, in JSON's types; None where one is not known.

        Returns
        -------
        dict
        """
        wilson = None if self.wilson is None else asdict(self.wilson)
        peak = None if self.patterson is None else asdict(self.patterson)
        return {"wilson": wilson, "moments": self.moments.to_dict(), "patterson_peak": peak,
                "ice_rings": list(self.ice), "twin_laws": [_drop_unknown(asdict(law)) for law in self.twin_laws],
                "warnings": self.list_warnings()}


def diagnose(unique: UniqueReflections, intensity: np.ndarray, sigma: np.ndarray, d: np.ndarray,
             cell: tuple[float, ...], group: AnySpaceGroup, *, n_residues: int = 200) -> Diagnostics:
    """Look for what is unusual in merged intensities.

    Parameters
    ----------
    unique : UniqueReflections
        The reflections, mates together.
    intensity, sigma : (m,) float64
    d : (m,) float64
        Å.
    cell : tuple of 6 float
        Å and degrees.
    group : gemmi.SpaceGroup or UntabulatedGroup
    n_residues : int
        Residues in the asymmetric unit, for the absolute scale.

    Returns
    -------
    Diagnostics

    Examples
    --------
    >>> import gemmi, numpy as np
    >>> from xdp.merging.unique import find_unique
    >>> cell, P4 = (50.0, 50.0, 60.0, 90.0, 90.0, 90.0), gemmi.SpaceGroup("P 4")
    >>> unique = find_unique(P4, gemmi.make_miller_array(gemmi.UnitCell(*cell), P4, 2.5))
    >>> d = np.array([gemmi.UnitCell(*cell).calculate_d(list(h)) for h in unique.hkl])
    >>> normal = np.random.default_rng(1).normal(size=(len(d), 2)) ** 2
    >>> I = np.where(unique.is_centric, normal[:, 0], normal.mean(axis=1)) * unique.epsilon
    >>> diagnose(unique, I, np.full(len(d), 0.01), d, cell, P4).list_warnings()
    []
    """
    present = ~unique.is_absent
    hkl, epsilon, centric = unique.hkl[present], unique.epsilon[present], unique.is_centric[present]
    intensity, sigma, d = intensity[present], sigma[present], d[present]
    data = normalise(hkl, intensity, sigma, d, epsilon, centric)
    return Diagnostics(fit_wilson_line(intensity, sigma, d, epsilon, n_residues=n_residues), compute_moments(data),
                       find_twin_laws(cell, group, data), find_patterson_peak(cell, group, data),
                       find_ice_rings(intensity, d, epsilon))


def make_diagnostics_table(found: Diagnostics) -> Table:
    """Make the table of what was found, beside what a crystal like most would show.

    Parameters
    ----------
    found : Diagnostics

    Returns
    -------
    Table
    """
    moments, wilson, peak = found.moments, found.wilson, found.patterson
    rows = [("Wilson B (Å²)", "-" if wilson is None else f"{wilson.b:.1f}", "", ""),
            ("<E^4>/<E^2>^2, acentric", _write(moments.second_acentric), "2.0", "1.5"),
            ("<E^4>/<E^2>^2, centric", _write(moments.second_centric), "3.0", "2.0"),
            ("mean of |L|", _write(moments.mean_abs_l), "0.500", "0.375"),
            ("mean of L^2", _write(moments.mean_square_l), "0.333", "0.200")]
    rows += [(f"twin fraction of {law.operation} (H test)", _write(law.fraction), "0.0", "0.5")
             for law in found.twin_laws]
    if peak is not None:
        rows.append(("largest Patterson peak (% of origin)", f"{100.0 * peak.height:.1f}", "below 20", ""))
        rows.append(("its probability by chance", f"{peak.p_value:.2g}", "above 0.01", ""))
    return Table("intensities", "Distribution of intensities", {"what": "", "found": "found", "usual": "usual",
                                                                "twin": "perfect twin"}, tuple(rows))


def _drop_unknown(values: dict[str, Any]) -> dict[str, Any]:
    """None for numbers that are not known: JSON has no NaN."""
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in values.items()}


def _write(value: float) -> str:
    """Three decimals."""
    return f"{value:.3f}" if np.isfinite(value) else "-"
