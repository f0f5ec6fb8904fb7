// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/outcome.hpp>

#include <asynchio/core/cancelled_error.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using asynchio::outcome;

/// Counts what is made and destroyed of it.
struct counted {
    static inline int alive = 0;
    static inline int copies = 0;
    static inline int moves = 0;
    static void reset() { alive = copies = moves = 0; }

    explicit counted(int v) : value(v) { ++alive; }
    counted(const counted& other) : value(other.value) {
        ++alive;
        ++copies;
    }
    counted(counted&& other) noexcept : value(std::exchange(other.value, -1)) {
        ++alive;
        ++moves;
    }
    counted& operator=(const counted&) = delete;
    ~counted() { --alive; }
    int value;
};

struct alignas(64) wide {
    explicit wide(int v) : value(v) {}
    bool aligned() const { return reinterpret_cast<std::uintptr_t>(this) % 64 == 0; }
    int value;
};

struct throws_on_copy {
    static inline int alive = 0;
    throws_on_copy() { ++alive; }
    throws_on_copy(const throws_on_copy&) { throw std::runtime_error("copy"); }
    throws_on_copy(throws_on_copy&&) noexcept { ++alive; }
    throws_on_copy& operator=(const throws_on_copy&) = delete;
    ~throws_on_copy() { --alive; }
};

template<class T, class... Args>
outcome<T> with_value(Args&&... args) {
    outcome<T> o;
    o.emplace(std::forward<Args>(args)...);
    return o;
}

template<class T>
outcome<T> with_error(std::exception_ptr error, bool cancelled = false) {
    outcome<T> o;
    o.set_error(std::move(error), cancelled);
    return o;
}

} // namespace

TEST_CASE("outcome: a new one holds nothing") {
    const outcome<int> o{};
    CHECK_FALSE(o.has_value());
    CHECK_FALSE(o);
    CHECK_FALSE(o.cancelled());
    CHECK(o.error() == nullptr);
    CHECK_NOTHROW(o.rethrow());
}

TEST_CASE("outcome: a value is read by reference and moved out of an rvalue") {
    outcome<std::string> o = with_value<std::string>("text");
    REQUIRE(o);
    CHECK(o.error() == nullptr);
    CHECK_FALSE(o.cancelled());
    STATIC_REQUIRE(std::is_same_v<decltype(o.value()), std::string&>);
    STATIC_REQUIRE(std::is_same_v<decltype(std::as_const(o).value()), const std::string&>);
    STATIC_REQUIRE(std::is_same_v<decltype(std::move(o).value()), std::string>);
    o.value() += "!";
    CHECK(std::as_const(o).value() == "text!");
    const std::string moved = std::move(o).value();
    CHECK(moved == "text!");
}

TEST_CASE("outcome: the value is destroyed exactly once, however it went round") {
    counted::reset();
    {
        outcome<counted> first = with_value<counted>(5);
        CHECK(counted::alive == 1);
        outcome<counted> second = std::move(first);
        CHECK(second.value().value == 5);
        const outcome<counted> third = second;
        CHECK(counted::copies == 1);
        CHECK(third.value().value == 5);
        first = second;
        CHECK(first.value().value == 5);
        const counted out = std::move(second).value();
        CHECK(out.value == 5);
        first = outcome<counted>();
        CHECK_FALSE(first.has_value());
    }
    CHECK(counted::alive == 0);
    CHECK(counted::copies == 2);
}

TEST_CASE("outcome: value_or gives the value, or what stands in for it") {
    asynchio::outcome<std::string> one;
    CHECK(one.value_or("none") == "none");
    one.emplace("text");
    CHECK(one.value_or("none") == "text");
    CHECK(one.value() == "text");
    one.set_error(std::make_exception_ptr(1), false);
    CHECK(one.value_or("none") == "none");

    asynchio::outcome<std::unique_ptr<int>> moved;
    CHECK(*std::move(moved).value_or(std::make_unique<int>(1)) == 1);
    moved.emplace(std::make_unique<int>(2));
    CHECK(*std::move(moved).value_or(nullptr) == 2);

    int number = 3;
    int other = 4;
    asynchio::outcome<int&> reference;
    CHECK(&reference.value_or(other) == &other);
    reference.emplace(number);
    CHECK(&reference.value_or(other) == &number);
}

TEST_CASE("outcome: assignment replaces a value by an error and back") {
    counted::reset();
    outcome<counted> o = with_value<counted>(1);
    o = with_error<counted>(std::make_exception_ptr(std::runtime_error("late")));
    CHECK(counted::alive == 0);
    CHECK_THROWS_AS(o.value(), std::runtime_error);
    o = with_value<counted>(2);
    CHECK(o.error() == nullptr);
    CHECK(o.value().value == 2);
    CHECK(counted::alive == 1);
}

