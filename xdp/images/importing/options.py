"""Parameters of :func:`~xdp.images.importing.import_images.import_images`, with the names of ``dials.import``."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, FilePath, Options, option

# x, y, z in the lab frame.
Vector = tuple[float, float, float]


class ImportOutput(Options):
    """Files that are written."""

    experiments: FilePath | None = option(
        "imported.expt", "File for the geometry of all images, read by the other commands; None writes none.",
        file="output")
    log: FilePath | None = option(
        "xdp.import.log", "File for the messages that are also on the screen; None: no file.", file="output")
    compact: bool = option(False, "Write the .expt file on one line, without indentation: smaller, and harder to read.")
    compatibility: Literal["dials-3.12"] | None = option(
        None, "Write trusted ranges as this version of DIALS has them: with both ends excluded.", expert=1)


class BeamTolerance(Options):
    """When two beams are the same."""

    # Headers write the same beam with the same digits: the tolerance is for their rounding only.
    wavelength: float = option(
        1e-6, "Images share a beam while their wavelengths differ by no more than this, Å.", ge=0.0)
    direction: float = option(
        1e-6, "Images share a beam while the angle between their beams is no larger than this, radians.", ge=0.0)
    polarization_normal: float = option(
        1e-6, "As direction, for the normals of their planes of polarisation, radians.", ge=0.0)
    polarization_fraction: float = option(
        1e-6, "As wavelength, for the fraction of light in the plane of polarisation, 0 to 1.", ge=0.0)


class DetectorTolerance(Options):
    """When two detectors are the same."""

    fast_axis: float = option(
        1e-6, "Images share a detector while no component of a panel's fast unit vector differs by more than this.",
        ge=0.0)
    slow_axis: float = option(1e-6, "As fast_axis, for the unit vector along a panel's columns.", ge=0.0)
    # The default is DIALS'; 0.05 mm is less than a pixel of an Eiger or a Pilatus.
    origin: float = option(
        5e-2, "As fast_axis, for the corner of a panel's first pixel: each coordinate to within this, mm.", ge=0.0)


class GoniometerTolerance(Options):
    """When two goniometers are the same."""

    rotation_axis: float = option(
        1e-6, "Images share a goniometer while no component of the scanning axis (a unit vector, all motors at 0) "
        "differs by more than this.", ge=0.0)
    fixed_rotation: float = option(
        1e-6, "As rotation_axis, for the nine numbers of the rotation that the scanning axis carries.", ge=0.0)
    setting_rotation: float = option(
        1e-6, "As rotation_axis, for the nine numbers of the rotation that carries the scanning axis.", ge=0.0)


class ScanTolerance(Options):
    """When one image goes on where the one before ended."""

    oscillation: float = option(
        0.03, "An image joins a sweep if it starts where the last one ended and is as wide, to this fraction of its "
        "width; errors may add up over the sweep.", ge=0.0)


class Tolerance(Options):
    """How far models may differ and still count as one."""

    beam: BeamTolerance = option(BeamTolerance(), "")
    detector: DetectorTolerance = option(DetectorTolerance(), "")
    goniometer: GoniometerTolerance = option(GoniometerTolerance(), "")
    scan: ScanTolerance = option(ScanTolerance(), "")


class ImportInput(Options):
    """Which images, and what they are taken for."""

    ignore_unhandled: bool = option(
        True, "Skip files that are no image of a known format, with a warning; False stops at the first one that was "
        "named.")
    template: tuple[str, ...] = option(
        (), "Names of a series, with # for each digit of the number (image_####.cbf): one sweep. Not used where files "
        "are named on the command line.", multiple=True, file="input")
    directory: tuple[str, ...] = option(
        (), "Folder whose files are all read. Not used where files or a template are given.", multiple=True,
        file="input")
    reference_geometry: FilePath | None = option(
        None, "Take beam, detector and goniometer from this .expt file, such as a refined one; what the image headers "
        "say about them does not count.", file="input")
    check_reference_geometry: bool = option(
        True, "Stop where the panels of reference_geometry differ from those of the images in number, size or pixel "
        "size.", expert=2)
    use_beam_reference: bool = option(
        True, "Take the beam of reference_geometry; False leaves that of the headers.", expert=2)
    use_gonio_reference: bool = option(
        True, "Take the goniometer of reference_geometry for sweeps; False leaves that of the headers.", expert=2)
    use_detector_reference: bool = option(
        True, "Take the detector of reference_geometry; False leaves that of the headers.", expert=2)
    allow_multiple_sequences: bool = option(
        True, "Accept images of several sweeps; False stops where there is more than one.")
    split: tuple[int, ...] | None = option(
        None, "SIZE: make several sweeps of so many images each of every sweep, the last one of what is left. "
        "FIRST,LAST,SIZE: the same of the images with these numbers; the others are left out.", ge=1,
        phil="ints(size_min=1, size_max=3, value_min=1)")
    as_grid_scan: bool = option(
        False, "Take each image as the still of one position of a grid (see grid_size), in the order of the images.")
    grid_size: tuple[int, int] | None = option(
        None, "Positions of the grid along fast and slow; their product must be the number of images.", ge=1)
    tolerance: Tolerance = option(Tolerance(), "How far the models of two images may differ and still be shared.",
                                  expert=2)


class FormatOptions(Options):
    """How image files are interpreted; kept in the .expt file for the commands that read pixels."""

    dynamic_shadowing: bool | Auto = option(
        AUTO, "Mask the shadow of the goniometer, image by image, where its shape is known (some beamlines of "
        "Diamond). False: no shadow is masked.")
    multi_panel: bool = option(
        False, "Make each module of a Pilatus in mini CBF a panel of its own, so that refinement can move it. Other "
        "formats are not changed.")
    geometry_file: FilePath | None = option(
        None, "CrystFEL geometry file (.geom): it says where the panels lie in the images and in the laboratory, which "
        "pixels are bad, and where the images have photon energy and distance. It is read again with each image.",
        file="input")


class BeamOverride(Options):
    """The beam; each value given takes the place of the header's."""

    wavelength: float | None = option(
        None, "Wavelength, Å. Images without any beam in their header get one along -z.", gt=0.0)
    direction: Vector | None = option(
        None, "Where the beam comes from: x,y,z of a vector from sample to source, of any length.")
    polarization_normal: Vector | None = option(
        None, "x,y,z of a vector at right angles to the plane of polarisation, of any length.")
    polarization_fraction: float | None = option(
        None, "Fraction of the light in the plane of polarisation: 0.5 is unpolarised, synchrotrons come close to 1.",
        ge=0.0, le=1.0)
    transmission: float | None = option(
        None, "Fraction of the beam that its attenuators pass. Kept and shown; no intensity is changed.", ge=0.0)
    flux: float | None = option(None, "Photons per second. Kept and shown; no intensity is changed.", ge=0.0)


