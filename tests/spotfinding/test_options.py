"""Every parameter of find_spots: it exists with the reference's type and default, and it has an effect.

The table is a copy of the reference's (tests/data/parameters.tsv). A parameter without an entry in EFFECTS fails.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from parameter_tables import check_declaration, reference_rows, registry
from sweeps import add_spot, background, crossing_spots, options, stills, sweep

from xdp.cli import find_spots as command
from xdp.errors import XdpError
from xdp.experiment import read_experiments, write_experiments
from xdp.images.masks.pickles import read_maps, write_mask_pickle
from xdp.reflections.refl import read_reflections
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.options import FindSpotsOptions

ROWS = reference_rows("find_spots")
NAMES = [row["parameter"] for row in ROWS]
EFFECTS, effect = registry()


def spots_of(experiments, *settings):
    """The table of the spots that are found."""
    return find_spots(experiments, *settings).reflections


def run(folder, experiments, *words):
    """The command on experiments, in `folder`; the table, None where another name was given."""
    write_experiments(folder / "imported.expt", experiments)
    assert command.run([str(folder / "imported.expt"), *words]) == 0
    return read_reflections("strong.refl") if Path("strong.refl").exists() else None


def positions(table):
    """Boxes of the spots, as a sorted list."""
    return sorted(map(tuple, table["bbox"].tolist()))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def four_spots():
    """Eight frames, one panel: spots at (slow, fast) = (10, 10), (10, 60), (50, 10), (36, 40) on frames 1, 3, 5, 6."""
    counts = background(8)
    for frame, (slow, fast) in zip((1, 3, 5, 6), ((10, 10), (10, 60), (50, 10), (36, 40)), strict=True):
        add_spot(counts, frame, slow, fast)
    return counts


def corners(table):
    """(slow, fast) of the spots' highest pixels."""
    return {(int(y), int(x)) for x, y in zip(*np.floor(table["xyzobs.px.value"][:, :2]).T, strict=True)}


# --- the table -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_parameter_has_the_type_default_and_level_of_the_reference(row):
    check_declaration(FindSpotsOptions, row, own_multiples="untrusted", exact=True)


@pytest.mark.parametrize("name", NAMES)
def test_parameter_has_an_effect(name, place):
    assert name in EFFECTS, f"no test shows the effect of {name}: add one to EFFECTS"
    EFFECTS[name](place)


# --- output ----------------------------------------------------------------------------------------------------------

@effect("output.reflections")
def output_reflections(place):
    run(place, sweep(place, four_spots()), "output.reflections=other.refl")
    assert len(read_reflections("other.refl")) == 4
    assert not Path("strong.refl").exists()


@effect("output.shoeboxes")
def output_shoeboxes(place):
    experiments = sweep(place, crossing_spots(9, 1))
    full, bare = spots_of(experiments), spots_of(experiments, options("output.shoeboxes=False"))
    assert "shoebox" not in bare
    del full["shoebox"]
    assert full == bare


@effect("output.experiments")
def output_experiments(place):
    run(place, sweep(place, four_spots()), "output.experiments=out.expt")
    assert read_experiments("out.expt")[0].identifier == "sweep-0"
    assert '"trusted_range": [0.0, 60000.0]' in " ".join(Path("out.expt").read_text().split()).replace("[ ", "[")\
        .replace(" ]", "]")
    run(place, sweep(place, four_spots()), "output.experiments=old.expt", "output.compatibility=dials-3.12")
    assert list(read_experiments("old.expt")) == list(read_experiments("out.expt"))
    assert "60001.0" in Path("old.expt").read_text()


@effect("output.log")
def output_log(place):
    run(place, sweep(place, four_spots()), "output.log=other.log")
    text = Path("other.log").read_text()
    assert "Found 9 strong pixels on image 2" in text
    assert "Extracted 4 spots" in text
    assert "Saved 4 reflections to strong.refl" in text


