"""Frames with what is valid on them."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import Detector
from xdp.images.masks.pickles import write_mask_pickle
from xdp.integration.plan.sweeps import Sweep, find_sweeps
from xdp.integration.shoeboxes._kernels_extract import OVERLOAD
from xdp.integration.shoeboxes.extract import extract
from xdp.integration.shoeboxes.frames import FrameSource


def source(series, **changes):
    sweep, = find_sweeps(series.experiments)
    return FrameSource(sweep, **changes)


def test_frames_are_those_of_the_images(series):
    frames = np.load(series.folder / "frames.npy")
    found = source(series).read(7)
    assert np.array_equal(found[0].image, frames[7])
    assert found[0].valid.size == 0
    assert (found[0].low, found[0].high) == (0.0, 1048575.0)


def test_masks_of_panel_and_file_hold_together(series, tmp_path):
    mask = np.ones((200, 240), bool)
    mask[:10] = False
    write_mask_pickle(tmp_path / "mask.pickle", [mask])
    panel = dataclasses.replace(series.experiments[0].detector[0], mask=((30, 40, 50, 60),))
    model = dataclasses.replace(series.experiments[0], detector=Detector((panel,)))
    found = FrameSource(Sweep(0, (0,), (model,), 0, 12), lookup=str(tmp_path / "mask.pickle"))
    mask[40:60, 30:50] = False
    assert np.array_equal(found.read(0)[0].valid, mask)
    assert np.array_equal(found.static_mask[0], mask)


def test_excluded_frames_are_not_read(series):
    found = source(series, excluded=(3, 100))
    assert found.read(3) is None
    assert found.read(4) is not None


@pytest.mark.parametrize("gain", [0.25, 4.0])
def test_overloads_are_told_from_the_raw_counts(gain, series):
    panel = dataclasses.replace(series.experiments[0].detector[0], gain=gain, trusted_range=(0.0, 9.0))
    model = dataclasses.replace(series.experiments[0], detector=Detector((panel,)))
    sweep = Sweep(0, (0,), (model,), 0, 12)
    counts = np.load(series.folder / "frames.npy")[5]
    bbox = np.array([[0, counts.shape[1], 0, counts.shape[0], 5, 6]], np.int32)
    found = extract(FrameSource(sweep), np.arange(1), np.zeros(1, np.int64), bbox, 5, 6)
    assert (counts > 9).any()
    assert np.array_equal(found.mask.reshape(counts.shape), np.where(counts > 9, OVERLOAD, 1))


def test_a_source_travels_as_its_models(series):
    opened = source(series, excluded=(2,))
    opened.read(0)
    again = pickle.loads(pickle.dumps(opened))
    assert again.is_excluded(2)
    assert np.array_equal(again.read(1)[0].image, opened.read(1)[0].image)


def test_fewer_images_than_the_scan_says(series, tmp_path):
    np.save(tmp_path / "short.npy", np.load(series.folder / "frames.npy")[:5])
    images = dataclasses.replace(series.experiments[0].imageset, template=str(tmp_path / "short.npy"),
                                 single_file_indices=tuple(range(5)))
    model = dataclasses.replace(series.experiments[0], imageset=images)
    with pytest.raises(XdpError, match="it has 5 images, and the experiment wants image 12"):
        FrameSource(Sweep(0, (0,), (model,), 0, 12)).read(11)
