"""Keys of the modules: names, types and defaults as in cctbx.xfel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from xdp.errors import OptionError
from xdp.options import Options, option
from xdp.options.named import make_options
from xdp.serial.calibration.options import CalibrationOptions
from xdp.serial.chain.configuration import CODE_KEYS, ModuleSettings, refuse_code
from xdp.serial.path_fields import fill_path_fields

Keys = TypeVar("Keys", bound=Options)
FIELD_KEYS = (*CODE_KEYS, "mean_out", "std_out", "max_out")
"""Keys whose values may have fields such as {run:04d}."""
NEEDS_PSANA: Mapping[str, str] = {
    "delta_k": "the undulator K is in LCLS streams only: the photon energy is that of the file",
    "laser_wait_time": "times of laser changes are in LCLS streams only",
    "bin_size": "the pixel size comes from the geometry of the shots",
    "crop_rayonix": "images are not cropped: the geometry of the shots has the beam centre",
    "calib_dir": "positions of the sections come from the geometry of the shots (events.geometry): the folder has no "
                 "geometry/*.data",
}
"""Keys that change nothing on files, and what is said where they are given."""
DATABASE = ("db_logging", "progress_logging", "sql_buffer_size", "db_version", "db_host", "db_name", "db_table_name",
            "db_experiment_tag", "db_user", "db_password", "db_tags")
"""Keys of MySQL records: accepted and ignored; their values are written nowhere."""


class ShotKeys(Options):
    """Keys that all modules have: which shots, and how they are corrected."""

    address: str | None = option(None, "Detector: <detector>-<n>|<device>-<n>, or its newer forms.")
    detz_offset: float = option(575.0, "Added to the encoder to give the distance, mm.")
    check_beam_status: bool = option(True, "Skip shots without a wavelength. False: go on with 0.")
    verbose: bool = option(False, "Print more for each event.")
    delta_k: float = option(0.0, NEEDS_PSANA["delta_k"])
    override_energy: float | None = option(None, "Photon energy of all shots, eV.", gt=0)
    calib_dir: str | None = option(None, NEEDS_PSANA["calib_dir"])
    common_mode_correction: Literal["none", "mean", "median", "mode", "gaussian", "chebyshev"] = option(
        "none", "Offset of each section that is subtracted besides the dark.")
    photon_threshold: float | None = option(None, "With two_photon_threshold: photon counts in averages.")
    two_photon_threshold: float | None = option(None, "See photon_threshold.")
    dark_path: str | None = option(None, "Mean dark, subtracted.")
    dark_stddev: str | None = option(None, "Standard deviation of the dark; wanted with dark_path.")
    mask_path: str | None = option(None, "Image whose -2 or -100000 marks bad pixels.")
    gain_map_path: str | None = option(None, "Image by which the corrected image is multiplied.")
    gain_map_level: float | None = option(None, "The gain map holds 0 and 1: factor of the pixels with 0.")
    cache_image: bool = option(True, "Later modules take the image as this module corrected it.")
    roi: str | None = option(None, "fast0:fast1,slow0:slow1")
    laser_1_status: int | None = option(None, "Only shots with laser 1 off (0) or on (1).", ge=0, le=1)
    laser_4_status: int | None = option(None, "Only shots with laser 4 off (0) or on (1).", ge=0, le=1)
    laser_wait_time: int | None = option(None, NEEDS_PSANA["laser_wait_time"])
    override_beam_x: float | None = option(None, "Beam centre along fast, pixels.")
    override_beam_y: float | None = option(None, "Beam centre along slow, pixels.")
    bin_size: int | None = option(None, NEEDS_PSANA["bin_size"])
    crop_rayonix: bool = option(False, NEEDS_PSANA["crop_rayonix"])

    def make_calibration(self) -> CalibrationOptions:
        """The parameters of the correction."""
        return CalibrationOptions(**{name: getattr(self, name) for name in (
            "dark_path", "dark_stddev", "common_mode_correction", "gain_map_path", "gain_map_level", "mask_path")})


class HitfindKeys(ShotKeys):
    """Keys of mod_hitfind."""

    dispatch: Literal["nop", "index", "view", "spots", "write_dict"] | None = option(
        None, "What is done with what passed.")
    integration_dirname: str = option("integration", "Folder of integration files.")
    integration_basename: str = option("", "Prefix of integration files.")
    out_dirname: str | None = option(None, "Folder of images for write_dict.")
    out_basename: str | None = option(None, "Prefix of images for write_dict.")
    threshold: int | None = option(None, "Counts of the corrected image. None: every event passes.")
    distl_min_peaks: int | None = option(None, "Hit if at least so many peaks are higher than threshold.", ge=0)
    distl_flags: tuple[Literal["permissive", "restrictive"], ...] | None = option(None, "Exactly one of the two.")
    xtal_target: str | None = option(None, "PHIL file with settings of Spotfinder, indexing and integration.")
    negate_hits: bool = option(False, "Hits are skipped, misses go on.")
    trial_id: int | None = option(None, "For the record of the run.")
    trial: int | None = option(None, "For the record of the run.")
    rungroup_id: int | None = option(None, "For the record of the run.")


class DumpKeys(ShotKeys):
    """Keys of mod_dump."""

    out_dirname: str | None = option(None, "Folder; made with its parents. None: the current one.")
    out_basename: str | None = option(None, "Prefix; wanted.")
    out_format: Literal["h5", "cbf", "tiff", "zarr", "npy", "pickle"] = option("h5", "Form of the images.")
    xtal_target: str | None = option(None, "Accepted; used by mod_hitfind only.")


class RadialAverageKeys(ShotKeys):
    """Keys of mod_radial_average."""

    out_dirname: str | None = option(None, "Folder of the averages. None: the current one.")
    out_basename: str = option("radial-", "Prefix of the file.")
    two_theta_low: float | None = option(None, "2theta at which the average is recorded, degrees.", ge=0)
    two_theta_high: float | None = option(None, "The same, high side: their ratio tells hits from empty jets.", ge=0)


class AverageKeys(ShotKeys):
    """Keys of mod_average."""

    mean_out: str | None = option(None, "File of the mean.")
    std_out: str | None = option(None, "File of the standard deviation.")
    max_out: str | None = option(None, "File of the maximum.")
    avg_dirname: str | None = option(None, "Older form: folder of the mean.")
    avg_basename: str | None = option(None, "Older form: prefix of the mean.")
    stddev_dirname: str | None = option(None, "Older form: folder of the deviation.")
    stddev_basename: str | None = option(None, "Older form: prefix of the deviation.")
    max_dirname: str | None = option(None, "Older form: folder of the maximum.")
    max_basename: str | None = option(None, "Older form: prefix of the maximum.")
    background_path: str | None = option(None, "Image subtracted from each shot.")
    flags: tuple[Literal["inactive", "noelastic", "nonoise", "symnoise", "sigma_scaling", "skew"], ...] = option(
        (), "See xdp average.")
    hot_threshold: float | None = option(None, "Pixels whose dark is above this many times its median become 0.")
    gain_threshold: float | None = option(None, "Pixels whose gain is above this become 0.")
    noise_threshold: float = option(7.0, "See xdp average.")
    elastic_threshold: float = option(9.0, "See xdp average.")
    symnoise_threshold: float = option(4.0, "See xdp average.")


class KeyReport:
    """What is said about the keys of all modules, each thing once.

    Attributes
    ----------
    unknown : list of str
        Keys that no module has, with the module's label.
    notes : list of str
        What is accepted and changes nothing.
    """

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.notes: list[str] = []

    def list_warnings(self) -> list[str]:
        """One line for all unknown keys, and one for each note."""
        unknown = [f"Ignored unknown arguments: {', '.join(self.unknown)}"] if self.unknown else []
        return [*unknown, *dict.fromkeys(self.notes)]


def read_keys(settings: ModuleSettings, model: type[Keys], run: Mapping[str, Any], report: KeyReport) -> Keys:
    """Read the keys of a module.

    Parameters
    ----------
    settings : ModuleSettings
    model : type of Options
        Its keys.
    run : mapping
        What is known of the run: ``run``, ``experiment`` and the like.
    report : KeyReport
        Gets the keys that are unknown or change nothing.

    Returns
    -------
    instance of `model`

    Raises
    ------
    OptionError
        If a value is wrong, or Python code.
    """
    values: dict[str, Any] = {}
    for key, text in settings.keys.items():
        refuse_code(key, text, settings.label)
        if key in DATABASE:
            report.notes.append("keys of MySQL records (db_..., progress_logging) are ignored: xdp keeps a record of "
                                "the run of its own")
        elif key not in model.model_fields:
            report.unknown.append(f"{key} ({settings.label})")
        else:
            values[key] = _fill(key, text, run)
            if key in NEEDS_PSANA and values[key] not in ("False", "0", "0.0"):
                report.notes.append(f"{key} is not used: {NEEDS_PSANA[key]}")
    try:
        return make_options(model, values)
    except OptionError as error:
        raise OptionError(f"{settings.label}: {error}") from None


def _fill(key: str, text: str, run: Mapping[str, Any]) -> str:
    """A value with the run's number and fields put in."""
    number = run.get("run")
    if "RUN_NO" in text:
        if number is None:
            raise OptionError(f"{key} = {text}: RUN_NO needs the number of the run; give run=...")
        text = text.replace("RUN_NO", str(number))
    if key in FIELD_KEYS:
        return fill_path_fields(text, run)
    # words of a choice stand between blanks in the original; PHIL joins them with +
    return "+".join(text.replace(",", " ").split()) if key in ("distl_flags", "flags") else text
