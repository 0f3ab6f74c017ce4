#!/bin/busybox sh
# The command line on a host with control groups v2 only: where its groups are, that limits hold, that nothing stays.
# usage: engine-test DRIVER   (systemd or cgroupfs)
driver=$1
echo '{"exec-opts":["native.cgroupdriver='"$driver"'"]}' >/daemon.json
export PYCTR_CONFIG=/daemon.json
export PYTHONPATH=/opt PYTHONDONTWRITEBYTECODE=1 PYCTR_ROOT=/var/lib/pyctr PYCTR_RUN_ROOT=/run/pyctr
root=/sys/fs/cgroup
failed=0

pyctr() { python3.11 -m pyctr "$@"; }

check() { # NAME EXPECTED SEEN
  if [ "$2" = "$3" ]; then echo "engine: $1 ... ok"; else
    echo "engine: $1 ... FAILED: expected '$2', seen '$3'"
    failed=1
  fi
}

run() { pyctr run --rm --network none "$@"; }

groups() { find $root -type d -name "*$1*" | head -n 1; }

mkdir -p /tree/bin && cp /bin/busybox /tree/bin/ && for name in sh cat sleep dd; do ln -s busybox /tree/bin/$name; done
tar -C /tree -c . | pyctr import - busybox >/dev/null
before=$(find $root -type d | sort)

check "own group is the root inside" 0::/ "$(run busybox cat /proc/self/cgroup)"
check "memory limit" 67108864 "$(run -m 64m busybox cat /sys/fs/cgroup/memory.max)"
check "pids limit" 50 "$(run --pids-limit 50 busybox cat /sys/fs/cgroup/pids.max)"
check "cpu limit" "50000 100000" "$(run --cpus 0.5 busybox cat /sys/fs/cgroup/cpu.max)"
check "cpu weight" 100 "$(run -c 1024 busybox cat /sys/fs/cgroup/cpu.weight)"
check "groups are read-only inside" 1 "$(run busybox sh -c 'echo 5 >/sys/fs/cgroup/pids.max' 2>/dev/null; echo $?)"

id=$(pyctr run -d --network none --name one -m 64m --memory-swap 64m busybox sleep 1000)
case $driver in
systemd) check "scope" "$root/system.slice/pyctr-$id.scope" "$(groups "$id")" ;;
*) check "group" "$root/pyctr/$id" "$(groups "$id")" ;;
esac
check "info names the driver" "$driver 2" "$(pyctr info --format '{{.CgroupDriver}} {{.CgroupVersion}}')"
pyctr update -m 32m --memory-swap 32m one >/dev/null
check "update" 33554432 "$(pyctr exec one cat /sys/fs/cgroup/memory.max)"
# With systemd the process that holds the place of the scope counts.
check "stats" "32MiB $([ "$driver" = systemd ] && echo 2 || echo 1)" "$(pyctr stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' one | sed 's/.* \/ //')"
pyctr pause one >/dev/null
check "paused" "frozen 1" "$(grep frozen "$(groups "$id")/cgroup.events")"
check "ps of paused" paused "$(pyctr ps --format '{{.State}}')"
pyctr unpause one >/dev/null
check "thawed" "frozen 0" "$(grep frozen "$(groups "$id")/cgroup.events")"
pyctr rm -f one >/dev/null

pyctr run --network none --name greedy -m 16m --memory-swap 16m busybox dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null
check "killed for memory" 137 $?
check "OOMKilled" true "$(pyctr inspect -f '{{.State.OOMKilled}}' greedy)"
pyctr rm greedy >/dev/null

# The monitor killed: its container dies, the next command clears up.
id=$(pyctr run -d --network none --name orphan busybox sleep 1000)
kill -9 "$(sed 's/.*"monitor_pid":\([0-9]*\).*/\1/' $PYCTR_ROOT/containers/"$id"/state.json)"
sleep 1
check "container of a killed monitor" "exited 137" "$(pyctr ps -a --format '{{.State}}') $(pyctr inspect -f '{{.State.ExitCode}}' orphan)"
pyctr rm orphan >/dev/null

if [ "$driver" = systemd ]; then
  id=$(pyctr run -d --network none --name sliced --cgroup-parent mine.slice busybox sleep 1000)
  check "slice" "$root/mine.slice/pyctr-$id.scope" "$(groups "$id")"
  pyctr rm -f sliced >/dev/null
  check "not a slice" 125 "$(run --cgroup-parent /x busybox sh 2>/dev/null; echo $?)"
else
  check "driver without systemd" 125 "$(echo '{"exec-opts":["native.cgroupdriver=systemd"]}' >/d.json
    PYCTR_CONFIG=/d.json run busybox sh 2>/dev/null; echo $?)"
fi

# Slices stay with systemd; pyctr's own directory is as permanent.
sleep 1
check "no group left" "$before" "$(find $root -type d | grep -v -e '/pyctr$' -e '/mine.slice$' | sort)"
exit $failed