@effect("maximum_trusted_value")
def maximum_trusted_value(place):
    counts = four_spots()
    counts[3, 0, 9:12, 59:62] = 500
    experiments = sweep(place, counts)
    assert len(spots_of(experiments)) == 4
    assert (10, 60) not in corners(spots_of(experiments, options("maximum_trusted_value=499")))
    assert (10, 60) in corners(spots_of(experiments, options("maximum_trusted_value=500")))


@effect("per_image_statistics")
def per_image_statistics(place):
    run(place, sweep(place, four_spots()), "per_image_statistics=True")
    text = Path("xdp.find_spots.log").read_text()
    assert re.search(r"^ +4 +1 +1 +\d+$", text, re.MULTILINE)
    assert re.search(r"^ +3 +0 +0 +0$", text, re.MULTILINE)


# --- what is searched ------------------------------------------------------------------------------------------------

@effect("spotfinder.lookup.mask")
def lookup_mask(place):
    mask = np.ones((64, 72), bool)
    mask[45:55, 5:15] = False
    write_mask_pickle(place / "lookup.pickle", [mask])
    found = spots_of(sweep(place, four_spots()), options(f"lookup.mask={place / 'lookup.pickle'}"))
    assert corners(found) == {(10, 10), (10, 60), (36, 40)}


@effect("spotfinder.write_hot_mask")
def write_hot_mask(place):
    counts = four_spots()
    counts[:, 0, 20, 30] = 900
    run(place, sweep(place, counts), "write_hot_mask=True", "output.experiments=out.expt", "chunksize=3")
    mask, = read_maps("hot_mask_0.pickle")
    assert np.argwhere(~mask).tolist() == [[20, 30]]
    assert read_experiments("out.expt")[0].imageset.mask == str(place / "hot_mask_0.pickle")


def test_hot_pixels_are_those_of_all_parts_of_a_sweep(place):
    """Parts of one image set have one mask: what is strong in one part alone is not hot."""
    counts = four_spots()
    counts[:, 0, 20, 30] = counts[:4, 0, 40, 20] = 900
    run(place, sweep(place, counts), "write_hot_mask=True", "exclude_images=0:5:5")
    mask, = read_maps("hot_mask_0.pickle")
    assert np.argwhere(~mask).tolist() == [[20, 30]]


@effect("spotfinder.hot_mask_prefix")
def hot_mask_prefix(place):
    run(place, sweep(place, four_spots()), "write_hot_mask=True", "hot_mask_prefix=warm")
    assert Path("warm_0.pickle").exists()


@effect("spotfinder.force_2d")
def force_2d(place):
    counts = background(6)
    add_spot(counts, slice(1, 5), 30, 30)
    experiments = sweep(place, counts)
    assert positions(spots_of(experiments)) == [(29, 32, 29, 32, 1, 5)]
    assert positions(spots_of(experiments, options("force_2d=True"))) == [
        (29, 32, 29, 32, z, z + 1) for z in range(1, 5)]


@effect("spotfinder.scan_range")
def scan_range(place):
    experiments = sweep(place, four_spots(), first_image=11)
    found = spots_of(experiments, options("scan_range=11,12", "scan_range=16,17"))  # both ends belong to it
    assert corners(found) == {(10, 10), (50, 10), (36, 40)}
    assert corners(spots_of(experiments, options("scan_range=12,12"))) == {(10, 10)}
    for wrong in ("10,12", "12,19", "13,12"):
        with pytest.raises(XdpError, match="scan_range"):
            find_spots(experiments, options(f"scan_range={wrong}"))
    assert corners(spots_of(stills(place, four_spots()), options("scan_range=2,4"))) == {(10, 10), (10, 60)}


