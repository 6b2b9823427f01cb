#!/bin/sh
# Run the README's commands on a bare Debian 13: sh tests/debian.sh [TARGET…], by default study and test.
# Makes the system in a temporary folder (in $TMPDIR or /var/tmp), clones the last commit into it, and lets an ordinary
# user make the targets with Debian's Python. What leads to the package registry is all that this machine hands on.
set -eu

fail() {
  echo "debian: $1" >&2
  exit 1
}

{ [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null; } ||
  fail "needs root, and debootstrap (Debian/Ubuntu: sudo apt install debootstrap)"
# A mount namespace of its own: no mount outlives this script, however it ends.
[ "${1:-}" = --alone ] || exec unshare --mount sh "$0" --alone "$@"
shift
targets=${*:-study test}
cd "$(dirname "$0")/.."
root=$(mktemp -d -p "${TMPDIR:-/var/tmp}") && chmod 755 "$root"
trap 'umount -l "$root/dev/pts" "$root/dev/shm" "$root/proc" 2>/dev/null; rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
log=$root/log

quietly() { "$@" >"$log" 2>&1 </dev/null || { tail -n 30 "$log" && fail "failed: $*"; }; }

quietly debootstrap --variant=minbase --include=ca-certificates,git,make,python3 trixie "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
mkdir -p "$root/dev/pts" # terminals, which the test of a closed one opens
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$(hostname)" >"$root/etc/hosts" # as Debian's installer writes it
bundle=/etc/ssl/certs/ca-certificates.crt
[ ! -f "${SSL_CERT_FILE:-$bundle}" ] || cp "${SSL_CERT_FILE:-$bundle}" "$root$bundle"
chroot "$root" useradd --create-home student
checkout=/home/student/pytorch-study
git clone --quiet "file://$PWD" "$root$checkout" # file://: no hard links into this checkout
chroot "$root" chown -R student: "$checkout"
echo "debian: Debian $(cat "$root/etc/debian_version"), $(chroot "$root" python3 --version), user student"

# The arguments become NAME=value, for env.
set -- HOME=/home/student USER=student LANG=C.UTF-8 PATH=/usr/bin:/bin
for name in $(env | sed -nE 's/^((PIP|UV)_[A-Z_]+|[A-Za-z]+_(PROXY|proxy))=.*/\1/p'); do
  eval "set -- \"\$@\" \"$name=\$$name\""
done
set -- "$@" "SSL_CERT_FILE=$bundle" "PIP_CERT=$bundle"
as_student() { chroot --userspec=student:student "$root" env -i -C "$checkout" "$@" >"$log" 2>&1 </dev/null; }

code=0 && as_student "$@" make study || code=$?
sed 's/^/debian: without python3-venv: /' "$log"
[ "$code $(grep -c '^setup: ' "$log") $(grep -c 'apt install python3.13-venv' "$log")" = "2 1 1" ] ||
  fail "make study without python3-venv must end with 2 and one line that names it, not with $code"

quietly chroot "$root" env "$@" DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv
for target in $targets; do
  echo "debian: make $target"
  start=$(date +%s) code=0
  as_student "$@" make "$target" || code=$?
  tail -n 40 "$log"
  echo "debian: make $target: exit code $code, $(($(date +%s) - start)) s, $(du -sh "$root$checkout/.venv" | cut -f1) in .venv"
  [ "$code" = 0 ] || fail "make $target failed"
done
