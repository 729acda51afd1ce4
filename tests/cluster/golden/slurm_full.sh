#!/bin/bash
#SBATCH -J xdp-worker
#SBATCH -p main.q
#SBATCH -A mx1234
#SBATCH -n 1
#SBATCH --cpus-per-task=6
#SBATCH --mem=11445M
#SBATCH -t 04:30:00
#SBATCH -o /data/run/xdp-logs/xdp-worker.%j.out
#SBATCH --export=ALL
#SBATCH -x extra
module load python
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
export SITE='x y'
exec python -m worker 'a b'
