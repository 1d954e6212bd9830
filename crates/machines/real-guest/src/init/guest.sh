#!/bin/busybox sh
# Init of a guest: loads Hyper-V's drivers, then answers on the second serial port what the host asks. With `root_disk=` among the kernel's
# words the initramfs only brings up that disk, and the same init goes on from there.
[ -e /proc/cmdline ] || {
    /bin/busybox mkdir -p /proc /sys /dev /tmp /eat
    /bin/busybox mount -t proc proc /proc
    /bin/busybox mount -t sysfs sysfs /sys
    /bin/busybox mount -t devtmpfs devtmpfs /dev
}
/bin/busybox --install -s /bin
export PATH=/bin

value() { for word in $(cat /proc/cmdline); do case $word in "$1="*) echo "${word#*=}";; esac; done; }

# A module that is there already is not loaded again. Compressed ones are unpacked.
load() {
    [ ! -e /sys/module/$1 ] || return 0
    file=$(ls /modules/$1.ko* 2>/dev/null | head -n 1)
    [ -n "$file" ] || return 1
    case $file in *.xz) unxz -k -c "$file" > /tmp/$1.ko; file=/tmp/$1.ko;; *.zst) zstd -d -q -c "$file" > /tmp/$1.ko; file=/tmp/$1.ko;; esac
    shift
    insmod "$file" "$@"
}

# The name of the disk with this number on its controller: kernels find disks in any order.
disk() { ls /sys/bus/scsi/devices/*:0:0:$1/block 2>/dev/null; }

agent=/dev/ttyS1
exec 3<>$agent
stty -F $agent raw -echo
say() { echo "$*" >&3; }

root_disk=$(value root_disk)
if [ "$1" != on-disk ]; then
    say up
    if [ -n "$root_disk" ]; then
        # What a kernel has built in has no file.
        for module in hv_vmbus scsi_common scsi_mod sd_mod scsi_transport_fc hv_storvsc; do load $module; done
        tries=0
        while [ -z "$(disk $root_disk)" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
        mkdir -p /disk
        if mount -t ext4 /dev/$(disk $root_disk) /disk; then
            for folder in proc sys dev; do mount -o move /$folder /disk/$folder; done
            exec 3>&-
            exec switch_root /disk /init on-disk
        fi
        say "missing root-disk"
    fi
fi
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs -o size=64g tmpfs /eat

missing=
for module in hv_vmbus hv_balloon; do
    parameters=
    [ $module = hv_balloon ] && parameters=pressure_report_delay=$(value report_delay)
    load $module $parameters || missing="$missing $module"
done
[ -z "$missing" ] || say "missing$missing"
# Heartbeat, shutdown, time synchronization, where the kernel has them as modules. What is missing is seen by the host.
for module in pps_core ptp hv_utils; do load $module; done
# Disks, where the initramfs has their drivers; with a root on a disk they are loaded already.
for module in scsi_common scsi_mod sd_mod scsi_transport_fc hv_storvsc; do load $module; done
eaten=0
read_up_to=0
# Bytes that no kernel can leave out when it swaps, a MiB of them.
piece=/tmp/piece
memory() {
    while read -r key number _; do
        case $key in
            MemTotal:) total=$number;;
            MemAvailable:) available=$number; break;;
        esac
    done < /proc/meminfo
    say "m $total $available"
}

# The host asks for it, since a line costs time on an emulated machine.
interval=$(value memory_interval)
if [ "${interval:-0}" != 0 ]; then
    while :; do memory; sleep "$interval"; done &
fi

say ready
device() { ls /sys/bus/vmbus/drivers/hv_balloon | grep -- - | head -n 1; }
while read -r command argument; do
    case $command in
        mem) memory;;
        eat)
            if [ "$argument" -gt $eaten ]; then
                dd if=/dev/zero of=/eat/x bs=1M seek=$eaten count=$((argument - eaten)) conv=notrunc 2>/dev/null
            else
                truncate -s "${argument}M" /eat/x
            fi
            eaten=$argument
            say "eaten $eaten"
            ;;
        fill)
            # As `eat`, with bytes that cannot be left out.
            [ -e $piece ] || dd if=/dev/urandom of=$piece bs=1M count=1 2>/dev/null
            read -r began _ < /proc/uptime
            if [ "$argument" -gt $eaten ]; then
                # One program for all of it: starting one takes an emulated processor its time.
                cat $(yes $piece | head -n $((argument - eaten))) >> /eat/x
            else
                truncate -s "${argument}M" /eat/x
            fi
            eaten=$argument
            read -r ended _ < /proc/uptime
            say "eaten $eaten from $began to $ended"
            ;;
        look)
            # What was written first, read once.
            dd if=/eat/x of=/dev/null bs=1M count="$argument" 2>/dev/null
            say "looked $argument"
            ;;
        swapon)
            device=/dev/$(disk "$argument")
            mkswap $device > /dev/null && swapon $device
            say "swap $?"
            ;;
        files)
            # Open from now on: a disk that nobody has open has nothing in the cache.
            exec 4< /dev/$(disk "$argument")
            say "files $?"
            ;;
        read)
            # How many MiB, of how many: from where the last read ended, round and round.
            count=${argument% *} all=${argument#* }
            while [ $count -gt 0 ]; do
                now=$((all - read_up_to))
                [ $now -le $count ] || now=$count
                dd if=/proc/self/fd/4 of=/dev/null bs=1M skip=$read_up_to count=$now 2>/dev/null
                count=$((count - now)) read_up_to=$(((read_up_to + now) % all))
            done
            say "read $argument"
            ;;
        unbind)
            instance=$(device)
            echo "$instance" > /sys/bus/vmbus/drivers/hv_balloon/unbind
            say "unbound $instance"
            ;;
        bind)
            echo "$instance" > /sys/bus/vmbus/drivers/hv_balloon/bind
            say "bound $instance"
            ;;
        rebind)
            # No message between: each costs time on an emulated machine.
            instance=$(device)
            count=0
            while [ $count -lt "$argument" ]; do
                echo "$instance" > /sys/bus/vmbus/drivers/hv_balloon/unbind
                echo "$instance" > /sys/bus/vmbus/drivers/hv_balloon/bind
                count=$((count + 1))
            done
            say "rebound $count"
            ;;
        rmmod) rmmod hv_balloon 2>&1 && say "rmmod done" || say "rmmod refused";;
        dmesg) dmesg | grep -E "$argument" | while read -r line; do say "d $line"; done; say "d.";;
        debug) while read -r line; do say "b $line"; done < /sys/kernel/debug/hv-balloon; say "b.";;
        cpus) say "cpus $(nproc)";;
        flood) say "flooding"; (while :; do echo "flood flood flood flood flood flood flood flood"; done > /dev/ttyS0) & ;;
        panic) say "panicking"; echo c > /proc/sysrq-trigger;;
        reboot) say "rebooting"; reboot -f;;
        poweroff)
            say "off"
            # What was swapped out has to come back before the disk can go; a root on a disk is left clean.
            swapoff -a
            [ -z "$root_disk" ] || mount -o remount,ro /
            poweroff -f
            ;;
        sh) sh -c "$argument" >&3 2>&1; say "sh.";;
        *) say "? $command";;
    esac
done <&3
