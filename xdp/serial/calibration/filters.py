"""What ``mod_average`` does with each corrected image before it goes into the average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.errors import OptionError
from xdp.serial.calibration.dark import Dark
from xdp.serial.calibration.options import AverageOptions

# Images with a smaller skewness are left out by the flag "skew", as the original has it.
_LEAST_SKEWNESS = 0.35


class ImageFilters:
    """Filters of images: pixels that become 0, and images that are left out.

    Parameters
    ----------
    options : AverageOptions
        Flags and thresholds.
    dark : Dark or None
        As the images' panels have it.
    gain : list of (slow, fast) array, or None
        Factors of the pixels.

    Raises
    ------
    OptionError
        If a filter needs a dark or gain map that is not given.
    """

    def __init__(self, options: AverageOptions, dark: Dark | None, gain: Sequence[np.ndarray] | None) -> None:
        self.options = options
        flags = set(options.flags)
        stddev = None if dark is None else dark.stddev
        if flags & {"inactive", "sigma_scaling", "skew"} and stddev is None:
            raise OptionError(f"flags {', '.join(sorted(flags))}: need a dark with its deviation (dark_path, "
                              "dark_stddev)")
        if options.hot_threshold is not None and dark is None:
            raise OptionError("hot_threshold needs dark_path")
        if options.gain_threshold is not None and gain is None:
            raise OptionError("gain_threshold needs gain_map_path")
        if (options.photon_threshold is None) != (options.two_photon_threshold is None):
            raise OptionError("photon_threshold and two_photon_threshold must be given both or not at all")
        self._zero = self._find_zeros(dark, gain)
        self._active = None if stddev is None else [sigma > 0.0 for sigma in stddev]
        self._scale = None
        if "sigma_scaling" in flags and stddev is not None:
            self._scale = self._make_scale(stddev)

    def _find_zeros(self, dark: Dark | None, gain: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
        """Pixels that are 0 in all images."""
        masks: list[list[np.ndarray]] = []
        if "inactive" in self.options.flags and dark is not None and dark.stddev is not None:
            masks.append([~(sigma > 0.0) for sigma in dark.stddev])
        if self.options.hot_threshold is not None and dark is not None:
            limit = self.options.hot_threshold * float(np.median(np.concatenate([m.reshape(-1) for m in dark.mean])))
            masks.append([mean > limit for mean in dark.mean])
        if self.options.gain_threshold is not None and gain is not None:
            masks.append([panel > self.options.gain_threshold for panel in gain])
        if not masks:
            return None
        return [np.logical_or.reduce(panels) for panels in zip(*masks, strict=True)]

    def _make_scale(self, stddev: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the flag sigma_scaling divides by: the deviation over the mean of those above 0."""
        mean = float(np.concatenate([sigma[sigma > 0.0] for sigma in stddev]).mean())
        return [np.where(sigma > 0.0, sigma / mean, 1.0) for sigma in stddev]

    def apply(self, image: Sequence[np.ndarray]) -> list[np.ndarray] | None:
        """Filter an image.

        Parameters
        ----------
        image : sequence of (slow, fast) float64
            Corrected.

        Returns
        -------
        list of (slow, fast) float64, or None
            None where the image is left out.
        """
        flags, options = self.options.flags, self.options
        if "skew" in flags and self._active is not None:
            values = np.concatenate([panel[a] for panel, a in zip(image, self._active, strict=True)])
            if not compute_skewness(values) >= _LEAST_SKEWNESS:
                return None
        result = []
        for i, panel in enumerate(image):
            out = np.array(panel, np.float64)
            if self._zero is not None:
                out[self._zero[i]] = 0.0
            if "noelastic" in flags:
                out[out > options.elastic_threshold] = 0.0
            if "nonoise" in flags:
                out[out < options.noise_threshold] = 0.0
            if "symnoise" in flags:
                out[np.abs(out) < options.symnoise_threshold] = 0.0
            if self._scale is not None:
                out /= self._scale[i]
            if options.photon_threshold is not None and options.two_photon_threshold is not None:
                out = (out >= options.photon_threshold).astype(np.float64) + (out >= options.two_photon_threshold)
            result.append(out)
        return result


def compute_skewness(values: np.ndarray) -> float:
    """Compute the third standardised moment.

    Parameters
    ----------
    values : (n,) array
        Numbers.

    Returns
    -------
    float
        0 where all are the same.

    Examples
    --------
    >>> import numpy as np
    >>> compute_skewness(np.array([0.0, 0.0, 3.0]))
    0.7071067811865475
    """
    deviations = np.asarray(values, np.float64) - np.mean(values)
    variance = float(np.mean(deviations**2)) if deviations.size else 0.0
    return float(np.mean(deviations**3)) / variance**1.5 if variance > 0.0 else 0.0
