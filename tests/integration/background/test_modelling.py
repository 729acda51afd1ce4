"""Global background models: files, scaling to boxes, statistics of pixels, smoothing, and the command."""

from __future__ import annotations

import pickle
from pathlib import Path

import background_twins as twins
import numpy as np
import pytest

from xdp.cli.main import main
from xdp.errors import FormatError, OptionError, XdpError
from xdp.experiment import Beam, Detector, Panel
from xdp.experiment.io import read_experiments
from xdp.images.masked_frames import MaskedFrames
from xdp.images.masks.pickles import write_mask_pickle
from xdp.integration.background import fit_background
from xdp.integration.background._kernels_series import add_frame, cover, diffuse, filter_azimuth
from xdp.integration.background.global_model import GlobalModel, read_model, write_model
from xdp.integration.background.model_options import ModelBackgroundOptions, ModellerOptions
from xdp.integration.background.modelling import model_background
from xdp.integration.background.options import BackgroundOptions
from xdp.integration.background.polar import PolarGrid, smooth_background
from xdp.integration.background.series import PixelStatistics, background_statistics
from xdp.options import parse
from xdp.reflections.refl import read_reflections
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels


def options(*words: str) -> BackgroundOptions:
    return parse(BackgroundOptions, ["algorithm=gmodel", *words])[0]


@pytest.fixture
def model() -> GlobalModel:
    y, x = np.mgrid[0:30, 0:40]
    return GlobalModel((1.0 + 0.1 * x, 2.0 + 0.3 * y[:, :25] * x[:, :25]))


@pytest.fixture
def boxes(model) -> Shoeboxes:
    """Boxes of half the model on two panels, one reaching beyond, with outliers and a pixel of a neighbour."""
    rng = np.random.default_rng(5)
    corners = np.array([[3, 4, 0], [20, 18, 2], [33, 25, 1], [-2, 10, 0], [10, 3, 4]])
    bbox = np.stack([corners, corners + np.array([8, 7, 3])], axis=2).reshape(5, 6)
    panel = np.array([0, 0, 0, 0, 1])
    data = []
    for p, (x, y, _) in zip(panel, corners, strict=True):
        under = np.zeros((7, 8))
        image = model.panels[p]
        for j in range(7):
            for i in range(8):
                if 0 <= y + j < image.shape[0] and 0 <= x + i < image.shape[1]:
                    under[j, i] = image[y + j, x + i]
        data.append(rng.poisson(np.broadcast_to(under * 4.0, (3, 7, 8))))
    data = np.array(data, np.float32)
    data[:, 0, 0, 0] = 900
    mask = np.full(data.shape, 3, np.uint8)
    mask[:, :, 3:5, 3:5] = 5
    mask[:, :, 1, 1] |= 32
    return Shoeboxes(panel, bbox, np.arange(6) * 168, data.ravel(), mask.ravel())


def under(model: GlobalModel, boxes: Shoeboxes, i: int) -> np.ndarray:
    """The model under box i."""
    x0, x1, y0, y1, z0, z1 = boxes.bbox[i]
    image = np.pad(model.panels[boxes.panel[i]], 10)
    return np.broadcast_to(image[y0 + 10:y1 + 10, x0 + 10:x1 + 10], (z1 - z0, y1 - y0, x1 - x0))


@pytest.mark.parametrize("robust", [False, True])
def test_the_model_is_scaled_to_each_box(robust, model, boxes):
    """The effect of integration.background.gmodel.robust.algorithm."""
    found = fit_background(boxes, options(f"gmodel.robust.algorithm={robust}"), model=model)
    assert not found.failed.any()
    for i in range(5):
        data, mask, background = boxes.box(i)
        good = (mask & 3) == 3  # A neighbour's pixels count too, as in DIALS.
        image = under(model, boxes, i)
        scale = data[good].sum() / image[good].sum()
        if robust:
            scale = twins.weighted_scale(image[good], data[good].astype(float), 3.0)
            assert scale == pytest.approx(4.0, rel=0.12)  # 160 pixels of 8 counts and more: sigma below 3 %.
        assert found.columns["background.scale"][i] == pytest.approx(scale, rel=1e-9)
        np.testing.assert_allclose(background, scale * image, rtol=1e-6)
        assert found.columns["background.mean"][i] == pytest.approx(scale * image[good].mean(), rel=1e-6)
        assert np.array_equal(mask & 16 != 0, good)


