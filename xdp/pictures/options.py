"""Parameters of pictures of images; names and defaults as those of ``dials.export_bitmaps`` where it has them."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, FilePath, Options, option


class SpotDrawing(Options):
    """How found spots are drawn."""

    boxes: bool = option(True, "Draw the bounding box of each spot")
    centroids: bool = option(False, "Draw a cross at each spot's centroid")
    margin: int = option(2, "Pixels between a spot's bounding box and what is drawn", ge=0)


class DrawOptions(Options):
    """How one picture looks."""

    binning: int = option(1, "Pixels along an edge of those drawn as one, by the brightest of them", ge=1)
    brightness: float = option(100.0, "Counts are shown this many percent as strong as by default", gt=0.0)
    colour_scheme: Literal["greyscale", "rainbow", "heatmap", "inverse_greyscale"] = option(
        "greyscale", "greyscale: dark spots on white; inverse_greyscale: white spots on black")
    saturation: float | Auto = option(
        AUTO, "Counts drawn in the last colour; Auto: found from the image. Brightness is then of no effect", gt=0.0)
    show_mask: bool = option(True, "Colour pixels that are masked or not trusted")
    resolution_rings: tuple[float, ...] | Auto | None = option(
        AUTO, "Draw rings at these resolutions, Angstrom; Auto: some, None: no rings", gt=0.0)
    show_beam_centre: bool = option(True, "Draw a cross where the beam meets the detector")
    caption: bool = option(True, "Write the image's number and angle into the picture")
    spots: SpotDrawing = option(SpotDrawing(), "")


class PictureOutput(Options):
    """Files that are written."""

    prefix: str = option("image", "Names begin with this", file="output", names="{directory}/{prefix}*.png")
    directory: FilePath | None = option(None, "The folder for the pictures; it is made if need be", file="folder")
    file: FilePath | None = option(None, "Full name of the picture, if there is one only", file="output")
    padding: int = option(4, "Digits of the image number in the name", ge=0)
    log: FilePath | None = option(
        None, "File for the messages that are also on the screen; None: no file.", file="output")


class ExportImagesOptions(DrawOptions):
    """Parameters of xdp export_images."""

    imageset_index: tuple[int, ...] | None = option(
        None, "Images to draw: one number, or first and last; the first image of a set is 1. Without it: all", ge=1)
    sum_images: int = option(1, "Images added up to one picture", ge=1)
    output: PictureOutput = option(PictureOutput(), "")
