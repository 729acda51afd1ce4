"""Submit a run to a batch system: the command that drives it becomes a job, so that the login node is free.

Everything after -- is the xdp command to run. It runs in the folder OUT, where its outputs lie; inputs are found from
the current folder. {run} and {experiment} in it are replaced by the values of --run and --experiment. The command, its
parameters, inputs and outputs are checked before anything is written. Where the site's file says no memory, as much is
asked for as the frames of an .expt file need on so many cores.

Usage: xdp submit [options] -o OUT -- COMMAND ARGUMENTS...
       xdp submit -c FILE.cfg -o OUT -p 6 -q psfehq -r 69 -x cxi12345

The second form is that of cctbx.xfel's lsf.sh: FILE.cfg has a section [pyana] or [psana], and xdp pyana runs it on the
files of the run. Results go to OUT/r0069/000, the next free trial; configuration and PHIL files are copied there.

  -C, --cluster NAME      sge, lsf, pbs, slurm, or a site's NAME.yaml
  -c, --config FILE       a site's file of settings, or the configuration of a chain of modules
  -o, --out OUT           the run's folder; made if need be
  -q, --queue QUEUE       queue or partition
  -p, --cores N           cores of the job (default 1, or as the site's file says)
  -r, --run RUN           label of the run, also $XDP_RUN
  -x, --experiment EXP    label of the experiment, also $XDP_EXPERIMENT
  -n, --dry-run           print the job script and stop
  -t, --trial N           of a chain: number of the trial (default the next free one); an existing one is an error
  -i, --data DIR          of a chain: folder of the data (default that of the experiment)
  -s, --single            of a chain: all streams in one job, as is done anyway

Examples:

  xdp submit --cluster sge -p 8 -o run1 -- find_spots /data/a/imported.expt mp.nproc=8
  xdp submit --cluster lsf -q psfehq -p 6 -r 69 -x cxi123 -o r0069 -- find_spots /data/{experiment}/r{run}.h5
  xdp submit --cluster slurm -o big -- find_spots /data/b/imported.expt mp.method=slurm mp.njobs=20
  xdp status run1; xdp logs run1; xdp cancel run1
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from xdp.errors import OptionError, XdpError

if TYPE_CHECKING:
    from xdp.cluster.batch.site import Site


def run(args: list[str]) -> int:
    """Run the command with its arguments; the exit status."""
    from xdp.cluster.batch.site import choose_site, read_site
    from xdp.cluster.batch.submission import Driver, submit_driver
    from xdp.work.options import ClusterOptions

    known, command = _arguments(args)
    if known.help:
        sys.stdout.write(__doc__ + "\n")
        return 0
    if _is_chain(known, command):
        return _submit_chain(known)
    if not command or known.out is None:
        raise OptionError("submit needs -o OUT and, after --, the command to run; xdp submit -h shows examples")
    if known.config is None and known.cluster is None:
        raise OptionError("submit needs --cluster sge, lsf, pbs, slurm or a site's name, or --config FILE")
    if known.config is not None:
        site = read_site(known.config)
    else:
        options = ClusterOptions(name=known.cluster)
        site = choose_site(None, options)
    if known.queue is not None:
        site = site.model_copy(update={"queue": known.queue})
    cores = known.cores or site.cores or 1
    driver = Driver(site, cores, Path(known.out), tuple(command), known.run, known.experiment)
    driver = dataclasses.replace(driver, site=_ask_for_enough_memory(site, driver.make_command()[3:], cores))
    if known.dry_run:
        sys.stdout.write(driver.make_script())
        return 0
    job = submit_driver(driver)
    sys.stdout.write(f"job {job} submitted to {site.scheduler}; xdp status {known.out} follows it\n")
    return 0


def _is_chain(known: argparse.Namespace, command: list[str]) -> bool:
    """Whether -c names the configuration of a chain; options that only a chain has are refused otherwise."""
    from xdp.serial.chain.configuration import is_chain_file

    if known.config is not None and is_chain_file(known.config):
        if command:
            raise OptionError(f"{known.config} is the configuration of a chain, which xdp pyana runs: no command may "
                              "follow --")
        return True
    if known.trial is not None or known.data is not None or known.single:
        raise OptionError("--trial, --data and --single need -c with the configuration of a chain, which has a section "
                          "[pyana] or [psana]")
    return False


def _submit_chain(known: argparse.Namespace) -> int:
    """Submit a chain as lsf.sh does."""
    from xdp.cluster.batch.site import choose_site
    from xdp.cluster.batch.submission import Driver, submit_driver
    from xdp.serial.chain import submission as chains
    from xdp.work.options import ClusterOptions

    experiment = known.experiment or os.environ.get("EXP", "")
    request = chains.ChainRequest(known.config, chains.parse_run_number(known.run), experiment, known.out, known.data,
                                  known.trial)
    folder, files, chain = chains.plan_trial(request)
    cores = chains.count_processes(chain, known.cores)
    if cores == 2:
        sys.stderr.write("xdp submit: warning: two processes were of little use to pyana, which kept one for itself; "
                         "xdp uses both\n")
    # lsf.sh knows LSF alone
    site = choose_site(None, ClusterOptions(name=known.cluster or "lsf"))
    if known.queue is not None or site.queue is None:
        site = site.model_copy(update={"queue": known.queue or chains.QUEUE})
    site = site.model_copy(update={"log_folder": "stdout"})
    config = folder / os.path.basename(known.config)
    words = ["pyana", str(config), *files, f"run={request.run}", f"mp.nproc={cores}"]
    words += [f"experiment={experiment}"] if experiment else []
    driver = Driver(site, cores, folder, tuple(words), str(request.run), experiment)
    if known.dry_run:
        sys.stdout.write(driver.make_script())
        return 0
    chains.copy_inputs(request, folder)
    job = submit_driver(driver)
    sys.stdout.write(f"job {job} submitted to {site.scheduler}; xdp status {folder} follows it\n")
    return 0


def _ask_for_enough_memory(site: Site, words: Sequence[str], cores: int) -> Site:
    """The site with as much memory as the stage needs for its frames; a warning where the site's file asks for less.

    A search works on fewer threads where memory is short, so that cores would lie idle.
    """
    needed = _estimate_memory(words, cores)
    if site.memory_bytes is None or needed <= site.memory_bytes:
        return site
    if "memory" in site.model_fields_set:
        sys.stderr.write(f"xdp submit: warning: {words[0]} on {cores} threads takes about {needed / 1e9:.1f} GB for "
                         f"its frames, the site's file asks for {site.memory}: fewer threads will work\n")
        return site
    return site.model_copy(update={"memory": f"{math.ceil(needed / 1e6)}MB"})


def _estimate_memory(words: Sequence[str], cores: int) -> int:
    """Bytes that a stage which reads frames takes, by the largest detector of its .expt files; else 0."""
    if words[0].replace("-", "_") not in ("find_spots", "integrate", "process"):
        return 0
    from xdp.experiment.io import read_experiments
    from xdp.spotfinding.run.chunks import estimate_memory

    detectors = []
    for word in words[1:]:
        if word.endswith(".expt") and os.path.isfile(word):
            with contextlib.suppress(XdpError):  # the command itself will say what is wrong with it
                detectors += [one.detector for one in read_experiments(word) if one.detector is not None]
    sizes = [sum(panel.image_size[0] * panel.image_size[1] for panel in detector) for detector in detectors]
    return estimate_memory(cores, max(sizes)) if sizes else 0


class _SubmitParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message}; xdp submit -h explains the options")


def _arguments(args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own options, and the command after ``--``."""
    # What follows is the command's own: its options are not ours.
    cut = args.index("--") if "--" in args else len(args)
    parser = _SubmitParser(prog="xdp submit", add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-C", "--cluster")
    parser.add_argument("-c", "--config")
    parser.add_argument("-o", "--out")
    parser.add_argument("-q", "--queue")
    parser.add_argument("-p", "--cores", type=int)
    parser.add_argument("-r", "--run", default="")
    parser.add_argument("-x", "--experiment", default="")
    parser.add_argument("-n", "--dry-run", action="store_true")
    parser.add_argument("-t", "--trial", type=int)
    parser.add_argument("-i", "--data")
    parser.add_argument("-s", "--single", action="store_true")
    known = parser.parse_args(args[:cut])
    if known.cores is not None and known.cores < 1:
        raise OptionError(f"--cores must be at least 1, got {known.cores}")
    return known, args[cut + 1 :]
