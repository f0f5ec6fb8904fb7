// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/errors.hpp>

#include "support/catch.hpp"

#include <stdexcept>
#include <string>
#include <type_traits>

TEST_CASE("errors: misuse is a logic error, what the world does a runtime error") {
    STATIC_REQUIRE(std::is_base_of_v<std::logic_error, asynchio::invalid_state_error>);
    STATIC_REQUIRE(std::is_base_of_v<std::runtime_error, asynchio::timeout_error>);
    STATIC_REQUIRE(std::is_base_of_v<std::runtime_error, asynchio::keyboard_interrupt>);
}

TEST_CASE("errors: each says what happened") {
    CHECK(std::string(asynchio::timeout_error().what()) == "timed out");
    CHECK(std::string(asynchio::timeout_error("resolve: timed out").what()) == "resolve: timed out");
    CHECK(std::string(asynchio::invalid_state_error("Result is not ready").what()) == "Result is not ready");
    CHECK(std::string(asynchio::keyboard_interrupt().what()) == "interrupted (SIGINT)");
}
