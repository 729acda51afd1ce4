"""Submit a run to a batch system: the command that drives it becomes a job, so that the login node is free.

Everything after -- is the xdp command to run. It runs in the folder OUT, where its outputs lie; inputs are found from
the current folder. {run} and {experiment} in it are replaced by the values of --run and --experiment.

Usage: xdp submit [options] -o OUT -- COMMAND ARGUMENTS...

  -C, --cluster NAME      sge, lsf, pbs, slurm, or a site's NAME.yaml
  -c, --config FILE       a site's file of settings
  -o, --out OUT           the run's folder; made if need be
  -q, --queue QUEUE       queue or partition
  -p, --cores N           cores of the job (default 1, or as the site's file says)
  -r, --run RUN           label of the run, also $XDP_RUN
  -x, --experiment EXP    label of the experiment, also $XDP_EXPERIMENT
  -n, --dry-run           print the job script and stop

Examples:

  xdp submit --cluster sge -p 8 -o run1 -- find_spots /data/a/imported.expt mp.nproc=8
  xdp submit --cluster lsf -q psfehq -p 6 -r 69 -x cxi123 -o r0069 -- find_spots /data/{experiment}/r{run}.h5
  xdp submit --cluster slurm -o big -- find_spots /data/b/imported.expt mp.method=slurm mp.njobs=20
  xdp status run1; xdp logs run1; xdp cancel run1
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from xdp.errors import OptionError


def run(args: list[str]) -> int:
    """Run the command with its arguments; the exit status."""
    from xdp.cluster.batch.site import choose_site, read_site
    from xdp.cluster.batch.submission import Driver, submit_driver
    from xdp.work.options import ClusterOptions

    known, command = _arguments(args)
    if known.help:
        sys.stdout.write(__doc__ + "\n")
        return 0
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
    driver = Driver(site, known.cores or site.cores or 1, Path(known.out), tuple(command), known.run, known.experiment)
    if known.dry_run:
        sys.stdout.write(driver.make_script())
        return 0
    job = submit_driver(driver)
    sys.stdout.write(f"job {job} submitted to {site.scheduler}; xdp status {known.out} follows it\n")
    return 0


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
    known = parser.parse_args(args[:cut])
    if known.cores is not None and known.cores < 1:
        raise OptionError(f"--cores must be at least 1, got {known.cores}")
    return known, args[cut + 1 :]
