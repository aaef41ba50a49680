#!/bin/sh
# Boots a guest of 8 CPUs and 4 memory nodes in QEMU's software emulation and runs a program in it.
#
#   run-guest.sh PROGRAM CACHE_DIR 'ARGUMENTS' ['ARGUMENTS'...]
#
# Runs PROGRAM once for each ARGUMENTS (split at spaces) and prints, for each,
#   === ARGUMENTS
#   ...what it printed...
#   === exit STATUS
# Debian's cloud kernel is unpacked from its package, not installed, and kept in CACHE_DIR.
# The guest: 2 sockets of 2 cores of 2 hardware threads, each core with a memory node of its own;
# the other node of the socket is at distance 12, the other socket's are at 21.
# Exit status: 0 the guest ran everything; 77 something is missing here, the last line says what;
# 1 otherwise.
set -eu

program=$1 cache=$2
shift 2

skip() {
  echo "SKIPPED: $*"
  exit 77
}

for tool in qemu-system-x86_64 cpio dpkg-deb; do
  command -v "$tool" >/dev/null || skip "no $tool on this machine"
done
[ "$(uname -m)" = x86_64 ] || skip "the guest is x86-64, this machine is not"

mkdir -p "$cache"
work=$(mktemp -d "$cache/guest.XXXXXX")
trap 'rm -rf "$work"' EXIT

# linux-image-cloud-amd64 is an empty package that depends on the one with the kernel in it.
kernel=$(find "$cache" -maxdepth 1 -name 'vmlinuz-*' | sort | tail -n 1)
if [ -z "$kernel" ]; then
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
    sed -n 's/^ *Depends: *\(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1)
  [ -n "$package" ] || skip "apt knows no linux-image-cloud-amd64 (apt-get update)"
  (cd "$work" && apt-get download "$package" >apt.log 2>&1) ||
    skip "package $package cannot be fetched: $(tail -n 1 "$work/apt.log")"
  dpkg-deb -x "$work"/linux-image-*.deb "$work/package"
  # Moved under its name only when whole: another test run may be looking.
  mv "$work"/package/boot/vmlinuz-* "$cache/"
  kernel=$(find "$cache" -maxdepth 1 -name 'vmlinuz-*' | sort | tail -n 1)
fi

# The guest's root: the program, a shell and mount from this machine, and the libraries they need.
root=$work/root
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
add() {
  mkdir -p "$root$(dirname "$2")"
  cp -L "$1" "$root$2"
}
add "$program" /program
add "$(command -v mount)" /bin/mount
add "$(readlink -f /bin/sh)" /bin/sh
for binary in "$program" "$(command -v mount)" /bin/sh; do
  ldd "$binary" | sed -n 's/^.*=> \(\/[^ ]*\) .*$/\1/p; s/^\t\(\/[^ ]*\) .*$/\1/p'
done | sort -u | while read -r library; do add "$library" "$library"; done

{
  echo '#!/bin/sh'
  echo 'mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp'
  # A serial port of its own, since the kernel writes to its console in the middle of lines; closing
  # it waits until all is sent.
  echo '{'
  for arguments in "$@"; do
    echo "echo '=== $arguments'; /program $arguments 2>&1; echo \"=== exit \$?\""
  done
  echo 'echo "=== done"; } >/dev/ttyS1'
  echo 'echo o >/proc/sysrq-trigger; while :; do read -r line || :; done'
} >"$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc) | gzip -1 >"$work/initramfs"

# With an AMD vendor string QEMU would not show the guest its hardware threads.
set -- -machine q35,accel=tcg,hmat=off -cpu max,vendor=GenuineIntel -smp 8,sockets=2,cores=2,threads=2 -m 1024
for node in 0 1 2 3; do
  set -- "$@" -object "memory-backend-ram,id=memory$node,size=256M" \
    -numa "node,nodeid=$node,memdev=memory$node,cpus=$((2 * node))-$((2 * node + 1))"
done
for from in 0 1 2 3; do
  for to in 0 1 2 3; do
    if [ "$from" -lt "$to" ]; then
      if [ $((from / 2)) -eq $((to / 2)) ]; then distance=12; else distance=21; fi
      set -- "$@" -numa "dist,src=$from,dst=$to,val=$distance"
    fi
  done
done

timeout 200 qemu-system-x86_64 "$@" -display none -nodefaults -no-reboot \
  -serial "file:$work/console" -serial "file:$work/serial" -kernel "$kernel" -initrd "$work/initramfs" \
  -append 'console=ttyS0 quiet loglevel=1 panic=-1' </dev/null >"$work/qemu.log" 2>&1 || {
  cat "$work/console" "$work/serial" "$work/qemu.log"
  echo "the guest did not end by itself"
  exit 1
}
tr -d '\r' <"$work/serial"
cat "$work/qemu.log" >&2
grep -q '^=== done' "$work/serial" || { cat "$work/console"; exit 1; }