def test_the_tuning_constant_moves_the_cut(model, boxes):
    """The effect of integration.background.gmodel.robust.tuning_constant."""
    scales = {}
    for tuning in (0.5, 1.345, 1e4, None):
        words = ["gmodel.robust.algorithm=True", f"gmodel.robust.tuning_constant={tuning}"]
        scales[tuning] = fit_background(boxes, options(*words), model=model).columns["background.scale"]
    on_panel = np.arange(5) != 3  # The outlier of box 3 lies off the panel, where the model is 0.
    assert scales[0.5].mean() < scales[1.345].mean()
    assert np.all(scales[1.345][on_panel] <= scales[1e4][on_panel])
    assert scales[1.345].mean() < scales[1e4].mean()
    np.testing.assert_array_equal(scales[1e4], scales[None])


def test_min_pixels_of_gmodel(model, boxes):
    """The effect of integration.background.gmodel.min_pixels."""
    n = int(((boxes.box(0)[1] & 3) == 3).sum())
    assert not fit_background(boxes, options(f"gmodel.min_pixels={n}"), model=model).failed.any()
    assert fit_background(boxes, options(f"gmodel.min_pixels={n + 1}"), model=model).failed.all()


def test_where_the_model_is_zero_there_is_no_background(model, boxes):
    found = fit_background(boxes, options(), model=GlobalModel(tuple(np.zeros_like(p) for p in model.panels)))
    assert found.failed.all()
    assert not boxes.background.any()


def test_a_model_is_read_as_it_was_written(model, boxes, tmp_path):
    """The effect of integration.background.gmodel.model."""
    write_model(tmp_path / "model.pickle", model)
    for mine, theirs in zip(read_model(tmp_path / "model.pickle").panels, model.panels, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    found = fit_background(boxes, options(f"gmodel.model={tmp_path / 'model.pickle'}"))
    np.testing.assert_array_equal(found.columns["background.scale"],
                                  fit_background(boxes, options(), model=model).columns["background.scale"])


def test_a_changed_model_file_is_read_again(model, tmp_path):
    path = tmp_path / "model.pickle"
    write_model(path, model)
    first = read_model(path)
    assert read_model(path) is first
    write_model(path, GlobalModel((np.ones((2, 2)),)))
    assert len(read_model(path).panels) == 1


def test_a_pickle_of_something_else_is_refused(tmp_path):
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps(pytest.raises))
    with pytest.raises(FormatError, match=r"evil\.pickle"):
        read_model(tmp_path / "evil.pickle")
    np.save(tmp_path / "negative.npy", -np.ones((3, 3)))
    with pytest.raises(FormatError, match="panel 0"):
        read_model(tmp_path / "negative.npy")


def test_what_gmodel_needs(model, boxes, tmp_path):
    with pytest.raises(OptionError, match="model_background"):
        fit_background(boxes, options())
    with pytest.raises(OptionError, match="panel 1"):
        fit_background(boxes, options(), model=GlobalModel(model.panels[:1]))
    with pytest.raises(XdpError, match=r"nowhere\.pickle"):
        fit_background(boxes, options(f"gmodel.model={tmp_path / 'nowhere.pickle'}"))


