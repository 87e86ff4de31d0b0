#!/usr/bin/env bash
# A machine of its own to install packages on: systemd as process 1, in namespaces, on a copy of this machine's file
# system (an overlay in memory). Nothing that happens in it is seen outside, and nothing of it stays.
#
#   machine.sh MEMORY_FOLDER      to be started by unshare; becomes process 1
set -euo pipefail
folder=$1
mount --make-rprivate /
mount -t tmpfs -o mode=755,size=4g tmpfs "$folder"
mkdir "$folder"/{new,work,root}
root=$folder/root
mount -t overlay -o "lowerdir=/,upperdir=$folder/new,workdir=$folder/work" overlay "$root"
mount -t proc proc "$root/proc"
# What is written there would reach the kernel that all share.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  mknod -m 666 "$root/dev/$node" c "0x$(stat -c %t /dev/$node)" "0x$(stat -c %T /dev/$node)"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up
# Of the services that are here, none is wanted; what says that packages start nothing (as in the images that CI is made
# of) does not hold here.
rm -f "$root"/etc/systemd/system/*.wants/* "$root/usr/sbin/policy-rc.d"
# systemd mounts the credentials of services elsewhere and lets them appear here.
mount --make-rshared "$root"
cd "$root"
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system --unit=basic.target
