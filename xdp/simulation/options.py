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
    # what real crystals and beams add; all of it is nothing by default
    eta: float = option(
        0.0, "Standard deviation of the rotations of mosaic blocks about each axis, degrees. They widen spots "
        "tangentially, in proportion to sin θ, and along the rotation.", ge=0)
    eta_axes: tuple[float, float, float] | None = option(
        None, "The same about the three axes of the crystal's Cartesian frame (x along a, z along c*), degrees; in "
        "place of eta.", ge=0)
    point_size: float = option(
        0.0, "Standard deviation of each reciprocal lattice point in each direction, 1/Å: finite domains.", ge=0)
    bandwidth: float = option(0.0, "Standard deviation of the wavelength, as a fraction of it.", ge=0, lt=0.1)
    divergence: float = option(0.0, "Standard deviation of the beam's direction in each direction, degrees.", ge=0)
    scale_wave: float = option(
        0.0, "Amplitude of one smooth wave of the reflections' strength over the scan, as a fraction.", ge=0, lt=1)
    scale_jitter: float = option(
        0.0, "Standard deviation of the beam's strength from frame to frame, as a fraction; the background follows.",
        ge=0, lt=1)
    slip: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0), "A sudden rotation of the crystal at slip_frame: rotation vector in the crystal's laboratory "
        "frame at rotation angle 0, degrees.")
    slip_frame: int | None = option(
        None, "Number of frames before the slip; None: half of the scan.", ge=1)
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


class SerialRunOptions(Options):
    """What a simulated serial run has."""

    n_shots: int = option(40, "Shots of the run.", ge=4)
    n_darks: int = option(20, "Shots of the dark run.", ge=2)
    distance: float = option(110.0, "Distance from the sample to the detector, mm.", gt=0)
    gain: float = option(8.0, "Counts a photon.", gt=0)
    noise: float = option(3.0, "Read-out noise of each pixel and shot, counts.", ge=0)
    pedestal: float = option(1000.0, "Mean of the pixels' pedestals, counts; they differ by 50.", ge=0)
    common_mode: float = option(4.0, "Spread of the offset that a sensor has in each shot, counts.", ge=0)
    cold_pixels: int = option(20, "Pixels of the detector that always give 0.", ge=0)
    seed: int = option(0, "Of orientations, noise and defects.", ge=0)
    simulation: SimulationOptions = option(
        SimulationOptions(photons=400.0, background=2.0, sigma_m=0.2, hot_pixels=0, dead_pixels=0),
        "Physics of the shots.")


class SerialDemoOutput(Options):
    """What `xdp demo serial` writes."""

    directory: str = option("xdp_demo_serial", "The folder for everything; made if it is not there.", file="folder")


class SerialDemoOptions(Options):
    """Parameters of `xdp demo serial`."""

    serial: SerialRunOptions = option(SerialRunOptions(), "The run.")
    output: SerialDemoOutput = option(SerialDemoOutput(), "Files that are written.")
