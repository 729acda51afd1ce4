"""Tests of PHIL files that a chain names."""

import pytest

from xdp.errors import OptionError
from xdp.serial.chain.phil import list_included, read_definitions


def test_includes_are_followed_from_where_they_stand(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.phil").write_text("distl {\n minimum_spot_area = 5\n scanbox_windows = 101 51 51\n}\n")
    (tmp_path / "a.phil").write_text("include file sub/b.phil\ndistl.minimum_spot_area = 3\n"
                                     "target_cell = 79 79 38 90 90 90")
    found = read_definitions(tmp_path / "a.phil")
    assert found == {"distl.minimum_spot_area": "3", "distl.scanbox_windows": "101 51 51",
                     "target_cell": "79 79 38 90 90 90"}
    assert [name.rsplit("/", 1)[1] for name in list_included(tmp_path / "a.phil")] == ["a.phil", "b.phil"]


def test_scopes_of_python_modules_are_not_imported(tmp_path, caplog):
    (tmp_path / "a.phil").write_text("include scope os.system\na = 1\n")
    assert read_definitions(tmp_path / "a.phil") == {"a": "1"}
    assert "names Python code" in caplog.text


@pytest.mark.parametrize(("text", "message"), [("include file a.phil", "includes itself"), ("a {", "is no PHIL"),
                                               ("include file none.phil", "cannot be read")])
def test_errors(tmp_path, text, message):
    (tmp_path / "a.phil").write_text(text)
    with pytest.raises(OptionError, match=message):
        read_definitions(tmp_path / "a.phil")
