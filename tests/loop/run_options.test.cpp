// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/run_options.hpp>

#include <asynchio/loop/event_loop.hpp>

#include "support/catch.hpp"

#include <cstdlib>
#include <optional>
#include <string>

namespace {

/// Sets ASYNCHIO_DEBUG, or unsets it, while it lives.
class environment {
public:
    explicit environment(const char* value) {
        if (const char* now = std::getenv(name)) before_ = now;
        set(value);
    }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;
    ~environment() { set(before_ ? before_->c_str() : nullptr); }

private:
    static constexpr const char* name = "ASYNCHIO_DEBUG";
    static void set(const char* value) {
        if (value != nullptr)
            ::setenv(name, value, 1);
        else
            ::unsetenv(name);
    }
    std::optional<std::string> before_;
};

} // namespace

TEST_CASE("run_options: the defaults are real time, order of readiness and the best poller") {
    const asynchio::run_options options;
    CHECK_FALSE(options.debug);
    CHECK_FALSE(options.virtual_time);
    CHECK_FALSE(options.order_seed);
    CHECK(options.poller == asynchio::poller_kind::automatic);
    CHECK_FALSE(options.handle_sigint);
}

TEST_CASE("run_options: debug mode comes from the environment unless it is given", "[DBG-1]") {
    {
        const environment unset(nullptr);
        CHECK_FALSE(asynchio::event_loop().debug());
        CHECK(asynchio::event_loop({.debug = true}).debug());
    }
    {
        const environment one("1");
        CHECK(asynchio::event_loop().debug());
        CHECK_FALSE(asynchio::event_loop({.debug = false}).debug());
    }
    for (const char* off : {"", "0"}) {
        const environment value(off);
        CHECK_FALSE(asynchio::event_loop().debug());
    }
}
