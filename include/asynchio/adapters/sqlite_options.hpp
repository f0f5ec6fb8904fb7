// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of connections to SQLite.

#include <sqlite3.h>

#include <chrono>
#include <cstddef>

#pragma GCC visibility push(default)

namespace asynchio::sqlite {

/// How a database is opened.
///
/// Threads: a plain value.
struct options {
    options() = default;

    /// The flags of sqlite3_open_v2().
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    /// How long a call waits for another connection's lock.
    std::chrono::milliseconds busy_timeout{5000};
    /// The maximum number of prepared statements that are kept.
    std::size_t statements = 64;
    /// How many rows a stream reads at a time, at least 1.
    std::size_t read_ahead = 64;
};

} // namespace asynchio::sqlite

#pragma GCC visibility pop
