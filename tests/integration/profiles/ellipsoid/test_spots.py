"""Strong spots that an ellipsoid model is refined against: chosen, and measured in the image."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel
from xdp.integration.profiles.ellipsoid.sphere import cut_points
from xdp.integration.profiles.ellipsoid.spots import choose_spots, measure_divergence, observe_spots

pytestmark = pytest.mark.kernels


def test_good_spots_are_kept_with_their_indices(drawn):
    chosen, n_reindexed = choose_spots(drawn.experiment, drawn.spots, EllipsoidOptions())
    assert n_reindexed == 0
    # 2.5 % of a normal distribution are outside of the probability; rays to points that are hardly cut scatter more
    assert 0.85 * len(drawn.spots) < len(chosen) <= len(drawn.spots)
    assert np.abs(chosen["xyzcal.px"] - chosen["xyzobs.px.value"]).max() < 2.0


def test_far_spots_are_left_out_and_wrong_indices_put_right(drawn):
    position, index = drawn.spots["xyzobs.px.value"].copy(), drawn.spots["miller_index"].copy()
    position[0] += [3.0, 0.0, 0.0]
    index[1] += 1
    spots = drawn.spots.with_columns(**{"xyzobs.px.value": position, "miller_index": index})
    chosen, n_reindexed = choose_spots(drawn.experiment, spots, EllipsoidOptions())
    assert n_reindexed == 1
    found = set(map(tuple, chosen["miller_index"].tolist()))
    assert tuple(drawn.spots["miller_index"][0].tolist()) not in found
    assert tuple(index[1].tolist()) not in found
    strict = EllipsoidOptions.model_validate({"indexing": {"fail_on_bad_index": True}})
    with pytest.raises(XdpError, match=r"1 of \d+ spots are nearer to another index"):
        choose_spots(drawn.experiment, spots, strict)


def test_too_few_spots_are_an_error(drawn):
    with pytest.raises(XdpError, match="10 are needed"):
        choose_spots(drawn.experiment, drawn.spots.select(slice(9)), EllipsoidOptions())


def test_divergence_is_the_spread_of_the_photons(drawn):
    spots = choose_spots(drawn.experiment, drawn.spots, EllipsoidOptions()).spots
    s0 = drawn.experiment.beam.s0
    cuts = cut_points(drawn.model, spots["s2"] - s0, s0)
    square = np.trace(cuts.covariance, axis1=1, axis2=2) / (s0 @ s0)
    # pixels add 1/12 each way
    pixel = 0.172 / 60.0
    expected = np.sqrt(square.mean() + pixel**2 / 6.0)
    assert measure_divergence(drawn.experiment, spots) == pytest.approx(expected, rel=0.05)
    empty = spots["shoebox"]
    none = type(empty)(empty.panel, empty.bbox, empty.offsets, 0.0 * empty.data, empty.mask)
    with pytest.raises(XdpError, match="divergence"):
        measure_divergence(drawn.experiment, spots.with_columns(shoebox=none))


def test_observed_shapes_are_those_of_the_cuts(drawn):
    spots = choose_spots(drawn.experiment, drawn.spots, EllipsoidOptions()).spots
    sigma = measure_divergence(drawn.experiment, spots)
    found = observe_spots(drawn.experiment, spots, sigma, drawn.cut, drawn.fit_background)
    assert len(found.weight) > 0.9 * len(spots)
    s0 = drawn.experiment.beam.s0
    crystal = drawn.experiment.crystal
    cuts = cut_points(drawn.model, found.miller_index @ crystal.A.T, s0)
    size = np.trace(cuts.covariance, axis1=1, axis2=2)
    pixel = 0.172 / 60.0 / drawn.experiment.beam.wavelength
    # pixels add to the variance; the counts of neighbours' tails and of the background's noise make it a little larger
    ratio = (found.covariance[:, 0] + found.covariance[:, 2]) / (size + pixel**2 / 6.0)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)


def test_spots_without_counts_are_an_error(drawn):
    spots = choose_spots(drawn.experiment, drawn.spots, EllipsoidOptions()).spots
    dark = type(drawn)(drawn.experiment, EllipsoidModel("simple1", (1e-3,)), 0.0 * drawn.image, drawn.spots)
    with pytest.raises(XdpError, match="0 spots have counts"):
        observe_spots(drawn.experiment, spots, 2e-3, dark.cut, dark.fit_background)
    with pytest.raises(XdpError, match=rf"No background could be fitted under {len(spots)} of {len(spots)} spots"):
        observe_spots(drawn.experiment, spots, 2e-3, drawn.cut, lambda boxes: np.ones(len(boxes), bool))
