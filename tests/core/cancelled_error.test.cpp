// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/cancelled_error.hpp>

#include "support/catch.hpp"

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

using asynchio::cancelled_error;

TEST_CASE("cancelled_error: no handler for std::exception catches it") {
    STATIC_REQUIRE_FALSE(std::is_base_of_v<std::exception, cancelled_error>);
    std::string caught;
    try {
        try {
            throw cancelled_error("stop");
        } catch (const std::exception&) {
            caught = "std::exception";
        }
    } catch (const cancelled_error& e) {
        caught = "cancelled_error";
        CHECK(e.message() == "stop");
    }
    CHECK(caught == "cancelled_error");
}

TEST_CASE("cancelled_error: it says that it is a cancellation, and why") {
    const cancelled_error plain;
    CHECK(std::string(plain.what()) == "cancelled");
    CHECK(plain.message().empty());

    const cancelled_error with_reason("deadline of the request");
    CHECK(std::string(with_reason.what()) == "cancelled");
    CHECK(with_reason.message() == "deadline of the request");
}

TEST_CASE("cancelled_error: the message is copied in and outlives what it was made from") {
    std::string reason(100, 'x');
    const cancelled_error error{std::string_view(reason)};
    reason.assign(100, 'y');
    CHECK(error.message() == std::string(100, 'x'));
}

TEST_CASE("cancelled_error: copies share the message and cannot throw") {
    STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<cancelled_error>);
    STATIC_REQUIRE(std::is_nothrow_copy_assignable_v<cancelled_error>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<cancelled_error>);
    STATIC_REQUIRE(std::is_nothrow_default_constructible_v<cancelled_error>);
    STATIC_REQUIRE(sizeof(cancelled_error) == sizeof(void*));

    const cancelled_error first("because");
    const cancelled_error second = first;
    CHECK(second.message().data() == first.message().data());
}

TEST_CASE("cancelled_error: an exception_ptr is told apart from other exceptions") {
    using asynchio::detail::is_cancellation;
    CHECK(is_cancellation(std::make_exception_ptr(cancelled_error("x"))));
    CHECK_FALSE(is_cancellation(nullptr));
    CHECK_FALSE(is_cancellation(std::make_exception_ptr(std::runtime_error("cancelled"))));
    CHECK_FALSE(is_cancellation(std::make_exception_ptr(5)));
}
