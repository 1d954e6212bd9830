#!/bin/busybox sh
# Init of a guest of QEMU's: loads virtio's drivers, then does on the console what it is told.
/bin/busybox mkdir -p /proc /sys /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t tmpfs -o size=64g tmpfs /tmp

driver=yes
for word in $(cat /proc/cmdline); do
    [ "$word" = nodriver ] && driver=no
done
# In the order in which they need each other.
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_mem virtio_balloon hv_vmbus hv_balloon; do
    [ $driver$module = novirtio_balloon ] && continue
    file=$(ls /modules/$module.ko* 2>/dev/null | head -n 1)
    [ -n "$file" ] || continue
    case $file in *.xz) unxz "$file"; file=${file%.xz};; *.zst) zstd -d -q "$file"; file=${file%.zst};; esac
    # Of Hyper-V's bus there is none in most guests. Its driver reports at once, not after its usual 45 s.
    case $module in
        hv_balloon) [ -d /sys/bus/vmbus ] && insmod "$file" pressure_report_delay=0;;
        hv_vmbus) insmod "$file" 2>/dev/null;;
        *) insmod "$file";;
    esac
done
# What virtio-mem plugs is used at once.
echo online > /sys/devices/system/memory/auto_online_blocks 2>/dev/null
echo ready
while read -r command argument; do
    case $command in
        # Not 0: there was no memory for it, and the kernel has killed it.
        load) dd if=/dev/urandom of=/tmp/load bs=1M count="$argument" 2>/dev/null; echo "loaded $argument $?";;
        more) dd if=/dev/urandom bs=1M count="$argument" 2>/dev/null >> /tmp/load; echo "added $?";;
        idle) rm -f /tmp/load; echo idle;;
        mem) while read -r key number _; do [ "$key" = MemTotal: ] && echo "total $number"; done < /proc/meminfo;;
        sh) sh -c "$argument"; echo sh.;;
        reboot) reboot -f;;
        off) poweroff -f;;
    esac
done
# The console is closed: nobody tells it anything any more.
sleep 100000
