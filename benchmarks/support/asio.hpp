// SPDX-License-Identifier: BSL-1.0
#pragma once

// Running a coroutine of Asio again and again.

#include "support/report.hpp"

#include <asio.hpp>

namespace bench {

/// Times `make()`, an asio::awaitable<void>, which does `operations`; one loop lives through the whole row, and is told that
/// there is one thread.
template<class Make>
void measure_asio(benchmark::State& state, asio::io_context& loop, std::size_t operations, Make make) {
    measure(state, operations, [&] {
        asio::co_spawn(loop, make(), asio::detached);
        loop.restart();
        loop.run();
    });
}
template<class Make>
void measure_asio(benchmark::State& state, std::size_t operations, Make make) {
    asio::io_context loop(1);
    measure_asio(state, loop, operations, make);
}

/// To the end of the loop's queue.
inline auto yield_asio(asio::io_context& loop) { return asio::post(loop, asio::use_awaitable); }

} // namespace bench
