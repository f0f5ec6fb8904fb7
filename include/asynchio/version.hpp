// SPDX-License-Identifier: BSL-1.0
#pragma once

// The version of the library, as macros for #if and as constants for everything else. CMake reads the macros: this is
// the only place where the version is written.

#define ASYNCHIO_VERSION_MAJOR 0
#define ASYNCHIO_VERSION_MINOR 1
#define ASYNCHIO_VERSION_PATCH 0

#pragma GCC visibility push(default)

namespace asynchio {

inline constexpr int version_major = ASYNCHIO_VERSION_MAJOR;
inline constexpr int version_minor = ASYNCHIO_VERSION_MINOR;
inline constexpr int version_patch = ASYNCHIO_VERSION_PATCH;

} // namespace asynchio

#pragma GCC visibility pop
