// SPDX-License-Identifier: BSL-1.0
// Locks and queues that are awaited.
#include "queues.hpp"
#include "statements.hpp"

namespace oracle {

namespace {

template<class Resource>
aio::task<> inside(world& w, const node& s, Resource& resource) {
    auto body = [&]() -> aio::task<> {
        w.tell(s, "in");
        co_await run_block(w, s.argument(1));
    };
    co_await aio::with(resource, body);
    w.tell(s, "out");
}
aio::task<> lock(world& w, const node& s) { return inside(w, s, w.locks[s.argument(0).place()]); }
aio::task<> semaphore(world& w, const node& s) { return inside(w, s, *w.semaphores[s.argument(0).place()]); }
aio::task<> condition(world& w, const node& s) { return inside(w, s, *w.conditions[s.argument(0).place()]); }

aio::task<> lock_acquire(world& w, const node& s) {
    co_await w.locks[s.argument(0).place()].acquire();
    w.tell(s, "acquired");
}
aio::task<> semaphore_acquire(world& w, const node& s) {
    co_await w.semaphores[s.argument(0).place()]->acquire();
    w.tell(s, "acquired");
}

aio::task<> event_wait(world& w, const node& s) {
    co_await w.events[s.argument(0).place()].wait();
    w.tell(s, "set");
}

aio::task<> condition_wait(world& w, const node& s) {
    co_await w.conditions[s.argument(0).place()]->wait();
    w.tell(s, "notified");
}
aio::task<> condition_wait_for(world& w, const node& s) {
    auto enough = [&] { return w.shared_variables[s.argument(1).place()] >= s.argument(2).number; };
    const bool value = co_await w.conditions[s.argument(0).place()]->wait_for(enough);
    w.tell(s, std::string("true ") + truth(value));
}

aio::task<> barrier_wait(world& w, const node& s) {
    const std::size_t index = co_await w.barriers[s.argument(0).place()].wait();
    w.tell(s, "index " + std::to_string(index));
}
aio::task<> barrier_with(world& w, const node& s) {
    auto body = [&](std::size_t& index) -> aio::task<> {
        w.tell(s, "index " + std::to_string(index));
        co_await run_block(w, s.argument(1));
    };
    co_await aio::with(w.barriers[s.argument(0).place()], body);
}
aio::task<> barrier_abort(world& w, const node& s) {
    w.barriers[s.argument(0).place()].abort();
    co_return;
}
aio::task<> barrier_reset(world& w, const node& s) {
    w.barriers[s.argument(0).place()].reset();
    co_return;
}

aio::task<> put(world& w, const node& s) {
    co_await w.queues[s.argument(0).place()]->put(s.argument(1).number);
    w.tell(s, "put");
}
aio::task<> get(world& w, const node& s) {
    const int value = co_await w.queues[s.argument(0).place()]->get();
    w.tell(s, "got " + std::to_string(value));
}
aio::task<> join(world& w, const node& s) {
    co_await w.queues[s.argument(0).place()]->join();
    w.tell(s, "joined");
}

} // namespace

const waiting_statements& object_waits() {
    static const waiting_statements all{
        {"lock", lock},
        {"semaphore", semaphore},
        {"condition", condition},
        {"lock_acquire", lock_acquire},
        {"semaphore_acquire", semaphore_acquire},
        {"event_wait", event_wait},
        {"condition_wait", condition_wait},
        {"condition_wait_for", condition_wait_for},
        {"barrier_wait", barrier_wait},
        {"barrier_with", barrier_with},
        {"barrier_abort", barrier_abort},
        {"barrier_reset", barrier_reset},
        {"put", put},
        {"get", get},
        {"join", join},
    };
    return all;
}

} // namespace oracle
