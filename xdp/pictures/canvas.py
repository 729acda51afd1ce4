"""Lines, crosses and words on a picture, at points given in pixels of panels."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from xdp.pictures.layout import Layout

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""


class Canvas:
    """A picture that is drawn on.

    Parameters
    ----------
    picture : (slow, fast, 3) uint8
        RGB.
    layout : Layout
        Where the panels lie in the picture before it is binned.
    binning : int
        Pixels along an edge that are one in the picture.

    Attributes
    ----------
    image : PIL.Image.Image
        The picture.
    """

    def __init__(self, picture: np.ndarray, layout: Layout, binning: int) -> None:
        # Pillow is imported by those who draw: xdp --help does without it.
        from PIL import Image, ImageDraw

        self.image: Image.Image = Image.fromarray(picture)
        self._pencil = ImageDraw.Draw(self.image)
        # Letters grow with the picture, and stay readable on a small one.
        self._font: Any = _load_font(max(10, min(self.image.size) // 55))
        self._layout = layout
        self._binning = binning

    def to_picture(self, panel: int, xy: np.ndarray) -> np.ndarray:
        """Points (n, 2) of a panel, (fast, slow) pixels, in the picture."""
        return self._layout.to_picture(panel, xy) / self._binning

    def draw_line(self, panel: int, xy: np.ndarray, colour: Colour) -> None:
        """Draw a line.

        Parameters
        ----------
        panel : int
            On which it lies.
        xy : (n, 2) array
            Points that it goes through, (fast, slow) pixels.
        colour : (int, int, int)
            RGB.
        """
        if len(xy) > 1:
            self._pencil.line([tuple(p) for p in self.to_picture(panel, xy)], fill=colour, width=1)

    def draw_cross(self, panel: int, xy: np.ndarray, colour: Colour, size: float) -> None:
        """Draw a cross.

        Parameters
        ----------
        panel : int
            On which it lies.
        xy : (2,) array
            Its middle, (fast, slow) pixels.
        colour : (int, int, int)
            RGB.
        size : float
            From the middle to its ends, in pixels of the picture.
        """
        (x, y), = self.to_picture(panel, np.atleast_2d(xy))
        self._pencil.line([(x - size, y), (x + size, y)], fill=colour)
        self._pencil.line([(x, y - size), (x, y + size)], fill=colour)

    def draw_label(self, panel: int, xy: np.ndarray, text: str, colour: Colour) -> None:
        """Write words on white at a point of a panel, or as near as they fit into the picture.

        Parameters
        ----------
        panel : int
            On which the point lies.
        xy : (2,) array
            The middle of the words, (fast, slow) pixels.
        text : str
            The words.
        colour : (int, int, int)
            RGB.
        """
        (x, y), = self.to_picture(panel, np.atleast_2d(xy))
        left, top, right, bottom = self._pencil.textbbox((0, 0), text, font=self._font, anchor="mm")
        x = min(max(x, 3 - left), self.image.width - right - 3)
        y = min(max(y, 3 - top), self.image.height - bottom - 3)
        box = self._pencil.textbbox((x, y), text, font=self._font, anchor="mm")
        self._pencil.rectangle([box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1], fill=(255, 255, 255))
        self._pencil.text((x, y), text, fill=colour, font=self._font, anchor="mm")

    def draw_caption(self, text: str) -> None:
        """Write words into the upper left corner."""
        box = self._pencil.textbbox((6, 4), text, font=self._font)
        self._pencil.rectangle([box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2], fill=(255, 255, 255))
        self._pencil.text((6, 4), text, fill=(0, 0, 0), font=self._font)


def _load_font(size: int) -> Any:
    """Matplotlib's font, since Pillow's own has no Å; matplotlib itself is not imported."""
    from PIL import ImageFont

    package = importlib.util.find_spec("matplotlib")
    folder = Path((package.submodule_search_locations or ["."])[0]) if package is not None else Path()
    try:
        return ImageFont.truetype(str(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
    except OSError:
        return ImageFont.load_default(size)
