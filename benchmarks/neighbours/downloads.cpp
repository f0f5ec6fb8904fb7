// SPDX-License-Identifier: BSL-1.0

// downloads URL BYTES AT_ONCE OPERATIONS: gets a URL so many times over HTTP, through so many connections.

#include "neighbours/timed.hpp"

#include <asynchio.hpp>
#include <asynchio/adapters/libcurl.hpp>

#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;

namespace {

aio::task<> download(aio::libcurl::session& web, std::string url, std::size_t bytes) {
    auto answer = co_await web.stream(aio::libcurl::request(url));
    std::size_t got = 0;
    while (const auto piece = co_await answer.body.next()) got += piece->size();
    neighbours::expect(got == bytes, "a size");
}

aio::task<> in_loop(std::string url, std::size_t bytes, long at_once, std::size_t count) {
    aio::libcurl::session_options bounds;
    bounds.max_connections = bounds.max_connections_per_host = bounds.max_idle_connections = at_once;
    aio::libcurl::session web(bounds);
    std::vector<aio::task<>> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(download(web, url, bytes));
    co_await aio::gather(std::move(all));
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const std::size_t bytes = std::strtoul(argv[2], nullptr, 10), count = std::strtoul(argv[4], nullptr, 10);
    neighbours::timed(count, [&] { aio::run(in_loop(argv[1], bytes, std::strtol(argv[3], nullptr, 10), count)); });
}
