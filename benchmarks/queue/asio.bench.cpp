// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "queue/problem.hpp"

#include <asio/experimental/channel.hpp>

#include <limits>

using item_channel = asio::experimental::channel<void(asio::error_code, std::size_t)>;

static asio::awaitable<void> produce(item_channel& queue) {
    for (std::size_t i = 0; i < queue_problem::items; ++i)
        co_await queue.async_send(asio::error_code(), i, asio::use_awaitable);
}
static asio::awaitable<void> consume(item_channel& queue) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < queue_problem::items; ++i) sum += co_await queue.async_receive(asio::use_awaitable);
    queue_problem::check(sum);
}

static void queue_asio(benchmark::State& state) {
    asio::io_context loop(1);
    const auto capacity = static_cast<std::size_t>(state.range(0));
    item_channel queue(loop, capacity != 0 ? capacity : std::numeric_limits<std::size_t>::max());
    bench::measure(state, queue_problem::items, [&] {
        asio::co_spawn(loop, produce(queue), asio::detached);
        asio::co_spawn(loop, consume(queue), asio::detached);
        loop.restart();
        loop.run();
    });
}
BENCHMARK(queue_asio)->Arg(1)->Arg(128)->Arg(0);