def test_statistics_of_pixels():
    rng = np.random.default_rng(2)
    frames = rng.poisson(3.0, (12, 5, 6))
    frames[0, 2, 2] = 99
    covered = rng.random((12, 5, 6)) < 0.4
    covered[:, 0, 0] = True
    valid = np.ones((5, 6), bool)
    valid[4, 4] = False
    sums = np.zeros((5, 5, 6))
    for frame, hidden in zip(frames, covered, strict=True):
        add_frame(frame, valid, 0.0, 50.0, hidden, sums)
    seen = np.ma.array(frames, mask=covered | ~valid | (frames > 50)).astype(float)
    found = PixelStatistics(*sums)
    np.testing.assert_array_equal(found.number, seen.count(axis=0))
    for mine, theirs in ((found.mean(), seen.mean(axis=0)), (found.variance(), seen.var(axis=0)),
                         (found.lowest, seen.min(axis=0)), (found.highest, seen.max(axis=0)),
                         (found.dispersion(), seen.var(axis=0) / seen.mean(axis=0))):
        np.testing.assert_allclose(mine, theirs.filled(0.0), atol=1e-12)
    few = seen.count(axis=0) < 8
    assert few.any()
    assert not found.mean(8)[few].any()
    assert np.array_equal(found.enough(8), ~few)


def test_reflections_cover_what_their_outlines_hold():
    covered = np.zeros((6, 7), bool)
    bbox = np.array([[0, 0, 0, 0, 0, 1], [1, 3, 2, 4, 0, 1], [5, 9, -1, 1, 0, 1]])
    cover(np.array([1, 2]), bbox, np.array([0, 4]), np.array([1, 0, 0, 1] + [1] * 8, np.uint8), covered)
    assert sorted(zip(*np.nonzero(covered), strict=True)) == [(0, 5), (0, 6), (2, 1), (3, 2)]


