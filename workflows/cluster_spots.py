"""Find spots on a cluster from Python; copy and edit.

Run as ``python cluster_spots.py imported.expt``. The settings of the site are in cluster_configs/sge.yaml; for LSF, PBS
or Slurm take that file and method instead.
"""

import sys

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.experiment import read_experiments
from xdp.logs import start_log
from xdp.reflections.refl import write_refl
from xdp.spotfinding.find import find_spots
from xdp.spotfinding.options import FindSpotsOptions, SpotFinderOptions

mp = MpOptions(method="sge", njobs=4, nproc=2)
cluster = ClusterOptions(config="cluster_configs/sge.yaml", start_timeout=120)
options = FindSpotsOptions(spotfinder=SpotFinderOptions(mp=mp))

if __name__ == "__main__":
    start_log("cluster_spots.log")
    experiments = read_experiments(sys.argv[1])
    with connect(mp, cluster) as client:
        table = find_spots(experiments, options, client)
    write_refl("strong.refl", table)
