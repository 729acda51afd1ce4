"""Why no shot is indexed: what was tried, and the likeliest causes in the order of the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xdp.serial.process.options import ShotProcessing

HITS_WITHOUT_LATTICE = 50
"""So many hits without a lattice are said at once. From the issue: a run on a cluster goes on for hours."""
FEW_SPOTS = 25
"""With fewer spots a shot is often not indexed, whatever the geometry: on thinned shots of stills_dev the search that
looks for the known cell fails below this, now and then. A choice between 15 and 40."""


def explain_no_lattice(rows: Sequence[dict[str, Any]], options: ShotProcessing) -> str:
    """Say what was tried on hits of which none was indexed, and the three likeliest causes.

    Parameters
    ----------
    rows : sequence of dict
        Of these hits, as in the table of shots.
    options : ShotProcessing

    Returns
    -------
    str
        Several lines.
    """
    spots = np.array([row.get("n_peaks", 0) for row in rows], float)
    finest = np.array([row.get("d_min_spots") or np.nan for row in rows], float)
    known = options.indexing.known_symmetry
    cell = "no known cell" if known.unit_cell is None else "the cell " + " ".join(
        f"{v:g}" for v in known.unit_cell)
    tried = (f"None of {len(rows)} hits has a lattice. Tried: indexing.method={options.indexing.method} with {cell}, "
             f"{np.median(spots):.0f} spots a shot (median), the finest at {_median(finest):.2f} Å.")
    causes = sorted(_weigh_causes(spots, finest, rows, options), key=lambda cause: -cause[0])[:3]
    return "\n".join([tried, "The likeliest causes, by the evidence:",
                      *(f"  {k}. {text}" for k, (_, text) in enumerate(causes, 1))])


def _median(values: np.ndarray) -> float:
    """The median of the known values."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def _weigh_causes(spots: np.ndarray, finest: np.ndarray, rows: Sequence[dict[str, Any]], options: ShotProcessing
                  ) -> list[tuple[float, str]]:
    """Causes with the weight of their evidence, 0 to 1."""
    small = np.array([row.get("n_too_small", 0) for row in rows], float)
    found = np.array([max(row.get("n_found", 0), 1) for row in rows], float)
    share_few = float(np.mean(spots < FEW_SPOTS))
    share_junk = float(np.mean(small / found > 0.5))
    has_cell = options.indexing.known_symmetry.unit_cell is not None
    # Many spots to a fine resolution, and still no lattice: the spots are good, the models are not.
    share_good = float(np.mean((spots >= 2 * FEW_SPOTS) & (finest < 4.0)))
    energies = {round(row["photon_energy"], 1) for row in rows if row.get("photon_energy")}
    geometry = ("beam centre or distance are wrong: the spots are many and fine enough. Check them on a powder pattern "
                "(xdp find_hits output.powder), or give geometry.detector.distance=, fast_slow_beam_centre= or "
                "input.reference_geometry=")
    causes = [(0.35 + 0.6 * share_good, geometry)]
    if has_cell:
        causes.append((0.3 + 0.5 * share_good, "the known cell is not that of these crystals: try without "
                       "indexing.known_symmetry.unit_cell, or a wider relative_length_tolerance"))
    else:
        causes.append((0.3 + 0.3 * (1.0 - share_few), "the cell is not known: a shot alone tells it badly; give "
                       "indexing.known_symmetry.unit_cell and space_group"))
    causes.append((0.2 + 0.7 * share_few, f"too few spots: {100 * share_few:.0f} % of the hits have fewer than "
                   f"{FEW_SPOTS}; lower sigma_strong, gain or min_spot_size, or count hits from more spots on "
                   "(hit_finder.minimum_number_of_reflections)"))
    causes.append((0.15 + 0.75 * share_junk, "spots that are noise: more than half of the components have fewer pixels "
                   "than min_spot_size; raise gain, global_threshold or min_spot_size, or mask hot pixels"))
    causes.append((0.1 + (0.3 if len(energies) == 1 else 0.0), "the photon energy: all shots have the same one; check "
                   "it (events.energy=)"))
    return causes
