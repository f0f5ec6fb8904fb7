// SPDX-License-Identifier: BSL-1.0
// The statements about tasks, futures and calls of the loop that do not await.
#include "statements.hpp"

#include <memory>
#include <type_traits>

namespace oracle {

namespace {

enum class start { soon, eagerly };

void keep(world& w, const node& s, const node& place, const handle& made) {
    w.tell(s, "made " + made.name());
    w.tasks[place.slot()] = made;
}

void create(world& w, const node& s, start how) {
    const std::string name = w.next_name();
    if (name.empty()) return w.tell(s, "limit");
    aio::task<int> body = run_body(w, s.argument(1).number);
    keep(w, s, s.argument(0),
         how == start::eagerly ? aio::create_task(aio::eager, std::move(body), name)
                               : aio::create_task(std::move(body), name));
}

void create_in_group(world& w, const node& s, start how) {
    const std::shared_ptr<aio::task_group> group = w.groups[s.argument(0).place()];
    if (!group) return w.tell(s, "empty");
    const std::string name = w.next_name();
    if (name.empty()) return w.tell(s, "limit");
    aio::task<int> body = run_body(w, s.argument(2).number);
    keep(w, s, s.argument(1),
         how == start::eagerly ? group->create_task(aio::eager, std::move(body), name)
                               : group->create_task(std::move(body), name));
}

void create_in_context(world& w, const node& s) {
    const auto& context = w.contexts[s.argument(0).place()];
    if (!context) return w.tell(s, "empty");
    const std::string name = w.next_name();
    if (name.empty()) return w.tell(s, "limit");
    w.guests[name] = true;
    const aio::task_options options{.name = name, .context = *context};
    keep(w, s, s.argument(1), aio::create_task(options, run_body(w, s.argument(2).number)));
}

template<class Handle>
void cancel(world& w, const node& s, const Handle& one, const node& message) {
    const bool taken = message.is_none ? one.cancel() : one.cancel(message.word);
    w.tell(s, std::string("cancel ") + truth(taken));
}

/// Calls f with the task that is named, or with the one that runs.
template<class F>
void with_task(world& w, const node& s, const aio::any_task_handle& task, F f) {
    if (!task) return w.tell(s, "empty");
    f(task);
}
aio::any_task_handle named(const world& w, const node& s) { return w.tasks[s.argument(0).slot()]; }

void uncancel(world& w, const node& s, const aio::any_task_handle& task) {
    w.tell(s, "uncancel " + std::to_string(task.uncancel()));
}
void cancelling(world& w, const node& s, const aio::any_task_handle& task) {
    w.tell(s, "cancelling " + std::to_string(task.cancelling()));
}

void exception(world& w, const node& s) {
    w.with_handle(s, s.argument(0), [&](const auto& one) {
        const std::exception_ptr error = one.exception();
        w.tell(s, error ? describe(error) : "none");
    });
}

void tasks(world& w, const node& s) {
    std::string all;
    for (const aio::any_task_handle& each : aio::all_tasks()) {
        if (!all.empty()) all += ' ';
        all += world::name(each);
    }
    w.tell(s, all);
}

void set_exception(world& w, const node& s) {
    const int_future& future = w.future(s.argument(0));
    if (s.argument(1).word == "cancelled")
        future.set_exception(std::make_exception_ptr(aio::cancelled_error()));
    else
        future.set_exception(boom(s.argument(1).word));
    w.tell(s, "set");
}

void done_callback(world& w, const node& s) {
    w.with_handle(s, s.argument(0), [&]<class Handle>(const Handle& one) {
        const auto id = one.add_done_callback(plain_call_of<Handle>{{&w, &s, &s.argument(2)}});
        auto& added = w.callbacks[s.argument(1).place()];
        if constexpr (std::is_same_v<Handle, handle>)
            added = world::added_callback{one, {}, id};
        else
            added = world::added_callback{{}, one, id};
    });
}
void remove_callback(world& w, const node& s) {
    const auto& added = w.callbacks[s.argument(0).place()];
    if (!added) return w.tell(s, "empty");
    const auto count =
        added->future ? added->future->remove_done_callback(added->id) : added->task.remove_done_callback(added->id);
    w.tell(s, "removed " + std::to_string(count));
}

void cancel_call(world& w, const node& s) {
    aio::callback_handle call = w.calls[s.argument(0).place()];
    if (!call) return w.tell(s, "empty");
    call.cancel();
    w.tell(s, std::string("taken back ") + truth(call.cancelled()));
}

void reschedule(world& w, const node& s) {
    const std::shared_ptr<aio::timeout> limit = w.timeouts[s.argument(0).place()];
    if (!limit) return w.tell(s, "empty");
    const auto after = s.argument(1).limit();
    limit->reschedule(after ? std::optional(aio::clock::now() + *after) : std::nullopt);
    w.tell(s, "moved");
}

void group_cancel(world& w, const node& s) {
    const std::shared_ptr<aio::task_group> group = w.groups[s.argument(0).place()];
    if (!group) return w.tell(s, "empty");
    group->cancel();
    w.tell(s, "cancelled");
}

void raise_cancelled(world&, const node& s) {
    if (s.argument(0).is_none) throw aio::cancelled_error();
    throw aio::cancelled_error(std::string_view(s.argument(0).word));
}

} // namespace

void run_plain(world& w, const node& block) {
    for (const node& each : block.parts) {
        try {
            if (!w.over_limit(each)) each.plain(w, each);
        } catch (...) {
            w.tell(each, "! " + describe_current());
            throw;
        }
    }
}

const plain_statements& task_calls() {
    static const plain_statements all{
        {"log", [](world& w, const node& s) { w.tell(s, "log"); }},
        {"create", [](world& w, const node& s) { create(w, s, start::soon); }},
        {"eager", [](world& w, const node& s) { create(w, s, start::eagerly); }},
        {"group_create", [](world& w, const node& s) { create_in_group(w, s, start::soon); }},
        {"group_eager", [](world& w, const node& s) { create_in_group(w, s, start::eagerly); }},
        {"group_cancel", group_cancel},
        {"context_create", create_in_context},
        {"cancel",
         [](world& w, const node& s) {
             with_task(w, s, named(w, s), [&](const auto& task) { cancel(w, s, task, s.argument(1)); });
         }},
        {"uncancel",
         [](world& w, const node& s) {
             with_task(w, s, named(w, s), [&](const auto& task) { uncancel(w, s, task); });
         }},
        {"cancelling",
         [](world& w, const node& s) {
             with_task(w, s, named(w, s), [&](const auto& task) { cancelling(w, s, task); });
         }},
        {"cancel_me",
         [](world& w, const node& s) {
             with_task(w, s, aio::current_task(), [&](const auto& task) { cancel(w, s, task, s.argument(0)); });
         }},
        {"uncancel_me",
         [](world& w, const node& s) {
             with_task(w, s, aio::current_task(), [&](const auto& task) { uncancel(w, s, task); });
         }},
        {"cancelling_me",
         [](world& w, const node& s) {
             with_task(w, s, aio::current_task(), [&](const auto& task) { cancelling(w, s, task); });
         }},
        {"status",
         [](world& w, const node& s) {
             w.with_handle(s, s.argument(0), [&](const auto& one) { w.tell(s, state(one)); });
         }},
        {"result",
         [](world& w, const node& s) {
             w.with_handle(s, s.argument(0), [&](const auto& one) { w.tell(s, std::to_string(one.result())); });
         }},
        {"exception", exception},
        {"tasks", tasks},
        {"set_result",
         [](world& w, const node& s) {
             w.future(s.argument(0)).set_result(s.argument(1).number);
             w.tell(s, "set");
         }},
        {"set_exception", set_exception},
        {"cancel_future", [](world& w, const node& s) { cancel(w, s, w.future(s.argument(0)), s.argument(1)); }},
        {"raise", [](world&, const node& s) { throw boom(s.argument(0).word); }},
        {"raise_cancelled", raise_cancelled},
        {"done_callback", done_callback},
        {"remove_callback", remove_callback},
        {"soon",
         [](world& w, const node& s) {
             w.calls[s.argument(0).place()] = w.loop.call_soon(plain_call{&w, &s, &s.argument(1)});
         }},
        {"later",
         [](world& w, const node& s) {
             w.calls[s.argument(0).place()] =
                 w.loop.call_later(s.argument(1).seconds(), plain_call{&w, &s, &s.argument(2)});
         }},
        {"at",
         [](world& w, const node& s) {
             const aio::time_point when = aio::time_point() + s.argument(1).seconds();
             w.calls[s.argument(0).place()] = w.loop.call_at(when, plain_call{&w, &s, &s.argument(2)});
         }},
        {"cancel_call", cancel_call},
        {"reschedule", reschedule},
    };
    return all;
}

} // namespace oracle
