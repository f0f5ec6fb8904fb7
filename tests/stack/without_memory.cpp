// SPDX-License-Identifier: BSL-1.0

// Streams and context variables when memory runs out: the n-th allocation fails, or all from the n-th on, for every n.
// Either the program sees std::bad_alloc or it goes on; nothing is left, and nothing that was freed is touched.

#include <asynchio/combine/map.hpp>
#include <asynchio/combine/merge.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/generator.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/policies.hpp>

#include "small_stack.hpp"

#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

namespace {

long fuse = -1; // how many allocations still succeed; negative: all
bool for_good = false;
bool failed = false;

void burn() {
    if (fuse < 0 || fuse-- > 0) return;
    failed = true;
    if (for_good) fuse = 0;
    throw std::bad_alloc();
}

} // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    burn();
    if (void* address = std::malloc(size == 0 ? 1 : size)) return address;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    burn();
    const auto a = static_cast<std::size_t>(alignment);
    if (void* address = std::aligned_alloc(a, (size + a - 1) / a * a)) return address;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* address) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::size_t) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::align_val_t) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::size_t, std::align_val_t) noexcept { std::free(address); }

namespace {

const std::string long_text = "a text that is longer than a small string";
const aio::context_var<std::string> var("var", "default");

aio::async_generator<int> ticks(int items, aio::duration pause) {
    std::exception_ptr error;
    try {
        for (int i = 0; i < items; ++i) {
            if (pause > 0s) co_await aio::sleep(pause);
            co_yield i;
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await aio::sleep(0s);
    if (error) std::rethrow_exception(error);
}

aio::task<> generators() {
    auto closed = ticks(3, 0s);
    co_await closed.next();
    {
        auto dropped = ticks(3, 0s);
        co_await dropped.next();
    }
    co_await aio::sleep(1ms);
    co_await closed.aclose();
    auto whole = ticks(3, 1ms);
    while (auto item = co_await whole.next()) {}
}

aio::task<> merged() {
    auto stream = aio::merge(ticks(3, 1ms), ticks(3, 2ms));
    auto body = [&]() -> aio::task<> {
        while (auto item = co_await stream.next()) {}
    };
    co_await aio::with(stream, body);
    auto dropped = aio::merge(ticks(3, 1ms), ticks(3, 2ms));
    co_await dropped.next();
}

aio::task<> mapped() {
    const auto work = [](int item) -> aio::task<std::string> {
        co_await aio::sleep(std::chrono::milliseconds(item));
        co_return long_text + std::to_string(item);
    };
    auto ordered = aio::map_ordered(std::vector<int>{3, 1, 2}, work, 2);
    while (auto item = co_await ordered.next()) {}
    auto unordered = aio::map_unordered(std::vector<int>{3, 1, 2}, work, 2);
    co_await unordered.next();
    co_await unordered.aclose();
}

aio::task<> contexts() {
    auto token = var.set(long_text);
    const auto child = []() -> aio::task<> {
        auto own = var.set(long_text + "child");
        co_await aio::sleep(1ms);
        var.reset(own);
    };
    const aio::context shared = aio::copy_context();
    co_await aio::create_task(aio::task_options{.name = "named", .context = shared}, child);
    co_await aio::create_task(child());
    aio::get_running_loop().call_soon([] { var.set(long_text + "call"); }); // fails where only the loop sees it
    co_await aio::sleep(1ms);
    var.reset(token);
}

aio::task<> synchronous() {
    struct nest {
        static aio::generator<std::string> of(int depth) {
            if (depth > 0) co_yield aio::elements_of(of(depth - 1));
            co_yield long_text;
        }
    };
    for (const std::string& text : nest::of(3)) static_cast<void>(text);
    co_return;
}

/// @return whether an allocation failed.
bool run_with(long allocations, aio::task<> (*program)()) {
    {
        aio::runner runner(aio::testing::virtual_clock());
        runner.get_loop().set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        aio::task<> main = program();
        failed = false;
        fuse = allocations;
        try {
            runner.run(std::move(main));
        } catch (const std::bad_alloc&) {}
        fuse = -1;
    }
    const auto left = aio::testing::audit();
    asynchio_tests::require(left.clean(), "after " + std::to_string(allocations) + " allocations: " + left.to_string());
    return failed;
}

void test() {
    for (const bool all_later : {false, true}) {
        for_good = all_later;
        for (const auto program : {&generators, &merged, &mapped, &contexts, &synchronous}) {
            long n = 0;
            while (run_with(n, program)) ++n;
            asynchio_tests::require(n > 3, "a program that does not allocate shows nothing");
        }
    }
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