TEST_CASE("outcome: a copy whose value throws leaves nothing behind") {
    throws_on_copy::alive = 0;
    {
        outcome<throws_on_copy> o;
        o.emplace();
        CHECK_THROWS_AS(outcome<throws_on_copy>(std::as_const(o)), std::runtime_error);
        CHECK(throws_on_copy::alive == 1);
        CHECK(o.has_value());
    }
    CHECK(throws_on_copy::alive == 0);
}

TEST_CASE("outcome: an error is kept, shared by copies, and thrown by each access") {
    outcome<int> o = with_error<int>(std::make_exception_ptr(std::runtime_error("broken")));
    CHECK_FALSE(o);
    CHECK_FALSE(o.cancelled());
    const outcome<int> copy = o;
    CHECK(copy.error() == o.error());
    CHECK_THROWS_WITH(o.value(), "broken");
    CHECK_THROWS_WITH(std::as_const(o).value(), "broken");
    CHECK_THROWS_WITH(o.rethrow(), "broken");
    CHECK_THROWS_WITH(std::move(o).value(), "broken");
}

TEST_CASE("outcome: cancelled is told apart from failed, and throws cancelled_error") {
    outcome<int> o = with_error<int>(std::make_exception_ptr(asynchio::cancelled_error("stop")), true);
    CHECK(o.cancelled());
    CHECK_FALSE(o);
    CHECK(o.error() != nullptr);
    try {
        o.value();
        FAIL("no exception");
    } catch (const asynchio::cancelled_error& e) {
        CHECK(e.message() == "stop");
    }
}

TEST_CASE("outcome: void is a result like others") {
    outcome<void> o = with_value<void>();
    CHECK(o.has_value());
    CHECK_NOTHROW(o.value());
    CHECK_NOTHROW(std::as_const(o).value());
    STATIC_REQUIRE(std::is_void_v<decltype(std::move(o).value())>);
    const outcome<void> copy = o;
    CHECK(copy);
    o = with_error<void>(std::make_exception_ptr(1));
    CHECK_THROWS_AS(o.value(), int);
}

TEST_CASE("outcome: a reference is kept as a reference") {
    int number = 1;
    outcome<int&> o = with_value<int&>(number);
    STATIC_REQUIRE(std::is_same_v<decltype(o.value()), int&>);
    STATIC_REQUIRE(std::is_same_v<decltype(std::as_const(o).value()), int&>);
    STATIC_REQUIRE(std::is_same_v<decltype(std::move(o).value()), int&>);
    outcome<int&> copy = o;
    copy.value() = 2;
    CHECK(number == 2);
    CHECK(&std::move(o).value() == &number);

    const std::string text = "constant";
    outcome<const std::string&> c = with_value<const std::string&>(text);
    CHECK(&c.value() == &text);
}

TEST_CASE("outcome: a move-only result makes a move-only outcome") {
    using pointer = std::unique_ptr<int>;
    STATIC_REQUIRE(std::is_move_constructible_v<outcome<pointer>>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<outcome<pointer>>);
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<outcome<pointer>>);
    STATIC_REQUIRE(std::is_copy_constructible_v<outcome<std::shared_ptr<int>>>);
    STATIC_REQUIRE(std::is_copy_constructible_v<outcome<void>>);
    outcome<pointer> o = with_value<pointer>(std::make_unique<int>(3));
    outcome<pointer> other = std::move(o);
    CHECK(*other.value() == 3);
    const pointer out = std::move(other).value();
    CHECK(*out == 3);
    CHECK(other.value() == nullptr);
}

TEST_CASE("outcome: an over-aligned value is aligned wherever the outcome stands") {
    std::vector<outcome<wide>> many;
    for (int i = 0; i < 20; ++i) many.push_back(with_value<wide>(i));
    for (int i = 0; i < 20; ++i) {
        const outcome<wide>& each = many[static_cast<std::size_t>(i)];
        CHECK(each.value().aligned());
        CHECK(each.value().value == i);
    }
    STATIC_REQUIRE(alignof(outcome<wide>) <= 16);
    alignas(16) unsigned char bytes[sizeof(outcome<wide>) + 64];
    for (std::size_t offset = 0; offset < 64; offset += 16) {
        auto* o = new (bytes + offset) outcome<wide>();
        o->emplace(9);
        CHECK(o->value().aligned());
        CHECK(std::move(*o).value().value == 9);
        std::destroy_at(o);
    }
}

TEST_CASE("outcome: costs little beside the value") {
    STATIC_REQUIRE(sizeof(outcome<void>) <= 2 * sizeof(void*));
    STATIC_REQUIRE(sizeof(outcome<void*>) <= 3 * sizeof(void*));
}

#if defined(__cpp_lib_expected)
TEST_CASE("outcome: converts to std::expected") {
    const std::expected<std::string, std::exception_ptr> value = with_value<std::string>("text");
    CHECK(value.value() == "text");
    const std::expected<void, std::exception_ptr> nothing = with_value<void>();
    CHECK(nothing.has_value());
    const auto error = std::make_exception_ptr(1);
    const std::expected<int, std::exception_ptr> failed = with_error<int>(error);
    CHECK(failed.error() == error);
}
#endif
