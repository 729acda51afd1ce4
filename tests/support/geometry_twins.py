"""Slow readers of geometry files, written apart from those of the package: line by line, pixel by pixel."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np


def read_geom_slowly(path):
    """Panels of a CrystFEL geometry: dict of name to dict of what stands there, defaults laid under."""
    defaults: dict[str, str] = {}
    panels: dict[str, dict[str, str]] = {}
    for raw in Path(path).read_text().splitlines():
        line = raw.split(";")[0]
        if "=" not in line:
            continue
        key, value = (part.strip() for part in line.split("=", 1))
        if key.startswith(("bad", "rigid_group", "group_")):
            continue
        if "/" in key:
            name, word = key.split("/")
            panels.setdefault(name, dict(defaults))[word] = value
        else:
            defaults[key] = value
    return panels


def read_direction_slowly(text):
    """(x, y, z) of a direction."""
    result = np.zeros(3)
    for term in re.findall(r"[+-]?[^+-]+", text.replace(" ", "").replace("e-", "E~").replace("E~", "e~")):
        number = term[:-1].replace("e~", "e-")
        result["xyz".index(term[-1])] = {"": 1.0, "+": 1.0, "-": -1.0}.get(number) or float(number)
    return result


def find_pixels_slowly(panel, clen_m, fast, slow):
    """Laboratory position of the corner of a pixel, CrystFEL's axes, metres."""
    res = float(panel["res"])
    fs, ss = (read_direction_slowly(panel.get(key, default)) for key, default in (("fs", "x"), ("ss", "y")))
    place = np.array([float(panel["corner_x"]), float(panel["corner_y"]), 0.0]) + fast * fs + slow * ss
    return place / res + np.array([0.0, 0.0, clen_m + float(panel.get("coffset", 0.0))])


def list_lcls_pixels_slowly(path):
    """Positions (mm) of the middles of pixels of an LCLS geometry: (row, column, xyz) of each leaf."""
    rows = []
    for line in Path(path).read_text().splitlines():
        if line.strip() and not line.strip().startswith("#"):
            words = line.split()
            rows.append(((words[0], words[1]), (words[2], words[3]), [float(word) for word in words[4:]]))

    def turn_and_shift(points, numbers):
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        for angle, which in zip((numbers[3] + numbers[6], numbers[4] + numbers[7], numbers[5] + numbers[8]), "zyx",
                                strict=True):
            c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
            if which == "z":
                x, y = x * c - y * s, x * s + y * c
            elif which == "y":
                z, x = z * c - x * s, z * s + x * c
            else:
                y, z = y * c - z * s, y * s + z * c
        return np.stack([x + numbers[0], y + numbers[1], z + numbers[2]], axis=-1)

    def make_grid(name):
        if name.startswith("MTRX"):
            n, m, p, q = (float(word) for word in name.split(":")[-4:])
            ys, xs = np.arange(int(n)) * p, np.arange(int(m)) * q
        elif name == "SENS2X1:V1":
            ys, xs = np.arange(185) * 109.92, np.array([c * 109.92 + (329.76 if c >= 194 else 0.0) for c in range(388)])
        elif name == "EPIX10KA:V1":
            ys = np.array([r * 100.0 + (300.0 if r >= 176 else 0.0) for r in range(352)])
            xs = np.array([c * 100.0 + (300.0 if c >= 192 else 0.0) for c in range(384)])
        else:
            ys = np.array([r * 75.0 + 150.0 * (r >= 256) for r in range(512)])
            xs = np.array([c * 75.0 + 150.0 * (c // 256) for c in range(1024)])
        ys, xs = ys - ys.mean(), xs - xs.mean()
        grid = np.zeros((len(ys), len(xs), 3))
        grid[..., 0], grid[..., 1] = xs[None, :], (ys if name == "JUNGFRAU:V2" else -ys)[:, None]
        return grid

    children = {child for _, child, _ in rows}
    (root,) = {parent for parent, _, _ in rows} - children

    chain = [root]
    while len(inside := [row for row in rows if row[0] == chain[-1]]) == 1 and any(
            row[0] == inside[0][1] for row in rows):
        chain.append(inside[0][1])

    def walk(node):
        found = []
        for _, child, numbers in sorted((row for row in rows if row[0] == node), key=lambda row: int(row[1][1])):
            below = walk(child) or [make_grid(child[0])]
            if node in chain and child in chain:
                # The camera's distance, whatever its sign, is at -z.
                numbers = [*numbers[:2], -abs(numbers[2]), *numbers[3:]]
            found += [turn_and_shift(points, numbers) for points in below]
        return found

    return [points / 1000.0 for points in walk(root)]
