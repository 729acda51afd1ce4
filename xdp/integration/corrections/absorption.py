"""Correction of intensities for absorption: by Kapton tape, or by the user's own model.

A model of one's own is a function that an installed package offers as an entry point of group ``xdp.absorption``::

    [project.entry-points."xdp.absorption"]
    my_loop = "my_package.loops:factors"

    def factors(experiment, s1, phi, panel):
        ...

with the :class:`~xdp.experiment.Experiment`; unit diffracted rays ``s1`` (n, 3) in the laboratory; ``phi`` (n,), the
angle of the scanning motor in radians at which each reflection was recorded (0 for stills); and ``panel`` (n,). It
returns the numbers (n,) that intensities are multiplied with, or a pair of them and their standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_lab
from xdp.integration.corrections.absorption_options import AbsorptionOptions
from xdp.integration.corrections.kapton import (
    PathLength,
    compute_box_path,
    compute_infinite_tape_path,
    compute_kapton_attenuation,
    make_tape,
    make_varied_tapes,
)
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

GROUP = "xdp.absorption"
"""Entry point group in which packages offer models."""
FACTOR = "kapton_absorption_correction"
SIGMA = "kapton_absorption_correction_sigmas"
"""Columns of factors and their standard deviations, named as DIALS names them, whatever the model."""

#: For each algorithm its path length.
_PATHS: dict[str, PathLength] = {"fuller_kapton": compute_infinite_tape_path, "kapton_2019": compute_box_path}

PIXEL_CENTRE = 0.5
"""What is added to whole pixel numbers to get where their rays hit. DIALS takes corners (0) in its older model, which
moves factors at the tape's edge by 1 %."""


def needs_shoeboxes(options: Sequence[AbsorptionOptions]) -> bool:
    """Tell whether a correction looks at the foreground pixels of each reflection.

    Parameters
    ----------
    options : sequence of AbsorptionOptions

    Examples
    --------
    >>> needs_shoeboxes([AbsorptionOptions(apply=True, algorithm="kapton_2019")])
    True
    >>> needs_shoeboxes([AbsorptionOptions(apply=True, algorithm="other")])
    False
    """
    return any(o.apply and o.algorithm in _PATHS and o.fuller_kapton.within_spot_sigmas for o in options)


def check_absorption(options: Sequence[AbsorptionOptions]) -> None:
    """Check the options of corrections before the work begins.

    Parameters
    ----------
    options : sequence of AbsorptionOptions
        Those that are not to be applied are not checked.

    Raises
    ------
    OptionError
        If no algorithm is named, or the tape has impossible properties.
    XdpError
        If the user's model is not installed.
    """
    for model in options:
        if not model.apply:
            continue
        if model.algorithm is None:
            raise OptionError("absorption_correction.algorithm must be fuller_kapton, kapton_2019 or other, got None; "
                              "as the scope may be repeated, give its parameters in one word: "
                              "'absorption_correction { apply=True; algorithm=kapton_2019 }'")
        if model.algorithm == "other":
            load_user_model(model.name)
        else:
            make_tape(model.fuller_kapton)
            if model.fuller_kapton.smart_sigmas:
                make_varied_tapes(model.fuller_kapton)