class PanelOverride(Options):
    """One panel; each value given takes the place of the header's."""

    # A field of None keeps what the header has.
    id: int = option(0, "Which panel is meant, counted from 0.", ge=0)
    name: str | None = option(None, "Name of the panel, for listings.")
    type: str | None = option(
        None, "Kind of sensor, such as SENSOR_PAD or SENSOR_CCD; the Auto of spot sizes depends on it.")
    gain: float | None = option(None, "Counts per photon; pixels are divided by it.", ge=0.0)
    pedestal: float | None = option(None, "Counts of a pixel without light; subtracted from all pixels.")
    pixel_size: tuple[float, float] | None = option(None, "Size of a pixel along fast and slow, mm.", gt=0.0)
    image_size: tuple[int, int] | None = option(None, "Number of pixels along fast and slow.", ge=1)
    trusted_range: tuple[float, float] | None = option(
        None, "Lowest and highest good count; pixels below or above are masked.")
    thickness: float | None = option(None, "Thickness of the sensor, mm; the correction for parallax uses it.", ge=0.0)
    material: str | None = option(
        None, "What the sensor is made of (Si, CdTe ...); the correction for parallax uses its absorption.")
    fast_axis: Vector | None = option(
        None, "x,y,z along the rows of pixels; must be at a right angle to slow_axis.")
    slow_axis: Vector | None = option(
        None, "x,y,z along the columns of pixels; must be at a right angle to fast_axis.")
    origin: Vector | None = option(None, "x,y,z of the outer corner of the first pixel, mm from the sample.")
    parallax_correction: bool | None = option(
        None, "Correct positions for the depth at which a slanting ray is absorbed in the sensor. None: as the format "
        "has it.")


class GroupOverride(Options):
    """One node of the detector's hierarchy, with all panels below it."""

    id: tuple[int, ...] | None = option(
        None, "Way from the root to the node: one index, from 0, for each level. None is the root.")
    name: str | None = option(None, "Name of the node, for listings.")
    fast_axis: Vector | None = option(
        None, "x,y,z of the node's first axis, in the frame of the node above; its panels turn with it.")
    slow_axis: Vector | None = option(
        None, "x,y,z of the node's second axis, in the frame of the node above; its panels turn with it.")
    origin: Vector | None = option(
        None, "x,y,z of the node's origin in the frame of the node above, mm; its panels move with it.")
    panel: tuple[int, ...] = option((), "Not supported: panels stay on the nodes they are on.", multiple=True)


class HierarchyOverride(Options):
    """The root of the detector's hierarchy, which carries all panels, and the nodes below it."""

    name: str | None = option(None, "Name of the root, for listings.")
    fast_axis: Vector | None = option(None, "x,y,z of the root's first axis; the whole detector turns with it.")
    slow_axis: Vector | None = option(None, "x,y,z of the root's second axis; the whole detector turns with it.")
    origin: Vector | None = option(
        None, "x,y,z of the root's origin, mm from the sample; the whole detector moves with it.")
    group: tuple[GroupOverride, ...] = option((), "Nodes below the root, each with its id.", multiple=True)


