#!/bin/bash
# Boots a systemd of its own, in namespaces of its own, over a throw-away overlay of this machine's root.
# $1: a folder for it. Inside, /opt is $1/opt, which is kept; whatever else is written is kept in memory.
set -euo pipefail
machine=$1 root=$1/root
mount --make-rprivate /
mkdir -p "$machine/mem" "$machine/opt" "$root"
mount -t tmpfs -o mode=755 tmpfs "$machine/mem"
mkdir -p "$machine/mem/upper" "$machine/mem/work"
mount -t overlay -o "lowerdir=/,upperdir=$machine/mem/upper,workdir=$machine/mem/work" overlay "$root"
mkdir -p "$root/opt"
mount --bind "$machine/opt" "$root/opt"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup" 2>/dev/null || true
if [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mkdir -p "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified" || true
fi
# Units that are of no use here, or would act on the machine.
rm -rf "$root"/etc/systemd/system/*.wants
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service systemd-resolved.service \
    getty.target console-getty.service networking.service systemd-modules-load.service systemd-sysctl.service \
    systemd-remount-fs.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# As outside of a container; it is how a service gets its credentials.
mount --make-rshared "$root"
exec env -i container=sessiond-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot "$root" /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal
