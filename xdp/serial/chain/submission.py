"""Prepares a chain as lsf.sh does: a folder for each trial, the inputs copied beside the results."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from xdp.errors import OptionError, XdpError
from xdp.files import disk_errors
from xdp.serial.chain.configuration import ChainSettings, find_phil_file, read_chain
from xdp.serial.chain.phil import list_included

QUEUE, PROCESSES = "psfehq", 7
"""What lsf.sh takes where neither the command line nor the configuration says."""
MOST_RUNS, MOST_TRIALS = 9999, 999
"""Four and three digits of the folders' names."""
DATA_ROOT = "/reg/d/psdm"
"""Where LCLS has its experiments, unless $SIT_PSDM_DATA says."""
_DIRNAME = re.compile(r"^(\s*)(\w+)_dirname(\s*=).*$")
_TRIAL = re.compile(r"^(\s*trial_id\s*=).*$")
_TARGET = re.compile(r"^(\s*xtal_target\s*=\s*)(\S+)\s*$")
_INCLUDE = re.compile(r"^(\s*include\s+file\s+)(\S+)(.*)$")


@dataclass(frozen=True)
class ChainRequest:
    """What the command line of lsf.sh says.

    Attributes
    ----------
    config : str
        The ``.cfg``.
    run : int
    experiment : str
        Empty: none.
    output : str or None
        Folder of the results; None: that of the experiment.
    data : str or None
        Folder of the data; None: that of the experiment.
    trial : int or None
        None: the next free one.
    """

    config: str
    run: int
    experiment: str = ""
    output: str | None = None
    data: str | None = None
    trial: int | None = None


def parse_run_number(text: str) -> int:
    """Read the number of a run, 1 to 9999.

    Parameters
    ----------
    text : str

    Returns
    -------
    int

    Raises
    ------
    OptionError
        If it is none.
    """
    if not text.isdigit() or not 1 <= int(text) <= MOST_RUNS:
        raise OptionError(f"--run must be a number from 1 to {MOST_RUNS}, got {text or 'none'!r}")
    return int(text)


def find_experiment_folder(experiment: str) -> Path:
    """The folder of an experiment by its name: <root>/<INSTRUMENT>/<experiment>.

    Parameters
    ----------
    experiment : str
        Such as cxi12345, whose first three letters name the instrument.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        If there is none.
    """
    if not experiment:
        raise OptionError("which data? give --experiment (or $EXP), or -i with their folder")
    folder = Path(os.environ.get("SIT_PSDM_DATA", DATA_ROOT)) / experiment[:3].upper() / experiment
    if not folder.is_dir():
        raise OptionError(f"{folder}: there is no such experiment; -i names the folder of the data")
    return folder


def find_run_files(request: ChainRequest) -> list[str]:
    """Find the files of a run: those in the data's folder whose names have its number.

    Parameters
    ----------
    request : ChainRequest

    Returns
    -------
    list of str
        In the order of their names.

    Raises
    ------
    OptionError
        If there are none.
    """
    folder = Path(request.data) if request.data is not None else find_experiment_folder(request.experiment)
    if folder.is_file():
        return [str(folder.absolute())]
    places = [folder] if request.data is not None else [folder / "hdf5", folder / "xtc", folder]
    # r0069, r69 and run69, but not r690 or r169
    pattern = re.compile(rf"(?<![a-zA-Z0-9])(?:r|run|run_)0*{request.run}(?![0-9])", re.IGNORECASE)
    for place in places:
        names = sorted(os.listdir(place)) if place.is_dir() else []
        found = [str((place / name).absolute()) for name in names if pattern.search(name)]
        if found:
            return found
    raise OptionError(f"{folder}: has no files of run {request.run}: their names have r{request.run:04d} or "
                      f"run{request.run}")


