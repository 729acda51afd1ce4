from __future__ import annotations

import gzip
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdp.errors import FormatError, XdpError
from xdp.reflections import ReflectionTable, column_specs, join_specs, read_reflections, refl_writer, write_reflections
from xdp.reflections.refl import ColumnSpec


@pytest.mark.parametrize("name", ["t.refl", "t.refl.gz"])
def test_round_trip(tmp_path, table, name):
    write_reflections(tmp_path / name, table)
    assert read_reflections(tmp_path / name) == table


@pytest.mark.parametrize("n_rows", [0, 1, 300])
def test_round_trip_of_other_lengths(tmp_path, n_rows, make_table):
    table = make_table(n_rows)
    write_reflections(tmp_path / "t.refl", table)
    back = read_reflections(tmp_path / "t.refl")
    assert back == table
    back["flags"][:] = 0  # What was read is the reader's own, and writable.


def test_the_file_is_messagepack_in_the_layout_of_dials(tmp_path, table):
    write_reflections(tmp_path / "t.refl", table)
    magic, version, parts = msgpack.unpackb((tmp_path / "t.refl").read_bytes(), strict_map_key=False)
    assert (magic, version) == ("dials::af::reflection_table", 1)
    assert list(parts) == ["identifiers", "nrows", "data"]
    assert list(parts["data"]) == sorted(table)
    assert parts["data"]["id"] == ["int", [11, table["id"].tobytes()]]
    assert parts["identifiers"] == {0: "first", 1: "second"}


def test_compressed_files_of_equal_tables_are_equal(tmp_path, table):
    for name in ("a.refl.gz", "b.refl.gz"):
        write_reflections(tmp_path / name, table)
    assert (tmp_path / "a.refl.gz").read_bytes() == (tmp_path / "b.refl.gz").read_bytes()


@pytest.mark.parametrize("cuts", [[], [3, 3], [0, 11], [1, 2, 3, 10], [11]])
def test_pieces_give_the_bytes_of_the_whole(tmp_path, table, cuts):
    pieces = [table.select(slice(a, b)) for a, b in zip([0, *cuts], [*cuts, 11], strict=True)]
    specs = join_specs([column_specs(piece) for piece in pieces])
    with refl_writer(tmp_path / "p.refl", specs, n_rows=11, identifiers=table.identifiers) as writer:
        for name in writer.names:
            for piece in pieces:
                writer.append(name, piece[name])
    write_reflections(tmp_path / "w.refl", table)
    assert (tmp_path / "p.refl").read_bytes() == (tmp_path / "w.refl").read_bytes()


def test_pieces_of_no_rows_may_be_left_out(tmp_path, make_table):
    empty = make_table(0)
    with refl_writer(tmp_path / "p.refl", column_specs(empty), n_rows=0, identifiers=empty.identifiers):
        pass
    assert read_reflections(tmp_path / "p.refl") == empty


def test_memory_is_that_of_a_piece(tmp_path):
    piece = ReflectionTable({name: np.zeros(50_000) for name in "abcd"})
    specs = join_specs([column_specs(piece)] * 40)
    tracemalloc.start()
    with refl_writer(tmp_path / "p.refl", specs, n_rows=2_000_000) as writer:
        for name in writer.names:
            for _ in range(40):
                writer.append(name, piece[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "p.refl").stat().st_size > 64_000_000
    assert peak < 4_000_000  # A piece of a column is 0.4 MB, the stream's buffer 1 MiB.


@pytest.mark.parametrize(("name", "values", "message"), [
    ("b", np.zeros(3), "'a' is due"),
    ("a", np.zeros(4), "more rows"),
    ("a", np.zeros(3, np.int32), "announced as double, got int"),
    ("a", np.zeros(2), "lacks 1 rows"),
])
def test_pieces_that_were_not_announced_are_refused(tmp_path, name, values, message):
    specs = [ColumnSpec("a", "double"), ColumnSpec("b", "double")]
    with pytest.raises(ValueError, match=message), refl_writer(tmp_path / "p.refl", specs, n_rows=3) as writer:
        writer.append(name, values)
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_was_not_written_is_missed(tmp_path):
    specs = [ColumnSpec("a", "double"), ColumnSpec("b", "double")]
    with pytest.raises(ValueError, match="'b' was not written"), refl_writer(tmp_path / "p", specs, n_rows=1) as writer:
        writer.append("a", [1.0])


def test_fewer_pixels_than_announced_are_missed(tmp_path, table):
    specs = [ColumnSpec("shoebox", "Shoebox<>", table["shoebox"].n_pixels + 1)]
    with pytest.raises(ValueError, match="12 bytes"), refl_writer(tmp_path / "p", specs, n_rows=11) as writer:
        writer.append("shoebox", table["shoebox"])


def test_pieces_of_different_columns_do_not_join():
    with pytest.raises(ValueError, match="same columns"):
        join_specs([[ColumnSpec("a", "double")], [ColumnSpec("a", "int")]])


@pytest.mark.parametrize(("spec", "advice"), [
    (ColumnSpec("shoebox", "Shoebox<>", 400_000_000), "output.shoeboxes=False"),
    (ColumnSpec("d", "double"), "split the table"),
])
def test_a_column_beyond_4_gib_is_refused_before_anything_is_written(tmp_path, spec, advice):
    n_rows = 2**29 if spec.name == "d" else 10
    with pytest.raises(XdpError, match=advice), refl_writer(tmp_path / "p.refl", [spec], n_rows=n_rows):
        pass
    assert list(tmp_path.iterdir()) == []


def test_text_cannot_be_stored(tmp_path):
    with pytest.raises(XdpError, match="column 'file' holds text"):
        write_reflections(tmp_path / "t.refl", ReflectionTable({"file": ["a", "b"]}))


def test_a_missing_file_and_a_folder_are_user_errors(tmp_path):
    for path in (tmp_path / "none.refl", tmp_path):
        with pytest.raises(XdpError, match="cannot be read"):
            read_reflections(path)


def test_negative_experiment_numbers_survive(tmp_path):
    table = ReflectionTable({"id": [-1]}, {-1: "none"})
    write_reflections(tmp_path / "t.refl", table)
    assert read_reflections(tmp_path / "t.refl").identifiers == {-1: "none"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory, make_table):
    path = tmp_path_factory.mktemp("sound") / "t.refl"
    write_reflections(path, make_table(6))
    return path.read_bytes()


def read_or_refuse(path, raw: bytes) -> None:
    """Reading gives a table or a FormatError, in memory that the file's size bounds."""
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        read_reflections(path)
    except FormatError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(cut=st.integers(0, 3000))
def test_truncated_files(tmp_path, sound, cut):
    path = tmp_path / "t.refl"
    path.write_bytes(sound[: min(cut, len(sound) - 1)])
    with pytest.raises(FormatError):
        read_reflections(path)


@FUZZ
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes(tmp_path, sound, changes):
    raw = bytearray(sound)
    for at, value in changes:
        raw[at % len(raw)] = value
    read_or_refuse(tmp_path / "t.refl", bytes(raw))


@FUZZ
@given(raw=st.binary(max_size=200))
def test_arbitrary_bytes(tmp_path, raw):
    read_or_refuse(tmp_path / "t.refl", raw)


@FUZZ
@given(cut=st.integers(0, 3000), at=st.integers(0, 3000), value=st.integers(0, 255))
def test_damaged_gzip(tmp_path, sound, cut, at, value):
    raw = bytearray(gzip.compress(sound, mtime=0))
    raw[at % len(raw)] = value
    read_or_refuse(tmp_path / "t.refl.gz", bytes(raw[: max(cut, 1)]))
