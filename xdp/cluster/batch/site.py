"""What a site is like: queue, memory, walltime and so on, from a commented YAML file or the batch system's defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError, field_validator

from xdp.errors import OptionError
from xdp.files import open_input
from xdp.options import Options, option
from xdp.work.options import ClusterOptions

Scheduler = Literal["local", "sge", "lsf", "pbs", "slurm", "drmaa"]


class Site(Options):
    """Settings of a site; each key may stand in its YAML file, and no other."""

    scheduler: Scheduler = option("local", "The batch system")
    queue: str | None = option(None, "Queue or partition; none: the batch system's default")
    project: str | None = option(None, "Project or account that is charged")
    cores: int | None = option(None, "Cores of a job; none: what mp.nproc says", ge=1)
    memory: str | None = option("4GB", "Memory of a job: 500MB, 4GB, 8GiB ...; none: no request")
    walltime: str | None = option(None, "Longest time a job may run, HH:MM:SS; workers retire before it")
    parallel_environment: str | None = option("smp", "SGE: the parallel environment for jobs of more than one core")
    memory_resource: str | None = option("h_vmem", "SGE: the resource that limits memory; none: no request")
    slot_minimum: str | None = option(
        "2GB", "SGE: the least that is asked for a slot where memory_resource is h_vmem or s_vmem, which limit address "
        "space: a process reserves more of it than it uses; none: memory divided by the cores, however little that is")
    memory_per_slot: bool | None = option(
        None, "SGE, LSF (rusage): the memory request counts per slot, so that it is divided; none: in SGE, not in LSF")
    clear_environment: bool = option(
        True, "LSF: jobs start without the driver's environment, by bsub -env none; false leaves the option out, which "
        "openlava and volclava do not know, and jobs get the driver's environment")
    limit_per_slot: bool = option(False, "LSF: the limit -M counts per slot, so that memory is divided")
    lsf_units: Literal["kb", "mb", "gb"] | None = option(
        None, "LSF before 10.1.0.2: what a number alone means (LSF_UNIT_FOR_LIMITS, else kb); none: MB, written out"
    )
    pbs_style: Literal["select", "nodes"] = option("select", "PBS: select=1:ncpus=N:mem=M or nodes=1:ppn=N,mem=M")
    pass_environment: bool = option(False, "Give jobs the whole environment of the driver")
    variables: dict[str, str] = option({}, "Environment variables of the jobs")
    prologue: tuple[str, ...] = option((), "Shell lines before the worker starts: module load, conda activate ...")
    directives: tuple[str, ...] = option((), "Further directives, without the #$, #BSUB, #PBS, #SBATCH")
    scratch: str = option("${TMPDIR:-/tmp}", "Folder on the node's own disk for spilled data; never a network disk")
    kernel_cache: str | None = option(
        "~/.xdp/kernels", "Folder that all nodes see, where workers keep their compiled kernels, so that they are "
        "compiled once for each kind of node; none: where Numba keeps them by itself")
    interface: str | None = option(None, "Network interface of driver and workers, as ib0")
    host: str | None = option(None, "Name or address of the driver as the nodes see it")
    python: str | None = option(None, "Python of the jobs; none: the driver's")
    log_folder: str = option("xdp-logs", "Folder of the jobs' own output")
    command_timeout: float = option(30.0, "Seconds that qsub, qstat and the like may take", gt=0)
    death_timeout: float = option(60.0, "Seconds after which a worker that lost the driver ends", gt=0)

    @field_validator("memory", "slot_minimum")
    @classmethod
    def _memory_is_a_size(cls, value: str | None) -> str | None:
        if value is not None:
            parse_size(value)
        return value

    @field_validator("walltime", mode="before")
    @classmethod
    def _walltime_is_a_time(cls, value: Any) -> Any:
        if isinstance(value, int):  # YAML 1.1 reads an unquoted 1:00:00 as the number 3600
            value = f"{value // 3600:02d}:{value // 60 % 60:02d}:{value % 60:02d}"
        if isinstance(value, str):
            parse_walltime(value)
        return value

    @property
    def memory_bytes(self) -> int | None:
        """Memory of a job, bytes; None if none is asked for."""
        return None if self.memory is None else parse_size(self.memory)

    @property
    def walltime_seconds(self) -> int | None:
        """Walltime of a job, seconds."""
        return None if self.walltime is None else parse_walltime(self.walltime)


# decimal units (MB) and binary ones (MiB, and M alone, as Slurm, PBS and Grid Engine count)
_FACTORS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str) -> int:
    """Read a size.

    Parameters
    ----------
    text : str
        A number with a unit: "500MB" and "4GB" are decimal, "8GiB" and "8G" binary, as batch systems count.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ValueError
        If it is none, or not above 0.

    Examples
    --------
    >>> parse_size("4GB"), parse_size("4GiB"), parse_size("4G")
    (4000000000, 4294967296, 4294967296)
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?b)?\s*", text.lower())
    if not match or not 0 < float(match[1]) < 1e6:
        raise ValueError(f"a size such as 4GB is expected, got {text!r}")
    decimal = match[3] == "b" or not match[2]
    factor = _FACTORS[match[2]] if decimal else _BINARY[match[2]]
    return int(float(match[1]) * factor)


