"""Integrated reflections to a file, in whatever form the options name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdp.exporting.options import ExportOptions

if TYPE_CHECKING:
    from xdp.experiment.experiment import ExperimentList
    from xdp.reflections.table import ReflectionTable


def export(experiments: ExperimentList, table: ReflectionTable, options: ExportOptions | None = None,
           ) -> tuple[int, tuple[str, ...]]:
    """Write reflections, and give how many were written (points, for JSON) and the files.

    Parameters
    ----------
    experiments, table
        Integrated or scaled; for JSON anything with centroids.
    options : ExportOptions, optional
        The form, and its parameters.

    Raises
    ------
    XdpError
        As the writers do (see :mod:`xdp.exporting.mtz`), and if a file is an image of the experiments.
    """
    from xdp.images.input_files import protect_images

    options = options or ExportOptions()
    with protect_images(experiments):
        return _export(experiments, table, options)


def _export(experiments: ExperimentList, table: ReflectionTable, options: ExportOptions) -> tuple[int, tuple[str, ...]]:
    """Write the reflections, once the images are protected."""
    from xdp.exporting import mtz, shelx, xds_ascii
    from xdp.exporting import other_formats as other_exports
    from xdp.exporting.selection import resolve_intensity
    from xdp.files import together

    if options.format == "json":
        return other_exports.write_rlp_json(experiments, table, options.json_), (options.json_.filename,)
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
    if options.format == "shelx":
        return options.shelx.hklout, options.shelx.ins
    return (options.json_.filename if options.format == "json" else options.xds_ascii.hklout,)