@pytest.mark.parametrize("half", [1, 3, 40])
def test_the_filter_along_the_azimuth_is_a_circle(half):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(17, 3))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[4:12, 1] = np.nan
    reach = min(half, 8)
    for is_median in (True, False):
        out = np.empty_like(values)
        filter_azimuth(values, half, is_median, out)
        for row in range(17):
            near = values[np.arange(row - reach, row + reach + 1) % 17]
            for column in range(3):
                good = np.sort(near[:, column][~np.isnan(near[:, column])])
                expected = np.nan if not len(good) else good[len(good) // 2] if is_median else good.mean()
                np.testing.assert_allclose(out[row, column], expected, rtol=1e-12)


def test_holes_are_evened_out():
    values = np.tile(np.arange(5.0), (6, 1))
    holes = np.zeros(values.shape, bool)
    holes[2:4, 2] = True
    values[holes] = 100.0
    diffuse(values, holes, 60)
    np.testing.assert_allclose(values, np.tile(np.arange(5.0), (6, 1)), atol=1e-6)
    values[holes] = 100.0
    diffuse(values, holes, 1)
    assert values[holes].min() > 2.5


@pytest.fixture(scope="module")
def flat_panel() -> tuple[Detector, Beam]:
    """A detector of 90 by 80 pixels across the beam, which meets it off its middle."""
    panel = Panel.from_dict({
        "name": "p", "type": "SENSOR_PAD", "fast_axis": [1, 0, 0], "slow_axis": [0, -1, 0], "origin": [-7, 9, -60],
        "raw_image_offset": [0, 0], "image_size": [90, 80], "pixel_size": [0.2, 0.2], "trusted_range": [0, 1e6],
        "thickness": 0.0, "material": "", "mu": 0.0, "identifier": "", "mask": [], "gain": 1.0, "pedestal": 0.0,
        "px_mm_strategy": {"type": "SimplePxMmStrategy"}})
    beam = Beam.from_dict({"direction": [0, 0, 1], "wavelength": 1.0, "divergence": 0, "sigma_divergence": 0,
                           "polarization_normal": [0, 1, 0], "polarization_fraction": 0.999, "flux": 0,
                           "transmission": 1})
    return Detector((panel,), None), beam


def ring_image(noise: bool) -> np.ndarray:
    """A background with a ring about pixel (35, 45), by radius alone."""
    y, x = np.mgrid[0:80, 0:90] + 0.5
    radius = np.hypot(x - 35, y - 45)
    mean = 6.0 + 10.0 * np.exp(-0.5 * ((radius - 28) / 4) ** 2)
    return np.random.default_rng(3).poisson(mean).astype(float) if noise else mean


@pytest.mark.parametrize("filter_type", ["median", "mean"])
def test_smoothing_keeps_rings_and_takes_noise_away(filter_type, flat_panel):
    grid = PolarGrid.of(*flat_panel, 0)
    good = np.ones((80, 90), bool)
    good[:, 50:53] = False  # A gap between modules.
    image = ring_image(noise=True)
    image[~good] = 1e5
    smooth, _ = smooth_background(image, good, grid, ModellerOptions(filter_type=filter_type, kernel_size=20))
    truth = ring_image(noise=False)
    far = np.hypot(*(np.mgrid[0:80, 0:90] - np.array([45, 35])[:, None, None])) > 6
    noise = np.sqrt(np.mean((ring_image(noise=True) - truth)[far] ** 2))
    assert np.sqrt(np.mean((smooth - truth)[far] ** 2)) < 0.45 * noise
    ring = np.abs(np.hypot(*(np.mgrid[0:80, 0:90] + 0.5 - np.array([45, 35])[:, None, None])) - 28) < 1
    assert smooth[ring].mean() > 12.0


def test_without_a_filter_the_image_comes_back(flat_panel):
    image = ring_image(noise=False)
    grid = PolarGrid.of(*flat_panel, 0)
    smooth, polar = smooth_background(image, np.ones(image.shape, bool), grid, ModellerOptions(kernel_size=0))
    # Grid points take the nearest pixel's value: half a pixel times the steepest slope, 1.5 a pixel, at most.
    assert np.abs(smooth - image)[5:-5, 5:-5].max() < 1.6
    assert polar.shape == grid.column.shape


def test_more_rounds_fill_holes_more_evenly(flat_panel):
    grid = PolarGrid.of(*flat_panel, 0)
    image, good = ring_image(noise=True), np.random.default_rng(0).random((80, 90)) > 0.5
    results = [smooth_background(image, good, grid, ModellerOptions(kernel_size=0, niter=n))[1] for n in (1, 50)]
    assert np.abs(np.diff(results[1], axis=0)).mean() < np.abs(np.diff(results[0], axis=0)).mean()


def test_nothing_good_is_no_background(flat_panel):
    smooth, _ = smooth_background(np.ones((80, 90)), np.zeros((80, 90), bool), PolarGrid.of(*flat_panel, 0))
    assert not smooth.any()


@pytest.fixture(scope="module")
def integrated(series, tmp_path_factory) -> Path:
    """A folder with integrated.expt of the simulated series."""
    folder = tmp_path_factory.mktemp("integrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["integrate", *series.files]) == 0
    return folder


def model_options(*words: str) -> ModelBackgroundOptions:
    return parse(ModelBackgroundOptions, list(words))[0]


@pytest.fixture(scope="module")
def experiments(integrated):
    return read_experiments(integrated / "integrated.expt")


@pytest.fixture(scope="module")
def statistics(experiments) -> PixelStatistics:
    return background_statistics(experiments, model_options())[0]


def test_reflections_are_left_out_of_the_statistics(series, statistics):
    frames = np.load(series.folder / "frames.npy")
    frames = frames.reshape(len(frames), *statistics.number.shape).astype(float)
    assert statistics.number.max() == len(frames)
    assert 0.5 < (statistics.number == len(frames)).mean() < 1.0
    # Spots of 3000 photons on a background of a few counts: none is left, the plain maximum has them all.
    assert statistics.highest.max() < 0.5 * frames.max()
    whole = statistics.number == len(frames)
    np.testing.assert_allclose(statistics.mean()[whole], frames.mean(axis=0)[whole])


@pytest.mark.parametrize("words", [["exclude_images=0,3"], ["prediction.d_min=6"], ["integration.lookup.mask=mask"]])
def test_what_goes_into_the_statistics(words, experiments, statistics, tmp_path):
    mask = np.ones(statistics.number.shape, bool)
    mask[20:40, 30:60] = False
    write_mask_pickle(tmp_path / "mask.pickle", [mask])
    words = [w.replace("=mask", f"={tmp_path / 'mask.pickle'}") for w in words]
    other = background_statistics(experiments, model_options(*words))[0]
    if "exclude" in words[0]:
        assert other.number.max() == statistics.number.max() - 2
    elif "mask" in words[0]:
        assert not other.number[~mask].any()
        np.testing.assert_array_equal(other.number[mask], statistics.number[mask])
    else:
        assert other.number.sum() > statistics.number.sum()


def test_the_goniometer_may_cast_a_shadow(experiments, monkeypatch):
    asked = []
    monkeypatch.setattr(MaskedFrames, "find_shadow", lambda self, z: asked.append(self.use_shadow))
    for word in ("True", "False"):
        background_statistics(experiments, model_options(f"use_dynamic_mask={word}"))
    assert asked == [True] * 12 + [False] * 12


@pytest.mark.parametrize("word", ["image_type=min", "filter_type=mean", "kernel_size=3", "min_images=12"])
def test_how_the_model_is_made(word, experiments):
    plain, other = (model_background(experiments, model_options("min_images=4", *w)) for w in ([], [word]))
    assert not np.array_equal(plain.model.panels[0], other.model.panels[0])
    if word == "image_type=min":
        assert other.model.panels[0].mean() < plain.model.panels[0].mean()
    if word == "min_images=12":
        assert other.statistics[0].enough(other.min_images).sum() < plain.statistics[0].enough(4).sum()


def test_the_command_makes_a_model_that_integration_takes(integrated, series, monkeypatch):
    monkeypatch.chdir(integrated)
    words = ["min_images=4", "output.variance_image_prefix=None", "output.mean_image_prefix=average",
             "output.model=smooth.pickle", "output.log=modelling.log"]
    assert main(["model_background", "integrated.expt", *words]) == 0
    assert Path("modelling.log").stat().st_size > 0
    drawn = {path.name for path in integrated.glob("*.png")}
    assert drawn == {f"{name}_0.png" for name in ("average", "dispersion", "mask", "min", "max", "model", "polar")}
    for name, words in (("plain", []), ("gmodel", ["background.algorithm=gmodel", "gmodel.model=smooth.pickle"])):
        assert main(["integrate", *series.files, "output_unintegrated_reflections=True", *words,
                     f"output.reflections={name}.refl"]) == 0
    plain, table = read_reflections("plain.refl"), read_reflections("gmodel.refl")
    # Neighbours' pixels count in gmodel, as in DIALS: boxes without them are compared.
    alone = (plain["num_pixels.background"] == plain["num_pixels.background_used"]) & (
        plain["num_pixels.background"] > 50)
    assert alone.sum() > 20
    # The model is that of the very images; hundreds of pixels of 1.5 counts a box: 5 % each, less for the median.
    assert np.median(table["background.scale"][alone]) == pytest.approx(1.0, abs=0.03)
    assert np.median(table["background.mean"][alone]) == pytest.approx(np.median(plain["background.mean"][alone]),
                                                                       rel=0.05)


def test_what_the_command_needs(series, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["model_background", series.files[0]]) == 1
    assert "no profile model" in capsys.readouterr().err
    assert main(["model_background"]) == 1
    assert "integrated.expt" in capsys.readouterr().err


def test_an_image_set_without_background_is_an_error(experiments, tmp_path):
    write_mask_pickle(tmp_path / "none.pickle", [np.zeros(experiments[0].detector.panel_shapes[0], bool)])
    with pytest.raises(XdpError, match="no pixel"):
        background_statistics(experiments, model_options(f"lookup.mask={tmp_path / 'none.pickle'}"))
