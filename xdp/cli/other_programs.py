"""Commands of other programs, and what to use instead of them here.

Loaded only where a command is not known. What is said of a command is what xdp does in its place; where it does nothing
of the kind, that is said too, with the program that reads the files of xdp.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

_NOTHING = "xdp has nothing for it yet"
_VIEW = f"{_NOTHING}; xdp export_images draws frames and spots as PNG files"
_LATTICE = f"{_NOTHING}; xdp export format=json writes the reciprocal lattice for viewers"
_SCALE = f"{_NOTHING}; DIALS reads the files of xdp integrate and xdp scale, Pointless those of xdp export"
_STILLS = "use xdp stills_process, or xdp find_spots, xdp index and xdp integrate, which take stills"
_METROLOGY = "use xdp refine, which refines the panels of a detector against indexed spots"
_AVERAGE = f"{_NOTHING}; xdp export_images sum_images=N draws sums of frames"
_DETECTOR = f"{_NOTHING}; xdp import reads the geometry from the headers, and reference_geometry= from an .expt file"
_MODEL = f"{_NOTHING}: it is not about images and their reflections"
_FORMATS = f"{_NOTHING}; xdp import reads the images as they are, xdp convert writes them as zarr"
_XDS = "use xdp process, or its stages one by one; xdp export format=xds_ascii writes XDS_ASCII.HKL for XSCALE"
_FILES = f"{_NOTHING}; xdp show prints what is in such files"

#: What to use instead, and the commands for which that holds: their names without the program before them
#: (``dials.``), in small letters, dashes as underscores.
_BY_ADVICE = {
    _VIEW: "image_viewer viewer view plot_reflections hdfsee adxv albula",
    _LATTICE: "reciprocal_lattice_viewer rlv rl_png",
    _SCALE:
        "xfel.merge refine_error_model damage_analysis "
        "merging postrefine partialator process_hkl ambigator check_hkl compare_hkl get_hkl whirligig xia2.multiplex "
        "scalepack ctruncate",
    _STILLS: "index_cxi indexamajig crystfel cheetah psocake xia2.ssx",
    _METROLOGY:
        "cbf_metrology cspad_cbf_metrology metrology detector_congruence detector_shifts detector_statistics striping "
        "geoptimiser align_detector detector_shift adjust_detector",
    _AVERAGE: "merge_cbf image_average average mpi_average",
    _DETECTOR: "two_theta_offset powder_calibrate",
    _FORMATS: "convert_to_cbf dlsnxs2cbf image2pickle eiger2cbf nexus2cbf",
    _XDS: "import_xds xds xds_par xds.inp generate_xds.inp autoproc xdsgui xdsapp fast_dp xdsstat",
    _FILES: "reflection_viewer geometry_viewer spot_resolution_shells plot_detector_models show_mask_info",
    _MODEL: "plot_fo_vs_fc",
    _NOTHING:
        "rs_mapper stereographic_projection cluster_unit_cell unit_cell_histogram split_experiments "
        "sequence_to_stills sort_reflections augment_spots align_crystal goniometer_calibration export_best "
        "anvil_correction shadow_plot indexed_as_integrated missing_reflections complete_full_sphere "
        "generate_distortion_maps detector_superpose display_parallax_correction filter_experiments_by_rmsd "
        "cell_explorer partial_sim render_hkl make_pixelmap best precognition predict_laue",
    "use xdp export_images": "export_bitmaps",
    f"{_NOTHING}; xdp integrate output.report=report.json writes the reference profiles": "reference_profile_viewer",
    "use xdp show show_scan_varying=True": "plot_scan_varying_model frame_orientations",
    f"{_NOTHING}; xdp refine gives the cell with its standard uncertainties": "two_theta_refine",
    "use xdp refine_bravais_settings": "check_indexing_symmetry rbs",
    "use xdp show, which prints the orientations": "compare_orientation_matrices",
    "use xdp find_hot_pixels": "find_bad_pixels",
    "use xdp generate_mask with output.experiments=": "apply_mask",
    "use xdp model_background": "background",
    "use xdp integrate, which makes the profile model": "create_profile_model",
    f"{_NOTHING}; xdp integrate predicts what it measures": "predict",
    "use xdp report": "report",
    "give all .expt and .refl files to one command: xdp index, xdp refine and xdp integrate take several pairs":
        "combine_experiments",
    "use xdp import image_range=, or scan_range= of xdp find_spots and xdp integrate": "slice_sequence",
    "use xdp index, which takes stills": "ssx_index",
    "use xdp integrate, which takes stills": "ssx_integrate",
    "use xdp find_spots: its log has the counts of each image": "spot_counts_per_image detect_blanks dozor",
    "use xdp export, which selects by d_min= and the scope mtz": "filter_reflections",
    "give all .refl files to one command, each with its .expt": "merge_reflection_lists",
    "use xdp import with geometry.detector... and geometry.beam...": "modify_geometry",
    "use xdp find_spots with mp.method= for many workers": "find_spots_server find_spots_client",
    "nothing is needed: xdp import gives each experiment its identifier": "assign_experiment_identifiers",
    "use xdp --version": "version",
    "use xdp import: docs/import.md says how a format of your own is added": "plugins",
    "use xdp integrate": "simple_integrate integration",
    "use xdp show on the images": "print_header show_matching_formats",
    "use xdp import": "print_matching_images import_images",
    "docs/import.md lists the formats": "show_registry",
    "use xdp show image_statistics.show_raw=True": "saturation",
    f"{_NOTHING}; xdp model_background smooths the background along circles about the beam": "radial_average",
    "docs/import.md says how a format of your own is added": "install_format",
    "use xdp refine: its log has the RMSDs": "detector_residuals",
    "use xdp process": "process mosflm ipmosflm imosflm denzo hkl2000 hkl3000",
    "use xdp generate_mask": "make_dials_mask make_mask mask",
    "use xdp submit": "mpi_submit qsub bsub sbatch",
    f"{_NOTHING}; xdp submit, xdp status and xdp logs follow runs": "gui",
    "use xdp submit --cluster lsf": "lsf",
    "use xdp submit --cluster pbs": "pbs",
    "use xdp estimate_gain": "calc_gain_ratio gain",
    "use xdp reindex": "cell_tool",
    "use xdp demo, or xdp.simulate_rotation in Python": "pattern_sim",
    "use xdp show on the file": "list_events h5ls",
    "use xdp export format=xds_ascii, and XSCALE on its file": "xscale",
    "use xdp export": "xdsconv combat",
    "use xdp process, and dials.scale on its files": "xia2",
    "use xdp index": "labelit labelit.index autoindex indexing",
    "use xdp find_spots": "distl spotfinder peakfinder8 find_peaks",
    "use xdp export, and Pointless on integrated.mtz": "pointless",
    "use xdp export, and Aimless on integrated.mtz": "aimless",
    "xdp show does not read MTZ files; gemmi mtz does": "mtzdump",
    "use xdp laue_spots, which takes the same options": "lu_hdf2spots",
    "use xdp laue_import": "lu_mccd2hdf lu_mccd2hdf5 lu_img2hdf",
    "use xdp laue_spots: it writes ratios of light on and off": "lu_hdf2ratios",
    "use xdp laue_import, then xdp laue_spots": "laueutil",
    "use xdp refine": "refinement",
    "use xdp status": "qstat bjobs squeue",
    "leave out the second xdp": "xdp",
    "use xdp cancel": "qdel bkill scancel kill stop",
}

#: What to use instead of each command.
ADVICE: Mapping[str, str] = {name: advice for advice, names in _BY_ADVICE.items() for name in names.split()}

#: What families of commands are for, by the part before the first dot.
_FAMILIES = {
    "dials": f"{_NOTHING}; the command of DIALS reads the .expt and .refl files of xdp", "dxtbx": _NOTHING,
    "cctbx": _NOTHING, "xfel": _STILLS, "cxi": _STILLS, "cspad": _METROLOGY, "xpp": _NOTHING, "xes": _NOTHING,
    "xia2": "use xdp process, and dials.scale on its files", "phenix": _MODEL, "mmtbx": _MODEL, "iotbx": _FILES,
    "libtbx": _MODEL, "labelit": "use xdp index", "prime": _SCALE, "pyfai": _NOTHING,
    "laue": f"{_NOTHING}: Laue images are not indexed; xdp laue_spots finds and integrates their spots",
}
#: Families whose commands do the same as ours of the same name; phenix.refine does not.
_KIN = frozenset({"dials", "dxtbx", "cctbx", "xfel", "cxi", "cspad"})
_PYFAI = re.compile(r"pyfai[_.]")


def advise_on_command(typed: str, commands: Mapping[str, str]) -> str | None:
    """Say what to use instead of a command of another program.

    Parameters
    ----------
    typed : str
        What stands where xdp's command should be: ``dials.image_viewer``, ``indexamajig``.
    commands : mapping of str to str
        The commands of xdp; one of the same name comes first.

    Returns
    -------
    str or None
        None if the command is not known of any program.

    Examples
    --------
    >>> advise_on_command("dials.find_spots", {"find_spots": ""})
    'use xdp find_spots'
    >>> advise_on_command("cctbx.xfel.merge", {})[:26]
    'xdp has nothing for it yet'
    """
    name = typed.lower().replace("-", "_")
    family, *parts = [part for part in re.split(r"\.", name) if part] or [""]
    # The whole name first (xia2.multiplex), then what is left of it without the program and its parts.
    for key in (name, ".".join(parts), parts[-1] if parts else ""):
        if family in _KIN and key in commands:
            return f"use xdp {key}"
        if key in ADVICE and (key == name or family in _KIN):
            return ADVICE[key]
    if _PYFAI.match(name):
        family, parts = "pyfai", ["pyfai"]
    if not parts or family not in _FAMILIES:
        return None
    near = difflib.get_close_matches(parts[-1], [*commands, *ADVICE], 1, 0.8) if family in _KIN else []
    return f"did you mean {near[0]}?" if near else _FAMILIES[family]
