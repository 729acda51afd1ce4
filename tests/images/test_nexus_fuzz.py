"""NXmx files whose every part may be wrong: only errors for the user come out.

Whole files with random bytes are not given to h5py here: libhdf5 (2.0) itself was seen to crash in variable-length
strings whose heap is damaged, and to loop for ever in them; nothing in Python can stop that. What we parse ourselves
(pixel chunks, NPY and zarr) is fuzzed byte by byte in its own tests.
"""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdp.errors import XdpError
from xdp.images.formats.find import find_format

VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=20).filter(lambda s: "\0" not in s), st.booleans(),
    st.lists(st.floats(), max_size=5), st.lists(st.integers(-(2**31), 2**31), min_size=1, max_size=4),
    st.sampled_from([".", "/", "..", "/entry", "module_offset", "/entry/data/data", "deg", "m", "NXmx", "NXdetector"]),
    st.just(h5py.Empty("f4")),
)  # fmt: skip


def places(path):
    """Every data set, group and attribute of a file."""
    found = []
    with h5py.File(path) as handle:
        def note(name, item):
            found.append((name, None))
            found.extend((name, key) for key in item.attrs)

        handle.visititems(note)
    return sorted(found, key=str)


def damage(path, name, attribute, value):
    with h5py.File(path, "r+") as handle:
        if name not in handle:
            return
        if attribute is not None:
            handle[name].attrs[attribute] = value
            return
        attributes = dict(handle[name].attrs)
        del handle[name]
        handle[name] = value
        for key, old in attributes.items():
            handle[name].attrs[key] = old


def use(path):
    opened = find_format(path)
    opened.stack_models()
    opened.static_mask()
    for i in range(min(opened.n_images, 3)):
        opened.models(i)
        opened.raw(i)


@pytest.mark.parametrize("kind", ["nxmx", "eiger"])
@given(data=st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wrong_values_are_errors_for_the_user(tmp_path, maker, kind, data):
    path = tmp_path / "a.h5"
    for old in tmp_path.iterdir():
        old.unlink()
    counts = maker.example_counts(2, 6, 8)
    if kind == "nxmx":
        maker.write_nxmx(path, counts, storage="gzip", mask=np.zeros((6, 8), np.uint8))
    else:
        maker.write_eiger(path, counts)
    for _ in range(data.draw(st.integers(1, 2))):
        name, attribute = data.draw(st.sampled_from(places(path)))
        damage(path, name, attribute, data.draw(VALUES))
    try:
        use(path)
    except XdpError as error:
        assert ".h5" in str(error)  # noqa: PT017  other values may be right too
        assert "\n" not in str(error)  # noqa: PT017
