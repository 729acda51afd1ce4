"""Tags of shots, by which files, records and options name them."""

from __future__ import annotations

import os
import re


def make_tag(name: str) -> str:
    """Make the tag of a shot: the file's name without its ending, and the number of the image in it.

    Parameters
    ----------
    name : str
        Of the shot, as :meth:`~xdp.serial.events.events.Events.get_id` gives it.

    Returns
    -------
    str
        Of letters that may stand in the name of a file.

    Examples
    --------
    >>> make_tag("/data/run.h5 //12"), make_tag("shot-0007.cbf"), make_tag("run.h5 tag1//3")
    ('run_00012', 'shot-0007', 'run_tag1_3')
    """
    path, _, event = name.rpartition(" ") if "//" in name.rpartition(" ")[2] else (name, "", "")
    base = os.path.splitext(os.path.basename(path))[0]
    number = event.removeprefix("//")
    if not number:
        return base
    if number.isdecimal():
        return f"{base}_{int(number):05d}"
    return f"{base}_{re.sub(r'[^A-Za-z0-9.+-]+', '_', number).strip('_')}"
