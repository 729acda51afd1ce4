"""Parameters of `xdp export`."""

from __future__ import annotations

from typing import Literal

from xdp.options.inputs import InputOptions
from xdp.options.kinds import FilePath, UnitCell
from xdp.options.model import AUTO, Auto, Options, option


class MtzOptions(Options):
    """The MTZ file, and which reflections any file of intensities gets."""

    combine_partials: bool = option(
        True, "Join the parts of a reflection that were integrated apart (equal partial_id) to one reflection.")
    partiality_threshold: float = option(
        0.4, "Leave out reflections of which less than this fraction was recorded, after parts were joined.", ge=0)
    min_isigi: float | None = option(-5.0, "Leave out reflections whose I/sigma is below this.")
    force_static_model: bool = option(
        False, "Write the mean cell and orientation for each batch, even where they vary over the scan.")
    filter_ice_rings: bool = option(False, "Leave out reflections flagged to lie on ice rings.")
    d_min: float | None = option(None, "Leave out reflections of this resolution and finer, Å.", ge=0)
    hklout: FilePath | Auto = option(
        AUTO, "The MTZ file; Auto: integrated.mtz, or scaled.mtz for scaled data.", file="output")
    crystal_name: str = option("XTAL", "Name of the crystal in the file.")
    project_name: str = option("DIALS", "Name of the project in the file.")
    dataset_name: str = option("FROMDIALS", "Name of the data set in the file.")
    best_unit_cell: UnitCell | None = option(
        None, "The cell of the file and of d_min; None: the median of the experiments' cells.")


class XdsAsciiOptions(Options):
    """The file in the form of XDS' XDS_ASCII.HKL."""

    hklout: FilePath = option("DIALS.HKL", "The file; several experiments get a file each, numbered.", file="output")


class MmcifOptions(Options):
    """The file of unmerged intensities in mmCIF."""

    hklout: FilePath | Auto = option(
        AUTO, "The file; Auto: integrated.cif, or scaled.cif for scaled data.", file="output")
    compress: Literal["gz", "bz2", "xz"] | None = option(None, "Compress the file; the ending is added to its name.")


class ShelxOptions(Options):
    """The SHELX file (HKLF 4)."""

    hklout: FilePath = option("dials.hkl", "The file of intensities.", file="output")
    ins: FilePath = option("dials.ins", "The file of cell and symmetry.", file="output")
    scale: bool = option(True, "Bring the intensities to the scale that uses the eight columns of a number best.")
    scale_range: tuple[float, float] = option((-9999.0, 9999.0), "Least and largest number after scaling.")


class JsonOptions(Options):
    """The file of points of the reciprocal lattice."""

    filename: FilePath = option("rlp.json", "The file.", file="output")
    compact: bool = option(True, "All on one line.")
    n_digits: int = option(6, "Decimals of the coordinates (1/Å).", ge=1)


class PetsVirtualFrame(Options):
    """The frames of a PETS file, each of which stands for one image or several in a row."""

    excitation_error_cutoff: float = option(
        0.04, "A reflection is on a frame if it lies at most so far from the Ewald sphere in the middle of it, 1/Å.",
        ge=0)
    n_merged: int = option(1, "Images that a frame stands for.", ge=1)
    step: int = option(1, "Images from the beginning of a frame to that of the next.", ge=1)


class PetsOptions(Options):
    """The file for PETS2 and Jana2020 (electron diffraction)."""

    filename_prefix: str = option(
        "dials_dyn", "The name of the file without its ending, .cif_pets.", file="output",
        names="{filename_prefix}.cif_pets")
    id: int | None = option(None, "The number of the experiment, from 0; None: there is only one.", ge=0)
    partiality_cutoff: float = option(0.99, "Leave out reflections of which less than this fraction was recorded.")
    flag_filtering: bool = option(False, "Leave out reflections that are not flagged as integrated.")
    virtual_frame: PetsVirtualFrame = option(PetsVirtualFrame(), "The frames.")


class NexusOptions(Options):
    """The NeXus file of models and reflections."""

    hklout: FilePath = option("integrated.nxs", "The file.", file="output")
    instrument_name: str = option("Unknown", "Name of the instrument or beamline.")
    instrument_short_name: str = option("Unknown", "A short name of it.")
    source_name: str = option("Unknown", "Name of the radiation source.")
    source_short_name: str = option("Unknown", "A short name of it.")


class ExportOutput(Options):
    """What `xdp export` writes beside the file."""

    log: str | None = option(
        "xdp.export.log", "File for the messages that are also on the screen; None: no file.", file="output")


class ExportOptions(Options):
    """Parameters of `xdp export`."""

    format: Literal["mtz", "xds_ascii", "nxs", "mmcif", "shelx", "pets", "json"] = option(
        "mtz", "The form of the file.")
    intensity: tuple[Literal["auto", "profile", "sum", "scale"], ...] = option(
        ("auto",), "Which intensities: auto is scale where the data are scaled, else sum+profile.")
    mtz: MtzOptions = option(MtzOptions(), "The MTZ file, and the choice of reflections.")
    xds_ascii: XdsAsciiOptions = option(XdsAsciiOptions(), "The XDS_ASCII file.")
    nxs: NexusOptions = option(NexusOptions(), "The NeXus file.")
    mmcif: MmcifOptions = option(MmcifOptions(), "The mmCIF file.")
    shelx: ShelxOptions = option(ShelxOptions(), "The SHELX files.")
    pets: PetsOptions = option(PetsOptions(), "The PETS file.")
    json_: JsonOptions = option(JsonOptions(), "The JSON file.")
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: ExportOutput = option(ExportOutput(), "Other files.")
