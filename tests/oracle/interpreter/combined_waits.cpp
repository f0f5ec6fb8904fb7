// SPDX-License-Identifier: BSL-1.0
// Several at once: gather, race, wait, as_completed and groups.
#include "shown.hpp"
#include "statements.hpp"

#include <memory>

namespace oracle {

namespace {

std::vector<aio::task<int>> children(world& w, const node& bodies) {
    std::vector<aio::task<int>> made;
    for (const node& each : bodies.parts) made.push_back(run_named(w, each.number, w.who()));
    return made;
}

template<class Handles>
aio::task<> gather_these(world& w, const node& s, Handles all) {
    if (w.closes_circle(names_of(all))) co_return w.tell(s, "circle");
    const edges while_waiting(w, names_of(all));
    if (s.argument(1).flag()) {
        const auto found = co_await aio::gather(aio::return_exceptions, all);
        w.tell(s, "ok " + listed(found));
    } else {
        const auto found = co_await aio::gather(all);
        w.tell(s, "ok " + listed(found));
    }
}
aio::task<> gather(world& w, const node& s) {
    const node& names = s.argument(0);
    if (names.are_futures()) return gather_these(w, s, w.futures_of(names));
    return gather_these(w, s, w.tasks_of(names));
}
aio::task<> gather_owned(world& w, const node& s) {
    std::vector<aio::task<int>> all = children(w, s.argument(0));
    const edges while_waiting(w, {});
    if (s.argument(1).flag()) {
        const auto found = co_await aio::gather(aio::return_exceptions, std::move(all));
        w.tell(s, "ok " + listed(found));
    } else {
        const auto found = co_await aio::gather(std::move(all));
        w.tell(s, "ok " + listed(found));
    }
}

void tell_winner(world& w, const node& s, const std::pair<std::size_t, int>& won) {
    w.tell(s, "ok " + std::to_string(won.first) + ' ' + std::to_string(won.second));
}
template<class Handles>
aio::task<> race_these(world& w, const node& s, Handles all) {
    if (w.closes_circle(names_of(all))) co_return w.tell(s, "circle");
    const edges while_waiting(w, names_of(all));
    const auto won = co_await aio::race(all);
    tell_winner(w, s, won);
}
aio::task<> race(world& w, const node& s) {
    const node& names = s.argument(0);
    if (names.are_futures()) return race_these(w, s, w.futures_of(names));
    return race_these(w, s, w.tasks_of(names));
}
aio::task<> race_owned(world& w, const node& s) {
    std::vector<aio::task<int>> all = children(w, s.argument(0));
    const edges while_waiting(w, {});
    const auto won = co_await aio::race(std::move(all));
    tell_winner(w, s, won);
}

template<class Handles>
aio::task<> wait_for_these(world& w, const node& s, Handles all) {
    const std::string& word = s.argument(1).word;
    const auto enough = word == "all"     ? aio::all_completed
                        : word == "first" ? aio::first_completed
                                          : aio::first_exception;
    aio::wait_result<typename Handles::value_type> found;
    if (const auto limit = s.argument(2).limit())
        found = co_await aio::wait(all, enough, *limit);
    else
        found = co_await aio::wait(all, enough);
    std::string text = "done";
    for (const auto& each : found.done) text += ' ' + state(each);
    w.tell(s, text + " pending " + std::to_string(found.pending.size()));
}
aio::task<> wait(world& w, const node& s) {
    const node& names = s.argument(0);
    if (names.are_futures()) return wait_for_these(w, s, w.futures_of(names));
    return wait_for_these(w, s, w.tasks_of(names));
}

std::string who_ended(const handle& task) { return world::name(task); }
std::string who_ended(const int_future&) { return "future"; }

template<class Handles>
aio::task<> as_these_complete(world& w, const node& s, Handles all) {
    auto finished = aio::as_completed(all, s.argument(1).limit());
    for (int most = s.argument(2).number; most > 0; --most) {
        bool late = false;
        std::optional<typename Handles::value_type> next;
        try {
            next = co_await finished.next();
        } catch (const aio::timeout_error&) {
            late = true;
        }
        if (late) {
            w.tell(s, "late");
            continue;
        }
        if (!next) co_return w.tell(s, "end");
        w.tell(s, "next " + who_ended(*next) + ' ' + state(*next));
        co_await run_block(w, s.argument(3));
    }
    w.tell(s, "left");
}
aio::task<> as_completed(world& w, const node& s) {
    const node& names = s.argument(0);
    if (names.are_futures()) return as_these_complete(w, s, w.futures_of(names));
    return as_these_complete(w, s, w.tasks_of(names));
}

aio::task<> group(world& w, const node& s) {
    const auto made = std::make_shared<aio::task_group>();
    w.groups[s.argument(0).place()] = made;
    auto body = [&](aio::task_group&) -> aio::task<> {
        co_await run_block(w, s.argument(1));
        w.tell(s, "body ends");
    };
    co_await aio::with(*made, body);
    w.tell(s, "ok");
}

} // namespace

const waiting_statements& combined_waits() {
    static const waiting_statements all{
        {"gather", gather}, {"gather_owned", gather_owned}, {"race", race},   {"race_owned", race_owned},
        {"wait", wait},     {"as_completed", as_completed}, {"group", group},
    };
    return all;
}

} // namespace oracle
