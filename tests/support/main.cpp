// SPDX-License-Identifier: BSL-1.0

// main of the test executables where Catch2 has none that fits: see CMakeLists.txt.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