def parse_walltime(text: str) -> int:
    """Read a walltime.

    Parameters
    ----------
    text : str
        "HH:MM:SS" or "HH:MM"; hours may have up to four digits.

    Returns
    -------
    int
        Seconds.

    Raises
    ------
    ValueError
        If it is none, or no time at all.

    Examples
    --------
    >>> parse_walltime("04:30:00"), parse_walltime("100:00")
    (16200, 360000)
    """
    match = re.fullmatch(r"([0-9]{1,4}):([0-5]?[0-9])(?::([0-5]?[0-9]))?", text.strip())
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0) if match else 0
    if not seconds:
        raise ValueError(f"a time HH:MM:SS is expected, got {text!r}")
    return seconds


def choose_site(method: str | None, cluster: ClusterOptions) -> Site:
    """The site that the options name: a file, a name, or the defaults of the method's batch system.

    Without a method the site says which batch system it has.

    Raises
    ------
    OptionError
        If the file is missing or not valid, or describes another batch system than `method`.
    """
    if cluster.config is not None:
        site = read_site(cluster.config)
    elif cluster.name is not None:
        site = _find_site(cluster.name)
    else:
        site = Site(scheduler=method or "local")  # type: ignore[arg-type]
    # DRMAA is another way to reach Grid Engine, so that a file of such a site serves it
    if method not in (None, site.scheduler) and (method, site.scheduler) not in (("drmaa", "sge"), ("drmaa", "local")):
        hint = " (DRMAA serves Grid Engine)" if method == "drmaa" else ""
        raise OptionError(f"mp.method={method}, but the site's file is for scheduler: {site.scheduler}{hint}")
    return site if cluster.queue is None else site.model_copy(update={"queue": cluster.queue})


def _list_site_folders() -> Iterator[Path]:
    """Where files of sites are looked for, in this order."""
    yield from (Path(folder) for folder in os.environ.get("XDP_CLUSTER_CONFIGS", "").split(os.pathsep) if folder)
    yield Path("cluster_configs")
    yield Path(os.path.expanduser("~/.config/xdp/clusters"))
    yield Path("/etc/xdp/clusters")


def _find_site(name: str) -> Site:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise OptionError(f"cluster.name must be a plain name, got {name!r}; a path goes into cluster.config")
    for folder in _list_site_folders():
        path = folder / f"{name}.yaml"
        if path.is_file():
            return read_site(path)
    if name in Scheduler.__args__:  # type: ignore[attr-defined]
        return Site(scheduler=name)  # type: ignore[arg-type]
    places = ", ".join(str(folder) for folder in _list_site_folders())
    raise OptionError(f"cluster {name}: no {name}.yaml in {places}")


def read_site(path: str | os.PathLike) -> Site:
    """Read and check a site's YAML file.

    Raises
    ------
    OptionError
        If the file cannot be read, a key is unknown (the nearest is suggested) or a value does not fit.
    """
    import yaml  # late: it comes with dask, and only clusters need it

    name = os.fspath(path)
    try:
        with open_input(name) as stream:
            data = yaml.safe_load(stream.read().decode("utf-8"))
    except OSError as error:
        raise OptionError(f"{name}: cannot read the cluster's settings: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"{name}: not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(data, dict):
        raise OptionError(f"{name}: a cluster's settings are lines of key: value")
    # a key that is mistyped would leave its default in force, without a word
    unknown = [key for key in data if key not in Site.model_fields]
    if unknown:
        raise OptionError(f"{name}: unknown key {unknown[0]!r}{_suggest_key(str(unknown[0]))}")
    try:
        return Site(**{key: value for key, value in data.items() if value is not None or key in _MAY_BE_NONE})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise OptionError(f"{name}: {key}: {message}" if key else f"{name}: {message}") from None


# an empty value switches these off
_MAY_BE_NONE = ("memory", "slot_minimum", "parallel_environment", "memory_resource", "kernel_cache")


def _suggest_key(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, Site.model_fields, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else f"; known keys are {', '.join(Site.model_fields)}"
