"""Which files a refinement of panels reads: folders with the results of stills_process, or the files themselves."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from xdp.errors import OptionError, XdpError

#: Endings of the models that belong to a reflection file, the first of them that is there.
_MODELS = ("_refined.expt", "_indexed.expt", "_integrated.expt")
_WORD = re.compile(r"(experiments|reflections)\s*=\s*(\"[^\"]*\"|'[^']*'|\S+)")


def find_metrology_files(inputs: Sequence[str], kind: str = "indexed", data_phil: str | None = None
                         ) -> tuple[list[str], list[str]]:
    """Find the files to read, in pairs; folders become the files in them.

    Parameters
    ----------
    inputs : sequence of str
        Folders and files.
    kind : str
        Which reflection files of folders are read: reindexedstrong, indexed, integrated.
    data_phil : str, optional
        A file that names all inputs.

    Returns
    -------
    list of str
        Files, models and reflections in pairs.
    list of str
        Reflection files that are left out, as they have no models beside them.

    Raises
    ------
    XdpError
        If there is nothing to read.
    """
    found: list[str] = []
    left: list[str] = []
    if data_phil is not None:
        if inputs:
            raise OptionError(f"{inputs[0]}: with data_phil= all inputs are named there; leave one of the two out")
        found = read_data_phil(data_phil)
    for name in inputs:
        # files are taken as they are named, and paired by whoever reads them
        if not os.path.isdir(name):
            found.append(name)
            continue
        for refl in sorted(Path(name).glob(f"*_{kind}.refl")):
            stem = str(refl)[: -len(f"_{kind}.refl")]
            models = next((stem + ending for ending in _MODELS if os.path.exists(stem + ending)), None)
            if models is None:
                left.append(str(refl))
            else:
                found += [models, str(refl)]
    if not found:
        raise XdpError("refine_metrology found no shots: give folders with *_" + kind + ".refl and *_refined.expt, or "
                       ".expt and .refl files (reflections= says which kind is read)")
    return found, left


def read_data_phil(path: str) -> list[str]:
    """Read the names of models and reflections, in pairs, from a file of ``input { ... }`` blocks.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    XdpError
        If it cannot be read, or names something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise XdpError(f"{path}: cannot be read: {error}") from error
    # comments of PHIL
    text = re.sub(r"#.*", "", text)
    names = {kind: [word.strip("\"'") for k, word in _WORD.findall(text) if k == kind]
             for kind in ("experiments", "reflections")}
    rest = re.sub(r"\binput\b|[{}]", "", _WORD.sub("", text)).strip()
    if rest:
        raise XdpError(f"{path}: holds {rest.split()[0]!r}; data_phil names inputs only: input {{ experiments=... "
                       "reflections=... }")
    if len(names["experiments"]) != len(names["reflections"]) or not names["experiments"]:
        raise XdpError(f"{path}: names {len(names['experiments'])} experiments and {len(names['reflections'])} "
                       "reflections; each input needs one of both")
    return [name for pair in zip(names["experiments"], names["reflections"], strict=True) for name in pair]
