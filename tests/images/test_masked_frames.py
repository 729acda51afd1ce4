"""Frames with masks, shadow, trusted range, gain and pedestal."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from sweeps import sweep

from xdp.experiment import Detector
from xdp.images import masked_frames
from xdp.images.masked_frames import MaskedFrames
from xdp.images.masks.options import MaskOptions
from xdp.images.masks.pickles import write_mask_pickle

COUNTS = np.where(np.random.default_rng(1).random((12, 60, 72)) < 0.1, 40, 5)


@pytest.fixture
def experiment(tmp_path):
    one, = sweep(tmp_path, COUNTS[:, np.newaxis])
    return one


def with_panel(experiment, **changes):
    panel = dataclasses.replace(experiment.detector[0], **changes)
    return dataclasses.replace(experiment, detector=Detector((panel,)))


def test_without_masks_all_pixels_are_valid(experiment):
    frame, = MaskedFrames(experiment).read(3, 3)
    assert np.array_equal(frame.image, COUNTS[3])
    assert frame.valid.shape == (0, 0)


def test_masks_of_panel_file_and_filters_hold_together(experiment, tmp_path):
    valid = np.ones((60, 72), bool)
    valid[:10] = False
    write_mask_pickle(tmp_path / "mask.pickle", [valid])
    frames = MaskedFrames(with_panel(experiment, mask=((30, 40, 50, 60),)), lookup=str(tmp_path / "mask.pickle"),
                          filters=MaskOptions(border=2))
    valid[40:60, 30:50] = False
    valid[-2:] = valid[:, :2] = valid[:, -2:] = False
    assert np.array_equal(frames.static_mask[0], valid)
    assert np.array_equal(frames.read(0, 0)[0].valid, valid)


def test_the_shadow_is_masked_by_the_angle_of_the_frame(experiment, monkeypatch):
    monkeypatch.setattr("xdp.experiment.shadow.known_shape", lambda model: "a goniometer")
    monkeypatch.setattr("xdp.experiment.shadow.hides_pixels", lambda *_: True)
    monkeypatch.setattr("xdp.experiment.shadow.shadow_masks", lambda shape, goniometer, detector, angle: [
        np.full(detector.panel_shapes[0], angle < experiment.scan.angle(5))])
    frames = MaskedFrames(experiment)
    assert frames.read(0, 4)[0].valid.all()
    assert not frames.read(0, 5)[0].valid.any()
    assert MaskedFrames(experiment, use_shadow=False).read(0, 5)[0].valid.size == 0
    assert frames.find_shadow(4)[0].all()


def test_a_shadow_beside_the_detector_makes_no_mask(experiment, monkeypatch):
    """The mask of a frame alone costs more than finding its strong pixels."""
    monkeypatch.setattr("xdp.experiment.shadow.known_shape", lambda model: "a goniometer")
    monkeypatch.setattr("xdp.experiment.shadow.hides_pixels", lambda *_: False)
    frames = MaskedFrames(experiment)
    assert frames.find_shadow(4) is None
    assert frames.read(0, 5)[0].valid.size == 0


def test_the_highest_trusted_count_may_be_another(experiment):
    panel = experiment.detector[0]
    assert MaskedFrames(experiment, maximum=20.0).find_limits(panel, np.dtype(np.int32))[1] == 20.0
    assert MaskedFrames(experiment).find_limits(panel, np.dtype(np.int32))[1] == panel.trusted_range[1]


def test_images_may_be_those_of_another_experiment(experiment, tmp_path):
    (tmp_path / "b").mkdir()
    other, = sweep(tmp_path / "b", COUNTS[:, np.newaxis] + 1)
    frame, = MaskedFrames(with_panel(experiment, mask=((0, 0, 5, 5),)), images_of=other).read(2, 2)
    assert np.array_equal(frame.image, COUNTS[2] + 1)
    assert not frame.valid[:5, :5].any()


def test_frames_travel_as_their_models(experiment):
    opened = MaskedFrames(experiment, maximum=30.0, filters=MaskOptions(border=2))
    opened.read(0, 0)
    packed = pickle.dumps(opened)
    assert len(packed) < COUNTS[0].nbytes
    again = pickle.loads(packed)
    assert np.array_equal(again.read(1, 1)[0].image, COUNTS[1])
    assert again.read(1, 1)[0].high == 30.0


def test_gain_and_pedestal_are_taken_off_after_the_trusted_range(experiment):
    panel = dataclasses.replace(experiment.detector[0], gain=2.0, pedestal=1.0, trusted_range=(0.0, 9.0))
    model = dataclasses.replace(experiment, detector=Detector((panel,)))
    frame = MaskedFrames(model).read(5, 5)[0]
    counts = COUNTS[5]
    assert np.array_equal(frame.image, (counts - 1.0) / 2.0)
    assert np.array_equal(frame.valid & (frame.image <= frame.high), (counts >= 0) & (counts <= 9))


def test_overloads_with_a_map_of_gains_are_not_valid(experiment, monkeypatch):
    gain = np.where(np.arange(72) < 36, 0.25, 4.0) * np.ones((60, 1))
    monkeypatch.setattr(masked_frames, "read_corrections", lambda model: ([gain], [None]))
    panel = dataclasses.replace(experiment.detector[0], trusted_range=(0.0, 9.0))
    model = dataclasses.replace(experiment, detector=Detector((panel,)))
    frame = MaskedFrames(model).read(5, 5)[0]
    counts = COUNTS[5]
    assert np.array_equal(frame.valid & (frame.image <= frame.high), counts <= 9)
