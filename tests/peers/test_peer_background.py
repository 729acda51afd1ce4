"""Backgrounds against DIALS' own on the same shoeboxes: every algorithm, model and rejection that 3.12 has.

Counts are whole numbers, as detectors give them, with some very high ones among the background. Backgrounds are equal
to one part in a million: DIALS stores them in single precision (6e-8), and the order of sums differs. Which pixels are
used is equal, except where pixels of equal counts compete for the last place (truncated, normal, plane with a
fraction): DIALS' sort leaves open which wins, so there their number is compared.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from xdp.integration.background import fit_background
from xdp.integration.background.global_model import GlobalModel, read_model, write_model
from xdp.integration.background.options import (
    BackgroundOptions,
    GlmModelOptions,
    GlmOptions,
    GmodelOptions,
    GmodelRobustOptions,
    NormalOptions,
    OutlierOptions,
    PlaneOptions,
    SimpleModelOptions,
    SimpleOptions,
    TuningOptions,
)
from xdp.reflections.flags import MaskCode
from xdp.reflections.refl import write_reflections
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.peer

SCRIPT = """
import sys, json, numpy as np
from dials.array_family import flex
from dials.algorithms.background.glm import BackgroundAlgorithm as Glm
from dials.algorithms.background.simple import BackgroundAlgorithm as Simple
from dials.algorithms.background.gmodel import Creator, StaticBackgroundModel
images = np.load("images.npz")
out = {}
for job, (kind, how) in enumerate(json.loads(sys.argv[1])):
    table = flex.reflection_table.from_file("boxes.refl")
    boxes = table["shoebox"]
    if kind == "glm" and "log" in how["model"]:
        # A box whose equations are singular ends DIALS' whole run: one box a call.
        success = flex.bool(len(boxes), False)
        for i in range(len(boxes)):
            try:
                success[i] = Glm(None, **how).compute_background(table.select(flex.size_t([i])))[0]
            except RuntimeError:
                pass
        table["background.mean"] = boxes.mean_modelled_background()
    elif kind == "glm":
        success = Glm(None, **how).compute_background(table)
    elif kind == "simple":
        success = Simple(None, **how).compute_background(table)
    else:
        model = StaticBackgroundModel()
        for panel in range(2):
            model.add(flex.double(images["image%d" % panel]))
        table["background.scale"] = flex.double(len(boxes), 0)
        success = Creator(model=model, **how)(table)
        table["background.mean"] = boxes.mean_modelled_background()
    for name in ("mean", "mse", "dispersion", "scale"):
        if "background." + name in table:
            out["%d_%s" % (job, name)] = table["background." + name].as_numpy_array()
    out["%d_failed" % job] = ~success.as_numpy_array()
    out["%d_background" % job] = np.concatenate([b.background.as_numpy_array().ravel() for b in boxes])
    out["%d_mask" % job] = np.concatenate([b.mask.as_numpy_array().ravel() for b in boxes])
