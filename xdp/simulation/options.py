"""What the simulator draws: intensities, profiles, background, defects."""

from __future__ import annotations

from xdp.options import Options, option


class SimulationOptions(Options):
    """Physics and defects of simulated images."""

    d_min: float | None = option(None, "Finest resolution, Å; None: that of the detector's corners.", gt=0)
    # strong ones reach some thousand counts, weak ones disappear in the background
    photons: float = option(
        500.0, "Photons of an average full reflection before the fall-off with resolution and the LP factor.", ge=0)
    wilson_b: float = option(20.0, "Fall-off of intensities with resolution, exp(-2 B sin²θ/λ²), Å².", ge=0)
    structure_seed: int = option(1, "Which random structure: the same number gives the same intensities.", ge=0)
    sigma_b: float = option(0.04, "Standard deviation of a reflection's angular spread on the detector, degrees.", gt=0)
    sigma_m: float = option(0.1, "Standard deviation of the mosaic spread, degrees.", gt=0)
    background: float = option(3.0, "Background at its strongest, counts per pixel and frame.", ge=0)
    # nothing in the images tells of these: programs have to find them
    hot_pixels: int = option(3, "Number of pixels that count far too much, unflagged.", ge=0)
    dead_pixels: int = option(3, "Number of pixels that count nothing, unflagged.", ge=0)
    parallax: bool = option(True, "Spread spots by the depth of absorption in the sensor, where a panel has one.")


class DemoOutput(Options):
    """What `xdp demo` writes."""

    directory: str = option("xdp_demo", "The folder for everything; made if it is not there.", file="folder")


class DemoOptions(Options):
    """Parameters of `xdp demo`."""

    n_frames: int = option(40, "Number of frames.", ge=5)
    width: float = option(0.5, "Rotation during a frame, degrees.", gt=0, le=5)
    seed: int = option(0, "Of orientation, counting noise and bad pixels.", ge=0)
    simulation: SimulationOptions = option(SimulationOptions(), "Physics and defects.")
    output: DemoOutput = option(DemoOutput(), "Files that are written.")
