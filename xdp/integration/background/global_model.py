"""A background model of a whole series of images: one image a panel, scaled to each reflection.

The file is DIALS' own: a pickle of ``StaticBackgroundModel``, read without executing anything, and written in the same
form; ``.npy`` and ``.npz`` files of one array a panel are read too.

References
----------
J. M. Parkhurst, A. Thorn, M. Vollmar, G. Winter, D. G. Waterman, L. Fuentes-Montero, R. J. Gildea, G. N. Murshudov,
G. Evans, IUCrJ 4, 626 (2017), doi:10.1107/S2052252517010259.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from xdp.errors import FormatError, OptionError
from xdp.integration.background.options import GmodelOptions
from xdp.reflections.shoeboxes import Shoeboxes

CUT = 3.0 / 1.345
"""Residuals beyond so many tuning constants lose weight: the default, 1.345, cuts at 3 standard deviations, where DIALS
cuts whatever its tuning constant."""


@dataclass(frozen=True, eq=False)
class GlobalModel:
    """The expected background of every pixel, up to a factor.

    Attributes
    ----------
    panels : tuple of float64 (slow, fast)
    """

    panels: tuple[np.ndarray, ...]

    @cached_property
    def flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All pixels, where each panel begins, and its shape."""
        sizes = [panel.size for panel in self.panels]
        pixels = np.concatenate([np.ravel(panel) for panel in self.panels]).astype(np.float64)
        return pixels, np.cumsum([0, *sizes[:-1]]), np.array([panel.shape for panel in self.panels], np.int64)


def read_model(path: str | os.PathLike) -> GlobalModel:
    """Read a model that `xdp model_background` or ``dials.model_background`` has written.

    Raises
    ------
    FormatError
        If it holds anything but one finite image a panel.
    XdpError
        If it cannot be read.
    """
    # The time and size of the file are a part of the key under which it is kept.
    status = Path(path).stat() if Path(path).exists() else None
    return _read_cached(str(path), status and (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=2)
def _read_cached(path: str, _state: tuple[int, int] | None) -> GlobalModel:
    """Read once for all blocks, unless the file changes."""
    from xdp.images.masks.pickles import read_maps

    panels = tuple(np.ascontiguousarray(panel, np.float64) for panel in read_maps(path))
    # A background below 0 would raise intensities, and NaN spoil them without a word.
    for number, panel in enumerate(panels):
        if not np.isfinite(panel).all() or panel.min(initial=0.0) < 0.0:
            raise FormatError(f"{path}: a background must be finite and not negative; panel {number} is not")
    return GlobalModel(panels)


def write_model(path: str | os.PathLike, model: GlobalModel) -> None:
    """Write a model as the pickle that DIALS reads (``background.gmodel.model``).

    Parameters
    ----------
    path : path
        Replaced once the whole file is there.
    model : GlobalModel
    """
    from xdp.images.masks.pickles import write_background_pickle

    write_background_pickle(path, model.panels)


def fit_global_model(boxes: Shoeboxes, options: GmodelOptions, model: GlobalModel | None = None
                     ) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scale the model to each box.

    Parameters
    ----------
    boxes : Shoeboxes
        Their background is written, and BACKGROUND_USED in their masks.
    options : GmodelOptions
    model : GlobalModel, optional
        In place of the file that `options` name.

    Returns
    -------
    columns : dict of str to (n,) float64
        ``background.mean`` and ``background.scale``.
    failed : (n,) bool

    Raises
    ------
    OptionError
        If there is no model, or it has too few panels.
    """
    from xdp.integration.background._kernels_gmodel import ModelImages, ScaledBoxes, fit_gmodel
    from xdp.integration.background._kernels_pixels import BackgroundPixels

    if model is None:
        if options.model is None:
            raise OptionError("background.algorithm=gmodel needs background.gmodel.model: make one with "
                              "xdp model_background integrated.expt")
        model = read_model(options.model)
    if len(boxes) and boxes.panel.max() >= len(model.panels):
        raise OptionError(f"background.gmodel.model has {len(model.panels)} panels, but there are reflections on panel "
                          f"{boxes.panel.max()}")
    tuning = options.robust.tuning_constant
    failed, mean, scale = np.zeros(len(boxes), bool), np.zeros(len(boxes)), np.zeros(len(boxes))
    fit_gmodel(boxes.panel, BackgroundPixels(boxes.bbox, boxes.offsets, boxes.data, boxes.mask, boxes.background),
               ModelImages(*model.flat), options.robust.algorithm, np.inf if tuning is None else CUT * tuning,
               options.min_pixels or 1, ScaledBoxes(failed, mean, scale))
    return {"background.mean": mean, "background.scale": scale}, failed
