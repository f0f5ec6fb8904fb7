// SPDX-License-Identifier: BSL-1.0

// Servers, connections and streams when memory runs out: the n-th allocation fails, or all from the n-th on, for every
// n. Whoever talks sees an error or goes on; nothing hangs, nothing is left, and nothing that was freed is touched.

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/read_errors.hpp>
#include <asynchio/net/open_connection.hpp>
#include <asynchio/net/server.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/for_each_errno.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include "small_stack.hpp"

#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

namespace {

long fuse = -1; // how many allocations still succeed; negative: all
bool for_good = false;
bool failed = false;

bool burns() {
    if (fuse < 0 || fuse-- > 0) return false;
    failed = true;
    if (for_good) fuse = 0;
    return true;
}

} // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    void* address = burns() ? nullptr : std::malloc(size == 0 ? 1 : size);
    if (address == nullptr) throw std::bad_alloc();
    return address;
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return burns() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto a = static_cast<std::size_t>(alignment);
    void* address = burns() ? nullptr : std::aligned_alloc(a, (size + a - 1) / a * a);
    if (address == nullptr) throw std::bad_alloc();
    return address;
}
[[gnu::noinline]] void operator delete(void* address) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::size_t) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, const std::nothrow_t&) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::align_val_t) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::size_t, std::align_val_t) noexcept { std::free(address); }

namespace {

aio::task<> echo_lines(aio::stream client) {
    for (;;) {
        const std::string line = co_await client.read_line();
        if (line.empty()) co_return;
        co_await client.write(line);
    }
}

/// What does not come in time is lost: the other side had no memory.
aio::task<> talk(aio::stream there) {
    auto talking = [&]() -> aio::task<> {
        co_await there.write("a line that is longer than a small string\n");
        const std::string line = co_await there.read_line();
        co_await there.write_eof();
        const std::string rest = co_await there.read_all();
        co_await there.aclose();
    };
    co_await aio::wait_for(talking, 300ms);
}

aio::connect_options soon() {
    aio::connect_options options;
    options.timeout = 300ms;
    return options;
}

aio::task<> by_number() {
    aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), soon());
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

aio::task<> by_path() {
    const std::string path = "@asynchio-without-memory-" + std::to_string(::getpid());
    aio::server server = co_await aio::start_unix_server(echo_lines, path);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_unix_connection(path, soon());
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

/// At all addresses, and more than fits.
aio::task<> much() {
    auto handler = [](aio::stream client) -> aio::task<> {
        const std::vector<std::string> parts(3, std::string(100'000, 'x'));
        co_await client.write(parts);
    };
    aio::server server = co_await aio::start_server(handler, "", 0);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), soon());
        const std::string all = co_await there.read_all();
    };
    auto in_time = [&]() -> aio::task<> { co_await aio::wait_for(body, 300ms); };
    co_await aio::with(server, in_time);
}

aio::task<> in_memory() {
    auto pair = aio::testing::stream_pair(3);
    const auto serving = aio::create_task(echo_lines(std::move(pair.second)));
    co_await talk(std::move(pair.first));
    static_cast<void>(co_await aio::nothrow(serving));
}

/// @return whether an allocation failed.
bool run_with(long allocations, aio::task<> (*program)()) {
    const std::string when = "after " + std::to_string(allocations) + " allocations: ";
    {
        aio::runner runner(aio::testing::virtual_clock());
        aio::event_loop& loop = runner.get_loop();
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        const auto main = loop.create_task(program());
        failed = false;
        fuse = allocations;
        const bool ended = aio::testing::detail::run_patiently(loop, main);
        fuse = -1;
        asynchio_tests::require(ended, when + "it hangs");
        try {
            main.result();
        } catch (const std::bad_alloc&) {
        } catch (const std::system_error&) { // of the system, which had none for us; or of the other side's end
        } catch (const aio::timeout_error&) {}
    }
    const auto left = aio::testing::audit();
    asynchio_tests::require(left.clean(), when + left.to_string());
    return failed;
}

void test() {
    for (const bool all_later : {false, true}) {
        for_good = all_later;
        for (const auto program : {&by_number, &by_path, &much, &in_memory}) {
            long n = 0;
            while (run_with(n, program)) ++n;
            asynchio_tests::require(n > 10, "a program that does not allocate shows nothing");
        }
    }
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
