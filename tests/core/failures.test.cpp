// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/message_of.hpp"

#include <asynchio/core/detail/failures.hpp>

#include <cerrno>
#include <string>

namespace detail = asynchio::detail;
using asynchio_tests::message_of;

TEST_CASE("formatted gives what printf would print, of any length") {
    CHECK(detail::formatted("nothing") == "nothing");
    CHECK(detail::formatted("%s", "").empty());
    CHECK(detail::formatted("signal %d of %s", 9, "KILL") == "signal 9 of KILL");
    const std::string long_one(5'000, 'x');
    CHECK(detail::formatted("%s.", long_one.c_str()) == long_one + ".");
}

TEST_CASE("a refusal names who refuses, and why, in an exception of the kind that is asked for") {
    CHECK_THROWS_AS(detail::refuse("gather", "no"), std::logic_error);
    CHECK_THROWS_AS(detail::refuse<std::invalid_argument>("gather", "no"), std::invalid_argument);
    CHECK(message_of([] { detail::refuse("gather", "a handle is empty"); }) == "gather: a handle is empty");
}

TEST_CASE("an error of the system is a system_error with its number, and says what was tried") {
    try {
        detail::system_refuses(EMFILE, "watch descriptor %d", 7);
    } catch (const std::system_error& error) {
        CHECK(error.code() == std::errc::too_many_files_open);
        CHECK(std::string(error.what()) ==
              "watch descriptor 7: " + std::make_error_code(std::errc::too_many_files_open).message());
    }
    CHECK_THROWS_AS(detail::system_refuses(ENOENT, "open"), std::system_error);
}

TEST_CASE("a text that is too long for an exception is cut") {
    const std::string long_one(5'000, 'x');
    CHECK(message_of([&] { detail::refuse(long_one.c_str(), "no"); }).size() == 255);
    CHECK(message_of([&] { detail::system_refuses(ENOENT, "%s", long_one.c_str()); }).size() < 256);
}
