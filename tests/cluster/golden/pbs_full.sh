#!/bin/bash
#PBS -N xdp-worker
#PBS -q main.q
#PBS -A mx1234
#PBS -l nodes=1:ppn=6
#PBS -l mem=11445mb
#PBS -l walltime=04:30:00
#PBS -j oe
#PBS -o /data/run/xdp-logs/
#PBS -V
#PBS -x extra
cd "${PBS_O_WORKDIR:-.}"
module load python
export OMP_NUM_THREADS=1
export TEXT='it'"'"'s'
export SITE='x y'
exec python -m worker 'a b'