def test_excluded_images_are_not_searched(place):
    experiments = sweep(place, four_spots(), first_image=11)  # spots on images 12, 14, 16, 17
    assert corners(spots_of(experiments, options("exclude_images=0:12:14"))) == {(50, 10), (36, 40)}
    two = options("exclude_images=12:12", "exclude_images=17:18")
    assert corners(spots_of(experiments, two)) == {(10, 60), (50, 10)}
    found = find_spots(experiments, options("exclude_images=0:12:12,0:16:16", "scan_range=12,17"))
    assert corners(found.reflections) == {(10, 60), (36, 40)}
    assert [len(n) for n in found.n_strong] == [3, 1]  # images 13 to 15, and 17
    whole = spots_of(stills(place, four_spots()))
    of_stills = spots_of(stills(place, four_spots()), options("exclude_images=2:2,4:5"))
    assert corners(of_stills) == {(50, 10), (36, 40)}
    assert of_stills["id"].tolist() == whole["id"][2:].tolist()
    second = options("exclude_images=1:1:1")
    assert corners(spots_of(stills(place, four_spots()), second)) == {(10, 60), (50, 10), (36, 40)}


def test_a_spot_beside_an_excluded_image_ends_there(place):
    counts = background(6)
    add_spot(counts, slice(1, 5), 30, 30)
    found = spots_of(sweep(place, counts), options("exclude_images=0:3:3"))
    assert positions(found) == [(29, 32, 29, 32, 1, 2), (29, 32, 29, 32, 3, 5)]


@pytest.mark.parametrize(("words", "message"), [
    ("1:1:2", "experiments have the numbers 0 to 0"), ("0:10:12", "the images are 11 to 18"),
    ("18:19", "the images are 11 to 18"), ("0:11:18", "leaves no image"), ("12", "expected experiment:first:last")])
def test_excluded_images_must_be_there(place, words, message):
    with pytest.raises(XdpError, match=message):
        find_spots(sweep(place, four_spots(), first_image=11), options(f"exclude_images={words}"))


def test_of_several_sweeps_the_experiment_must_be_named(place):
    one, = sweep(place, four_spots(), name="a.npy")
    other, = sweep(place, four_spots(), name="b.npy")
    with pytest.raises(XdpError, match="there are 2 image sets; say which experiment's images, as 0:1:2"):
        find_spots([one, other], options("exclude_images=1:2"))
    found = spots_of([one, other], options("exclude_images=1:1:8"))
    assert set(found["id"].tolist()) == {0}


@effect("spotfinder.region_of_interest")
def region_of_interest(place):
    experiments = sweep(place, four_spots())
    assert corners(spots_of(experiments, options("region_of_interest=0,72,0,12"))) == {(10, 10), (10, 60)}
    assert corners(spots_of(experiments, options("region_of_interest=9,12,9,64"))) <= {(10, 10), (50, 10)}
    with pytest.raises(XdpError, match="region_of_interest"):
        find_spots(experiments, options("region_of_interest=0,73,0,12"))


@effect("spotfinder.compute_mean_background")
def compute_mean_background(place):
    counts = four_spots()
    run(place, sweep(place, counts), "compute_mean_background=True")
    frame = np.delete(counts[1, 0].astype(float).ravel(),
                      [y * 72 + x for y in (9, 10, 11) for x in (9, 10, 11)])
    assert f"on image 2 with average background {frame.mean():f}" in Path("xdp.find_spots.log").read_text()


# --- filters ---------------------------------------------------------------------------------------------------------

def sized_spots():
    """Spots of 1, 2, 4 and 9 pixels."""
    counts = background(2)
    for n, pixels in ((1, [(0, 0)]), (2, [(0, 0), (0, 1)]), (4, [(0, 0), (0, 1), (1, 0), (1, 1)])):
        for y, x in pixels:
            counts[0, 0, 10 + y, 10 * n + x] = 300
    add_spot(counts, 0, 40, 40)
    return counts


def sizes(table):
    return sorted(table["n_signal"].tolist())


@effect("spotfinder.filter.min_spot_size")
def min_spot_size(place):
    experiments = sweep(place, sized_spots())
    assert sizes(spots_of(experiments)) == [4, 9]  # Auto: 3 for a counting detector
    assert sizes(spots_of(sweep(place, sized_spots(), type="SENSOR_CCD"))) == [9]  # 6 for others
    assert sizes(spots_of(experiments, options("min_spot_size=2"))) == [2, 4, 9]
    assert sizes(spots_of(experiments, options("min_spot_size=None"))) == [1, 2, 4, 9]


