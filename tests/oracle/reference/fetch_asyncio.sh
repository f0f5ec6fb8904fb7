#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# fetch_asyncio.sh FOLDER: puts CPython 3.13's asyncio, pure Python, into FOLDER/asyncio, from Debian's package
# libpython3.13-stdlib, through the package source that this machine is set up with. The machine's own package lists stay
# as they are.
set -euo pipefail

into=$1
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "there is no apt-get" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts"

source=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
    grep -v '^ *#' | grep -v security | grep -Eo '(file|https?)://[^ ]+' | head -1) || true
[ -n "$source" ] || {
    echo "apt has no package source" >&2
    exit 1
}
echo "deb $source trixie main" >"$work/sources.list"
options=(
    -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts"
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
    -o Acquire::Check-Valid-Until=false -o APT::Update::Error-Mode=any
)
apt-get "${options[@]}" -qq update >&2
(cd "$work" && apt-get "${options[@]}" -qq download libpython3.13-stdlib >&2)
dpkg-deb -x "$work"/libpython3.13-stdlib_*.deb "$work/unpacked"
cp -r "$work/unpacked/usr/lib/python3.13/asyncio" "$into/"
