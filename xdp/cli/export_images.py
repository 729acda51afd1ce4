"""Draw frames, or sums of frames, as PNG pictures, with found spots where a .refl file is given.

Examples:

  xdp export_images imported.expt imageset_index=1
  xdp export_images imported.expt strong.refl imageset_index=1,10 output.prefix=spots_
  xdp export_images imported.expt strong.refl imageset_index=1,60 sum_images=20 binning=2
  xdp export_images image_0001.cbf colour_scheme=heatmap resolution_rings=2,3,4 output.file=first.png
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from xdp.cli.file_kinds import READS_ALL, is_reflection_file
from xdp.cli.parsing import parse_command
from xdp.cli.progress import draw_progress
from xdp.errors import OptionError, XdpError
from xdp.logs import log_start, start_log
from xdp.pictures.options import ExportImagesOptions

log = logging.getLogger("xdp.cli.export_images")


def run(args: list[str]) -> int:
    """Draw the chosen images, with the spots of a .refl file if there is one.

    Raises
    ------
    XdpError
        If no images are given, or more than one table.
    """
    command = parse_command(ExportImagesOptions, args, __doc__, "export_images", reads=READS_ALL)
    options = command.options
    tables = [name for name in command.inputs if is_reflection_file(name)]
    images = [name for name in command.inputs if name not in tables]
    if not images or len(tables) > 1:
        raise XdpError("export_images needs images or an .expt file, and at most one .refl file; "
                       "xdp export_images -h shows examples")
    start_log(options.output.log, command.verbosity)
    log_start("export_images", command.changed)
    # Late: -h should not wait for numpy and the readers.
    from xdp.cli.inputs import read_images
    from xdp.reflections import read_reflections
    from xdp.reflections.sound import check_panels

    experiments, _ = read_images(images, "export_images")
    spots = read_reflections(tables[0]) if tables else None
    if spots is not None:
        check_panels(spots, min(len(experiment.known.detector) for experiment in experiments), tables[0])
    draw_all(experiments, spots, options)
    return 0


def draw_all(experiments, spots, options: ExportImagesOptions) -> None:
    """Draw what is asked for, one picture a file, each of which appears whole.

    Parameters
    ----------
    experiments : ExperimentList
    spots : ReflectionTable or None
        Drawn over the images.
    options : ExportImagesOptions
        Which images, how, and the names of the files.

    Raises
    ------
    OptionError
        If ``output.file`` names one picture and several are to be drawn.
    """
    from xdp.files import atomic_output, make_folder
    from xdp.pictures.draw import draw_frame

    todo = list(_list_pictures(experiments, options))
    if options.output.file and len(todo) != 1:
        raise OptionError(f"output.file names one picture, {len(todo)} are to be drawn; use output.prefix")
    folder = make_folder(options.output.directory or ".")
    with draw_progress(len(todo), "pictures") as advance:
        for number, frame, n_frames, name in todo:
            path = os.fspath(options.output.file or os.path.join(folder, name))
            picture = draw_frame(experiments[number], frame, n_frames, spots, options, number)
            # A viewer that watches the folder never sees half a picture.
            with atomic_output(path) as part:
                # The least compression: faster, with larger files. A choice.
                picture.save(part, format="PNG", compress_level=1)
            log.info("Wrote %s", path)
            advance(1)


def _list_pictures(experiments, options: ExportImagesOptions) -> Iterator[tuple[int, int, int, str]]:
    """Experiment, first frame, number of frames and file name of each picture."""
    from xdp.images.reader import open_reader

    counts = [open_reader(experiment).n_frames for experiment in experiments]
    # imageset_index then counts the stills themselves.
    are_stills = len(counts) > 1 and max(counts) == 1
    total = len(counts) if are_stills else None
    for number, n_frames in enumerate(counts):
        if are_stills:
            first, last = _read_range(options, total or 0)
            if first <= number < last:
                yield number, 0, 1, _name_picture(options, number + 1, None)
            continue
        first, last = _read_range(options, n_frames)
        for frame in range(first, last, options.sum_images):
            image = frame + 1 if experiments[number].scan is None else experiments[number].scan.image_range[0] + frame
            yield (number, frame, min(options.sum_images, last - frame),
                   _name_picture(options, image, number if len(counts) > 1 else None))


def _read_range(options: ExportImagesOptions, n_frames: int) -> tuple[int, int]:
    """The frames asked for, from 0, end excluded."""
    chosen = options.imageset_index
    if chosen is None:
        return 0, n_frames
    if len(chosen) > 2 or chosen[-1] < chosen[0] or chosen[-1] > n_frames:
        raise OptionError(f"imageset_index must be an image, or first and last, within 1 to {n_frames}, "
                          f"got {','.join(map(str, chosen))}")
    # Users count images from 1, both ends included.
    return chosen[0] - 1, chosen[-1]


def _name_picture(options: ExportImagesOptions, image: int, number: int | None) -> str:
    prefix = options.output.prefix if number is None else f"{options.output.prefix}{number + 1}_"
    return f"{prefix}{image:0{options.output.padding}d}.png"
