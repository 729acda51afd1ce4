"""Find the spots of a Laue scan and write them to a file.

The steps:

1. the scan is checked against the options;
2. the background of each pixel is found, and raw masks are drawn (`Run.compute_backgrounds`);
3. masks are cleaned, synchronised and labelled, and the spots on them integrated (`Run.process_masks`); each mask is
   written when it is done;
4. ratios, tables and pictures are written where they are asked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.files import atomic_output
from xdp.images.input_files import find_files_of_words
from xdp.laue.background import Grouping, Trimming, count_removed
from xdp.laue.design import (
    Design,
    check_angles,
    estimate_kruskal_power,
    group_by_angle,
    group_frames,
    require_laser,
)
from xdp.laue.options import LaueSpotsOptions
from xdp.laue.output import SpotsFile, write_csv, write_parquet
from xdp.laue.ratios import make_ratio_table, merge_ratios
from xdp.laue.run import Run
from xdp.laue.spots import estimate_background_gain, join_spot_tables, locate_frame_spots
from xdp.laue.stack import ImageStack, read_design
from xdp.options import AUTO, Auto
from xdp.options.named import make_options
from xdp.protection import Inputs, protect, refuse_input
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.work.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

_GOOD_POWER = 0.8
"""Share of very bright angles that a test should find; the usual aim for the power of a test."""
DEFAULT_PERCENT = 25.0
"""Per cent of the largest values that n=0 means, as in LaueUtil."""


@dataclass(frozen=True, repr=False)
class LaueSpots(Displayed):
    """What `find_laue_spots` found.

    Attributes
    ----------
    output : Path
        The file written.
    spots : dict of ndarray
        The table, sorted by frame and label; columns as in the file's group ``spots``.
    counts : ndarray
        Spots on each mask.
    ratios : dict of ndarray or None
        On/off ratios of synchronised spots.
    warnings : tuple of str
        What the user should know about the result.
    """

    output: Path
    spots: dict[str, np.ndarray]
    counts: np.ndarray
    ratios: dict[str, np.ndarray] | None
    warnings: tuple[str, ...]

    @property
    def experiments(self) -> ExperimentList:
        """An empty list: Laue spots are found without models."""
        return ExperimentList()

    @property
    def reflections(self) -> ReflectionTable:
        """The spots as a table: pairs of pixel coordinates as floats, of boxes a column for each side."""
        columns: dict[str, np.ndarray] = {}
        for name, values in self.spots.items():
            if values.ndim == 1:
                columns[name] = values
            elif values.shape[1] == 2:
                columns[name] = values.astype(np.float64)
            else:
                columns |= {f"{name}.{i}": column for i, column in enumerate(values.T)}
        return ReflectionTable(columns)

    @property
    def report(self) -> Report:
        """Numbers of spots and masks, and warnings."""
        return Report(facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        return [("spots", len(self.spots["I"])), ("masks", len(self.counts)), ("file", str(self.output)),
                *(("warning", warning) for warning in self.warnings)]


def find_laue_spots(path: str | os.PathLike, options: LaueSpotsOptions | Mapping[str, Any] | None = None, *,
                    client: Client | None = None, progress: Progress | None = None, **named: Any) -> LaueSpots:
    """Find and integrate the spots of a scan, and write them to a file.

    Parameters
    ----------
    path : path
        A ``__mccd.h5`` file: images, and the group ``lauecollect``.
    options : LaueSpotsOptions or dict, optional
        The parameters of ``xdp laue_spots``.
    client : distributed.Client, optional
        Its workers run the tasks; by default ``mp.nproc`` threads of this process.
    progress : callable, optional
        Shows how far each stage is: ``with progress(total, label) as advance: advance(1)``.
    **named
        Parameters by name, laid over `options`: ``method="kruskal"``.

    Returns
    -------
    LaueSpots
        With ``spots``, ``ratios`` and ``report``.

    Raises
    ------
    XdpError
        If the input is not as the options need it, or the output exists.

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation.laue import LaueScan, simulate_laue, write_laue_scan
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "scan__mccd.h5")
    >>> write_laue_scan(path, simulate_laue(LaueScan(shape=(96, 96), n_spots=4)))
    >>> found = xdp.find_laue_spots(path, method="maxgroup", output=os.path.join(folder.name, "spots.h5"))
    >>> len(found.reflections) == found.report.facts["spots"] > 0
    True
    """
    options = make_options(LaueSpotsOptions, options, named)
    output = choose_output_path(path, options)
    inputs = Inputs(lambda: find_files_of_words([os.fspath(path)]))
    # no output, table or picture may replace the scan
    with protect(inputs):
        return _find_laue_spots(path, output, options, client, progress)


def _find_laue_spots(path: str | os.PathLike, output: Path, options: LaueSpotsOptions, client: Any,
                     progress: Progress | None) -> LaueSpots:
    """Find the spots and write them, once the input is protected."""
    # all that can be refused is refused before the first frame is read
    check_output_files(output, options)
    stack = ImageStack(path)
    design = read_design(path, stack.shape[0])
    check_angles(design, options.angles, f"{path}: lauecollect/angle")
    how = _choose_method(design, options)
    masks = group_frames(design, options.sync)
    warnings = find_design_warnings(design, options)
    run = Run(stack, options, how, client, output.parent, progress)
    with contextlib.closing(stack), contextlib.closing(run):
        stats, bits = run.compute_backgrounds()
        # the file appears when it is complete; a failure leaves none
        with atomic_output(output) as part:
            result = _write(part, run, design, masks, stats, bits)
    _write_extras(output, path, result[0], design, options)
    return LaueSpots(output, *result, (*warnings, *_find_pixel_warnings(stats, options)))


def choose_output_path(path: str | os.PathLike, options: LaueSpotsOptions) -> Path:
    """Where the spots go.

    Parameters
    ----------
    path : path
        The input.
    options : LaueSpotsOptions

    Returns
    -------
    Path
        ``output`` as given; else ``file__spots.h5`` for ``file__mccd.h5``, in the current folder.
    """
    if options.output is not AUTO:
        return Path(str(options.output))
    name = Path(path).name
    stem = name.removesuffix(".h5").removesuffix(".hdf5").removesuffix("__mccd")
    return Path(f"{stem}__spots.h5")


def check_output_files(output: Path, options: LaueSpotsOptions) -> None:
    """Stop before any work if an output exists or cannot be written.

    Raises
    ------
    XdpError
        If so.
    """
    # a table written after hours of work must not fail for its name
    for path in (output, options.table):
        if path:
            refuse_input(path)
        if path and os.path.exists(path) and not options.overwrite:
            raise XdpError(f"{path} exists already: choose another output (-o) or overwrite=True")
    if options.table and str(options.table).endswith(".parquet"):
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise XdpError(f"table={options.table}: Parquet needs pyarrow, which is not installed; "
                           "install it, or write a .csv") from None
    elif options.table and not str(options.table).endswith(".csv"):
        raise XdpError(f"table={options.table}: the name must end in .csv or .parquet")
    if options.png:
        from xdp.laue.pictures import check_planes

        check_planes(options.png)
    if options.structure[0] != 2:
        raise XdpError(f"structure={options.structure[0]},{options.structure[1]}: masks are images, "
                       "so the rank (first number) must be 2")


def _choose_method(design: Design, options: LaueSpotsOptions) -> Trimming | Grouping:
    """The method of background with its particulars; kruskal and maxgroup need laser data."""
    if options.method == "n_removed":
        return Trimming(count_removed(design.n_frames, options.n or DEFAULT_PERCENT), options.pedestal)
    require_laser(design, f"method={options.method} (-m {options.method})")
    groups = group_by_angle(design.angle)
    if groups.max() == 0:
        raise XdpError(f"method={options.method} (-m {options.method}) compares angles, and there is only one")
    return Grouping(tuple(groups.tolist()), options.alpha, options.method)


def find_design_warnings(design: Design, options: LaueSpotsOptions) -> list[str]:
    """Warn where the Kruskal-Wallis test cannot see a single bright angle."""
    if options.method != "kruskal":
        return []
    groups = group_by_angle(design.angle)
    power = estimate_kruskal_power(groups, options.alpha)
    if power >= _GOOD_POWER:
        return []
    sizes = np.bincount(groups)
    return [f"method=kruskal with {len(sizes)} angles of {int(np.median(sizes))} frames rejects one very bright angle "
            f"in only {100 * power:.0f} % of the cases (ranks do not grow with brightness); use method=maxgroup"]


def _find_pixel_warnings(stats: dict[str, np.ndarray], options: LaueSpotsOptions) -> list[str]:
    constant = int(np.count_nonzero(stats["std"] == 0))
    if not constant or options.exclude_constant:
        return []
    return [f"{constant} pixels have a background that does not vary (std = 0): by I >= avg + cutoff * std they are "
            "marked wherever they are at it, that is on nearly all frames; exclude_constant=True leaves them out"]


def _write(part: Path, run: Run, design: Design, masks: list[np.ndarray], stats: dict[str, np.ndarray],
           bits: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray] | None]:
    """Second pass, and the whole output file; gives spots, counts and ratios."""
    import h5py

    options = run.options
    gain = estimate_background_gain(stats, options.pedestal) if isinstance(options.gain, Auto) else options.gain
    with h5py.File(part, "w", locking=False) as file:
        writer = SpotsFile(file, run.stack.shape, len(masks), options.sync != "none", options.compression)
        writer.write_table("stats", stats)
        parts = []
        for mask, result in enumerate(run.process_masks(masks, bits, stats, gain)):
            parts += writer.add_mask(mask, masks[mask], result)
        spots = join_spot_tables(parts)
        writer.write_table("spots", {**spots, "frame2spotsBE": locate_frame_spots(spots["frame"], design.n_frames)})
        has_ratios = options.sync != "none" and design.has_off_and_on
        ratios = make_ratio_table(spots, masks, design) if has_ratios else None
        if ratios is not None:
            writer.write_table("ratios", ratios)
            writer.write_table("ratios/merged", merge_ratios(ratios))
        writer.finish(masks, design, _make_info(run, gain))
        counts = writer.counts
    return spots, counts, ratios


def _make_info(run: Run, gain: float) -> dict[str, Any]:
    """Attributes of the group ``info``: what was done with which numbers."""
    options = run.options
    info = {name: getattr(options, name) for name in ("method", "alpha", "cutoff", "erosions", "dilations", "angles",
                                                      "sync", "pedestal", "exclude_constant")}
    n_removed = run.how.n_removed if isinstance(run.how, Trimming) else 0
    return {**info, "n": options.n or DEFAULT_PERCENT, "n_removed": n_removed, "gain": gain,
            "structure": np.array(options.structure), "input": os.path.basename(run.stack.path)}


def _write_extras(output: Path, path: str | os.PathLike, spots: dict[str, np.ndarray], design: Design,
                  options: LaueSpotsOptions) -> None:
    """The table and pictures that were asked for."""
    if options.table:
        write = write_parquet if str(options.table).endswith(".parquet") else write_csv
        with atomic_output(options.table) as part:
            write(str(part), spots, design)
    if options.png:
        from xdp.laue.pictures import write_plane_pictures

        write_plane_pictures(output, path, options.png)
