#!/bin/bash
#$ -S /bin/bash
#$ -N xdp-worker
#$ -pe smp 6
#$ -l h_vmem=1908M
#$ -cwd
#$ -j y
#$ -o /data/run/xdp-logs/
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
exec python -m worker 'a b'
