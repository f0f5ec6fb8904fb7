// SPDX-License-Identifier: BSL-1.0

// A completion makes a callback awaitable: pass callback() to any API that calls back once, on whatever thread, and
// await the completion. fail() of the callback throws in the task; a callback that is dropped without a call is an error.
//
//     c++ -std=c++20 -pthread -Iinclude examples/completion_of_callback.cpp -o completion_of_callback
//
// Run: ./completion_of_callback
// Prints:
//   the camera has measured 42
//   the camera says: no film
//   a callback that nobody called: completion: every copy of its callback was dropped without a call
//
// Read next: custom_awaiter.cpp

#include <asynchio/task.hpp>

#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace aio = asynchio;

/// A library of somebody else, with a thread of its own.
class camera {
public:
    ~camera() {
        if (thread_.joinable()) thread_.join();
    }
    void measure(std::function<void(int)> done, std::function<void(std::string)> failed) {
        if (thread_.joinable()) thread_.join();
        thread_ = std::thread([this, done = std::move(done), failed = std::move(failed)] {
            if (pictures_-- > 0)
                done(42);
            else
                failed("no film");
        });
    }

private:
    std::thread thread_;
    int pictures_ = 1;
};

aio::task<int> measured(camera& with) {
    aio::completion<int> light;
    with.measure(light.callback(), [told = light.callback()](const std::string& why) {
        told.fail(std::runtime_error(why)); // the first call of either counts
    });
    co_return co_await light;
}

aio::task<> program() {
    camera mine;
    const int light = co_await measured(mine);
    std::cout << "the camera has measured " << light << '\n';
    try {
        co_await measured(mine);
    } catch (const std::runtime_error& e) {
        std::cout << "the camera says: " << e.what() << '\n';
    }
    aio::completion<> forgotten;
    static_cast<void>(forgotten.callback()); // and it is gone
    try {
        co_await forgotten;
    } catch (const std::logic_error& e) {
        std::cout << "a callback that nobody called: " << e.what() << '\n';
    }
}

int main() { aio::run(program()); }