@effect("spotfinder.filter.max_spot_size")
def max_spot_size(place):
    assert sizes(spots_of(sweep(place, sized_spots()), options("max_spot_size=8"))) == [4]


@effect("spotfinder.filter.max_separation")
def max_separation(place):
    counts = background(2)
    counts[0, 0, 20, 20:31] = 300
    counts[0, 0, 20, 30] = 400  # the peak is five pixels from the centroid
    experiments = sweep(place, counts)
    assert len(spots_of(experiments, options("max_separation=6"))) == 1
    assert len(spots_of(experiments)) == 0
    assert len(spots_of(experiments, options("max_separation=None"))) == 1


@effect("spotfinder.filter.max_strong_pixel_fraction")
def max_strong_pixel_fraction(place):
    experiments = sweep(place, four_spots(), first_image=5)
    allowed = 9 / (64 * 72)
    assert len(spots_of(experiments, options(f"max_strong_pixel_fraction={allowed}"))) == 4
    with pytest.raises(XdpError, match=r"image 6: 9 strong pixels .* 8 that max_strong_pixel_fraction"):
        find_spots(experiments, options(f"max_strong_pixel_fraction={7.5 / (64 * 72)}"))
    for off in ("1", "None"):
        assert len(spots_of(experiments, options(f"max_strong_pixel_fraction={off}"))) == 4


def sloping():
    """A spot on flat background and one on background that rises by 20 counts a pixel along fast."""
    counts = background(3, mean=100.0)
    counts[1, 0, 35:60] += (20 * np.arange(72)).astype(np.uint16)
    add_spot(counts, 1, 15, 30, 900)
    add_spot(counts, 1, 45, 30, 3000)
    return counts


@effect("spotfinder.filter.background_gradient.filter", "spotfinder.filter.background_gradient.gradient_cutoff")
def background_gradient(place):
    experiments = sweep(place, sloping())
    gradient = "background_gradient.filter=True"
    plain = corners(spots_of(experiments, options("min_spot_size=6")))
    assert {(15, 30), (45, 30)} <= plain
    filtered = corners(spots_of(experiments, options("min_spot_size=6", gradient)))
    assert (15, 30) in filtered
    assert (45, 30) not in filtered
    steep = corners(spots_of(experiments, options("min_spot_size=6", gradient, "gradient_cutoff=30")))
    assert steep == plain


@effect("spotfinder.filter.background_gradient.background_size")
def background_size(place):
    counts = background(3, mean=100.0)
    add_spot(counts, 1, 30, 30, 900)
    counts[1, 0, 20:41, 36] += 60  # six pixels from the spot: only a wide ring reaches it
    experiments = sweep(place, counts)
    words = ("background_gradient.filter=True", "gradient_cutoff=3")
    assert (30, 30) in corners(spots_of(experiments, options(*words, "background_size=2")))
    assert (30, 30) not in corners(spots_of(experiments, options(*words, "background_size=4")))


@effect("spotfinder.filter.spot_density.filter")
def spot_density(place):
    counts = background(320)
    rng = np.random.default_rng(3)
    for frame in range(320):  # ordinary spots all over, and one place that shows one on every tenth frame
        for slow, fast in rng.integers(4, 60, (8, 2)):
            add_spot(counts, frame, slow, fast)
        if frame % 10 == 0:
            add_spot(counts, frame, 32, 66)
    experiments = sweep(place, counts)
    plain, filtered = (spots_of(experiments, options(f"spot_density.filter={on}")) for on in (False, True))
    crowd = [np.count_nonzero(t["xyzobs.px.value"][:, 0] > 64.5) for t in (plain, filtered)]
    assert crowd[0] == 32
    assert crowd[1] < 5  # one that lies on the very edge of a bin of the map stays, as in DIALS
    assert len(filtered) > 0.9 * (len(plain) - crowd[0])


