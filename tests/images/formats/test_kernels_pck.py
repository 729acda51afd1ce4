"""The kernel of mar345's packing against its slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from mar345_maker import BITS, BITS_V2, pack

from xdp.images.formats._kernels_pck import decode_pck

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("top", [4, 300, 65536])
def test_what_the_twin_packs_is_unpacked(version, top):
    image = np.random.default_rng(top).integers(0, top, (13, 17))
    data = np.frombuffer(pack(image, version, seed=top), np.uint8)
    out = np.full(image.size, -1, np.int32)
    bits = np.array(BITS if version == 1 else BITS_V2)
    assert decode_pck(data, out, 17, bits) == image.size
    np.testing.assert_array_equal(out.reshape(image.shape), image)
    # a stream that ends early gives a short count
    assert decode_pck(data[:-4], out, 17, bits) < image.size
    assert decode_pck(data[:0], out, 17, bits) == 0
