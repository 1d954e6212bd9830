#!/bin/busybox sh
# Init of the emulated machine: makes /dev/kvm, runs the virtual machine monitor, hands over its files, powers off.
/bin/busybox mkdir -p /proc /sys /dev /tmp /out
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t debugfs debugfs /sys/kernel/debug
/bin/busybox --install -s /bin
export PATH=/bin
# Twice: which of virtio's modules needs which differs between kernels.
for module in virtio virtio_ring virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console irqbypass kvm kvm-amd; do
    file=$(ls /modules/$module.ko* 2>/dev/null | head -n 1)
    case $file in *.xz) unxz "$file"; file=${file%.xz};; *.zst) zstd -d -q "$file"; file=${file%.zst};; esac
    [ -z "$file" ] || insmod "$file" 2>/dev/null
done
[ -e /dev/kvm ] || echo "level 1: there is no /dev/kvm"
# What somebody follows comes out while it is written; all files come out at the end.
for port in /sys/class/virtio-ports/*; do
    name=$(cat "$port/name")
    if [ "$name" = out ]; then
        archive=/dev/${port##*/}
    elif [ "$name" = knock ]; then
        # An interrupt is all that comes of it (nested.rs says what for).
        cat "/dev/${port##*/}" > /dev/null &
    else
        (until [ -e "/out/$name" ]; do sleep 1; done; tail -n +1 -f "/out/$name" > "/dev/${port##*/}") 2>/dev/null &
    fi
done
cd /out
/bin/real-guest $(cat /arguments) < /dev/ttyS0
status=$?
cd /
# Disks that the guests have written.
[ ! -d /files/back ] || mv /files/back /out/back
echo $status > /out/.status
tar -c -f "$archive" -C /out .
sync
poweroff -f
