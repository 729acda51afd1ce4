"""Files that are damaged as wrong programs, wrong users and broken disks damage them."""

from __future__ import annotations

import copy
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np

#: Values that stand for what a wrong program, a wrong user or a broken disk may have put somewhere.
ODD = (None, True, False, 0, 1, -1, 2, 7, 2**31, -(2**31), 2**63, 2**70, -(2**70), 0.0, 0.5, -1.5, 1e-300, 1e300,
       -1e300, math.nan, math.inf, -math.inf, "", "x", "nan", "1", "\0", "####", "é", [], {}, [0], [1, 2, 3],
       [math.nan] * 3, [0.0] * 3, [0.0] * 9, ["a", "b"], [[]], [[1, 2, 3]], {"a": 1})


def damage_json(source: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one to three places changed, taken out or doubled."""
    root = {"root": copy.deepcopy(source)}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = [(parent, key) for parent, key in _places(root) if parent is not root]
        if not places:
            break
        parent, key = rng.choice(places)
        change = rng.random()
        if change < 0.15:
            del parent[key]
        elif change < 0.25 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif change < 0.35 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] = parent[key] * rng.choice((-1, 0, 2, 1e6, 1e-6, 1e200))
        elif change < 0.45 and isinstance(parent, dict):
            parent[rng.choice((*parent, "new"))] = parent.pop(key)
        else:
            parent[key] = copy.deepcopy(rng.choice(ODD))
    return root["root"]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each place of a JSON value; of long lists the ends only, since their middles are alike."""
    found = []
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, inner in items if len(items) < 50 else items[:3] + items[-3:]:
        found.append((value, key))
        found += _places(inner)
    return found


def damage_expt(path: Path, rng: random.Random) -> bytes:
    """The bytes of an .expt file that is damaged in its structure, or here and there in its text."""
    if rng.random() < 0.15:
        return damage_bytes(path, rng)
    return json.dumps(damage_json(json.loads(path.read_text()), rng)).encode()


def damage_refl(path: Path, rng: random.Random) -> bytes:
    """The bytes of a .refl file with columns changed, or with bytes changed."""
    if rng.random() < 0.25:
        return damage_bytes(path, rng)
    magic, version, content = msgpack.unpackb(path.read_bytes(), raw=False, strict_map_key=False)
    content = copy.deepcopy(content)
    columns = content["data"]
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not columns:
            break
        name = rng.choice(sorted(columns))
        column = columns[name]
        if isinstance(column, list) and len(column) == 2:  # whole so far
            _change_column(columns, name, column[0], *column[1], rng)
    if rng.random() < 0.2:
        content["nrows"] = rng.choice((0, 1, content["nrows"] + 1, 2**31, 2**62))
    if rng.random() < 0.2:
        content["identifiers"] = rng.choice(({}, {0: "a"}, {5: "b"}, {0: "a", 1: "a"}, None, [1]))
    return msgpack.packb([magic, version, content], use_bin_type=True)


_NAN, _INF, _HUGE = b"\0\0\0\0\0\0\xf8\x7f", b"\0\0\0\0\0\0\xf0\x7f", b"\0\0\0\0\0\0\xf0\x7e"


def _change_column(columns: dict[str, Any], name: str, kind: str, n: int, data: bytes, rng: random.Random) -> None:
    """Change one column: values, length, type, name, or take it out."""
    change = rng.random()
    if change < 0.45 and isinstance(data, bytes) and len(data) >= 8:
        item = rng.choice((_NAN, _INF, _HUGE, b"\xff" * 8, b"\0" * 8, b"\0\0\0\x80" * 2, rng.randbytes(8)))
        whole = len(data) // 8 * 8
        if rng.random() < 0.3:
            data = item * (whole // 8) + data[whole:]
        else:
            at = rng.randrange(whole // 8) * 8
            data = data[:at] + item + data[at + 8:]
        columns[name] = [kind, [n, data]]
    elif change < 0.7:
        del columns[name]
    elif change < 0.8:
        columns[name] = [rng.choice(("int", "double", "vec3<double>", "int6", "std::string", "bool", "x", "Shoebox<>")),
                         [n, data]]
    elif change < 0.9:
        columns[rng.choice((*sorted(columns), "new"))] = columns.pop(name)
    else:
        columns[name] = rng.choice(([kind, [n + 1, data]], [kind, [n, data[:-1] if isinstance(data, bytes) else data]],
                                    [kind], None, [kind, [2**40, b""]]))


def damage_bytes(path: Path, rng: random.Random) -> bytes:
    """The bytes of any file: cut, or with some changed, doubled or taken out, mostly in its first part, the header."""
    data = bytearray(path.read_bytes())
    if rng.random() < 0.2:
        return bytes(data[: rng.randrange(len(data) + 1)])
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        reach = len(data) if rng.random() < 0.3 else min(len(data), 2000)
        if not reach:
            break
        at = rng.randrange(reach)
        change = rng.random()
        if change < 0.5:
            data[at] = rng.randrange(256)
        elif change < 0.7:
            data[at] = rng.choice(b"0123456789-.e+ \n\0{}[]\"=;#")
        elif change < 0.85:
            del data[at:at + rng.choice((1, 2, 8, 64))]
        else:
            data[at:at] = data[at:at + rng.choice((1, 2, 8, 64))]
    return bytes(data)


def damage_text(path: Path, rng: random.Random) -> bytes:
    """The bytes of a text of lines: lines doubled, taken out, swapped or cut, words and numbers changed."""
    if rng.random() < 0.2:
        return damage_bytes(path, rng)
    lines = path.read_text().splitlines()
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines)) if lines else 0
        change = rng.random()
        if not lines or change < 0.1:
            lines.insert(at, rng.choice(("", "=", "a = b", "x/y = 1", "[a]", ";", "1 2 3", "\\", "\t", "é", "{", "}")))
        elif change < 0.25:
            del lines[at]
        elif change < 0.35:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif change < 0.45:
            lines[at] = lines[at][:rng.randrange(len(lines[at]) + 1)]
        else:
            lines[at] = _change_word(lines[at], rng)
    return ("\n".join(lines) + "\n").encode()


def _change_word(line: str, rng: random.Random) -> str:
    """A line with one of its words, or the separators, as it should not be."""
    words = line.split(" ")
    at = rng.randrange(len(words))
    words[at] = rng.choice(("", "0", "-1", "1e300", "nan", "inf", "x", "%", "/", "=", "99999999999", "0x", "a,b",
                            "-" + words[at], words[at] * 2, words[at][:-1], words[at].upper()))
    return " ".join(words)


def damage_hdf5(path: Path, rng: random.Random, place: Path) -> None:
    """Write to `place` an HDF5 file with values of other types and shapes, or without parts; its structure is whole.

    Bytes are damaged in one of ten. Damage to HDF5's own structure meets the library, which was seen to crash and to
    loop; what is ours is what stands in the file.
    """
    if rng.random() < 0.1:
        place.write_bytes(damage_bytes(path, rng))
        return
    shutil.copy(path, place)
    with h5py.File(place, "r+") as file:
        for _ in range(rng.choice((1, 1, 2, 3))):
            names: list[str] = []
            file.visit(names.append)
            if names:
                _change_item(file, rng.choice(names), rng)


def _change_item(file: h5py.File, name: str, rng: random.Random) -> None:
    """Change, remove or replace a group, a data set or one of its attributes."""
    item = file.get(name)
    if item is None:
        return
    attributes = sorted(item.attrs)
    if attributes and rng.random() < 0.3:
        attribute = rng.choice(attributes)
        del item.attrs[attribute]
        if rng.random() < 0.7:
            item.attrs[attribute] = _odd_array(item, rng)
        return
    change = rng.random()
    values = _odd_array(item, rng)
    del file[name]
    if change < 0.2:
        return
    if change < 0.3:
        file[name] = rng.choice((h5py.SoftLink("/nowhere"), h5py.ExternalLink("absent.h5", "/data"),
                                 h5py.SoftLink(f"/{name}"), h5py.ExternalLink("a_0001.cbf", "/data")))
    elif change < 0.4:
        file.create_group(name)
    else:
        file[name] = values


def _odd_array(item: Any, rng: random.Random) -> Any:
    """What may stand in the place of a data set: its values in other numbers, types and shapes, or anything."""
    if rng.random() < 0.4 or not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf" or item.shape is None:
        return rng.choice((0, 1, -1, 1e300, math.nan, "", "x", "m", "deg", b"\xff", [0.0] * 3, ["a", "b"],
                           np.zeros((0, 3)), np.zeros((2, 2, 2, 2)), np.uint64(2**64 - 1), h5py.Empty("f4"), 1 + 2j,
                           True))
    values = np.array(item[()])
    ways: tuple[Callable[[], Any], ...] = (
        lambda: values.ravel(), lambda: values[..., None], lambda: values[:0] if values.ndim else values,
        lambda: values[:1] if values.ndim else values, lambda: np.concatenate([values, values]) if values.ndim else 0,
        lambda: values.astype(np.float32), lambda: values.astype(np.int64) - 2**40, lambda: values.astype(bool),
        lambda: np.full(values.shape, np.nan), lambda: values.astype(str).astype("S"), lambda: values.T,
        lambda: np.zeros_like(values), lambda: -values.astype(float))
    return rng.choice(ways)()