def compute_absorption_factors(experiments: Sequence[Experiment], table: ReflectionTable, boxes: Shoeboxes | None,
                               options: AbsorptionOptions) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute the factors by which one model of absorption multiplies intensities, and their standard deviations.

    With ``within_spot_sigmas`` the factor is the mean over the valid foreground pixels of a reflection, its standard
    deviation that of these pixels. With ``smart_sigmas`` the standard deviation is not less than the change of the
    factor when any one property of the tape changes by its own standard deviation.

    Parameters
    ----------
    experiments : sequence of Experiment
    table : ReflectionTable
        With ``id``, ``panel``, ``s1`` and, for a user's model, ``xyzcal.mm``.
    boxes : Shoeboxes or None
        One a row, with masks; those without foreground are corrected along ``s1``.
    options : AbsorptionOptions

    Returns
    -------
    factors : (n,) float64
    sigmas : (n,) float64 or None
        None where they are not asked for.

    Raises
    ------
    OptionError
        If no algorithm is named, or a property of the tape is missing.
    XdpError
        If the user's model is not installed or returns something else.
    """
    # callers may ask for the factors of a model that is not to be applied
    check_absorption([options.model_copy(update={"apply": True})])
    factors = np.ones(len(table))
    sigmas = np.zeros(len(table))
    has_sigmas = options.algorithm in _PATHS and options.fuller_kapton.smart_sigmas
    ids = np.asarray(table["id"])
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(ids == number)
        if options.algorithm == "other":
            factors[rows], found = _run_user_model(load_user_model(options.name), experiment, table.select(rows))
            has_sigmas |= found is not None
            sigmas[rows] = 0.0 if found is None else found
        else:
            part = boxes.select(rows) if boxes is not None and options.fuller_kapton.within_spot_sigmas else None
            factors[rows], sigmas[rows] = _compute_tape_factors(experiment, table.select(rows), part, options)
    return factors, sigmas if has_sigmas else None


def apply_factors(columns: dict[str, np.ndarray], factors: np.ndarray, sigmas: np.ndarray | None
                  ) -> dict[str, np.ndarray]:
    r"""Multiply intensities by factors :math:`c`, and add the uncertainty of the factors to the variances.

    .. math::

        I' = c I, \qquad \operatorname{var}(I') = c^2 \operatorname{var}(I) + I^2 \operatorname{var}(c)

    Parameters
    ----------
    columns : dict of str to array
        With ``intensity.sum.value`` and ``intensity.sum.variance``, or those of ``intensity.prf``, or both.
    factors : (n,) float64
    sigmas : (n,) float64 or None
        Standard deviations of the factors; None: they are exact.

    Returns
    -------
    dict of str to array
        The changed columns, and the factors in ``kapton_absorption_correction`` (after an earlier correction their
        product).
    """
    result = {FACTOR: columns.get(FACTOR, 1.0) * factors}
    variance = 0.0 if sigmas is None else sigmas ** 2
    if sigmas is not None:
        result[SIGMA] = sigmas
    for kind in ("sum", "prf"):
        name = f"intensity.{kind}"
        if f"{name}.value" in columns:
            value = np.asarray(columns[f"{name}.value"])
            result[f"{name}.value"] = factors * value
            result[f"{name}.variance"] = factors ** 2 * columns[f"{name}.variance"] + value ** 2 * variance
    return result


def correct_absorption(experiments: Sequence[Experiment], table: ReflectionTable, boxes: Shoeboxes | None,
                       options: Sequence[AbsorptionOptions]) -> ReflectionTable:
    """Correct the intensities of a table by each model that is to be applied, one after the other.

    Parameters
    ----------
    experiments : sequence of Experiment
    table : ReflectionTable
    boxes : Shoeboxes or None
        One a row; as :func:`compute_absorption_factors` takes them.
    options : sequence of AbsorptionOptions

    Returns
    -------
    ReflectionTable
        With the columns of :func:`apply_factors`; unchanged where no model is to be applied.
    """
    for model in options:
        if model.apply:
            factors, sigmas = compute_absorption_factors(experiments, table, boxes, model)
            columns = {name: table[name] for name in table if name.startswith("intensity.") or name == FACTOR}
            table = table.with_columns(**apply_factors(columns, factors, sigmas))
    return table


@cache
def load_user_model(name: str | None) -> Callable:
    """Load the function that an installed package offers in group ``xdp.absorption``.

    Parameters
    ----------
    name : str or None
        Of the entry point; None: the only one.

    Raises
    ------
    XdpError
        If it is not there or cannot be imported, or `name` is None and there is not exactly one.
    """
    import importlib.metadata

    entries = {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
    if name is None and len(entries) == 1:
        name = next(iter(entries))
    if name not in entries:
        installed = ", ".join(sorted(entries)) or "none"
        wanted = "one model" if name is None else f"'{name}'"
        raise XdpError(f"absorption_correction.algorithm=other needs {wanted} in entry point group {GROUP}, installed: "
                       f"{installed}; name one with absorption_correction.name")
    try:
        return entries[name].load()
    except (ImportError, AttributeError) as error:
        raise XdpError(f"absorption_correction.name={name}: cannot import {entries[name].value} ({error})") from error


def _run_user_model(model: Callable, experiment: Experiment, table: ReflectionTable
                   ) -> tuple[np.ndarray, np.ndarray | None]:
    """Run a user's model, and check the factors and standard deviations that it returns."""
    n = len(table)
    phi = np.zeros(n) if experiment.is_still else np.asarray(table["xyzcal.mm"])[:, 2]
    found = model(experiment, _normalise(table["s1"]), phi, np.asarray(table["panel"]).astype(np.int64))
    factors, sigmas = found if isinstance(found, tuple) else (found, None)
    # a wrong shape would be broadcast without a word, and a NaN would spoil the table
    for array in (factors, sigmas):
        if array is not None and (np.shape(array) != (n,) or not np.all(np.isfinite(array))):
            raise XdpError(f"absorption_correction: the user's model must return {n} finite numbers, "
                           f"got shape {np.shape(array)}")
    return np.asarray(factors, np.float64), None if sigmas is None else np.asarray(sigmas, np.float64)