# --- masks -----------------------------------------------------------------------------------------------------------

@effect("spotfinder.filter.border")
def border(place):
    counts = four_spots()
    add_spot(counts, 0, 2, 30)
    experiments = sweep(place, counts)
    assert (2, 30) in corners(spots_of(experiments))
    assert corners(spots_of(experiments, options("border=8"))) == {(10, 10), (10, 60), (50, 10), (36, 40)}
    assert corners(spots_of(experiments, options("border=12"))) == {(50, 10), (36, 40)} - {(50, 10)}


@effect("spotfinder.filter.use_trusted_range")
def use_trusted_range(place):
    counts = four_spots()
    counts[3, 0, 9:12, 59:62] = 300
    experiments = sweep(place, counts, trusted_range=(0.0, 299.0))
    for word in ("True", "False"):  # accepted, with a note; the trusted range always applies
        table = run(place, experiments, f"use_trusted_range={word}")
        assert (10, 60) not in corners(table)
    assert "use_trusted_range" not in Path("xdp.find_spots.log").read_text().split("parameters have been modified")[0]
    run(place, experiments, "use_trusted_range=True")
    assert "the trusted range always masks bad pixels" in Path("xdp.find_spots.log").read_text()


# 100 mm from the sample, 0.2 mm pixels, 1 Angstrom: a pixel r from (36, 32) has d = 1 / (2 sin(atan(r / 500) / 2)),
# which is 14.7 for (36, 40) (r = 34), 15.9 for (10, 10), 17.3 for (10, 60) and 15.7 for (50, 10)
@effect("spotfinder.filter.d_min")
def d_min(place):
    assert (36, 40) in corners(spots_of(sweep(place, four_spots()), options("d_min=25")))
    assert corners(spots_of(sweep(place, four_spots()), options("d_min=25"))) == {(36, 40)}


@effect("spotfinder.filter.d_max")
def d_max(place):
    assert corners(spots_of(sweep(place, four_spots()), options("d_max=25"))) == {(10, 10), (10, 60), (50, 10)}


@effect("spotfinder.filter.resolution_range")
def resolution_range(place):
    experiments = sweep(place, four_spots())
    found = corners(spots_of(experiments, options("resolution_range=30,1000", "resolution_range=14.9,13")))
    assert found < {(10, 10), (10, 60), (50, 10)}
    assert len(found) < 3
    assert corners(spots_of(experiments, options("resolution_range=30,1000"))) == {(10, 10), (10, 60), (50, 10)}


@effect("spotfinder.filter.disable_parallax_correction")
def disable_parallax_correction(place):
    counts = background(1, shape=(64, 400), n_panels=1)
    add_spot(counts, 0, 32, 380)
    thick = {"px_mm_strategy": "ParallaxCorrectedPxMmStrategy", "thickness": 5.0, "mu": 1.0,
             "origin": (0.0, 6.4, -30.0)}
    experiments = sweep(place, counts, **thick)
    limits = {}
    for off in (True, False):  # the spot's resolution changes with the correction: find where it is masked
        d = next(d for d in np.arange(0.8, 2.0, 0.002)
                 if not len(spots_of(experiments, options(f"d_min={d:.3f}", f"disable_parallax_correction={off}"))))
        limits[off] = d
    assert limits[False] > limits[True] + 0.002  # without the correction the spot seems farther out


@effect("spotfinder.filter.untrusted.panel")
def untrusted_panel(place):
    counts = background(2, n_panels=2)
    for p in (0, 1):
        add_spot(counts, 0, 20, 20, panel=p)
    experiments = sweep(place, counts)
    (place / "two.phil").write_text(
        "spotfinder.filter.untrusted { panel = 1\n circle = 20 20 6 }\n"
        "spotfinder.filter.untrusted { panel = 0\n circle = 50 50 6 }\n")
    assert spots_of(experiments, options(str(place / "two.phil")))["panel"].tolist() == [0]
    assert spots_of(experiments, options("untrusted.panel=0"))["panel"].tolist() == [1]  # no shape: the whole panel
    with pytest.raises(XdpError, match=r"untrusted\.panel"):
        find_spots(experiments, options("untrusted.panel=2"))


