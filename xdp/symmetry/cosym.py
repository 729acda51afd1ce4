"""Many data sets whose lattice has more symmetry than their intensities: one choice of indexing, and their symmetry.

What is decided, and how, is that of `find.py`; here the reflections of the sets are paired as tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.options.named import make_options
from xdp.reflections.normalise import check_indexed
from xdp.reflections.table import ReflectionTable
from xdp.symmetry.cosym_options import CosymOptions
from xdp.symmetry.data_sets import gather_sets
from xdp.symmetry.find import Symmetrized, check_crystals, symmetrize
from xdp.work.cores import count_cores
from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from distributed import Client


def cosym(experiments: ExperimentList, reflections: ReflectionTable,
          options: CosymOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
          progress: Progress | None = None, **named: Any) -> Symmetrized:
    """Index several data sets alike, and find their symmetry.

    Parameters
    ----------
    experiments : ExperimentList
        Each crystal is a data set.
    reflections : ReflectionTable
        As integrated, or scaled.
    options : CosymOptions or dict, optional
        The parameters of ``xdp cosym``. No file is written.
    client : distributed.Client, optional
        Whose workers pair the reflections of the sets; by default threads of this process. The result is the same.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``d_min=2.5, space_group="P4"``.

    Returns
    -------
    Symmetrized
        With ``experiments``, ``reflections`` and ``report``; ``sets`` says how each data set is indexed.

    Raises
    ------
    XdpError
        If there is one data set only and no reference, crystals are missing, or nothing can be compared.

    Examples
    --------
    >>> from xdp.simulation import make_integrated
    >>> cosym(*make_integrated())
    Traceback (most recent call last):
    ...
    xdp.errors.XdpError: cosym compares data sets, and all 1 experiments are of one crystal: use xdp symmetry
    """
    chosen = make_options(CosymOptions, options, named)
    check_indexed(reflections, "cosym")
    check_crystals(experiments)
    # sweeps of one crystal have one indexing, and nothing is to be compared
    if len(experiments.unique("crystal")) == 1 and chosen.reference is None:
        raise XdpError(f"cosym compares data sets, and all {len(experiments)} experiments are of one crystal: use xdp "
                       "symmetry")
    with (progress or no_progress)(1, "data sets") as advance:
        # one set of options for one code: the answers of both commands are the same
        same = chosen.make_symmetry_options()
        sets = gather_sets(experiments, reflections, same, client=client, n_threads=chosen.nproc or count_cores())
        found = symmetrize(experiments, reflections, same, sets)
        advance(1)
    return found
