#!/bin/busybox sh
# Init of the emulated machine with QEMU in it: makes /dev/kvm, runs QEMU with a guest whose console is this machine's, powers off.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
# Twice: which of virtio's modules needs which differs between kernels.
for module in virtio virtio_ring virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net irqbypass kvm kvm-amd; do
    file=$(ls /modules/$module.ko* 2>/dev/null | head -n 1)
    case $file in *.xz) unxz "$file"; file=${file%.xz};; *.zst) zstd -d -q "$file"; file=${file%.zst};; esac
    [ -z "$file" ] || insmod "$file" 2>/dev/null
done
[ -e /dev/kvm ] || echo "there is no /dev/kvm inside"
ifconfig lo 127.0.0.1
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
stty -F /dev/ttyS0 raw -echo
# Without KVM's own signs the guest's kernel takes this for Hyper-V. Without S4 it allows memory to come and go.
qemu -L /firmware -M q35,accel=kvm -nodefaults -display none -name guest=hv \
    -cpu host,kvm=off,hv-relaxed,hv-vapic,hv-spinlocks=0x1fff,hv-vpindex,hv-runtime,hv-synic,hv-time,hv-stimer,hv-crash \
    -m 512M,maxmem=80G -global ICH9-LPC.disable_s4=1 \
    -object memory-backend-ram,id=mem1,size=512M \
    -device vmbus-bridge -device hv-balloon,id=balloon0,memdev=mem1,status-report=on \
    -kernel /guest/vmlinuz -initrd /guest/initrd -append "console=ttyS0 quiet panic=-1 nokaslr mitigations=off" \
    -qmp tcp:0.0.0.0:4444,server=on,wait=off -serial stdio < /dev/ttyS0 > /dev/ttyS0 2>&1
echo "QEMU ended with $?"
poweroff -f
