"""Batch processing of X-ray diffraction images, from image stacks to intensities.

Names are loaded when they are first used: ``import xdp`` itself imports nothing but the standard library.

Examples
--------
>>> import xdp
>>> images = xdp.import_images("images/")  # doctest: +SKIP
>>> spots = xdp.find_spots(images.experiments, d_min=2.0)  # doctest: +SKIP
>>> found = xdp.index(spots.experiments, spots.reflections)  # doctest: +SKIP
>>> found.report  # doctest: +SKIP
"""

__version__ = "0.1.0"

#: The module that each name of the front door comes from. ``__init__.pyi`` says the same to type checkers.
_HOMES = {
    # stages, each a function of the same shape: verb(inputs, options=None, *, client=None, progress=None, **named)
    "import_images": "xdp.images.importing.import_images",
    "find_spots": "xdp.spotfinding.find",
    "index": "xdp.indexing.index",
    "refine": "xdp.refinement.refine",
    "refine_settings": "xdp.indexing.refine_settings",
    "reindex": "xdp.indexing.reindex",
    "integrate": "xdp.integration.integrate",
    "find_symmetry": "xdp.symmetry.find",
    "cosym": "xdp.symmetry.cosym",
    "scale": "xdp.scaling.scale",
    "merge": "xdp.merging.merge",
    "compute_delta_cchalf": "xdp.merging.delta.compute",
    "estimate_resolution": "xdp.merging.resolution.estimate",
    "export": "xdp.exporting.export",
    "process": "xdp.pipeline.process",
    "find_hits": "xdp.serial.hits.find",
    "stills_process": "xdp.serial.process.process",
    "refine_metrology": "xdp.serial.metrology.refine_metrology",
    "find_laue_spots": "xdp.laue.find",
    "import_laue": "xdp.laue.import_scan",
    # their parameters
    "ImportOptions": "xdp.images.importing.options",
    "FindSpotsOptions": "xdp.spotfinding.options",
    "IndexOptions": "xdp.indexing.command_options",
    "RefineOptions": "xdp.refinement.command_options",
    "RefineSettingsOptions": "xdp.indexing.command_options",
    "ReindexOptions": "xdp.indexing.command_options",
    "IntegrateOptions": "xdp.integration.options",
    "SymmetryOptions": "xdp.symmetry.options",
    "CosymOptions": "xdp.symmetry.cosym_options",
    "ScaleOptions": "xdp.scaling.options",
    "MergeOptions": "xdp.merging.options",
    "ResolutionOptions": "xdp.merging.resolution.options",
    "DeltaCcHalfOptions": "xdp.merging.delta.options",
    "ExportOptions": "xdp.exporting.options",
    "ProcessOptions": "xdp.pipeline.options",
    "FindHitsOptions": "xdp.serial.hits.options",
    "StillsProcessOptions": "xdp.serial.process.options",
    "RefineMetrologyOptions": "xdp.serial.metrology.options",
    "LaueSpotsOptions": "xdp.laue.options",
    "LaueImportOptions": "xdp.laue.options",
    "MpOptions": "xdp.work.options",
    "ClusterOptions": "xdp.work.options",
    "SimulationOptions": "xdp.simulation.options",
    # models, tables, images, workers
    "open_stack": "xdp.images.stack",
    "open_events": "xdp.serial.events.open",
    "read_experiments": "xdp.experiment.io",
    "write_experiments": "xdp.experiment.io",
    "read_reflections": "xdp.reflections.refl",
    "write_reflections": "xdp.reflections.refl",
    "read_unmerged": "xdp.unmerged.read",
    "Experiment": "xdp.experiment.experiment",
    "ExperimentList": "xdp.experiment.experiment",
    "ReflectionTable": "xdp.reflections.table",
    "Flag": "xdp.reflections.flags",
    "simulate_rotation": "xdp.simulation.rotation",
    "connect": "xdp.cluster.connect",
    "XdpError": "xdp.errors",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    """Load a name of the front door (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'xdp' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # found without this function the next time
    return value


def __dir__() -> list[str]:
    """Names of the front door, loaded or not."""
    return sorted({*globals(), *_HOMES})
