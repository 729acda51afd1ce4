#!/bin/bash
# Make a one-host Slurm of a bare Debian machine, for the tests. Run as root; running it again changes nothing.
#
#   SLOTS=4 tests/cluster/setup_slurm.sh
#
# Munge and the two daemons are started here without an init system; the partition is called "all".
set -euo pipefail

slots=${SLOTS:-4}
host=$(hostname -s)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export DEBIAN_FRONTEND=noninteractive
bare=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin)

die() { echo "setup_slurm: $*" >&2; exit 1; }

patiently() {
  local _
  for _ in {1..100}; do
    if "$@" &>/dev/null; then return 0; fi
    sleep 0.1
  done
  die "waited in vain for: $*"
}

is_alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

[ "$(id -u)" = 0 ] || die "must be run as root"
[ -d /sys/fs/cgroup ] || die "slurmd needs /sys/fs/cgroup"
if ! command -v slurmctld slurmd munged >/dev/null; then
  compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge &>"$scratch/said" ||
    { cat "$scratch/said" >&2; die "the packages could not be installed"; }
fi
getent hosts "$host" >/dev/null || echo "127.0.0.1 $host" >>/etc/hosts

if ! [ -s /etc/munge/munge.key ]; then
  (umask 077; head -c 1024 /dev/urandom >/etc/munge/munge.key)
  chown munge: /etc/munge/munge.key
fi
install -d -o munge -g munge -m 755 /run/munge
is_alive /run/munge/munged.pid || setpriv --reuid munge --regid munge --init-groups "${bare[@]}" munged
patiently sh -c 'munge -n | unmunge'

install -d /run/slurm /var/spool/slurmctld /var/spool/slurmd /var/log/slurm
memory=$(awk '$1 == "MemTotal:" {print int($2 / 1024 * 0.95)}' /proc/meminfo)
address=$(getent ahostsv4 "$host" | awk 'NR == 1 {print $1}')
cat >/etc/slurm/slurm.conf <<CONF
ClusterName=tests
SlurmctldHost=$host($address)
SlurmUser=root
AuthType=auth/munge
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# nothing of the machine is confined: no cgroups, no accounting
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
# more processors than there are may be offered, jobs start at once and are forgotten late
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
KillWait=5
MinJobAge=300
ReturnToService=2
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
NodeName=$host CPUs=$slots RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
is_alive /run/slurm/slurmctld.pid || "${bare[@]}" slurmctld
is_alive /run/slurm/slurmd.pid || "${bare[@]}" slurmd
scontrol reconfigure &>/dev/null || true
patiently sh -c "sinfo -h -o %T | grep -Eq '^(idle|mixed|allocated)'"
