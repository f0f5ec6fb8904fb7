// SPDX-License-Identifier: BSL-1.0
#pragma once

// A second loop, for tests of what crosses from one to the other.

#include "threads.hpp"

#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>

#include <functional>
#include <thread>

namespace asynchio_tests {

/// A loop in a thread of its own, until the end of the scope.
class other_loop {
public:
    other_loop()
        : thread_([this] {
              asynchio::run([this]() -> asynchio::task<> {
                  asynchio::future<> until;
                  ref_ = asynchio::get_running_loop().ref();
                  end_ = [until] { until.set_result(); };
                  ready_.open();
                  co_await until;
              });
          }) {
        ready_.wait();
    }
    other_loop(const other_loop&) = delete;
    other_loop& operator=(const other_loop&) = delete;
    ~other_loop() { end(); }

    const asynchio::loop_ref& ref() const noexcept { return ref_; }
    void end() {
        if (!thread_.joinable()) return;
        ref_.call_soon_threadsafe([this] { end_(); });
        thread_.join();
    }

private:
    gate ready_;
    asynchio::loop_ref ref_;
    std::function<void()> end_;
    std::thread thread_;
};

} // namespace asynchio_tests
