// SPDX-License-Identifier: BSL-1.0
// covers: loop/detail/context_map.hpp

#include <asynchio/loop/context.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <string>
#include <thread>
#include <type_traits>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

const aio::context_var<std::string> var("var", "default");

struct value final : aio::detail::context_value {
    explicit value(int n) : number(n) {}
    void destroy() noexcept override { delete this; }
    counted number;
};

aio::detail::context_map_ptr with(const aio::detail::context_map_ptr& map, aio::detail::context_key key, int number) {
    return aio::detail::context_map::with(map.get(), key, aio::detail::context_value_ptr(new value(number)));
}

int find(const aio::detail::context_map_ptr& map, aio::detail::context_key key) {
    const auto* found = aio::detail::context_map::find(map.get(), key);
    return found == nullptr ? 0 : static_cast<const value*>(found)->number.value;
}

} // namespace

TEST_CASE("context_map: entries are found, replaced and removed, and older maps stay as they were") {
    counted::reset();
    {
        aio::detail::context_map_ptr none;
        CHECK(find(none, 5) == 0);
        const auto one = with(none, 5, 50);
        const auto three = with(with(one, 9, 90), 1, 10);
        CHECK(three->size() == 3);
        CHECK(find(three, 1) == 10);
        CHECK(find(three, 5) == 50);
        CHECK(find(three, 9) == 90);
        CHECK(find(three, 4) == 0);
        CHECK(find(three, 10) == 0);
        const auto changed = with(three, 5, 55);
        CHECK(changed->size() == 3);
        CHECK(find(changed, 5) == 55);
        CHECK(find(three, 5) == 50);
        CHECK(find(one, 9) == 0);
        const auto without = aio::detail::context_map::with(changed.get(), 1, {});
        CHECK(without->size() == 2);
        CHECK(find(without, 1) == 0);
        CHECK(find(without, 9) == 90);
        CHECK(!aio::detail::context_map::with(one.get(), 5, {}));
        CHECK(aio::detail::context_map::with(one.get(), 6, {})->size() == 1);
        CHECK(counted::alive == 4); // shared, not copied
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("context: is a handle; equal is who refers to the same") {
    const aio::context a;
    const aio::context b = a;
    const aio::context c = a.copy();
    const aio::context d;
    CHECK(a == b);
    CHECK(a != c);
    CHECK(a != d);
    CHECK(a.size() == 0);
}

TEST_CASE("context: run sets values in it, which stay there") {
    const aio::context ctx;
    CHECK(ctx.run(
              [](std::string given) {
                  var.set(given);
                  return var.get() + "!";
              },
              "inside") == "inside!");
    CHECK(var.get() == "default");
    CHECK(ctx.run([] { return var.get(); }) == "inside");
    CHECK(ctx.size() == 1);
    const aio::context copied = ctx.copy();
    copied.run([] { var.set("copied"); });
    CHECK(ctx.run([] { return var.get(); }) == "inside");
    int target = 0;
    static_assert(std::is_same_v<decltype(ctx.run([&]() -> int& { return target; })), int&>);
}

TEST_CASE("context: contexts nest, also in themselves, and end when a call throws") {
    const aio::context outer;
    const aio::context inner;
    outer.run([&] {
        var.set("outer");
        inner.run([&] {
            CHECK(var.get() == "default");
            var.set("inner");
            outer.run([] { CHECK(var.get() == "outer"); });
        });
        CHECK(var.get() == "outer");
        outer.run([] { var.set("again"); });
        CHECK(var.get() == "again");
    });
    CHECK_THROWS_AS(outer.run([] { throw boom("inside"); }), boom);
    CHECK(var.get() == "default");
}

TEST_CASE("copy_context: takes the values of the thread, of a call, of another context") {
    auto token = var.set("thread");
    const aio::context taken = aio::copy_context();
    var.reset(token);
    CHECK(taken.run([] { return var.get(); }) == "thread");
    CHECK(taken.run([] { return aio::copy_context(); }).run([] { return var.get(); }) == "thread");
    CHECK(aio::copy_context().size() == 0);

    aio::event_loop loop;
    std::string seen;
    taken.run([&] { loop.call_soon([&] { seen = aio::copy_context().run([] { return var.get(); }); }); });
    aio::testing::run_until_idle(loop);
    CHECK(seen == "thread");
}

TEST_CASE("context: a call of a loop without tasks has values of its own", "[CTX-4]") {
    aio::event_loop loop;
    std::string seen;
    loop.call_soon([&] {
        seen += var.get();
        var.set("first");
    });
    loop.call_soon([&] {
        (seen += ' ') += var.get();
        var.set("second");
        loop.call_soon([&] { (seen += ' ') += var.get(); });
    });
    auto token = var.set("thread");
    loop.call_soon([&] { (seen += ' ') += var.get(); });
    aio::testing::run_until_idle(loop);
    CHECK(seen == "default default thread second");
    CHECK(var.get() == "thread");
    var.reset(token);
}

TEST_CASE("context: each thread has its own; another thread can go on with one") {
    auto token = var.set("here");
    const aio::context mine = aio::copy_context();
    std::string before;
    std::string inside;
    std::thread([&] {
        before = var.get();
        var.set("there");
        inside = mine.run([] { return var.get(); });
        mine.run([] { var.set("changed"); });
    }).join();
    CHECK(before == "default");
    CHECK(inside == "here");
    CHECK(var.get() == "here");
    CHECK(mine.run([] { return var.get(); }) == "changed");
    var.reset(token);
}

TEST_CASE("context: one that was moved from is still the same context") {
    aio::context given;
    given.run([] { var.set("set"); });
    const aio::context taken = std::move(given);
    CHECK(given == taken);
    CHECK(given.size() == 1);
    CHECK(given.copy().run([] { return var.get(); }) == "set");
}
