// SPDX-License-Identifier: BSL-1.0
// The statements about locks, queues, generators and context variables that do not await.
#include "queues.hpp"
#include "statements.hpp"

namespace oracle {

namespace {

void locked(world& w, const node& s) {
    std::string all = std::string(truth(w.locks[0].locked())) + ' ' + truth(w.locks[1].locked());
    for (const aio::semaphore* each : w.semaphores) all += std::string(" ") + truth(each->locked());
    w.tell(s, all);
}

void notify(world& w, const node& s) {
    aio::condition& condition = *w.conditions[s.argument(0).place()];
    if (s.argument(1).word == "all")
        condition.notify_all();
    else
        condition.notify(s.argument(1).place());
    w.tell(s, "notified");
}

void barrier_state(world& w, const node& s) {
    const aio::barrier& barrier = w.barriers[s.argument(0).place()];
    w.tell(s, std::to_string(barrier.n_waiting()) + ' ' + truth(barrier.broken()));
}

any_queue& queue(world& w, const node& s) { return *w.queues[s.argument(0).place()]; }

void context_mark(world& w, const node& s) {
    const std::size_t which = s.argument(0).place();
    w.tokens[s.argument(2).place()].emplace(which, variables[which].set(s.argument(1).number));
}
void context_reset(world& w, const node& s) {
    auto& token = w.tokens[s.argument(0).place()];
    if (!token) return w.tell(s, "empty");
    const aio::context_var<int>& variable = variables[token->first];
    variable.reset(token->second);
    w.tell(s, "reset " + std::to_string(variable.get()));
}
void context_run(world& w, const node& s) {
    const auto& context = w.contexts[s.argument(0).place()];
    if (!context) return w.tell(s, "empty");
    if (w.inside_context != 0 || w.guests.count(w.who()) != 0) return w.tell(s, "entered");
    struct visit {
        explicit visit(world& where) : w(where) { ++w.inside_context; }
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;
        ~visit() { --w.inside_context; }
        world& w;
    };
    const visit here(w);
    const aio::context kept = *context;
    kept.run([&] { run_plain(w, s.argument(1)); });
}

} // namespace

const plain_statements& object_calls() {
    static const plain_statements all{
        {"event_set", [](world& w, const node& s) { w.events[s.argument(0).place()].set(); }},
        {"event_clear", [](world& w, const node& s) { w.events[s.argument(0).place()].clear(); }},
        {"lock_release",
         [](world& w, const node& s) {
             w.locks[s.argument(0).place()].release();
             w.tell(s, "released");
         }},
        {"locked", locked},
        {"semaphore_release",
         [](world& w, const node& s) {
             w.semaphores[s.argument(0).place()]->release();
             w.tell(s, "released");
         }},
        {"condition_release",
         [](world& w, const node& s) {
             w.conditions[s.argument(0).place()]->release();
             w.tell(s, "released");
         }},
        {"notify", notify},
        {"variable", [](world& w, const node& s) { w.shared_variables[s.argument(0).place()] = s.argument(1).number; }},
        {"barrier_state", barrier_state},
        {"put_nowait",
         [](world& w, const node& s) {
             queue(w, s).put_nowait(s.argument(1).number);
             w.tell(s, "put");
         }},
        {"get_nowait", [](world& w, const node& s) { w.tell(s, "got " + std::to_string(queue(w, s).get_nowait())); }},
        {"task_done",
         [](world& w, const node& s) {
             queue(w, s).task_done();
             w.tell(s, "done");
         }},
        {"queue_shutdown",
         [](world& w, const node& s) {
             queue(w, s).shutdown(s.argument(1).flag());
             w.tell(s, "shut");
         }},
        {"queue_state", [](world& w, const node& s) { w.tell(s, queue(w, s).state()); }},
        {"generator_drop", [](world& w, const node& s) { w.open[s.argument(0).place()].reset(); }},
        {"context_set", [](world&, const node& s) { variables[s.argument(0).place()].set(s.argument(1).number); }},
        {"context_get",
         [](world& w, const node& s) {
             w.tell(s, "context " + std::to_string(variables[s.argument(0).place()].get()));
         }},
        {"context_mark", context_mark},
        {"context_reset", context_reset},
        {"context_copy",
         [](world& w, const node& s) { w.contexts[s.argument(0).place()].emplace(aio::copy_context()); }},
        {"context_run", context_run},
    };
    return all;
}

} // namespace oracle
