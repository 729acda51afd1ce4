#!/bin/bash
#BSUB -J xdp-worker
#BSUB -n 6
#BSUB -R "span[hosts=1] rusage[mem=12000MB]"
#BSUB -M 12000MB
#BSUB -o /data/run/xdp-logs/xdp-worker.%J.out
#BSUB -env "none"
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
exec python -m worker 'a b'