@effect("spotfinder.filter.untrusted.circle", "spotfinder.filter.untrusted.rectangle",
        "spotfinder.filter.untrusted.polygon", "spotfinder.filter.untrusted.pixel")
def untrusted_shapes(place):
    experiments = sweep(place, four_spots())
    every = {(10, 10), (10, 60), (50, 10), (36, 40)}
    for word, lost in (("circle=60,10,5", (10, 60)), ("rectangle=5,15,45,55", (50, 10)),
                       ("polygon=35,30,45,30,45,42,35,42", (36, 40))):
        assert corners(spots_of(experiments, options(f"untrusted.{word}"))) == every - {lost}
    both = options("untrusted.circle=60,10,5", "untrusted.rectangle=5,15,45,55")
    assert corners(spots_of(experiments, both)) == {(10, 10), (36, 40)}
    table = spots_of(experiments, options("untrusted.pixel=10,60", "algorithm=dispersion"))  # slow, fast
    assert table["n_signal"][table["bbox"][:, 0] == 59].tolist() == [8]


@effect("spotfinder.filter.ice_rings.filter", "spotfinder.filter.ice_rings.unit_cell",
        "spotfinder.filter.ice_rings.space_group", "spotfinder.filter.ice_rings.width",
        "spotfinder.filter.ice_rings.d_min")
def ice_rings(place):
    # with a primitive cubic cell of 24.7 Angstrom the only ring on the detector, above 17.6, is 1 0 0 at 20.2 pixels
    experiments = sweep(place, ring_spots())
    found = {}
    for name, words in {
        "off": ["ice_rings.filter=False"], "P": [], "I": ["ice_rings.space_group=I23"],
        "cell": ["ice_rings.unit_cell=12,12,12,90,90,90"], "narrow": ["ice_rings.width=0.00002"],
        "coarse": ["ice_rings.d_min=30"],
    }.items():
        words = ["ice_rings.filter=True", "ice_rings.unit_cell=24.7,24.7,24.7,90,90,90", "ice_rings.space_group=195",
                 "ice_rings.width=0.0008", "ice_rings.d_min=18", *words]
        found[name] = corners(spots_of(experiments, options(*words)))
    ring, outside = (32, 56), (56, 60)
    assert ring in found["off"]
    assert ring not in found["P"]
    assert outside in found["P"]
    assert ring in found["I"]  # 1 0 0 is absent
    assert ring in found["cell"]
    assert ring in found["narrow"]
    assert ring in found["coarse"]


def ring_spots():
    """A spot 20.5 pixels from the beam along fast, and one 34.7 pixels away."""
    counts = background(2)
    add_spot(counts, 0, 32, 56)
    add_spot(counts, 0, 56, 60)
    return counts


# --- where it runs ---------------------------------------------------------------------------------------------------

@effect("spotfinder.mp.method")
def mp_method(place):
    counts = crossing_spots(9, 1)
    alone = run(place, sweep(place, counts))
    assert run(place, sweep(place, counts), "mp.method=multiprocessing", "nproc=2", "chunksize=3") == alone
    with pytest.raises(XdpError, match=r"cluster\.address"):  # batch systems have tests of their own in tests/cluster
        run(place, sweep(place, counts), "mp.method=address")


