// SPDX-License-Identifier: BSL-1.0
// wait_for, shield and timeout.
#include "shown.hpp"
#include "statements.hpp"

#include <memory>

namespace oracle {

namespace {

template<class Handle>
aio::task<> wait_for_one(world& w, const node& s, Handle one) {
    if (w.closes_circle(names_of(one))) co_return w.tell(s, "circle");
    const edges while_waiting(w, names_of(one));
    const int value = co_await aio::wait_for(one, s.argument(1).limit());
    w.tell(s, "ok " + std::to_string(value));
}
template<class Handle>
aio::task<> shield_one(world& w, const node& s, Handle one) {
    if (w.closes_circle(names_of(one))) co_return w.tell(s, "circle");
    const edges while_waiting(w, names_of(one));
    const int value = co_await aio::shield(one);
    w.tell(s, "ok " + std::to_string(value));
}
template<class Handle>
aio::task<> wait_for_shield_of(world& w, const node& s, Handle one) {
    if (w.closes_circle(names_of(one))) co_return w.tell(s, "circle");
    const edges while_waiting(w, names_of(one));
    const int value = co_await aio::wait_for(aio::shield(one), s.argument(1).limit());
    w.tell(s, "ok " + std::to_string(value));
}

aio::task<> wait_for(world& w, const node& s) {
    const node& name = s.argument(0);
    if (!name.is_task()) co_return co_await wait_for_one(w, s, w.future(name));
    if (!w.tasks[name.slot()]) co_return w.tell(s, "empty");
    co_await wait_for_one(w, s, w.tasks[name.slot()]);
}
aio::task<> shield(world& w, const node& s) {
    const node& name = s.argument(0);
    if (!name.is_task()) co_return co_await shield_one(w, s, w.future(name));
    if (!w.tasks[name.slot()]) co_return w.tell(s, "empty");
    co_await shield_one(w, s, w.tasks[name.slot()]);
}
aio::task<> wait_for_shield(world& w, const node& s) {
    const node& name = s.argument(0);
    if (!name.is_task()) co_return co_await wait_for_shield_of(w, s, w.future(name));
    if (!w.tasks[name.slot()]) co_return w.tell(s, "empty");
    co_await wait_for_shield_of(w, s, w.tasks[name.slot()]);
}

aio::task<> wait_for_body(world& w, const node& s) {
    co_await aio::wait_for(run_block(w, s.argument(1)), s.argument(0).limit());
    w.tell(s, "ok");
}

template<class Handles>
aio::task<> wait_for_these(world& w, const node& s, Handles all) {
    if (w.closes_circle(names_of(all))) co_return w.tell(s, "circle");
    const edges while_waiting(w, names_of(all));
    if (s.argument(1).flag()) {
        const auto found = co_await aio::wait_for(aio::gather(aio::return_exceptions, all), s.argument(2).limit());
        w.tell(s, "ok " + listed(found));
    } else {
        const auto found = co_await aio::wait_for(aio::gather(all), s.argument(2).limit());
        w.tell(s, "ok " + listed(found));
    }
}
aio::task<> wait_for_gather(world& w, const node& s) {
    const node& names = s.argument(0);
    if (names.are_futures()) return wait_for_these(w, s, w.futures_of(names));
    return wait_for_these(w, s, w.tasks_of(names));
}

aio::task<> timeout(world& w, const node& s) {
    const auto limit = std::make_shared<aio::timeout>(s.argument(1).limit());
    w.timeouts[s.argument(0).place()] = limit;
    auto body = [&]() -> aio::task<> { co_await run_block(w, s.argument(2)); };
    try {
        co_await aio::with(*limit, body);
    } catch (...) {
        w.tell(s, std::string("expired ") + truth(limit->expired()));
        throw;
    }
    w.tell(s, std::string("expired ") + truth(limit->expired()));
}

} // namespace

const waiting_statements& limited_waits() {
    static const waiting_statements all{
        {"wait_for", wait_for}, {"wait_for_body", wait_for_body},     {"wait_for_gather", wait_for_gather},
        {"shield", shield},     {"wait_for_shield", wait_for_shield}, {"timeout", timeout},
    };
    return all;
}

} // namespace oracle
