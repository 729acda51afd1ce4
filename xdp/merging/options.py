"""Parameters of `xdp merge`. Names, types and defaults are those of dials.merge where it has them."""

from __future__ import annotations

from xdp.merging.stills.options import StillsOptions
from xdp.options.inputs import InputOptions
from xdp.options.kinds import FilePath, UnitCell
from xdp.options.model import Options, option


class FrenchWilsonOptions(Options):
    """Amplitudes from intensities."""

    anisotropic: bool = option(
        True, "Expected intensities fall off at different rates in different directions, as far as symmetry allows.")
    min_reflections: int = option(
        200, "With fewer reflections there are no amplitudes of this kind, unless a flat prior is allowed.", ge=0)
    fallback_to_flat_prior: bool = option(
        True, "With too few reflections all amplitudes are held to be equally likely beforehand.")


class StatisticsOptions(Options):
    """The table of merging statistics."""

    n_bins: int = option(20, "Shells of resolution, of equal volume in reciprocal space.", ge=1)
    anomalous: bool = option(False, "Friedel mates are different reflections in the table.")


class FreeFlagOptions(Options):
    """Reflections that refinement leaves out, to judge models by them."""

    fraction: float = option(0.05, "Their part of all reflections; 0: no column FreeR_flag.", ge=0, le=0.5)
    seed: int = option(0, "Of the choice, which does not depend on what was measured.")
    reference: FilePath | None = option(
        None, "An MTZ or mmCIF file whose test set is taken, and extended to reflections that it lacks.", file="input")


class MtzNames(Options):
    """Names in the MTZ file."""

    crystal_name: str = option("XTAL", "Name of the crystal in the file.")
    project_name: str = option("AUTOMATIC", "Name of the project in the file.")
    dataset_name: str = option("NATIVE", "Name of the data set in the file.")


class MergeOutput(Options):
    """What `xdp merge` writes."""

    mtz: FilePath = option("merged.mtz", "The MTZ file.", file="output")
    mmcif: str | None = option(
        None, "File for intensities, amplitudes and statistics as mmCIF, for the PDB; None: no file.", file="output")
    scalepack: str | None = option(None, "File for intensities as SCALEPACK (.sca); None: no file.", file="output")
    shelx: str | None = option(None, "File for intensities as SHELX (HKLF 4); None: no file.", file="output")
    table_one: str | None = option(
        None, "File for the table of a paper: .txt, .csv, or .tex (LaTeX); None: it is printed only.", file="output")
    hkl: str | None = option(
        None, "File for intensities as CrystFEL's list (.hkl), with two halves beside it (.hkl1, .hkl2); None: none.",
        file="output")
    json_: str | None = option(None, "File for the numbers of the tables; None: no file.", file="output")
    log: str | None = option(
        "xdp.merge.log", "File for the messages that are also on the screen; None: no file.", file="output")


class MergeOptions(Options):
    """Parameters of `xdp merge`."""

    d_min: float | None = option(None, "Leave out reflections finer than this, Å.", ge=0)
    d_max: float | None = option(None, "Leave out reflections coarser than this, Å.", ge=0)
    anomalous: bool = option(True, "Write Friedel mates and their differences as well.")
    halves: bool = option(False, "Write the means of two halves of the observations as well (IHALF1, IHALF2).")
    truncate: bool = option(True, "Write amplitudes, after French and Wilson.")
    french_wilson: FrenchWilsonOptions = option(FrenchWilsonOptions(), "Amplitudes.")
    partiality_threshold: float = option(
        0.4, "Leave out observations of which less than this fraction was recorded.", ge=0, le=1)
    best_unit_cell: UnitCell | None = option(
        None, "The cell of the file and of resolutions; None: the median of the experiments' cells.")
    n_residues: int = option(200, "Residues in the asymmetric unit, for the absolute scale of the Wilson plot.", ge=1)
    merging: StatisticsOptions = option(StatisticsOptions(), "The table.")
    free_flags: FreeFlagOptions = option(FreeFlagOptions(), "The test set.")
    mtz: MtzNames = option(MtzNames(), "Names in the MTZ file.")
    stills: StillsOptions = option(StillsOptions(), "Merging of stills; not used for rotation data.")
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: MergeOutput = option(MergeOutput(), "Files that are written.")
