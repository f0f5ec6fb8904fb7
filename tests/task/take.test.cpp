// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/take.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"

#include <memory>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

/// As a combinator stores its argument.
template<class X>
class keeper {
public:
    explicit keeper(std::remove_reference_t<X>& given) : kept(aio::detail::keep<X>(given)) {}
    aio::detail::kept_t<X> kept;
};

template<class X>
keeper<X> keep(X&& x) {
    return keeper<X>(x);
}

} // namespace

TEST_CASE("take: moves a named object in", "[TASK-3]") {
    counted::reset();
    {
        counted named(3);
        auto stored = keep(aio::take(named));
        STATIC_REQUIRE(std::is_same_v<decltype(stored.kept), counted>);
        CHECK(stored.kept.value == 3);
        CHECK(named.value == -1);
        CHECK(counted::copies == 0);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("take: works for what cannot be copied", "[TASK-3]") {
    auto named = std::make_unique<int>(4);
    const std::unique_ptr<int> got = aio::take(named).release();
    CHECK(*got == 4);
    CHECK(named == nullptr);
}

TEST_CASE("take: without it an lvalue is referenced, and a temporary kept", "[TASK-3]") {
    counted::reset();
    counted named(5);
    auto referenced = keep(named);
    STATIC_REQUIRE(std::is_same_v<decltype(referenced.kept), counted&>);
    CHECK(&referenced.kept == &named);
    auto kept = keep(counted(6));
    STATIC_REQUIRE(std::is_same_v<decltype(kept.kept), counted>);
    CHECK(kept.kept.value == 6);
    CHECK(counted::copies == 0);
}
