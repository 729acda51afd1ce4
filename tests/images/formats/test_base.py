"""What a format need not say itself."""

from __future__ import annotations

import numpy as np

from xdp.experiment import Beam
from xdp.images.formats.base import Format, Models


class Plain(Format):
    """The least that a format must have."""

    name = "plain"

    @classmethod
    def understands(cls, path, head):
        return True

    def models(self, index=0):
        return Models(beam=Beam.along_z(1.0 + index))

    def raw(self, index=0):
        return [np.zeros((2, 3), np.int32)]


def test_a_format_is_one_image_without_mask_or_shadow(tmp_path):
    params = {"multi_panel": True}
    opened = Plain(tmp_path / "a.img", params)
    assert (opened.path, opened.params, opened.n_images) == (str(tmp_path / "a.img"), params, 1)
    assert opened.params is not params
    assert not opened.is_stack
    assert opened.overload_is_trusted
    assert opened.static_mask() is None
    assert opened.goniometer_shadow([0.0]) is None
    assert opened.stack_models().beam.wavelength == 1.0