np.savez("out.npz", **out)
"""


@pytest.fixture(scope="module", params=["whole", "parted"])
def boxes(request) -> Shoeboxes:
    """200 boxes: backgrounds of 0.02 to 3000 with a slope and outliers, invalid and overlapped pixels, small ones.

    Whole numbers, and the same with different fractions added, so that no two counts are equal.
    """
    return make_boxes(is_whole=request.param == "whole")


def make_boxes(is_whole: bool) -> Shoeboxes:
    """The boxes of one kind of counts."""
    rng = np.random.default_rng(20010)
    sizes = rng.integers((1, 3, 3), (6, 14, 14), (200, 3))
    corner = rng.integers(0, 40, (200, 3))
    bbox = np.empty((200, 6), np.int64)
    for axis in range(3):
        bbox[:, 2 * axis], bbox[:, 2 * axis + 1] = corner[:, axis], corner[:, axis] + sizes[:, 2 - axis]
    data, mask = [], []
    for i, (depth, height, width) in enumerate(sizes):
        level = 10.0 ** rng.uniform(-1.7, 3.5)
        y, x = np.mgrid[0:height, 0:width]
        slope = np.exp(0.05 * (x - width / 2) - 0.03 * (y - height / 2))
        counts = rng.poisson(np.broadcast_to(level * slope, (depth, height, width))).astype(float)
        codes = np.full(counts.shape, 3)
        foreground = (x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2 < (min(height, width) / 4) ** 2
        codes[:, foreground] = 5
        counts[:, foreground] += rng.poisson(50, counts[:, foreground].shape)
        codes[rng.random(codes.shape) < 0.04] = 2
        codes[rng.random(codes.shape) < 0.04] |= MaskCode.OVERLAPPED
        counts[rng.random(codes.shape) < 0.01] += 8 * np.sqrt(level) + 20
        counts = np.floor(counts) if is_whole else counts + rng.uniform(0.0, 0.3, counts.shape)
        if i % 29 == 0 and level > 1.0:
            counts.flat[0], codes.flat[0] = -2, 3
        data.append(counts.ravel())
        mask.append(codes.ravel())
    offsets = np.concatenate([[0], np.cumsum([len(d) for d in data])])
    panel = rng.integers(0, 2, 200)
    return Shoeboxes(panel, bbox, offsets, np.concatenate(data).astype(np.float32), np.concatenate(mask))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """A global model of two panels that the boxes reach beyond."""
    y, x = np.mgrid[0:48, 0:50]
    return [2.0 + np.exp(-((x - 20) ** 2 + (y - 30) ** 2) / 900.0) * scale for scale in (5.0, 40.0)]


def glm(model="constant3d", tuning=1.345, min_pixels=10):
    """Ours and DIALS' parameters of glm."""
    ours = GlmOptions(robust=TuningOptions(tuning_constant=tuning), model=GlmModelOptions(algorithm=model),
                      min_pixels=min_pixels)
    return (BackgroundOptions(algorithm="glm", glm=ours),
            ("glm", {"model": model, "tuning_constant": tuning, "min_pixels": min_pixels}))


def simple(model="constant3d", outlier="null", min_pixels=10, **numbers):
    """Ours and DIALS' parameters of simple."""
    scope = {outlier: {"normal": NormalOptions, "plane": PlaneOptions}[outlier](**numbers)} if numbers else {}
    ours = SimpleOptions(outlier=OutlierOptions(algorithm=outlier, **scope),
                         model=SimpleModelOptions(algorithm=model), min_pixels=min_pixels)
    theirs = {"model": model, "outlier": outlier, "min_pixels": 10 if outlier == "normal" else min_pixels, **numbers}
    return BackgroundOptions(algorithm="simple", simple=ours), ("simple", theirs)


def gmodel(robust, min_pixels=10):
    """Ours and DIALS' parameters of gmodel."""
    ours = GmodelOptions(robust=GmodelRobustOptions(algorithm=robust), min_pixels=min_pixels)
    return BackgroundOptions(algorithm="gmodel", gmodel=ours), ("gmodel", {"robust": robust, "min_pixels": min_pixels})


MODELS = ("constant2d", "constant3d", "linear2d", "linear3d")
OUTLIERS = ("null", "nsigma", "truncated", "normal", "plane", "tukey")
CASES = {
    "glm": glm(), "glm-few": glm(min_pixels=40), "glm-hard": glm(tuning=0.8), "glm-soft": glm(tuning=4.0),
    "glm-2d": glm("constant2d", min_pixels=5), "glm-log2d": glm("loglinear2d", min_pixels=8),
    **{f"{outlier}-{model}": simple(model, outlier) for outlier in OUTLIERS for model in MODELS},
    "simple-few": simple(min_pixels=60), "normal-few": simple("constant3d", "normal", min_pixels=25),
    "plane-half": simple("linear2d", "plane", fraction=0.5, n_sigma=3.0),
    "gmodel": gmodel(False), "gmodel-robust": gmodel(True), "gmodel-few": gmodel(True, 60),
}
RANKED = ("truncated", "normal-", "plane-half")
"""Rejections by rank, where DIALS leaves open which of equal counts are used."""


