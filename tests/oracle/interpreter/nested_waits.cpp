// SPDX-License-Identifier: BSL-1.0
// Combinators inside of others.
#include "shown.hpp"
#include "statements.hpp"

namespace oracle {

namespace {

/// Awaits `all`, which waits for those named.
template<class Awaitable>
aio::task<> watch(world& w, const node& s, std::vector<std::string> names, Awaitable all) {
    if (w.closes_circle(names)) co_return w.tell(s, "circle");
    const edges while_waiting(w, names);
    const auto both = co_await std::move(all);
    w.tell(s, "ok " + nested(both));
}

/// Handles as lvalues, whose results are copied; awaitables are given up.
template<class Awaitable>
Awaitable&& given(Awaitable& one) {
    return std::move(one);
}
handle& given(handle& one) { return one; }
int_future& given(int_future& one) { return one; }

/// A gather of both, with or without outcomes.
template<class One, class Two>
aio::task<> both(world& w, const node& s, bool outcomes, std::vector<std::string> names, One one, Two two) {
    if (outcomes) return watch(w, s, std::move(names), aio::gather(aio::return_exceptions, given(one), given(two)));
    return watch(w, s, std::move(names), aio::gather(given(one), given(two)));
}

template<class Handles>
aio::task<> gathers(world& w, const node& s, Handles one) {
    const handles two = w.tasks_of(s.argument(1));
    std::vector<std::string> names = names_of(one) + names_of(two);
    if (s.argument(3).flag())
        return both(w, s, s.argument(2).flag(), std::move(names), aio::gather(aio::return_exceptions, one),
                    aio::gather(two));
    return both(w, s, s.argument(2).flag(), std::move(names), aio::gather(one), aio::gather(two));
}
aio::task<> nest_gathers(world& w, const node& s) {
    const node& names = s.argument(0);
    if (names.are_futures()) return gathers(w, s, w.futures_of(names));
    return gathers(w, s, w.tasks_of(names));
}

aio::task<> empty(world& w, const node& s) {
    w.tell(s, "empty");
    co_return;
}

template<class Handle>
aio::task<> gather_and(world& w, const node& s, Handle one) {
    const handles inner = w.tasks_of(s.argument(0));
    std::vector<std::string> names = names_of(inner) + names_of(one);
    return both(w, s, s.argument(2).flag(), std::move(names), aio::gather(inner), std::move(one));
}
aio::task<> nest_one(world& w, const node& s) {
    const node& name = s.argument(1);
    if (!name.is_task()) return gather_and(w, s, w.future(name));
    if (!w.tasks[name.slot()]) return empty(w, s);
    return gather_and(w, s, w.tasks[name.slot()]);
}

template<class Handle>
aio::task<> shield_and(world& w, const node& s, const Handle& one) {
    const handles inner = w.tasks_of(s.argument(1));
    std::vector<std::string> names = names_of(inner) + names_of(one);
    return both(w, s, s.argument(2).flag(), std::move(names), aio::shield(one), aio::gather(inner));
}
aio::task<> nest_shield(world& w, const node& s) {
    const node& name = s.argument(0);
    if (!name.is_task()) return shield_and(w, s, w.future(name));
    if (!w.tasks[name.slot()]) return empty(w, s);
    return shield_and(w, s, w.tasks[name.slot()]);
}

/// A gather of a gather, in which stands another, and a task.
template<class Handle>
aio::task<> three(world& w, const node& s, const Handle& one, const handle& two) {
    const handles inner = w.tasks_of(s.argument(0));
    const std::vector<std::string> names = names_of(inner) + names_of(one) + names_of(two);
    if (w.closes_circle(names)) co_return w.tell(s, "circle");
    const edges while_waiting(w, names);
    if (s.argument(3).flag()) {
        const auto found = co_await aio::gather(aio::return_exceptions, aio::gather(aio::gather(inner), one), two);
        const auto& middle = std::get<0>(found);
        w.tell(s, "ok " + (middle.has_value() ? nested(middle.value()) : describe(middle.error())) + '/' +
                      shown(std::get<1>(found)));
    } else {
        const auto found = co_await aio::gather(aio::gather(aio::gather(inner), one), two);
        w.tell(s, "ok " + nested(std::get<0>(found)) + '/' + shown(std::get<1>(found)));
    }
}
aio::task<> nest_three(world& w, const node& s) {
    const node& name = s.argument(1);
    const handle two = w.tasks[s.argument(2).slot()];
    if (!two || (name.is_task() && !w.tasks[name.slot()])) co_return w.tell(s, "empty");
    if (name.is_task()) {
        const handle one = w.tasks[name.slot()];
        co_await three(w, s, one, two);
    } else {
        const int_future one = w.future(name);
        co_await three(w, s, one, two);
    }
}

template<class Handles>
aio::task<> wait_for_both(world& w, const node& s, Handles one) {
    const handles two = w.tasks_of(s.argument(1));
    return watch(w, s, names_of(one) + names_of(two),
                 aio::wait_for(aio::gather(aio::gather(one), aio::gather(two)), s.argument(2).limit()));
}
aio::task<> wait_for_nest(world& w, const node& s) {
    const node& names = s.argument(0);
    if (names.are_futures()) return wait_for_both(w, s, w.futures_of(names));
    return wait_for_both(w, s, w.tasks_of(names));
}

} // namespace

const waiting_statements& nested_waits() {
    static const waiting_statements all{
        {"nest_gathers", nest_gathers}, {"nest_one", nest_one},           {"nest_shield", nest_shield},
        {"nest_three", nest_three},     {"wait_for_nest", wait_for_nest},
    };
    return all;
}

} // namespace oracle
