"""Follow the slopes of backgrounds: a level is bent by the sweep's radial profile, and tilted as its own pixels say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.background.slopes.profile import RadialProfile, describe_places
from xdp.reflections.shoeboxes import Shoeboxes

_LEAST_SLOPE = 1e-8
"""1/px^2: less than 1e-4 a pixel is no slope, and its reciprocal would lose digits."""
_STENCIL = (-1.0, 0.0, 1.0)


@dataclass(frozen=True)
class BackgroundShape:
    """What is known of the shape of a sweep's background.

    Attributes
    ----------
    experiment : Experiment
        With beam and detector.
    profile : RadialProfile
    """

    experiment: Experiment
    profile: RadialProfile

    def compute_bend(self, panel: np.ndarray, xy: np.ndarray, half: np.ndarray) -> np.ndarray:
        """Compute how the logarithm of the expected background changes about places on the detector.

        Parameters
        ----------
        panel : (n,) int
        xy : (n, 2) float64
            Places, px (fast, slow).
        half : (n, 2) float64
            Half the sizes of boxes, px: differences are taken over these.

        Returns
        -------
        (n, 5) float64
            Factors of x, y, x^2, y^2 and x y; x and y in px from the place.
        """
        step = 0.7 * half
        x, y = (xy[:, k, None, None] + step[:, k, None, None] * np.array(_STENCIL).reshape(shape)
                for k, shape in ((0, (1, 1, 3)), (1, (1, 3, 1))))
        x, y = np.broadcast_arrays(x, y)
        two_sine, log_factor = describe_places(self.experiment, panel, x, y)
        value = self.profile.evaluate(two_sine) + log_factor
        a, b = step.T
        middle = value[:, 1, 1]
        return np.stack([(value[:, 1, 2] - value[:, 1, 0]) / (2.0 * a), (value[:, 2, 1] - value[:, 0, 1]) / (2.0 * b),
                         (value[:, 1, 2] + value[:, 1, 0] - 2.0 * middle) / (2.0 * a * a),
                         (value[:, 2, 1] + value[:, 0, 1] - 2.0 * middle) / (2.0 * b * b),
                         (value[:, 2, 2] + value[:, 0, 0] - value[:, 2, 0] - value[:, 0, 2]) / (4.0 * a * b)], axis=1)


def bend_backgrounds(boxes: Shoeboxes, shape: BackgroundShape, xy: np.ndarray, *, mean: np.ndarray,
                     tuning: float | None = None, dispersion: np.ndarray | None = None) -> int:
    """Let level backgrounds of boxes follow the slopes that their surroundings have.

    Parameters
    ----------
    boxes : Shoeboxes
        With level backgrounds and BACKGROUND_USED; `background` is changed.
    shape : BackgroundShape
        Of their sweep.
    xy : (n, 2) float64
        Predictions, px (fast, slow).
    mean : (n,) float64
        Average background under the used pixels; changed.
    tuning : float, optional
        Huber's constant; None: residuals are not cut off.
    dispersion : (n,) float64, optional
        Variance over mean of counts; by default 1.

    Returns
    -------
    int
        How many boxes are no longer level.
    """
    from xdp.integration.background._kernels_pixels import BackgroundPixels
    from xdp.integration.background.slopes._kernels_slopes import SlopePriors, follow_slopes

    bbox = boxes.bbox.astype(np.float64)
    half = np.maximum(0.5 * np.stack([bbox[:, 1] - bbox[:, 0], bbox[:, 3] - bbox[:, 2]], axis=1), 1.0)
    bend = shape.compute_bend(np.asarray(boxes.panel, np.int64), xy, half)
    priors = SlopePriors(np.ascontiguousarray(xy), bend, 1.0 / max(shape.profile.slope_variance, _LEAST_SLOPE))
    pixels = BackgroundPixels(boxes.bbox, boxes.offsets, boxes.data, boxes.mask, boxes.background)
    return int(follow_slopes(pixels, priors, math.inf if tuning is None else tuning,
                             np.ones(len(boxes)) if dispersion is None else dispersion, mean))
