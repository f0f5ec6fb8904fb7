#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# Makes the pages of the public headers, with the examples that use them, in build/docs/html. Needs doxygen and sed. A
# warning of Doxygen is an error.
set -euo pipefail

cd "$(dirname "$0")/.."
command -v doxygen >/dev/null || {
    echo "doxygen is missing: apt-get install doxygen" >&2
    exit 1
}
rm -rf build/docs
mkdir -p build/docs
for header in core/outcome sync/detail/basic_queue; do # bases of public classes, with the members of those
    copy=build/docs/include/asynchio/${header/detail\//}.hpp
    mkdir -p "${copy%/*}"
    sed -e '/^namespace detail {$/d; /^} \/\/ namespace detail$/d; s/asynchio::detail/asynchio/; s/detail:://g' \
        "include/asynchio/$header.hpp" >"$copy"
done
{
    echo '/** @namespace asynchio'
    echo 'All names of the library. include/asynchio/README.md tells how the headers are laid out. */'
    echo '/** @namespace asynchio::testing'
    echo 'What tests of asynchronous code need: cancellation, faults and lost memory at every point. */'
    echo '/** @namespace asynchio::asio'
    echo 'Operations of Asio, awaited by tasks: asynchio/adapters/asio.hpp. */'
    echo '/** @namespace asynchio::hiredis'
    echo 'Servers of Redis by hiredis: asynchio/adapters/hiredis.hpp. */'
    echo '/** @namespace asynchio::libcurl'
    echo 'HTTP by libcurl: asynchio/adapters/libcurl.hpp. */'
    echo '/** @namespace asynchio::libpq'
    echo 'Databases of PostgreSQL by libpq: asynchio/adapters/libpq.hpp. */'
    echo '/** @namespace asynchio::openssl'
    echo 'TLS by OpenSSL: asynchio/adapters/openssl.hpp. */'
    echo '/** @namespace asynchio::sqlite'
    echo 'Databases of SQLite: asynchio/adapters/sqlite.hpp. */'
} >build/docs/pages.dox
mkdir build/docs/examples
mkdir build/docs/examples/adapters
for example in examples/*.cpp examples/adapters/*.cpp; do # the page of each name links those that use it; Doxygen knows no short name
    sed '/^namespace aio = asynchio;$/d; s/\baio::/asynchio::/g' "$example" >"build/docs/$example"
    printf '/** @example %s\n%s\n*/\n' "${example##*/}" "$(sed -n '3,/^$/ s/^\/\/ \{0,1\}//p' "$example" | sed '/^\$/,$d; s/^ *\.$/\\./')"
done >build/docs/examples.dox
doxygen docs/Doxyfile
echo "build/docs/html/index.html"