def _compute_tape_factors(experiment: Experiment, table: ReflectionTable, boxes: Shoeboxes | None,
                          options: AbsorptionOptions) -> tuple[np.ndarray, np.ndarray]:
    """Compute the factors of a Kapton tape and their standard deviations."""
    path = _PATHS[options.algorithm]  # type: ignore[index]
    mu = compute_kapton_attenuation(experiment.known.beam.wavelength)
    rays = _normalise(table["s1"])
    tape = make_tape(options.fuller_kapton)
    factors, sigmas = np.exp(mu * path(tape, rays)), np.zeros(len(table))
    if boxes is not None:
        rows, pixels = _compute_foreground_rays(experiment, boxes)
        _average(rows, np.exp(mu * path(tape, pixels)), factors, sigmas)
    if options.fuller_kapton.smart_sigmas:
        # by the one ray to the middle of the spot: a tape that is moved changes all its pixels alike
        for varied in make_varied_tapes(options.fuller_kapton):
            sigmas = np.maximum(sigmas, np.abs(factors - np.exp(mu * path(varied, rays))))
    return factors, sigmas


def _compute_foreground_rays(experiment: Experiment, boxes: Shoeboxes) -> tuple[np.ndarray, np.ndarray]:
    """Compute the box numbers (m,) and unit rays (m, 3) to the centres of all valid foreground pixels."""
    wanted = np.uint8(MaskCode.FOREGROUND | MaskCode.VALID)
    pixels = np.flatnonzero((boxes.mask & wanted) == wanted)
    rows = np.searchsorted(boxes.offsets, pixels, side="right") - 1
    x0, x1, y0, y1 = boxes.bbox[rows, :4].T.astype(np.int64)
    # the place within a frame: all frames of a box see the same rays
    place = (pixels - boxes.offsets[rows]) % ((x1 - x0) * (y1 - y0))
    xy = np.stack([place % (x1 - x0) + x0, place // (x1 - x0) + y0], axis=1) + PIXEL_CENTRE
    rays = np.empty((len(pixels), 3))
    panel = boxes.panel[rows].astype(np.int64)
    for i in range(len(experiment.known.detector)):
        mine = slice(None) if len(experiment.known.detector) == 1 else np.flatnonzero(panel == i)
        rays[mine] = _normalise(px_to_lab(experiment.known.detector, i, xy[mine]))
    return rows, rays


def _average(rows: np.ndarray, values: np.ndarray, mean: np.ndarray, sigma: np.ndarray) -> None:
    """Put the mean and the sample standard deviation of each row's values where a row has values."""
    n = np.bincount(rows, minlength=len(mean))
    has = n > 0
    mean[has] = np.bincount(rows, values, len(mean))[has] / n[has]
    squares = np.bincount(rows, (values - mean[rows]) ** 2, len(mean))
    # a single pixel has no spread: 0 / 1
    sigma[has] = np.sqrt(squares[has] / np.maximum(n[has] - 1, 1))


def _normalise(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (n, 3) to length 1."""
    return np.asarray(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
