"""Geometry of a reference instead of the headers."""

from __future__ import annotations

import pytest
from importing import make_import_options

from xdp.errors import OptionError
from xdp.experiment import write_experiments
from xdp.images.importing.import_images import import_images


def test_reference_geometry_replaces_the_header(tmp_path, image_files):
    paths = image_files.cbf_series(tmp_path, 2)
    reference = import_images(paths, make_import_options(geometry__detector__distance=250.0,
                                             geometry__beam__wavelength=0.9)).experiments
    write_experiments(tmp_path / "ref.expt", reference)
    options = make_import_options(input__reference_geometry=str(tmp_path / "ref.expt"))
    (experiment,) = import_images(paths, options).experiments
    assert experiment.beam.wavelength == 0.9
    assert experiment.detector.d_matrix(0)[2, 2] == -250.0
    odd = image_files.cbf_file(tmp_path / "odd_1.cbf", image_files.pixels(20, 20))
    with pytest.raises(OptionError, match="are not those of the images"):
        import_images([odd], options)
