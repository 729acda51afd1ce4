"""Integrated reflections to a file, in whatever form the options name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xdp.display import Displayed
from xdp.exporting.options import ExportOptions
from xdp.options.named import make_options
from xdp.report.tables import Report
from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from distributed import Client

    from xdp.experiment.experiment import ExperimentList
    from xdp.reflections.table import ReflectionTable


@dataclass(frozen=True, repr=False)
class Exported(Displayed):
    """What :func:`export` wrote.

    Attributes
    ----------
    experiments, reflections
        Those that were given.
    n_written : int
        How many reflections the files hold (points of the reciprocal lattice, for JSON).
    files : tuple of str
        The files.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    n_written: int
    files: tuple[str, ...]

    @property
    def report(self) -> Report:
        """How many reflections were written, and where."""
        return Report(facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        return [("written", self.n_written), ("of", len(self.reflections)), ("files", self.files)]


def export(experiments: ExperimentList, reflections: ReflectionTable,
           options: ExportOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
           progress: Progress | None = None, **named: Any) -> Exported:
    """Write integrated reflections in a form that other programs read.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals.
    reflections : ReflectionTable
        Integrated or scaled; for JSON anything with centroids.
    options : ExportOptions or dict, optional
        The parameters of ``xdp export``: the form, its file, and which reflections are written.
    client : distributed.Client, optional
        Not used: this process writes the files. The other verbs have it in this place.
    progress : callable, optional
        Shows when the files are written.
    **named
        Parameters by name, laid over `options`: ``format="xds_ascii"``, ``d_min=1.8``.

    Returns
    -------
    Exported
        With ``files`` and ``n_written``.

    Raises
    ------
    XdpError
        If reflections or models do not serve (see :mod:`xdp.exporting.mtz`), or a file is an image of the experiments.

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation import make_integrated
    >>> experiments, reflections = make_integrated()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "lysozyme.mtz")
    ...     found = xdp.export(experiments, reflections, {"mtz.hklout": path})
    ...     found.files == (path,) and os.path.getsize(path) > 0
    True
    """
    from xdp.images.input_files import protect_images

    chosen = make_options(ExportOptions, options, named)
    with protect_images(experiments), (progress or no_progress)(1, "export") as advance:
        n_written, files = write_files(experiments, reflections, chosen)
        advance(1)
    return Exported(experiments, reflections, n_written, files)


def write_files(experiments: ExperimentList, table: ReflectionTable, options: ExportOptions
                ) -> tuple[int, tuple[str, ...]]:
    """Write the files of :func:`export`; how many reflections (or points) they hold, and their names."""
    from xdp.exporting import mtz, nexus, pets, shelx, xds_ascii
    from xdp.exporting import other_formats as other_exports
    from xdp.exporting.selection import resolve_intensity
    from xdp.files import together

    if options.format == "json":
        return other_exports.write_rlp_json(experiments, table, options.json_), (options.json_.filename,)
    if options.format == "pets":
        files = export_files(options)
        return pets.write_pets(files[0], experiments, table, options.intensity, options.pets), files
    if options.format == "nxs":
        return nexus.write_nexus(options.nxs.hklout, experiments, table, options.nxs), export_files(options)
    intensity, rules = resolve_intensity(table, options.intensity), options.mtz
    files = export_files(options, "scaled" if "scale" in intensity else "integrated")
    if options.format == "mtz":
        return mtz.write_mtz(files[0], experiments, table, intensity, rules), files
    if options.format == "mmcif":
        n = other_exports.write_mmcif(files[0], experiments, table, intensity, rules, options.mmcif.compress)
        return n, files
    if options.format == "shelx":
        with together():
            return shelx.write_shelx(experiments, table, options.intensity, options.shelx, rules), files
    with together():
        n, paths = xds_ascii.write_xds_ascii(options.xds_ascii.hklout, experiments, table, intensity, rules)
    return n, tuple(map(str, paths))


def export_files(options: ExportOptions, stem: str = "integrated") -> tuple[str, ...]:
    """The files that :func:`export` writes; with several experiments XDS_ASCII files are numbered instead."""
    def named(name: object, ending: str) -> str:
        return name if isinstance(name, str) else f"{stem}.{ending}"

    if options.format == "mtz":
        return (named(options.mtz.hklout, "mtz"),)
    if options.format == "mmcif":
        compress = options.mmcif.compress
        return (named(options.mmcif.hklout, "cif") + (f".{compress}" if compress else ""),)
    if options.format == "pets":
        return (f"{options.pets.filename_prefix}.cif_pets",)
    if options.format == "shelx":
        return options.shelx.hklout, options.shelx.ins
    if options.format == "nxs":
        return (options.nxs.hklout,)
    return (options.json_.filename if options.format == "json" else options.xds_ascii.hklout,)
