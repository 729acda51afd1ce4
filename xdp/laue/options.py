"""The parameters of `xdp laue_spots`: names, meaning and defaults of LaueUtil's ``lu_hdf2spots``, and what is new."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, FilePath, Options, option
from xdp.work.options import ClusterOptions, MpOptions

Compression = Literal["gzip", "lzf", "none", "zstd", "lz4", "bitshuffle"]


class LaueSpotsOptions(Options):
    """Spots of a Laue scan without indexing. The first eleven are the reference's own."""

    output: FilePath | Auto = option(AUTO, "Output file (HDF5) (-o). Auto: file__spots.h5.", file="output")
    method: Literal["n_removed", "kruskal", "maxgroup"] = option(
        "n_removed", "How the background is found (-m): from all but the largest values, or (laser data) from the "
        "angles that carry no spot by the Kruskal-Wallis test, or by a test of the highest angle against the rest.")
    # the reference takes 0 for 25
    n: float = option(25.0, "Per cent of the largest values to drop with method=n_removed (-n); 0 means 25.",
                      ge=0, lt=100)
    alpha: float = option(0.05, "Level of the Kruskal-Wallis test and of that of maxgroup (-A).", gt=0, lt=1)
    cutoff: float = option(3.0, "A pixel belongs to a spot if I >= avg + cutoff * std (-c).")
    erosions: int = option(1, "Number of erosions of the raw masks (-e).", ge=0, le=1000)
    dilations: int = option(2, "Number of dilations after the erosions (-d).", ge=0, le=1000)
    structure: tuple[int, int] = option(
        (2, 2), "Rank (2) and connectivity (1: the four neighbours, 2: all eight) of the structure for erosion, "
        "dilation and labelling, as scipy.ndimage.generate_binary_structure takes them (-s).", ge=1)
    angles: int = option(10, "Smallest number of different values in lauecollect/angle (-a).", ge=1)
    sync: Literal["none", "pairs", "blocks"] = option(
        "none", "Synchronize masks (-S, laser data): over each off/on pair, or all frames at an angle.")
    compression: Compression = option("gzip", "Compression of the output (-C).")
    overwrite: bool = option(False, "Replace an existing output file.")
    # False is the reference's rule, though few will want it
    exclude_constant: bool = option(
        False, "Keep pixels whose background does not vary at all (gaps, dead pixels) out of the masks; "
        "by the reference's rule they are marked on all frames.")
    gain: float | Auto = option(
        AUTO, "Counts per photon, for sigma(I). Auto: the median of variance / mean of the background.", gt=0)
    pedestal: float = option(0.0, "The detector's reading without light, counts, for gain and skewness.")
    table: FilePath | None = option(
        None, "Also write the spots as a table: .csv, or .parquet with pyarrow.", file="output")
    png: tuple[str, ...] | None = option(
        None, "Also write these planes as pictures: avg std iqr max arg avg_corrected std_corrected n_rejected "
        "p_value, or frame:I masks_raw:I masks_filtered:I masks_synced:I labels:I with the index I.")
    rows: int | Auto = option(AUTO, "Rows of the detector a task takes. Auto: what the input's chunks and the memory "
                              "suggest. The result does not depend on it.", expert=1, ge=1)
    scratch: FilePath | None = option(None, "Folder for the uncompressed, transposed copy of the input; "
                                      "None: that of the output.", expert=1, file="folder")
    mp: MpOptions = option(MpOptions(nproc=AUTO), "Where and how the work runs.")
    cluster: ClusterOptions = option(ClusterOptions(), "The batch system, for mp.method other than none.")


class LaueImportOptions(Options):
    """Parameters of `xdp laue_import`."""

    output: FilePath | Auto = option(
        AUTO, "Output file. Auto: NAME__mccd.h5 after the log's or the images' name.", file="output")
    log: FilePath | None = option(
        None, "Lauecollect log, or a table (.csv, .txt: tab, comma or semicolon).", file="input")
    angle: tuple[float, ...] | None = option(None, "Angle of each frame, degrees, where there is no log.")
    start: float | None = option(None, "Angle of the first frame, degrees, where there is no log.")
    step: float | None = option(None, "Angle from frame to frame (or block to block), degrees, with start.")
    frames_per_angle: int = option(1, "Frames at each angle, with start and step.", ge=1)
    # whole numbers, not True and False: as the log has them
    laser: tuple[int, ...] | None = option(None, "Laser off (0) or on (1), repeated over the frames, as 0,1.",
                                           ge=0, le=1)
    compression: Compression = option("gzip", "Compression of the images.")
    rows: int = option(128, "Rows of the detector in a chunk.", expert=1, ge=1)
    overwrite: bool = option(False, "Replace an existing output file.")
    nproc: int | Auto | None = option(AUTO, "Threads; None or Auto: all usable cores.", ge=1)
