#!/bin/bash
#$ -S /bin/bash
#$ -N xdp-worker
#$ -q main.q
#$ -P mx1234
#$ -pe openmp 6
#$ -l m_mem_free=1908M
#$ -l h_rt=16200
#$ -cwd
#$ -j y
#$ -o /data/run/xdp-logs/
#$ -V
#$ -x extra
module load python
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
export SITE='x y'
exec python -m worker 'a b'