@effect("spotfinder.mp.njobs", "spotfinder.mp.nproc", "spotfinder.mp.chunksize", "spotfinder.mp.min_chunksize")
def mp_sizes(place):
    from xdp.spotfinding.run.chunks import choose_frames_per_task
    from xdp.work.cores import count_cores, count_parallel_tasks, count_threads

    def size(n_frames, *words):
        mp = options(*words).spotfinder.mp
        return choose_frames_per_task(n_frames, count_parallel_tasks(mp), mp)

    assert size(600) == 36  # 17 tasks for the one worker
    assert size(600, "min_chunksize=50") == 50
    assert size(600, "chunksize=7") == 7
    assert size(600, "chunksize=7", "nproc=200") == 3
    assert size(60, "nproc=2") == 30
    assert size(60, "njobs=2") == 30
    for word in ("None", "Auto"):
        assert count_threads(options(f"nproc={word}").spotfinder.mp) == count_cores()
    experiments = sweep(place, crossing_spots(9, 1))
    assert spots_of(experiments, options("nproc=Auto", "chunksize=2")) == spots_of(experiments)


# --- thresholds ------------------------------------------------------------------------------------------------------

@effect("spotfinder.threshold.algorithm")
def threshold_algorithm(place):
    experiments = sweep(place, crossing_spots(5, 1))
    found = [spots_of(experiments, options(f"threshold.algorithm={a}"))["n_signal"].sum()
             for a in ("dispersion", "dispersion_extended", "radial_profile")]
    assert len(set(found)) == 3


def strong(place, *words, algorithm="dispersion_extended"):
    """How many pixels are in spots of any size."""
    table = spots_of(sweep(place, crossing_spots(5, 1)),
                       options("min_spot_size=1", "max_separation=None", f"threshold.algorithm={algorithm}", *words))
    return int(table["n_signal"].sum())


@effect("spotfinder.threshold.dispersion.gain", "spotfinder.threshold.dispersion.sigma_background",
        "spotfinder.threshold.dispersion.sigma_strong", "spotfinder.threshold.dispersion.global_threshold",
        "spotfinder.threshold.dispersion.kernel_size")
def dispersion_numbers(place):
    for algorithm in ("dispersion", "dispersion_extended"):
        default = strong(place, algorithm=algorithm)
        for word in ("gain=4", "sigma_strong=8", "global_threshold=60"):
            assert 0 < strong(place, word, algorithm=algorithm) < default, word
        assert strong(place, "sigma_background=1000", algorithm=algorithm) < default
        assert strong(place, "kernel_size=5,5", algorithm=algorithm) != default
    counts = crossing_spots(5, 1) + np.uint16(40)
    run(place, sweep(place, counts), "global_threshold=Auto")
    chosen = int(re.search(r"Setting global_threshold: (\d+)", Path("xdp.find_spots.log").read_text())[1])
    found = spots_of(sweep(place, counts), options("global_threshold=Auto"))
    assert found == spots_of(sweep(place, counts), options(f"global_threshold={chosen}"))
    assert found["shoebox"].data[found["shoebox"].mask > 0].min() > chosen > 0
    with pytest.raises(XdpError, match="sigma_strong must be a number"):
        strong(place, "sigma_strong=None")


@effect("spotfinder.threshold.dispersion.min_local")
def min_local(place):
    counts = background(1)
    add_spot(counts, 0, 1, 30, 400)
    experiments = sweep(place, counts)
    assert (1, 30) in corners(spots_of(experiments))
    assert (1, 30) not in corners(spots_of(experiments, options("min_local=0")))  # all 49 pixels must be there


@effect("spotfinder.threshold.radial_profile.n_iqr", "spotfinder.threshold.radial_profile.blur",
        "spotfinder.threshold.radial_profile.n_bins")
def radial_profile(place):
    default = strong(place, algorithm="radial_profile")
    assert 0 < strong(place, "n_iqr=20", algorithm="radial_profile") < default
    blurs = [strong(place, f"radial_profile.blur={b}", algorithm="radial_profile") for b in ("narrow", "wide")]
    assert len({default, *blurs}) == 3
    assert strong(place, "n_bins=2", algorithm="radial_profile") != default


def test_the_log_goes_silent_again():
    from xdp.logs import stop_log

    stop_log()
    assert not logging.getLogger("xdp").handlers
