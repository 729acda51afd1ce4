#!/bin/bash
#SBATCH -J xdp-worker
#SBATCH -n 1
#SBATCH --cpus-per-task=6
#SBATCH --mem=11445M
#SBATCH -o /data/run/xdp-logs/xdp-worker.%j.out
#SBATCH --export=NONE
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
exec python -m worker 'a b'
