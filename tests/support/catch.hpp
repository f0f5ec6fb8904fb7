// SPDX-License-Identifier: BSL-1.0
#pragma once

// Catch2, version 3 where it is installed and version 2 else. Tests include this and write what both understand.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
