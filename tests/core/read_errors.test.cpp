// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/read_errors.hpp>

#include "support/catch.hpp"

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace aio = asynchio;

TEST_CASE("incomplete_read_error: has what was there, and how much was asked for", "[SRD-11]") {
    const aio::incomplete_read_error error("abc", 10);
    CHECK(error.partial() == "abc");
    CHECK(error.expected() == 10);
    CHECK(std::string(error.what()) == "3 bytes read on a total of 10 expected bytes");
}

TEST_CASE("incomplete_read_error: without a number, a delimiter was asked for", "[SRD-9]") {
    const aio::incomplete_read_error error("", std::nullopt);
    CHECK(error.partial().empty());
    CHECK_FALSE(error.expected().has_value());
    CHECK(std::string(error.what()) == "0 bytes read on a total of undefined expected bytes");
}

TEST_CASE("limit_overrun_error: knows how many bytes there are", "[SRD-7]") {
    const aio::limit_overrun_error error("more than the limit", 17);
    CHECK(error.consumed() == 17);
    CHECK(std::string(error.what()) == "more than the limit");
}

TEST_CASE("read errors: are runtime errors that can be copied and rethrown") {
    STATIC_REQUIRE(std::is_base_of_v<std::runtime_error, aio::incomplete_read_error>);
    STATIC_REQUIRE(std::is_base_of_v<std::runtime_error, aio::limit_overrun_error>);
    const auto kept = std::make_exception_ptr(aio::incomplete_read_error("kept", 5));
    try {
        std::rethrow_exception(kept);
    } catch (const aio::incomplete_read_error& error) {
        CHECK(error.partial() == "kept");
    }
}
