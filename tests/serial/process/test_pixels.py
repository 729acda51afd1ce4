"""What may be used of a shot's pixels."""

import dataclasses

import numpy as np
import pytest
from hit_data import make_models

from xdp.images.masks.options import MaskOptions
from xdp.serial.process.pixels import PixelRules, ProcessedImage, ShotPixels, has_panel_models


@pytest.fixture
def image():
    raw = [np.random.default_rng(1).poisson(3.0, (160, 160)).astype(np.int32)]
    return ProcessedImage(make_models(trusted=(0.0, 50.0)), raw, raw, None)


def test_what_is_made_for_one_shot_serves_the_next(image):
    pixels = ShotPixels(PixelRules())
    first = pixels.find(image)
    assert first.masks is None
    assert first.limits == [(0.0, 50.0)]
    raw = [image.raw[0] + 1]
    assert pixels.find(dataclasses.replace(image, raw=raw, image=raw)) is first
    # another mask of equal pixels is the same one
    one = dataclasses.replace(image, valid=[np.ones((160, 160), bool)])
    masked = pixels.find(one)
    assert masked is not first
    assert pixels.find(dataclasses.replace(one, valid=[np.ones((160, 160), bool)])) is masked
    other = np.ones((160, 160), bool)
    other[3] = False
    assert pixels.find(dataclasses.replace(one, valid=[other])) is not masked


def test_limits_and_filters(image):
    pixels = ShotPixels(PixelRules(None, MaskOptions(border=3), -5.0, 9.0)).find(image)
    assert pixels.limits == [(-5.0, 9.0)]
    assert pixels.masks[0].sum() == 154 * 154
    raw = [image.raw[0].astype(np.uint16)]
    unsigned = dataclasses.replace(image, raw=raw, image=raw)
    assert ShotPixels(PixelRules(None, None, -5.0)).find(unsigned).limits == [(0.0, 50.0)]


def test_a_corrected_shot_is_masked_by_its_raw_counts(image):
    raw = image.raw[0].copy()
    raw[5, 5], raw[6, 6] = 51, -1
    image = ProcessedImage(image.experiment, [raw], [raw - 0.5], None)
    pixels = ShotPixels(PixelRules())
    found = pixels.find(image)
    assert found.limits is None
    assert not found.masks[0][5, 5]
    assert not found.masks[0][6, 6]
    assert found.masks[0].sum() == raw.size - 2
    frame, = pixels.read_frame(image)
    assert frame.image is image.image[0]
    assert not frame.valid[5, 5]
    assert frame.high == np.inf


def test_resolution_masks_follow_the_wavelength(image):
    rules = PixelRules(None, MaskOptions(d_min=9.0))
    assert rules.needs_beam
    pixels = ShotPixels(rules)
    n_long = pixels.find(image).masks[0].sum()
    beam = dataclasses.replace(image.experiment.beam, wavelength=0.8)
    short = dataclasses.replace(image, experiment=dataclasses.replace(image.experiment, beam=beam))
    assert pixels.find(short).masks[0].sum() < n_long


def test_models_are_needed(image):
    assert has_panel_models(image.experiment)
    assert not has_panel_models(None)
    assert not has_panel_models(dataclasses.replace(image.experiment, beam=None))
