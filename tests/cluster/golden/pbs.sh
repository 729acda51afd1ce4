#!/bin/bash
#PBS -N xdp-worker
#PBS -l select=1:ncpus=6:mem=11445mb
#PBS -j oe
#PBS -o /data/run/xdp-logs/
cd "${PBS_O_WORKDIR:-.}"
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
exec python -m worker 'a b'