def choose_trial_number(folder: Path, trial: int | None) -> int:
    """Choose the number of a trial.

    Parameters
    ----------
    folder : Path
        Of the run's results.
    trial : int or None
        That the user wants; None: the next free one.

    Returns
    -------
    int

    Raises
    ------
    OptionError
        If it is there already: results are never overwritten.
    """
    if trial is None:
        taken = {int(entry.name) for entry in folder.iterdir() if re.fullmatch(r"\d{3}", entry.name)} if (
            folder.is_dir()) else set()
        trial = max(taken, default=-1) + 1
    if not 0 <= trial <= MOST_TRIALS:
        raise OptionError(f"--trial must be from 0 to {MOST_TRIALS}, got {trial}")
    if (folder / f"{trial:03d}").exists():
        raise OptionError(f"{folder / f'{trial:03d}'}: this trial is there already; results are never overwritten")
    return trial


def choose_trial_folder(request: ChainRequest) -> Path:
    """The folder of the trial, which is not there yet: <output>/r<run, 4 digits>/<trial, 3 digits>.

    Parameters
    ----------
    request : ChainRequest

    Returns
    -------
    Path
    """
    output = Path(request.output) if request.output is not None else (
        find_experiment_folder(request.experiment) / "scratch" / "results")
    folder = output.absolute() / f"r{request.run:04d}"
    return folder / f"{choose_trial_number(folder, request.trial):03d}"


def count_processes(chain: ChainSettings, asked: int | None) -> int:
    """Processes: of the command line, of the configuration, or lsf.sh's seven.

    Parameters
    ----------
    chain : ChainSettings
    asked : int or None

    Returns
    -------
    int
    """
    return asked or chain.num_cpu or PROCESSES


def copy_inputs(request: ChainRequest, folder: Path) -> Path:
    """Make the trial's folder with copies of the configuration and of the PHIL files that it names.

    In the copy the folders of results are those of the trial, ``trial_id`` is its number, PHIL files are copies.

    Parameters
    ----------
    request : ChainRequest
    folder : Path
        Of the trial.

    Returns
    -------
    Path
        The copied configuration.

    Raises
    ------
    XdpError
        If the folder cannot be made, or has appeared meanwhile.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".trial-", dir=folder.parent))
    try:
        with disk_errors(folder):
            _fill_folder(request, folder, work)
            # renamed when it is whole; another submission may have taken the number
            os.chmod(work, 0o777 & ~_read_umask())
            os.rename(work, folder)
    except FileExistsError:
        raise XdpError(f"{folder}: another submission has just made this trial; submit once more") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder / Path(request.config).name


def _fill_folder(request: ChainRequest, folder: Path, work: Path) -> None:
    """Write the copies."""
    for name in ("stdout", "out"):
        (work / name).mkdir()
    source = Path(request.config)
    lines = []
    for line in source.read_text().splitlines():
        dirname, target = _DIRNAME.match(line), _TARGET.match(line)
        if dirname is not None:
            (work / dirname.group(2)).mkdir(exist_ok=True)
            line = f"{dirname.group(1)}{dirname.group(2)}_dirname{dirname.group(3)} {folder / dirname.group(2)}"
        elif target is not None:
            path = find_phil_file(target.group(2), str(source.parent))
            if path is not None:
                line = f"{target.group(1)}{folder / _copy_phil(path, work)}"
        else:
            line = _TRIAL.sub(rf"\g<1> {int(folder.name)}", line)
        lines.append(line)
    (work / source.name).write_text("\n".join(lines) + "\n")


def _copy_phil(path: str, work: Path) -> str:
    """Copy a PHIL file and those that it includes into one folder; the name of the copy."""
    for name in list_included(path):
        lines = [_INCLUDE.sub(lambda m: f"{m.group(1)}{os.path.basename(m.group(2))}{m.group(3)}", line)
                 for line in Path(name).read_text().splitlines()]
        (work / os.path.basename(name)).write_text("\n".join(lines) + "\n")
    return os.path.basename(path)


def _read_umask() -> int:
    """The umask, which can be read only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def plan_trial(request: ChainRequest) -> tuple[Path, list[str], ChainSettings]:
    """Plan a trial before anything is written: its folder, the files of the run, and the chain.

    Parameters
    ----------
    request : ChainRequest

    Returns
    -------
    Path, list of str, ChainSettings

    Raises
    ------
    OptionError
        If the configuration is wrong, there are no data, or the trial is there already.
    """
    chain = read_chain(request.config)
    return choose_trial_folder(request), find_run_files(request), chain
