#!/bin/bash
# A Slurm of one machine for tests: `slurm.sh start FOLDER CORES`, `slurm.sh stop FOLDER`. It needs root, and Debian's package slurm-wlm.
#
# Everything is in the folder: configuration, key, state, logs. Nothing of an installed cluster is read or changed. Afterwards
# SLURM_CONF=FOLDER/slurm.conf makes sbatch and the others speak to it.
set -euo pipefail
what=$1 folder=$2
stop() {
    for daemon in slurmctld slurmd munged; do
        if [ -s "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true; fi
    done
}
if [ "$what" = stop ]; then
    stop
    exit 0
fi
cores=$3
mkdir -p "$folder/state" "$folder/spool"
chmod 700 "$folder"
dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
chmod 400 "$folder/munge.key"
munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
# Two ports that nothing listens on.
read -r control node < <(python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(2)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
)
host=$(hostname -s)
cat > "$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$control
SlurmdPort=$node
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
MaxArraySize=8
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
KillWait=2
MinJobAge=3600
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
slurmctld -f "$SLURM_CONF" || { stop; exit 1; }
slurmd -f "$SLURM_CONF" || { stop; exit 1; }
for _ in $(seq 100); do
    if [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; then exit 0; fi
    sleep 0.2
done
sinfo >&2 || true
tail -n 20 "$folder/slurmctld.log" "$folder/slurmd.log" >&2
stop
exit 1
