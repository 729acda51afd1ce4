"""What is known of a reflection, and of a pixel in its shoebox, bit by bit, as DIALS numbers the bits."""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """The bits of column ``flags``: how a reflection was found, used and judged (numbers and names of DIALS)."""

    PREDICTED = 1 << 0
    OBSERVED = 1 << 1
    INDEXED = 1 << 2
    USED_IN_REFINEMENT = 1 << 3
    STRONG = 1 << 5
    REFERENCE_SPOT = 1 << 6
    DONT_INTEGRATE = 1 << 7
    INTEGRATED_SUM = 1 << 8
    INTEGRATED_PRF = 1 << 9
    INTEGRATED = INTEGRATED_SUM | INTEGRATED_PRF
    OVERLOADED = 1 << 10
    OVERLAPPED_BG = 1 << 11
    OVERLAPPED_FG = 1 << 12
    IN_POWDER_RING = 1 << 13
    FOREGROUND_INCLUDES_BAD_PIXELS = 1 << 14
    BACKGROUND_INCLUDES_BAD_PIXELS = 1 << 15
    INCLUDES_BAD_PIXELS = FOREGROUND_INCLUDES_BAD_PIXELS | BACKGROUND_INCLUDES_BAD_PIXELS
    BAD_SHOEBOX = OVERLOADED | OVERLAPPED_BG | OVERLAPPED_FG | IN_POWDER_RING | INCLUDES_BAD_PIXELS
    BAD_SPOT = BAD_SHOEBOX
    USED_IN_MODELLING = 1 << 16
    CENTROID_OUTLIER = 1 << 17
    FAILED_DURING_BACKGROUND_MODELLING = 1 << 18
    FAILED_DURING_SUMMATION = 1 << 19
    FAILED_DURING_PROFILE_FITTING = 1 << 20
    BAD_REFERENCE = 1 << 21
    USER_EXCLUDED_IN_SCALING = 1 << 22
    OUTLIER_IN_SCALING = 1 << 23
    EXCLUDED_FOR_SCALING = 1 << 24
    BAD_FOR_SCALING = USER_EXCLUDED_IN_SCALING | OUTLIER_IN_SCALING | EXCLUDED_FOR_SCALING
    EXCLUDED_FOR_REFINEMENT = 1 << 25
    SCALED = 1 << 26
    # Newer DIALS has this bit; 3.12 leaves it 0, so that it does no harm there.
    NOT_SUITABLE_FOR_REFINEMENT = 1 << 27
    BAD_FOR_REFINEMENT = EXCLUDED_FOR_REFINEMENT | CENTROID_OUTLIER | NOT_SUITABLE_FOR_REFINEMENT


class MaskCode(IntFlag):
    """The bits of a shoebox's mask: what a pixel may be used for (numbers of DIALS)."""

    VALID = 1 << 0
    BACKGROUND = 1 << 1
    FOREGROUND = 1 << 2
    STRONG = 1 << 3
    BACKGROUND_USED = 1 << 4
    OVERLAPPED = 1 << 5
