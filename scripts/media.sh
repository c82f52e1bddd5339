#!/bin/sh
# Fetches the sample footage of Debian's opencv-doc package into .cache/media: 79 s of pedestrians seen from above.
# The package is not installed; one file is taken out of it.
set -eu
cd "$(dirname "$0")/.."

want=45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf
to=.cache/media/vtest.avi

has() {
    [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$want" ]
}

has "$to" && exit 0
mkdir -p .cache/media
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
echo "media: fetching opencv-doc (96 MB) for its sample footage"
if ! (cd "$work" && apt-get download -qq opencv-doc 2>"$work/log"); then
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo"
    $as_root apt-get update -qq
    (cd "$work" && apt-get download -qq opencv-doc)
fi
dpkg-deb --fsys-tarfile "$work"/opencv-doc_*.deb |
    tar -x -O ./usr/share/doc/opencv-doc/examples/data/vtest.avi >"$work/vtest.avi"
if ! has "$work/vtest.avi"; then
    echo "media: vtest.avi is not the file that the demo was made for (sha256 differs)" >&2
    exit 1
fi
mv "$work/vtest.avi" "$to"
