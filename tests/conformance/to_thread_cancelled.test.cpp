// SPDX-License-Identifier: BSL-1.0

// Cancelling the awaiter of to_thread(abandon_on_cancel, ...) throws cancelled_error at once; the thread cannot be
// stopped and runs to its end, its result is dropped; run() waits for the thread when it shuts the pool down.

#include <asynchio.hpp>

#include "support/python.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

/// threading.Event
class thread_event {
public:
    void set() {
        const std::lock_guard lock(mutex_);
        set_ = true;
        changed_.notify_all();
    }
    bool is_set() {
        const std::lock_guard lock(mutex_);
        return set_;
    }
    void wait(std::chrono::seconds limit) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, limit, [this] { return set_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool set_ = false;
};
using shared_event = std::shared_ptr<thread_event>;

std::string block(const shared_event& started, const shared_event& release) {
    started->set();
    release->wait(5s);
    print("thread: end");
    return "dropped";
}

aio::task<std::string> amain() {
    const auto started = std::make_shared<thread_event>();
    const auto release = std::make_shared<thread_event>();
    auto t = aio::create_task(aio::to_thread(aio::abandon_on_cancel, block, started, release));
    while (!started->is_set()) co_await aio::sleep(1ms);
    t.cancel();
    try {
        co_await t;
    } catch (const aio::cancelled_error&) {
        print("CancelledError while the thread is still blocked");
    }
    print("task cancelled:", t.cancelled());
    release->set();
    co_return "main result";
}

int main() { print(aio::run(amain())); }
