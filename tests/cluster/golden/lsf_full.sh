#!/bin/bash
#BSUB -J xdp-worker
#BSUB -q main.q
#BSUB -P "mx1234"
#BSUB -n 6
#BSUB -R "span[hosts=1] rusage[mem=2000]"
#BSUB -M 12000000
#BSUB -W 04:30
#BSUB -o /data/run/xdp-logs/xdp-worker.%J.out
#BSUB -x extra
module load python
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
export SITE='x y'
exec python -m worker 'a b'
