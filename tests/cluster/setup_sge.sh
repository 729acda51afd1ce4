#!/bin/bash
# Make a one-host Grid Engine of a bare Debian machine, for the tests. Run as root; running it again changes nothing.
#
#   SLOTS=4 tests/cluster/setup_sge.sh
#
# Afterwards qsub, qstat and qdel work for every user, a parallel environment "smp" and the queue "all.q" exist, and
# jobs start within a second or two. No init system is needed: the two daemons are started here.
set -euo pipefail

slots=${SLOTS:-4}
host=$(hostname)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export DEBIAN_FRONTEND=noninteractive SGE_ROOT=/var/lib/gridengine SGE_CELL=default
common=$SGE_ROOT/$SGE_CELL/common
daemon_path=/usr/sbin:/usr/bin:/sbin:/bin

die() { echo "setup_sge: $*" >&2; exit 1; }

patiently() {  # run a command until it succeeds, for a quarter of a minute at most
  local _
  for _ in {1..150}; do
    if "$@" &>/dev/null; then return 0; fi
    sleep 0.1
  done
  die "waited in vain for: $*"
}

quietly() {  # run a command; show what it said only if it fails
  "$@" &>"$scratch/said" || { cat "$scratch/said" >&2; die "failed: $*"; }
}

is_alive() {  # is_alive NAME PIDFILE: the pid file names a process of that name
  local pid
  pid=$(cat "$2" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]
}

launch() {  # start a daemon without the caller's environment, since jobs inherit the daemon's
  env -i PATH=$daemon_path SGE_ROOT=$SGE_ROOT SGE_CELL=$SGE_CELL "$@" </dev/null &>/dev/null
}

install_packages() {
  # the packages' own set-up looks up the host's name, which a container may not know
  getent hosts "$host" >/dev/null || echo "127.0.0.1 $host" >>/etc/hosts
  if [ -x /usr/sbin/sge_qmaster ] && [ -x /usr/sbin/sge_execd ] && [ -d /usr/lib/gridengine-drmaa ]; then return; fi
  debconf-set-selections <<ANSWERS
gridengine-common shared/gridengineconfig boolean true
gridengine-common shared/gridenginecell string $SGE_CELL
gridengine-common shared/gridenginemaster string $host
ANSWERS
  compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || quietly apt-get update -qq
  quietly apt-get install -y -qq --no-install-recommends netbase \
    gridengine-master gridengine-exec gridengine-client gridengine-drmaa1.0
}

settle_names() {  # every name that the host's addresses resolve back to is an alias of its own name
  echo "$host" >"$common/act_qmaster"
  local address names=("$host")
  for address in 127.0.0.1 $(getent ahostsv4 "$host" | awk '{print $1}' | sort -u); do
    read -ra found <<<"$(getent hosts "$address" | cut -d' ' -f2-)"
    names+=("${found[@]}")
  done
  printf '%s\n' "${names[@]}" | awk 'NF && !seen[$1]++' | paste -sd' ' >"$common/host_aliases"
}

configure() {
  qconf -as "$host" &>/dev/null || true
  # root may run jobs (uid and gid from 0), hosts report at once
  qconf -sconf global | awk '$1 ~ /^min_[ug]id$/ {$2 = 0} $1 == "load_report_time" {$2 = "0:0:2"} {print}' \
    >"$scratch/global"
  quietly qconf -Mconf "$scratch/global"
  # the scheduler acts on each submission and each end, and ignores the load
  qconf -ssconf | awk '
    $1 == "schedule_interval" {$2 = "0:0:1"}
    $1 == "flush_submit_sec" || $1 == "flush_finish_sec" {$2 = 1}
    $1 == "job_load_adjustments" {$2 = "NONE"}
    $1 == "load_adjustment_decay_time" {$2 = "0:0:0"}
    {print}' >"$scratch/scheduler"
  quietly qconf -Msconf "$scratch/scheduler"
}

make_queue() {
  if ! qconf -sp smp &>/dev/null; then
    cat >"$scratch/smp" <<PE
pe_name            smp
slots              9999
user_lists         NONE
xuser_lists        NONE
start_proc_args    NONE
stop_proc_args     NONE
allocation_rule    \$pe_slots
control_slaves     FALSE
job_is_first_task  TRUE
urgency_slots      min
accounting_summary TRUE
qsort_args         NONE
PE
    quietly qconf -Ap "$scratch/smp"
  fi
  qconf -sq | awk -v host="$host" -v slots="$slots" '
    $1 == "qname" {$2 = "all.q"}
    $1 == "hostlist" {$2 = host}
    $1 == "pe_list" {$0 = "pe_list smp"}
    $1 == "slots" {$2 = slots}
    $1 == "load_thresholds" {$2 = "NONE"}
    $1 == "shell" {$2 = "/bin/bash"}
    $1 == "shell_start_mode" {$2 = "unix_behavior"}
    {print}' >"$scratch/queue"
  if qconf -sq all.q &>/dev/null; then quietly qconf -Mq "$scratch/queue"; else quietly qconf -Aq "$scratch/queue"; fi
}

accepts_jobs() {  # the queue instance shows a load and no alarm letters
  qstat -f -q "all.q@$host" | awk '/^all\.q@/ {found = NF == 5} END {exit !found}'
}

[ "$(id -u)" = 0 ] || die "must be run as root"
install_packages
settle_names
install -d -o sgeadmin -g sgeadmin /run/gridengine
is_alive sge_qmaster /var/spool/gridengine/qmaster/qmaster.pid || launch sge_qmaster
patiently qconf -sh
configure
is_alive sge_execd /run/gridengine/execd.pid || launch env SGE_EXECD_PIDFILE=/run/gridengine/execd.pid sge_execd
patiently qconf -se "$host"
make_queue
patiently accepts_jobs
