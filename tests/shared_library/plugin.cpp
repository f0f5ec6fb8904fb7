// SPDX-License-Identifier: BSL-1.0

// Loaded by plugin_host.cpp.

#include "work.hpp"

#include <asynchio.hpp>

extern "C" [[gnu::visibility("default")]] void give_work(work*& into);
extern "C" [[gnu::visibility("default")]] void give_loop(running*& into);

extern "C" [[gnu::visibility("default")]] void give_waits(waits*& into);

static aio::task<> waits_by(int way) {
    aio::event never;
    aio::queue<int> queue;
    aio::condition changed;
    aio::barrier both(2);
    aio::threadsafe_queue<int> between(1);
    auto blocking = [] { return 1; };
    auto numbers = count(2);
    auto body = []() -> aio::task<> { co_await aio::yield(); };
    switch (way) {
    case 0: co_await aio::sleep(std::chrono::milliseconds(1)); break;
    case 1: co_await aio::yield(); break;
    case 2: co_await aio::gather(aio::yield(), body()); break;
    case 3: co_await aio::race(never.wait(), aio::yield()); break;
    case 4: co_await aio::to_thread(blocking); break;
    case 5: co_await aio::create_task(body()); break;
    case 6: co_await never.wait(); break;
    case 7: co_await queue.get(); break;
    case 8: co_await numbers.next(); break;
    case 9: co_await aio::wait_for(body(), std::chrono::seconds(1)); break;
    case 10: co_await aio::with(aio::timeout(std::chrono::seconds(1)), body); break;
    case 11: co_await aio::with(aio::task_group(), body); break;
    case 12: co_await both.wait(); break;
    case 13: co_await between.get(); break;
    case 14: co_await aio::shield(body()); break;
    case 15: co_await aio::run_in_executor(blocking); break;
    case 16: co_await aio::sleep_until(aio::time_point::max()); break;
    case 17: co_await aio::wait_readable(0); break;
    case 18: co_await aio::open_connection("127.0.0.1", 1); break;
    default: co_return;
    }
}

extern "C" void give_work(work*& into) { into = &works; }
extern "C" void give_waits(waits*& into) { into = &waits_by; }
extern "C" void give_loop(running*& into) { into = &aio::get_running_loop; }
