"""Which shots are processed."""

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.options.named import make_options
from xdp.serial.process.inputs import choose_shots, open_shots, take_share
from xdp.serial.process.options import StillsProcessOptions


def options(**named):
    return make_options(StillsProcessOptions, None, named)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.npy", "a.npy"):
        np.save(name, np.arange(60, dtype=np.uint16).reshape(5, 3, 4))
    return tmp_path


def test_files_lists_and_patterns(files):
    assert len(open_shots(["a.npy"], options())) == 5
    assert len(open_shots([], options(**{"input.glob": ("*.npy",)}))) == 10
    (files / "list.txt").write_text("a.npy //3\nb.npy //0\n")
    events = open_shots([], options(**{"input.file_list": "list.txt"}))
    assert [events.get_id(k).rpartition("/")[2] for k in range(len(events))] == ["3", "0"]
    assert len(open_shots(["b.npy"], options(**{"input.file_list": "list.txt"}))) == 7


def test_nothing_is_an_error(files):
    with pytest.raises(OptionError, match="shots are wanted"):
        open_shots([], options())
    with pytest.raises(OptionError, match="no file matches"):
        open_shots([], options(**{"input.glob": ("*.cxi",)}))
    (files / "empty.txt").write_text("# none\n")
    with pytest.raises(OptionError, match="names no images"):
        open_shots([], options(**{"input.file_list": "empty.txt"}))


@pytest.mark.parametrize(("named", "expected"), [
    ({}, [0, 1, 2, 3, 4]), ({"input.max_images": 2}, [0, 1]), ({"dispatch.process_percent": 40}, [0, 1]),
    ({"input.image_tag": ("a_00004", "a_00001")}, [1, 4]),
    ({"input.image_tag": ("a_00004", "a_00001"), "input.max_images": 1}, [1])])
def test_shots_are_chosen(files, named, expected):
    chosen = options(**named)
    assert choose_shots(open_shots(["a.npy"], chosen), chosen) == expected


def test_an_unknown_tag_is_an_error(files):
    chosen = options(**{"input.image_tag": ("a_00009",)})
    with pytest.raises(OptionError, match=r"no shot has this tag.*a_00000"):
        choose_shots(open_shots(["a.npy"], chosen), chosen)


@pytest.mark.parametrize(("percent", "n"), [(100, 200), (50, 100), (1, 2), (33, 66), (75, 150)])
def test_the_share_is_even(percent, n):
    taken = take_share(range(200), percent)
    assert len(taken) == n
    # each hundred has the same share
    assert sum(k < 100 for k in taken) == n / 2
