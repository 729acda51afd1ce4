"""The parameters of the pipeline: stages' scopes, what is shared, where files go."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.options.reader import parse
from xdp.pipeline.options import ProcessOptions, settle_options


def options(*words):
    """The parameters that words on the command line give, as the stages get them."""
    return settle_options(parse(ProcessOptions, words)[0])


def test_every_stage_is_a_scope():
    found = options("import.input.as_grid_scan=True", "find_spots.spotfinder.filter.d_min=2",
                    "index.indexing.method=fft1d",
                    "refine.refinement.parameterisation.scan_varying=False", "integrate.prediction.d_min=1.7",
                    "export.format=shelx", "refine_bravais_settings.lepage_max_delta=3")
    assert found.import_.input.as_grid_scan
    assert found.find_spots.spotfinder.filter.d_min == 2.0
    assert found.index.indexing.method == "fft1d"
    assert found.refine.refinement.parameterisation.scan_varying is False
    assert found.integrate.prediction.d_min == 1.7
    assert found.export.format == "shelx"
    assert found.refine_bravais_settings.lepage_max_delta == 3.0


def test_names_within_a_stage_are_abbreviated():
    found = options("integrate.background.algorithm=simple", "find_spots.d_min=2", "refine.scan_varying=False",
                    "index.max_lattices=2")
    assert found.integrate.integration.background.algorithm == "simple"
    assert found.find_spots.spotfinder.filter.d_min == 2.0
    assert found.index.indexing.multiple_lattice_search.max_lattices == 2
    assert found.refine.refinement.parameterisation.scan_varying is False


def test_symmetry_is_told_to_indexing():
    cell = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
    found = options("space_group=P43212", "unit_cell=79,79,38,90,90,90")
    assert found.index.indexing.known_symmetry.space_group == "P43212"
    assert found.index.indexing.known_symmetry.unit_cell == cell
    own = options("index.indexing.known_symmetry.space_group=P4")
    assert own.index.indexing.known_symmetry.space_group == "P4"


def test_two_space_groups_are_an_error():
    with pytest.raises(OptionError, match="give one of them"):
        options("space_group=P4", "index.indexing.known_symmetry.space_group=P1")


def test_workers_are_shared():
    found = options("mp.nproc=3", "mp.method=multiprocessing", "find_spots.spotfinder.mp.chunksize=7")
    assert found.find_spots.spotfinder.mp.nproc == found.integrate.integration.mp.nproc == 3
    assert found.integrate.integration.mp.method == "multiprocessing"
    assert found.find_spots.spotfinder.mp.chunksize == 7


@pytest.mark.parametrize("word", ["find_spots.spotfinder.mp.nproc=2", "integrate.integration.mp.njobs=2",
                                  "integrate.cluster.queue=short"])
def test_workers_of_a_stage_alone_are_an_error(word):
    with pytest.raises(OptionError, match="share their workers"):
        options(word)


def test_all_files_go_to_the_folder():
    found = options("output.directory=run1", "integrate.output.report=/abs/report.json", "export.mtz.hklout=x.mtz")
    assert found.find_spots.output.reflections == "run1/strong.refl"
    assert found.refine.output.log == "run1/xdp.refine.log"
    assert found.refine_bravais_settings.output.directory == "run1/"
    assert found.integrate.output.report == "/abs/report.json"
    # integration puts these beside its output
    assert found.integrate.integration.debug.reference.filename == "reference_profiles.refl"
    assert found.export.mtz.hklout == "run1/x.mtz"
    assert found.output.summary == "run1/xdp.process.json"
    assert options().export.mtz.hklout == "integrated.mtz"


def test_an_unknown_stage_parameter_is_an_error():
    with pytest.raises(OptionError, match="unknown parameter"):
        options("integrate.profile.gausian_rs.min_spots.overall=3")
