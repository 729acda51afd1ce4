"""Parameters of :func:`xdp.images.importing.import_images`: names and defaults as those of ``dials.import``."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, FilePath, Options, option

Vector = tuple[float, float, float]


class Output(Options):
    """Files that are written."""

    experiments: FilePath | None = option("imported.expt", "The output experiment file")
    log: FilePath | None = option("xdp.import.log", "The log filename")
    compact: bool = option(False, "For experiment output use compact JSON representation")
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write trusted ranges as this version of DIALS has them: with both ends excluded.", expert=1)


class BeamTolerance(Options):
    """When two beams are the same."""

    wavelength: float = option(1e-6, "The wavelength tolerance, Angstrom", ge=0.0)
    direction: float = option(1e-6, "The direction tolerance, radians", ge=0.0)
    polarization_normal: float = option(1e-6, "The polarization normal tolerance, radians", ge=0.0)
    polarization_fraction: float = option(1e-6, "The polarization fraction tolerance", ge=0.0)


class DetectorTolerance(Options):
    """When two detectors are the same."""

    fast_axis: float = option(1e-6, "The fast axis tolerance", ge=0.0)
    slow_axis: float = option(1e-6, "The slow axis tolerance", ge=0.0)
    origin: float = option(5e-2, "The origin tolerance, mm", ge=0.0)


class GoniometerTolerance(Options):
    """When two goniometers are the same."""

    rotation_axis: float = option(1e-6, "The rotation axis tolerance", ge=0.0)
    fixed_rotation: float = option(1e-6, "The fixed rotation tolerance", ge=0.0)
    setting_rotation: float = option(1e-6, "The setting rotation tolerance", ge=0.0)


class ScanTolerance(Options):
    """When one image goes on where the one before ended."""

    oscillation: float = option(0.03, "The oscillation tolerance for the scan, as a fraction of the image width",
                                ge=0.0)


class Tolerance(Options):
    """Tolerances used to determine shared models."""

    beam: BeamTolerance = option(BeamTolerance(), "")
    detector: DetectorTolerance = option(DetectorTolerance(), "")
    goniometer: GoniometerTolerance = option(GoniometerTolerance(), "")
    scan: ScanTolerance = option(ScanTolerance(), "")


class Input(Options):
    """Which images, and what they are taken for."""

    ignore_unhandled: bool = option(True, "Ignore unhandled input (e.g. log files)")
    template: tuple[str, ...] = option((), "The image sequence template", multiple=True)
    directory: tuple[str, ...] = option((), "A directory with images", multiple=True)
    reference_geometry: FilePath | None = option(
        None, "Experimental geometry from this models.expt will override the geometry from the image headers.")
    check_reference_geometry: bool = option(
        True, "If True, assert the reference geometry is similar to the image geometry", expert=2)
    use_beam_reference: bool = option(
        True, "If True, the beam from reference_geometry will override the beam from the image headers.", expert=2)
    use_gonio_reference: bool = option(
        True, "If True, the goniometer from reference_geometry will override the goniometer from the image headers.",
        expert=2)
    use_detector_reference: bool = option(
        True, "If True, the detector from reference_geometry will override the detector from the image headers.",
        expert=2)
    allow_multiple_sequences: bool = option(True, "If False, raise an error if multiple sequences are found")
    as_grid_scan: bool = option(False, "Import as grid scan")
    grid_size: tuple[int, int] | None = option(None, "If importing as a grid scan set the size", ge=1)
    tolerance: Tolerance = option(Tolerance(), "Tolerances used to determine shared models", expert=2)


class FormatOptions(Options):
    """Options to pass to the image format."""

    dynamic_shadowing: bool | Auto = option(AUTO, "Enable dynamic shadowing")
    multi_panel: bool = option(False, "Enable a multi-panel detector model. (Not supported by all detector formats)")


class BeamOverride(Options):
    """Override the beam."""

    wavelength: float | None = option(None, "Override the beam wavelength, Angstrom", gt=0.0)
    direction: Vector | None = option(None, "Override the sample to source direction")
    polarization_normal: Vector | None = option(None, "Override the polarization normal")
    polarization_fraction: float | None = option(None, "Override the polarization fraction", ge=0.0, le=1.0)
    transmission: float | None = option(None, "Override the transmission", ge=0.0)
    flux: float | None = option(None, "Override the flux", ge=0.0)


class PanelOverride(Options):
    """Override one panel."""

    id: int = option(0, "The panel number", ge=0)
    name: str | None = option(None, "Override the panel name")
    type: str | None = option(None, "Override the panel type")
    gain: float | None = option(None, "The gain of the detector panel, counts per photon", ge=0.0)
    pedestal: float | None = option(None, "The pedestal of the detector panel, counts")
    pixel_size: tuple[float, float] | None = option(None, "Override the panel pixel size, mm", gt=0.0)
    image_size: tuple[int, int] | None = option(None, "Override the panel image size (fast, slow)", ge=1)
    trusted_range: tuple[float, float] | None = option(None, "Override the panel trusted range, both ends included")
    thickness: float | None = option(None, "Override the panel thickness, mm", ge=0.0)
    material: str | None = option(None, "Override the panel material")
    fast_axis: Vector | None = option(None, "Override the panel fast axis. Requires slow_axis and origin.")
    slow_axis: Vector | None = option(None, "Override the panel slow axis. Requires fast_axis and origin.")
    origin: Vector | None = option(None, "Override the panel origin, mm. Requires fast_axis and slow_axis.")
    parallax_correction: bool | None = option(
        None, "Enable parallax correction. By default in overwrite mode, the value of None does nothing.")


class GroupOverride(Options):
    """Override a node of the detector's hierarchy."""

    id: tuple[int, ...] | None = option(None, "The group identifier specifying the place in the hierarchy")
    name: str | None = option(None, "Override the group name")
    fast_axis: Vector | None = option(None, "Override the group fast axis. Requires slow_axis and origin.")
    slow_axis: Vector | None = option(None, "Override the group slow axis. Requires fast_axis and origin.")
    origin: Vector | None = option(None, "Override the group origin. Requires fast_axis and slow_axis.")
    panel: tuple[int, ...] = option((), "The panel id", multiple=True)


