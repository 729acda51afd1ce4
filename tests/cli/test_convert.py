"""xdp convert."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.cli.convert import expand_output_option
from xdp.cli.main import main
from xdp.errors import OptionError
from xdp.images.formats.find import find_format


def test_output_is_short_for_a_parameter():
    assert expand_output_option(["a.h5", "-o", "b.zarr"]) == ["a.h5", "output.store=b.zarr"]
    assert expand_output_option(["--output", "b", "a"]) == ["output.store=b", "a"]
    with pytest.raises(OptionError, match="-o needs the name"):
        expand_output_option(["a.h5", "-o"])


def test_convert(tmp_path, monkeypatch, capsys):
    import h5py

    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.arange(60, dtype="u2").reshape(3, 4, 5))
    # No geometry: one line, nothing written.
    assert main(["convert", "a.npy", "-o", "out.zarr"]) == 1
    error = capsys.readouterr().err
    assert "a.npy" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.zarr").exists()
    with h5py.File("a.cxi", "w") as handle:
        handle["entry_1/data_1/data"] = np.arange(60, dtype="u2").reshape(3, 4, 5)
        handle["entry_1/instrument_1/source_1/energy"] = 9500.0
        for name, value in (("distance", 0.1), ("x_pixel_size", 1e-4), ("y_pixel_size", 1e-4)):
            handle[f"entry_1/instrument_1/detector_1/{name}"] = value
    assert main(["convert", "a.cxi", "-o", "out.zarr", "frames_per_shard=2"]) == 0
    assert "Wrote 3 frames to out.zarr" in capsys.readouterr().out
    np.testing.assert_array_equal(find_format("out.zarr").raw(2)[0], np.arange(40, 60).reshape(4, 5))


def test_no_input(capsys):
    assert main(["convert"]) == 1
    assert "convert needs images" in capsys.readouterr().err