class DetectorOverride(Options):
    """The detector; each value given takes the place of the header's."""

    panel: tuple[PanelOverride, ...] = option((), "Panels, each with its id.", multiple=True)
    hierarchy: HierarchyOverride = option(HierarchyOverride(), "", expert=2)
    mosflm_beam_centre: tuple[float, float] | None = option(
        None, "Where the direct beam meets the detector, mm, in Mosflm's order: along slow, then along fast. The "
        "detector is shifted to put it there.")
    distance: float | None = option(
        None, "Distance from the sample to the plane of the detector, mm; it is moved along its normal. Of several "
        "panels the one nearest to the direct beam counts, and all are moved along its normal.", gt=0.0)
    fast_slow_beam_centre: tuple[float, ...] | None = option(
        None, "Where the direct beam meets a panel, pixels: fast, slow and, if it is not panel 0, the panel. The whole "
        "detector is shifted to put it there.", phil="floats(size_min=2, size_max=3)")
    slow_fast_beam_centre: tuple[int, ...] | None = option(
        None, "As fast_slow_beam_centre, in whole pixels and with slow first. Only one of the two may be given.",
        phil="ints(size_min=2, size_max=3)")


class GoniometerOverride(Options):
    """The goniometer; each value given takes the place of the header's."""

    axis: Vector | None = option(
        None, "Rotation axis x,y,z, of any length, where the goniometer has one axis. Not together with axes.")
    axes: tuple[float, ...] | None = option(
        None, "x,y,z of each axis with all motors at 0, from the crystal outwards: for a kappa goniometer those of "
        "phi, kappa and omega.")
    angles: tuple[float, ...] | None = option(
        None, "Angle of each motor, degrees, in the order of axes.")
    names: tuple[str, ...] | None = option(None, "Name of each motor, in the order of axes.")
    scan_axis: int | None = option(
        None, "Which of the axes turns during the scan, from 0; only where the header has no goniometer.", ge=0)
    fixed_rotation: tuple[float, ...] | None = option(
        None, "Rotation of the crystal on the scanning axis: F in R = S R' F, nine numbers by rows. Only for one axis.",
        phil="floats(size=9)")
    setting_rotation: tuple[float, ...] | None = option(
        None, "Rotation of the scanning axis itself: S in R = S R' F, nine numbers by rows. Only for one axis.",
        phil="floats(size=9)")
    invert_rotation_axis: bool = option(
        False, "Turn the other way: all axes are reversed. Try it where indexing of a sweep fails.")


class ScanOverride(Options):
    """The scan; each value given takes the place of the header's."""

    image_range: tuple[int, int] | None = option(
        None, "First and last image number, both included. With a template, only these images are read.")
    extrapolate_scan: bool = option(
        False, "Give images that image_range adds the exposure time of the last one, and epochs that go on from it; "
        "else both are 0 s.")
    oscillation: tuple[float, float] | None = option(
        None, "Angle at which the first image starts, and width of an image, degrees.")
    batch_offset: int | None = option(
        None, "Added to image numbers to give the batch numbers of MTZ files; used if the sweeps have different ones.")


class Geometry(Options):
    """Values that take the place of those in the image headers."""

    beam: BeamOverride = option(BeamOverride(), "", expert=1)
    detector: DetectorOverride = option(DetectorOverride(), "", expert=1)
    goniometer: GoniometerOverride = option(GoniometerOverride(), "", expert=1)
    scan: ScanOverride = option(ScanOverride(), "", expert=1)
    convert_stills_to_sequences: bool = option(
        False, "Join stills that are numbered without a gap to one sweep, if scan.oscillation is given; else to a "
        "sequence of stills.", expert=1)
    convert_sequences_to_stills: bool = option(
        False, "Make each image of a sweep a still, without scan and goniometer.", expert=1)


class Lookup(Options):
    """Pixel maps that apply to all images: files as DIALS writes them, one array a panel."""

    mask: FilePath | None = option(None, "Mask of all images: pixels that are False in it are not used.", file="input")
    gain: FilePath | None = option(
        None, "Counts per photon of each pixel; used instead of the panels' own.", file="input")
    pedestal: FilePath | None = option(
        None, "Counts of each pixel without light; used instead of the panels' own.", file="input")
    dx: FilePath | None = option(
        None, "Offsets of the pixels along fast. Kept for other programs; xdp does not apply them. Needs dy.",
        file="input")
    dy: FilePath | None = option(
        None, "Offsets of the pixels along slow. Kept for other programs; xdp does not apply them. Needs dx.",
        file="input")


class ImportOptions(Options):
    """All parameters of ``xdp import``."""

    output: ImportOutput = option(ImportOutput(), "")
    identifier_type: Literal["uuid", "timestamp"] | None = option(
        "uuid", "uuid: each experiment gets an identifier, by which tables refer to it; it follows from images and "
        "models, so that the same import gives the same one. timestamp, None: it gets none.", expert=1)
    input: ImportInput = option(ImportInput(), "")
    format: FormatOptions = option(FormatOptions(), "How image files are interpreted.")
    geometry: Geometry = option(Geometry(), "Values that take the place of those in the image headers.")
    lookup: Lookup = option(Lookup(), "")