@pytest.fixture(scope="module")
def theirs(dials, boxes, images, tmp_path_factory) -> dict[str, np.ndarray]:
    """DIALS' results of all cases."""
    folder = tmp_path_factory.mktemp("background")
    columns = {"shoebox": boxes, "panel": boxes.panel, "bbox": boxes.bbox, "flags": np.zeros(len(boxes), np.uint64),
               "background.scale": np.zeros(len(boxes))}
    write_reflections(folder / "boxes.refl", ReflectionTable(columns))
    np.savez(folder / "images.npz", image0=images[0], image1=images[1])
    return dials.script(SCRIPT, json.dumps([case[1] for case in CASES.values()]), cwd=folder)


@pytest.mark.parametrize("name", CASES)
def test_each_background_is_that_of_dials(name, boxes, images, theirs):
    mine = boxes.select(slice(None))
    found = fit_background(mine, CASES[name][0], model=GlobalModel(tuple(images)))
    job = list(CASES).index(name)
    expected = {key.split("_", 1)[1]: value for key, value in theirs.items() if key.startswith(f"{job}_")}
    is_unlike = found.failed != expected["failed"]
    if name == "glm-log2d":
        # Frames of zeros, or nearly, have no maximum: whether the steps end in DIALS is a matter of rounding.
        assert is_unlike.mean() < 0.05
    elif name.endswith("linear3d"):
        # Boxes of one frame have no slope along z: DIALS' equations are singular there, ours leave that term out.
        is_thin = boxes.bbox[:, 5] - boxes.bbox[:, 4] == 1
        assert 0.0 < is_thin.mean() < 1.0
        assert not is_unlike[~is_thin].any()
        assert expected["failed"][is_thin].mean() > 0.5
        assert not found.failed[is_thin].all()
        expected["failed"] |= is_thin
    else:
        assert not is_unlike.any()
    used, their_used = (mask & MaskCode.BACKGROUND_USED != 0 for mask in (mine.mask, expected["mask"]))
    good = ~(found.failed | expected["failed"])
    assert good.sum() > 20
    is_tied = np.array_equal(boxes.data, np.floor(boxes.data)) and name.startswith(RANKED)
    if is_tied:
        n_used, their_n_used = (np.add.reduceat(u, boxes.offsets[:-1], dtype=int) for u in (used, their_used))
        assert np.mean(n_used == their_n_used) > (0.6 if name == "plane-half" else 0.98)
        if "constant3d" not in name:
            return
    pixels = np.repeat(good, np.diff(boxes.offsets))
    assert is_tied or np.array_equal(used[pixels], their_used[pixels])
    np.testing.assert_allclose(mine.background[pixels], expected["background"][pixels], rtol=1e-6, atol=1e-5)
    columns = {key for key in expected if key not in ("failed", "background", "mask")} & {
        "mean", *(name.split(".")[1] for name in found.columns)}
    assert {f"background.{column}" for column in columns} == set(found.columns)
    for column in columns:
        np.testing.assert_allclose(found.columns[f"background.{column}"][good], expected[column][good], rtol=2e-6,
                                   atol=1e-6, err_msg=column)


def test_dials_reads_our_model_and_we_read_its(dials, images, tmp_path):
    write_model(tmp_path / "ours.pickle", GlobalModel(tuple(images)))
    code = """
import pickle, numpy as np
from dials.algorithms.background.gmodel import StaticBackgroundModel
model = pickle.load(open("ours.pickle", "rb"))
np.savez("out.npz", *[model.data(i).as_numpy_array() for i in range(len(model))])
pickle.dump(model, open("theirs.pickle", "wb"), protocol=pickle.HIGHEST_PROTOCOL)
"""
    theirs = dials.script(code, cwd=tmp_path)
    for image, read, back in zip(images, theirs.values(), read_model(tmp_path / "theirs.pickle").panels, strict=True):
        np.testing.assert_array_equal(image, read)
        np.testing.assert_array_equal(image, back)