class HierarchyOverride(Options):
    """Override the root of the detector's hierarchy, and its groups."""

    name: str | None = option(None, "Override the group name")
    fast_axis: Vector | None = option(None, "Override the panel fast axis. Requires slow_axis and origin.")
    slow_axis: Vector | None = option(None, "Override the panel slow axis. Requires fast_axis and origin.")
    origin: Vector | None = option(None, "Override the panel origin. Requires fast_axis and slow_axis.")
    group: tuple[GroupOverride, ...] = option((), "Groups, by their place in the hierarchy", multiple=True)


class DetectorOverride(Options):
    """Override the detector."""

    panel: tuple[PanelOverride, ...] = option((), "Panels, by their number", multiple=True)
    hierarchy: HierarchyOverride = option(HierarchyOverride(), "", expert=2)
    mosflm_beam_centre: tuple[float, float] | None = option(
        None, "Override the beam centre (mm) from the image headers, following the mosflm convention.")
    distance: float | None = option(None, "The detector distance, mm (used when mosflm_beam_centre is set)", gt=0.0)
    fast_slow_beam_centre: tuple[float, ...] | None = option(
        None, "Override the beam centre from the image headers. The first two values are the fast and slow pixel "
        "coordinate. If the third is supplied it specifies a panel number.", phil="floats(size_min=2, size_max=3)")
    slow_fast_beam_centre: tuple[int, ...] | None = option(
        None, "Alternative to fast_slow_beam_centre in which the coordinates are given in order (px slow, px fast, "
        "[panel id]). If fast_slow_beam_centre is set it will take priority over any values set here.",
        phil="ints(size_min=2, size_max=3)")


class GoniometerOverride(Options):
    """Override the goniometer."""

    axis: Vector | None = option(
        None, "Override the axis for a single axis goniometer. Equivalent to providing a single 3D vector to 'axes'.")
    axes: tuple[float, ...] | None = option(
        None, "Override the goniometer axes. Axes must be provided in the order crystal-to-goniometer, i.e. for a "
        "Kappa goniometer phi,kappa,omega")
    angles: tuple[float, ...] | None = option(
        None, "Override the goniometer angles, degrees. Axes must be provided in the order crystal-to-goniometer, "
        "i.e. for a Kappa goniometer phi,kappa,omega")
    names: tuple[str, ...] | None = option(None, "The multi axis goniometer axis names")
    scan_axis: int | None = option(None, "The scan axis", ge=0)
    fixed_rotation: tuple[float, ...] | None = option(None, "Override the fixed rotation matrix",
                                                      phil="floats(size=9)")
    setting_rotation: tuple[float, ...] | None = option(None, "Override the setting rotation matrix",
                                                        phil="floats(size=9)")
    invert_rotation_axis: bool = option(False, "Invert the rotation axis")


class ScanOverride(Options):
    """Override the scan."""

    image_range: tuple[int, int] | None = option(None, "Override the image range")
    extrapolate_scan: bool = option(False, "When overriding the image range, extrapolate exposure and epoch "
                                    "information from existing images")
    oscillation: tuple[float, float] | None = option(None, "Override the image oscillation (start, width), degrees")
    batch_offset: int | None = option(None, "Override the batch offset")


class Geometry(Options):
    """Allow overrides of experimental geometry."""

    beam: BeamOverride = option(BeamOverride(), "", expert=1)
    detector: DetectorOverride = option(DetectorOverride(), "", expert=1)
    goniometer: GoniometerOverride = option(GoniometerOverride(), "", expert=1)
    scan: ScanOverride = option(ScanOverride(), "", expert=1)
    convert_stills_to_sequences: bool = option(False, "When overriding the scan, convert stills into sequences",
                                               expert=1)
    convert_sequences_to_stills: bool = option(False, "When overriding the scan, convert sequences into stills",
                                               expert=1)


class Lookup(Options):
    """Pixel maps that apply to all images."""

    mask: FilePath | None = option(None, "Apply a mask to the imported data")
    gain: FilePath | None = option(None, "Apply a gain to the imported data")
    pedestal: FilePath | None = option(None, "Apply a pedestal to the imported data")
    dx: FilePath | None = option(None, "Apply an x geometry offset. If both dx and dy are set then "
                                 "OffsetParallaxCorrectedPxMmStrategy will be used")
    dy: FilePath | None = option(None, "Apply an y geometry offset. If both dx and dy are set then "
                                 "OffsetParallaxCorrectedPxMmStrategy will be used")


class ImportOptions(Options):
    """All parameters of ``xdp import``."""

    output: Output = option(Output(), "")
    identifier_type: Literal["uuid", "timestamp"] | None = option("uuid", "Type of unique identifier to generate.",
                                                                  expert=1)
    input: Input = option(Input(), "")
    format: FormatOptions = option(FormatOptions(), "Options to pass to the image format")
    geometry: Geometry = option(Geometry(), "Allow overrides of experimental geometry")
    lookup: Lookup = option(Lookup(), "")
