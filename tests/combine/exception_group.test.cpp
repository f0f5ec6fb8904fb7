// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/exception_group.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

aio::exception_group sample() {
    const aio::exception_group inner(
        "inner", {std::make_exception_ptr(boom("two")), std::make_exception_ptr(std::out_of_range("three"))});
    return aio::exception_group("outer",
                                {std::make_exception_ptr(boom("one")), std::make_exception_ptr(inner),
                                 std::make_exception_ptr(std::invalid_argument("four")), std::make_exception_ptr(5)});
}

/// "message(what, what(...), ...)"
std::string shape(const aio::exception_group& group) {
    std::string text = group.message() + "(";
    for (const std::exception_ptr& each : group.exceptions()) {
        if (text.back() != '(') text += ", ";
        try {
            std::rethrow_exception(each);
        } catch (const aio::exception_group& inner) {
            text += shape(inner);
        } catch (...) {
            text += text_of(each);
        }
    }
    return text + ")";
}

} // namespace

TEST_CASE("exception_group: lists its exceptions in what()", "[TG-7]") {
    const aio::exception_group one("failed", {std::make_exception_ptr(boom("bad"))});
    CHECK(std::string(one.what()).find("failed (1 exception): ") == 0);
    CHECK(std::string(one.what()).find("bad") != std::string::npos);
    const std::string what = sample().what();
    CHECK(what.find("outer (4 exceptions): ") == 0);
    CHECK(what.find("one") < what.find("inner (2 exceptions)"));
    CHECK(what.find("inner") < what.find("three"));
    CHECK(what.find("three") < what.find("four"));
}

TEST_CASE("exception_group: keeps order and message", "[TG-7]") {
    const auto group = sample();
    CHECK(group.message() == "outer");
    CHECK(shape(group) == "outer(one, inner(two, three), four, ?)");
}

TEST_CASE("exception_group: contains looks for what a handler would catch, in inner groups too", "[TG-7]") {
    const auto group = sample();
    CHECK(group.contains<boom>());
    CHECK(group.contains<std::out_of_range>());
    CHECK(group.contains<std::logic_error>());
    CHECK(group.contains<int>());
    CHECK(group.contains<aio::exception_group>());
    CHECK(!group.contains<std::bad_alloc>());
    CHECK(!group.contains<std::length_error>());
}

TEST_CASE("exception_group: split keeps the shape of both parts", "[TG-7]") {
    const auto group = sample();
    const auto logic = group.split<std::logic_error>();
    REQUIRE(logic.first);
    REQUIRE(logic.second);
    CHECK(shape(*logic.first) == "outer(inner(three), four)");
    CHECK(shape(*logic.second) == "outer(one, inner(two), ?)");
    const auto all = group.split<std::exception>();
    REQUIRE(all.first);
    CHECK(shape(*all.first) == "outer(one, inner(two, three), four)");
    const auto none = group.split<std::bad_alloc>();
    CHECK(!none.first);
    REQUIRE(none.second);
    CHECK(shape(*none.second) == shape(group));
    const aio::exception_group only("only", {std::make_exception_ptr(boom("x"))});
    const auto whole = only.split<boom>();
    REQUIRE(whole.first);
    CHECK(!whole.second);
}
