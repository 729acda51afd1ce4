"""Find spots on a cluster from Python; copy and edit.

Run as ``python cluster_spots.py imported.expt``. The settings of the site are in cluster_configs/sge.yaml; for LSF, PBS
or Slurm take that file and method instead.
"""

import sys

import xdp
from xdp.logs import start_log

mp = xdp.MpOptions(method="sge", njobs=4, nproc=2)
cluster = xdp.ClusterOptions(config="cluster_configs/sge.yaml", start_timeout=120)

if __name__ == "__main__":
    start_log("cluster_spots.log")
    experiments = xdp.read_experiments(sys.argv[1])
    with xdp.connect(mp, cluster) as client:
        found = xdp.find_spots(experiments, client=client, mp=mp)
    xdp.write_reflections("strong.refl", found.reflections)
