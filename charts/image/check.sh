#!/usr/bin/env bash
# Builds the image with buildah from a clean checkout of HEAD, and runs it three ways: as its own user, on a read-only
# root, and there as a random user. Each must answer /readyz and give an embedding. Needs root, buildah and mmdebstrap.
#
#   charts/image/check.sh [--torch debian|cpu|lock] [--port 8951]
#
# Torch comes from Debian here, so that Debian's packages and PyPI are all that has to be reached.
set -euo pipefail
torch=debian port=8951 image=localhost/prodsim:check base=localhost/prodsim-base:trixie
while (($#)); do
  case $1 in
    --torch) torch=$2 ;;
    --port) port=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
for program in buildah mmdebstrap curl unshare chroot; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install buildah mmdebstrap curl" >&2; exit 1; }
done
top=$(git rev-parse --show-toplevel)
work=$(mktemp -d /var/tmp/prodsim-image-XXXXXX)
container=
stop() {
  [[ -z $container ]] || { buildah umount "$container" >/dev/null; buildah rm "$container" >/dev/null; }
  rm -rf "$work"
}
trap stop EXIT

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
  echo "making a base from Debian's packages"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates trixie "$work/base.tar"
  made=$(buildah from scratch)
  buildah add --quiet "$made" "$work/base.tar" / >/dev/null
  buildah commit --quiet --rm "$made" "$base" >/dev/null
fi
if [[ -z ${CHECK_ONLY:-} ]]; then
  git -C "$top" archive --prefix=context/ HEAD | tar -x -C "$work"
  buildah bud --isolation chroot --network host --target cpu --build-arg BASE="$base" --build-arg TORCH="$torch" \
    --volume /etc/ssl/certs:/etc/ssl/certs:ro --volume /usr/local/share/ca-certificates:/usr/local/share/ca-certificates:ro \
    --tag "$image" "$work/context"
fi
buildah images --format '{{.Name}}:{{.Tag}} {{.Size}}' | grep -F "$image"

container=$(buildah from "$image")
root=$(buildah mount "$container")
leftovers=$(find "$root"/usr/bin "$root"/opt/prodsim/bin \( -name 'gcc*' -o -name 'cc' -o -name 'make' -o -name 'pip*' -o -name 'uv' \) | head)
[[ -z $leftovers ]] || { echo "left in the image: $leftovers" >&2; exit 1; }

# serve USER READ_ONLY: runs the image's command with its environment, in namespaces of its own
serve() {
  unshare --mount --pid --fork --kill-child -- bash -euc '
    root=$1 user=$2 read_only=$3 port=$4
    mount --make-rprivate /
    mount --bind "$root" "$root"
    [[ $read_only = no ]] || mount -o remount,bind,ro "$root"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t tmpfs -o mode=1777 tmpfs "$root/var/lib/prodsim"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    [[ $read_only = no ]] || ! touch "$root/opt/prodsim/written" 2>/dev/null || { echo "the root can be written" >&2; exit 1; }
    exec chroot --userspec="$user" "$root" /usr/bin/env --ignore-environment --chdir=/tmp \
      PATH=/opt/prodsim/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp USER=prodsim LOGNAME=prodsim LANG=C.UTF-8 \
      PRODSIM_HOME=/var/lib/prodsim PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 \
      prodsim-admin embedder serve --host 127.0.0.1 --port "$port"' serve "$root" "$1" "$2" "$port" >"$work/log" 2>&1 &
  server=$!
}
check() {
  local began=$SECONDS
  serve "$2" "$3"
  until curl --silent --fail "http://127.0.0.1:$port/readyz" >/dev/null; do
    kill -0 "$server" 2>/dev/null && ((SECONDS - began < 300)) || { cat "$work/log" >&2; exit 1; }
    sleep 1
  done
  local vector
  vector=$(curl --silent --fail --header 'content-type: application/json' --data '{"input": "warm jacket", "input_type": "query"}' \
    "http://127.0.0.1:$port/v1/embeddings" | grep -o '"embedding":\[[^,]*,[^,]*')
  echo "$1: ready after $((SECONDS - began)) s, ${vector}, ...]"
  kill "$(pgrep --parent "$server")"; wait "$server" 2>/dev/null || true  # unshare itself does not heed signals
}
check "as its own user" 10001:10001 no
check "on a read-only root" 10001:10001 yes
check "on a read-only root as a random user" "$((100000 + RANDOM)):0" yes

