"""Experiments in words and numbers, line by line as users of DIALS know them from dials.show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal, cell_of
from xdp.experiment.detector import Detector, Panel
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.extent import beam_centre, max_inscribed_resolution, max_resolution
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.pixels import mm_to_px, px_to_mm
from xdp.experiment.scan import Scan


def describe_experiments(experiments: ExperimentList, *, scan_varying: bool = False) -> str:
    """Describe all models of all experiments.

    Parameters
    ----------
    experiments : ExperimentList
    scan_varying : bool
        List the crystal at each scan point too.
    """
    lines: list[str] = []
    for i, experiment in enumerate(experiments):
        lines += [f"Experiment {i}:", *describe_experiment(experiment, scan_varying=scan_varying)]
    return "\n".join(lines)


def describe_experiment(experiment: Experiment, *, scan_varying: bool = False) -> Iterator[str]:
    """Describe one experiment: detector, its resolution, beam, scan, goniometer, crystal, profile.

    Parameters
    ----------
    experiment : Experiment
        What it lacks is left out.
    scan_varying : bool
        List the crystal at each scan point too.

    Yields
    ------
    str
        A line.
    """
    if experiment.identifier:
        yield f"Experiment identifier: {experiment.identifier}"
    # Stills have no template; a list of all their files would fill the screen.
    if experiment.imageset is not None and experiment.imageset.template is not None:
        yield f"Image template: {experiment.imageset.template}"
    if experiment.detector is not None:
        yield from _detector(experiment.detector)
        if experiment.beam is not None:
            yield from _resolution(experiment.detector, experiment.beam)
    if experiment.beam is not None:
        yield from _beam(experiment.beam)
        if experiment.detector is not None:
            yield from _beam_centre(experiment.detector, experiment.beam)
        yield ""
    if experiment.scan is not None:
        yield from _scan(experiment.scan)
    if experiment.goniometer is not None:
        yield from _goniometer(experiment.goniometer)
    if experiment.crystal is not None:
        yield from _crystal(experiment.crystal, scan_varying)
    if experiment.profile is not None:
        yield from _profile(experiment.profile)


def describe_sharing(experiments: ExperimentList) -> str:
    """Say which experiment uses which detector, crystal and beam, as tables of crosses.

    Models are one where they are one object: experiments of a file share those with the same number in it.
    """
    lines = ["Experiment / Models"]
    for name in ("detector", "crystal", "beam"):
        models = experiments.unique(name)
        lines += ["", f"{name.capitalize()}:", " " * 14 + " ".join(f"{j:>3}" for j in range(len(models)))]
        for i, experiment in enumerate(experiments):
            crosses = ("x" if getattr(experiment, name) is model else "." for model in models)
            lines.append(f"{f'Experiment {i}':14}" + " ".join(f"{cross:>3}" for cross in crosses))
    return "\n".join(lines)


def _detector(detector: Detector) -> Iterator[str]:
    yield "Detector:"
    for panel in detector:
        yield from _panel(panel)
    yield ""


def _panel(panel: Panel) -> Iterator[str]:
    # In the laboratory's frame, with all frames of the detector's tree applied.
    d, normal = panel.d_matrix, panel.normal
    yield "Panel:"
    yield f"  name: {panel.name}"
    yield f"  type: {panel.type}"
    yield f"  identifier: {panel.identifier}"
    yield f"  pixel_size:{_braces(panel.pixel_size)}"
    yield f"  image_size: {_braces(panel.image_size)}"
    yield f"  trusted_range: {_braces(panel.trusted_range)}"
    yield f"  thickness: {panel.thickness:g}"
    yield f"  material: {panel.material}"
    yield f"  mu: {panel.mu:g}"
    yield f"  gain: {panel.gain:g}"
    yield f"  pedestal: {panel.pedestal:g}"
    yield f"  fast_axis: {_braces(d[:, 0])}"
    yield f"  slow_axis: {_braces(d[:, 1])}"
    yield f"  origin: {_braces(d[:, 2])}"
    yield f"  distance: {d[:, 2] @ normal:g}"
    if panel.corrects_parallax:
        yield f"  pixel to millimeter strategy: {panel.px_mm_strategy}"
        yield f"    mu: {panel.mu:g}"
        yield f"    t0: {panel.thickness:g}"
    else:
        yield "  pixel to millimeter strategy: SimplePxMmStrategy"
    yield ""


def _resolution(detector: Detector, beam: Beam) -> Iterator[str]:
    # A beam without wavelength, as of a damaged file, has no resolution.
    if beam.wavelength <= 0.0:
        return
    yield f"Max resolution (at corners): {max_resolution(detector, beam):f}"
    yield f"Max resolution (inscribed):  {max_inscribed_resolution(detector, beam):f}"
    yield ""


def _beam(beam: Beam) -> Iterator[str]:
    yield "Beam:"
    yield f"    probe: {beam.probe}"
    if "wavelength_range" in beam.extra:
        yield f"    wavelength range: {_braces(beam.extra['wavelength_range'])}"
    else:
        yield f"    wavelength: {beam.wavelength:g}"
    # The reverse of s0, as DIALS prints it.
    yield f"    sample to source direction : {_braces(-beam.unit_s0)}"
    yield f"    divergence: {beam.divergence:g}"
    yield f"    sigma divergence: {beam.sigma_divergence:g}"
    yield f"    polarization normal: {_braces(beam.polarization_normal)}"
    yield f"    polarization fraction: {beam.polarization_fraction:g}"
    yield f"    flux: {beam.flux:g}"
    yield f"    transmission: {beam.transmission:g}"
    if points := beam.extra.get("s0_at_scan_points"):
        yield f"    s0 sampled at {len(points)} scan points"


def _beam_centre(detector: Detector, beam: Beam) -> Iterator[str]:
    found = beam_centre(detector, beam)
    # The beam passes beside all panels, as on detectors that stand at an angle.
    if found is None:
        return
    i, mm = found
    panel = detector[i]
    px = mm_to_px(panel, mm)
    where = f"panel {i}, " if len(detector) > 1 else ""
    yield ""
    yield "Beam centre: "
    yield f"    mm: {where}({mm[0]:.2f},{mm[1]:.2f})"
    yield f"    px: {where}({px[0]:.2f},{px[1]:.2f})"
    if len(detector) > 1:
        # Panels of one read-out are cut from it: the offset leads back to the picture in the file.
        raw = px + np.asarray(panel.raw_image_offset)
        raw_mm = px_to_mm(panel, raw)
        yield f"    mm, raw image: ({raw_mm[0]:.2f},{raw_mm[1]:.2f})"
        yield f"    px, raw image: ({raw[0]:.2f},{raw[1]:.2f})"


def _scan(scan: Scan) -> Iterator[str]:
    yield "Scan:"
    yield f"    number of images:   {scan.n_frames}"
    yield f"    image range:   {_braces(scan.image_range)}"
    yield f"    oscillation:   {_braces(scan.oscillation)}"
    yield f"    exposure time: {scan.exposure_time[0] if scan.exposure_time else 0:g}"
    if scan.epochs:
        yield f"    epoch:         {_describe_epoch(scan.epochs[0])}"
    yield ""


def _describe_epoch(seconds: float) -> str:
    """The time of the first image, in seconds since 1970 and as a date; 0 stands for a header without one."""
    try:
        date = datetime.fromtimestamp(seconds, UTC).strftime(" (%Y-%m-%d %H:%M:%S UTC)")
    except (ValueError, OverflowError, OSError):
        date = ""  # beyond what a calendar holds
    return f"{seconds:.15g}{date if seconds else ''}"


def _goniometer(goniometer: Goniometer) -> Iterator[str]:
    names = goniometer.names
    axis = goniometer.rotation_axis_lab
    if goniometer.is_multi_axis:  # as the axes say, which need not have unit length
        axis = goniometer.S @ np.asarray(goniometer.rotation_axis)
    yield "Goniometer:"
    yield f"    Rotation axis:   {_braces(axis)}"
    yield f"    Fixed rotation:  {_braces(goniometer.fixed_rotation)}"
    yield f"    Setting rotation:{_braces(goniometer.setting_rotation)}"
    for i, motor in enumerate(goniometer.axes):
        yield f"    Axis #{i} ({names[i]}):  {_braces(motor)}"
    if goniometer.is_multi_axis:
        yield f"    Angles: {','.join(f'{angle:g}' for angle in goniometer.angles)}"
        yield f"    scan axis: #{goniometer.scan_axis} ({names[goniometer.scan_axis]})"
    if points := goniometer.extra.get("setting_rotation_at_scan_points"):
        yield f"    Setting rotation sampled at {len(points)} scan points"
    yield ""


def _crystal(crystal: Crystal, scan_varying: bool) -> Iterator[str]:
    from xdp.experiment.cell_errors import cell_text

    yield "Crystal:"
    yield f"    Unit cell: {cell_text(crystal)}"
    yield f"    Space group: {crystal.space_group.xhm()}"
    for label, matrix in (("U matrix:  ", crystal.U), ("B matrix:  ", crystal.B), ("A = UB:    ", crystal.A)):
        yield from _matrix(label, matrix)
    points = crystal.A_at_scan_points or ()
    if points:
        yield f"    A sampled at {len(points)} scan points"
        # A holds reciprocal axes in its columns: its inverse holds the real ones in its rows.
        cells = np.array([cell_of(np.linalg.inv(np.reshape(point, (3, 3)))) for point in points])
        for i, (point, cell) in enumerate(zip(points, cells, strict=True)):
            if scan_varying:
                yield f"  Scan point #{i + 1}:"
                yield "    Unit cell: " + _cell(cell)
                yield from _matrix("A = UB:    ", np.reshape(point, (3, 3)))
        yield "  Average unit cell: " + _cell(cells.mean(axis=0))
    # What stills' programs keep beside the crystal, by its names in their files.
    for key, label in (("mosaicity", "Mosaicity:  "), ("ML_half_mosaicity_deg", "Half mosaic angle (degrees):  "),
                       ("ML_domain_size_ang", "Domain size (Angstroms):  ")):
        if isinstance(crystal.extra.get(key), float):
            yield f"    {label}{crystal.extra[key]:.6f}"
    yield ""


def _profile(profile: dict[str, Any]) -> Iterator[str]:
    """The profile model's plain numbers, whatever they are."""
    yield "Profile model:"
    for key, value in profile.items():
        # Coefficients over the scan are long lists, which tell a reader nothing.
        if isinstance(value, str | int | float):
            yield f"    {key}: {value}"
    yield ""


def _cell(cell: Iterable[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in cell)


def _matrix(label: str, matrix: np.ndarray) -> Iterator[str]:
    """Three lines, the first with the label."""
    for i, row in enumerate(matrix):
        numbers = ", ".join(f"{value: 5.4f}" for value in row)
        start, stop = "{" if i == 0 else " ", "}}" if i == 2 else "},"
        yield f"    {label if i == 0 else ' ' * len(label)}{start}{{{numbers}{stop}"


def _braces(values: Iterable[float]) -> str:
    return "{" + ",".join(f"{value:g}" for value in values) + "}"
