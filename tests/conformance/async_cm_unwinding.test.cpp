// SPDX-License-Identifier: BSL-1.0

// Resources that are entered and left asynchronously: the order of entering, the reverse order of leaving, exits that
// await, an exit that suppresses, and a cancellation passing through.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

std::string type_name(const std::exception_ptr& error) {
    if (!error) return "None";
    try {
        std::rethrow_exception(error);
    } catch (const aio::cancelled_error&) {
        return "CancelledError";
    } catch (const python::value_error&) {
        return "ValueError";
    }
}

class cm {
public:
    explicit cm(std::string name, bool suppress = false) : name_(std::move(name)), suppress_(suppress) {}

    aio::task<> async_enter() {
        co_await aio::sleep(0s);
        print("enter", name_);
    }
    aio::task<bool> async_exit(std::exception_ptr error) {
        print("exit", name_, type_name(error));
        co_await aio::sleep(20ms);
        print("exited", name_);
        co_return suppress_;
    }

private:
    std::string name_;
    bool suppress_;
};

aio::task<> body(std::exception_ptr error = nullptr, aio::duration delay = 0s) {
    cm outer("outer");
    cm mid("mid", error != nullptr);
    auto inside = [&]() -> aio::task<> {
        cm inner("inner");
        auto innermost = [&]() -> aio::task<> {
            if (error) std::rethrow_exception(error);
            co_await aio::sleep(delay);
        };
        co_await aio::with(inner, innermost);
        print("after inner");
    };
    co_await aio::with(outer, mid, inside);
    print("after outer");
}

aio::task<> amain() {
    co_await body();
    co_await body(std::make_exception_ptr(python::value_error("suppressed by mid")));
    auto t = aio::create_task(body(nullptr, 10s));
    co_await aio::sleep(20ms);
    t.cancel();
    co_await aio::wait(t);
    print("cancelled:", t.cancelled());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
