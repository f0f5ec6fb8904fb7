#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# run.sh WAY SOURCE WORK: builds and runs main.cpp as a user of the library would, in the folder WORK.
#
#   plain          the compiler, -Iinclude, and nothing else
#   pkg-config     from an install tree, with pkg-config's flags
#   absolute       the same, with absolute folders for headers and data
#   subdirectory   add_subdirectory
#   fetch          FetchContent
#   package        from an install tree, with find_package
#   component      as package, with the component of an adapter; and with pkg-config, too
#   export         through a library that links it under add_subdirectory, and is installed and exported
#
# The compiler and its flags come from CXX and CXXFLAGS.
set -euo pipefail

way=$1 source=$2 work=$3
here=$source/tests/consumer
cmake=${CMAKE_COMMAND:-cmake}
read -ra flags <<<"${CXXFLAGS:-}"

rm -rf "$work"
mkdir -p "$work"
cd "$work"

install_tree() {
    "$cmake" -S "$source" -B library -DASYNCHIO_BUILD_TESTS=OFF -DASYNCHIO_BUILD_EXAMPLES=OFF \
        -DASYNCHIO_BUILD_BENCHMARKS=OFF "$@" >/dev/null
    "$cmake" --install library --prefix "$work/prefix" >/dev/null
}

build_project() {
    "$cmake" -S "$here" -B build -DWAY="$way" -DASYNCHIO_SOURCE="$source" "$@"
    "$cmake" --build build
    build/consumer
    build/precompiled
}

case $way in
plain)
    "$CXX" -std=c++20 "${flags[@]}" -pthread -I"$source/include" "$here/main.cpp" -o consumer
    ./consumer
    ;;
pkg-config | absolute)
    command -v pkg-config >/dev/null || { echo "pkg-config is not installed"; exit 77; }
    if [[ $way == absolute ]]; then
        install_tree -DCMAKE_INSTALL_INCLUDEDIR="$work/headers" -DCMAKE_INSTALL_DATADIR="$work/data"
        export PKG_CONFIG_PATH=$work/data/pkgconfig
    else
        install_tree
        export PKG_CONFIG_PATH=$work/prefix/share/pkgconfig
    fi
    read -ra library <<<"$(pkg-config --cflags --libs asynchio)"
    "$CXX" -std=c++20 "${flags[@]}" "$here/main.cpp" "${library[@]}" -o consumer
    ./consumer
    "$(pkg-config --variable=toolsdir asynchio)/asynchio_ps.py" --version
    ;;
subdirectory | fetch)
    build_project
    ;;
package)
    install_tree
    build_project -DCMAKE_PREFIX_PATH="$work/prefix"
    ;;
component)
    if ! command -v pkg-config >/dev/null || ! pkg-config --exists openssl; then
        echo "pkg-config or OpenSSL is not installed"
        exit 77
    fi
    install_tree
    build_project -DCMAKE_PREFIX_PATH="$work/prefix"
    build/encrypted
    export PKG_CONFIG_PATH=$work/prefix/share/pkgconfig
    read -ra library <<<"$(pkg-config --cflags --libs asynchio-openssl)"
    "$CXX" -std=c++20 "${flags[@]}" "$here/encrypted.cpp" "${library[@]}" -o encrypted
    ./encrypted
    ;;
export)
    "$cmake" -S "$here" -B host -DWAY=host -DASYNCHIO_SOURCE="$source"
    "$cmake" --build host
    "$cmake" --install host --prefix "$work/prefix"
    [[ ! -e $work/prefix/include/asynchio.hpp ]] || { echo "a guest was installed along"; exit 1; }
    "$cmake" --install host --prefix "$work/prefix" --component asynchio
    build_project -DCMAKE_PREFIX_PATH="$work/prefix"
    ;;
*)
    echo "unknown way: $way" >&2
    exit 2
    ;;
esac
