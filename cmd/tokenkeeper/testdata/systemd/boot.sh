#!/bin/sh
# Runs systemd as PID 1 in the root tree ROOT, in namespaces of its own but for
# the network, and in control groups called NAME:
#
#   boot.sh ROOT NAME
#
# It needs root. The system ends with the process that runs this. Exit code 3:
# this machine can't do it, for the reason on standard error.
set -eu

cgroups=/sys/fs/cgroup

unified() { [ "$(stat -f -c %T $cgroups)" = cgroup2fs ]; }

# Hybrid: systemd keeps its own tree and the second version's, which has no
# controllers there; memory is one of the first version's.
hierarchies() {
	if unified; then
		echo .
		return
	fi
	for h in systemd unified memory; do
		if [ -d $cgroups/$h ]; then echo $h; fi
	done
}

outer() {
	for h in $(hierarchies); do
		mkdir "$cgroups/$h/$2" || exit 3
		echo $$ >"$cgroups/$h/$2/cgroup.procs" || exit 3
	done
	# Probed first: what fails later is no reason to skip.
	unshare --pid --fork --mount --uts --ipc --cgroup true || exit 3
	exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup sh "$0" inside "$1"
}

inside() {
	mount --make-rprivate /
	mount --rbind "$1" "$1"
	cd "$1"
	mount -t proc proc proc -o nosuid,nodev,noexec
	mount -t sysfs sysfs sys -o ro
	mount -t tmpfs tmpfs run -o mode=755
	mount -t tmpfs tmpfs tmp -o mode=1777
	mount -t tmpfs tmpfs dev -o mode=755,nosuid
	for device in null zero full random urandom tty; do
		: >dev/$device
		mount --bind /dev/$device dev/$device
	done
	mkdir dev/pts dev/shm
	mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666,mode=620,gid=5
	mount -t tmpfs tmpfs dev/shm
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	if unified; then
		mount -t cgroup2 cgroup2 sys/fs/cgroup
	else
		mount -t tmpfs tmpfs sys/fs/cgroup -o mode=755
		for h in $(hierarchies); do
			mkdir sys/fs/cgroup/$h
			case $h in
			unified) mount -t cgroup2 cgroup2 sys/fs/cgroup/$h ;;
			systemd) mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/$h ;;
			*) mount -t cgroup -o $h cgroup sys/fs/cgroup/$h ;;
			esac
		done
	fi
	mkdir -p mnt/before
	pivot_root . mnt/before
	umount -l /mnt/before
	# As a container's manager leaves it to systemd, which mounts a service's
	# credentials in a namespace of a child's.
	mount --make-rshared /
	exec env -i container=tokenkeeper PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console
}

clean() {
	for h in $(hierarchies); do
		find "$cgroups/$h/$1" -depth -type d -exec rmdir {} \;
	done
}

case $1 in
inside) inside "$2" ;;
clean) clean "$2" ;;
*) outer "$@" ;;
esac
