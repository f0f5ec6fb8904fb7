#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# Builds and runs the tests of core, loop, task and combine.
#
#   lower_modules.sh COMPILER "FLAGS"
set -euo pipefail

cd "$(dirname "$0")/../.."
modules="core loop task combine"
targets=()
for module in $modules; do targets+=("asynchio_${module}_tests"); done

cmake -S . -B build/lower_modules -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$1" \
    -DCMAKE_CXX_FLAGS="${2:-}" -DASYNCHIO_BUILD_EXAMPLES=OFF -DASYNCHIO_BUILD_BENCHMARKS=OFF
cmake --build build/lower_modules --target "${targets[@]}"
ctest --test-dir build/lower_modules --output-on-failure --label-regex "^(${modules// /|})\$"
