"""The top parameters of the commands around indexing: what each writes, and its own options."""

from __future__ import annotations

from xdp.indexing.options import MOST_DEGREES, AxisSearch, BeamSearch, Indexing
from xdp.options.inputs import InputOptions
from xdp.options.kinds import FilePath, SpaceGroup
from xdp.options.model import Auto, Options, option
from xdp.refinement.options import Refinement


class IndexOutput(Options):
    """What `xdp index` writes."""

    experiments: str = option("indexed.expt", "The models.", file="output", in_place=True)
    reflections: str = option("indexed.refl", "The reflections.", file="output", in_place=True)
    log: str | None = option(
        "xdp.index.log", "File for the messages that are also on the screen; None: no file.", file="output")


class IndexOptions(Options):
    """Parameters of `xdp index`."""

    indexing: Indexing = option(Indexing(), "Indexing.")
    refinement: Refinement = option(Refinement(), "Refinement while indexing.", expert=1)
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: IndexOutput = option(IndexOutput(), "Files that are written.")


class RefineSettingsOutput(Options):
    """What `xdp refine_bravais_settings` writes."""

    directory: str | None = option(None, "The folder of the output; None: the current one.", file="folder")
    prefix: str | None = option(
        None, "Put before the names of all files.", file="output", names="{directory}/{prefix}bravais_*")
    log: str | None = option(
        "xdp.refine_bravais_settings.log", "File for the messages that are also on the screen; None: no file.",
        file="output")


class RefineSettingsOptions(Options):
    """Parameters of `xdp refine_bravais_settings`."""

    lepage_max_delta: float = option(5.0, "Largest deviation of the lattice from a symmetry, degrees.", ge=0,
                                    le=MOST_DEGREES)
    refinement: Refinement = option(Refinement(), "Refinement in each setting.", expert=1)
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: RefineSettingsOutput = option(RefineSettingsOutput(), "Files that are written.")


class ReindexOutput(Options):
    """What `xdp reindex` writes."""

    experiments: str = option("reindexed.expt", "The models.", file="output", in_place=True)
    reflections: str = option("reindexed.refl", "The reflections.", file="output", in_place=True)


class ReferenceOptions(Options):
    """A data set with whose indexing another one is to agree."""

    experiments: FilePath | None = option(
        None, "The .expt of the reference, where its reflections are a .refl; by default the file beside it that "
        "differs in the ending only.", file="input")
    reflections: FilePath | None = option(
        None, "Intensities, as .refl, merged MTZ or mmCIF. Axes and space group become those of the reference; of "
        "several choices of indexing each data set gets the one whose intensities agree.", file="input")


class ReindexOptions(Options):
    """Parameters of `xdp reindex`."""

    change_of_basis_op: str | Auto = option(
        "a,b,c", "The new axes in terms of the old; h,k,l and x,y,z are understood as well. auto: the change that "
        "makes the indices of the reflections fit the crystals of the experiments, which stay as they are.")
    hkl_offset: tuple[int, int, int] | None = option(None, "Added to all indices before the change of basis.")
    space_group: SpaceGroup | None = option(None, "The space group after the change of basis.")
    reference: ReferenceOptions = option(ReferenceOptions(), "In place of change_of_basis_op: what to agree with.")
    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: ReindexOutput = option(ReindexOutput(), "Files that are written.")


class SearchBeamOutput(Options):
    """What `xdp search_beam_position` writes."""

    experiments: str = option("optimised.expt", "The models.", file="output", in_place=True)
    log: str | None = option(
        "xdp.search_beam_position.log", "File for the messages that are also on the screen; None: no file.",
        file="output")


class SearchBeamOptions(BeamSearch):
    """Parameters of `xdp search_beam_position`."""

    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: SearchBeamOutput = option(SearchBeamOutput(), "Files that are written.")


class RotationAxisOutput(Options):
    """What `xdp find_rotation_axis` writes."""

    experiments: str = option("optimised.expt", "The models.", file="output", in_place=True)
    log: str | None = option(
        "xdp.find_rotation_axis.log", "File for the messages that are also on the screen; None: no file.",
        file="output")


class RotationAxisOptions(AxisSearch):
    """Parameters of `xdp find_rotation_axis`."""

    input: InputOptions = option(InputOptions(), "Files that are read.")
    output: RotationAxisOutput = option(RotationAxisOutput(), "Files that are written.")
