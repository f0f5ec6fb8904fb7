// SPDX-License-Identifier: BSL-1.0
#pragma once

// A callback that the loop calls when a task or future is done.

#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/task/detail/shared_state.hpp>

#include <cstdint>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A callback that owns itself: it is destroyed after the call, when it is removed, or with the completion.
class done_callback : public watcher, public ready_item {
public:
    done_callback(const done_callback&) = delete;
    done_callback& operator=(const done_callback&) = delete;

    const std::uint64_t id = ++last_id;

    /// Schedules the call at once if `source` is done, else when it is.
    void attach(shared_state& source) noexcept {
        if (source.done())
            completed(*this, source);
        else
            source.watch(*this);
    }

    static done_callback* from(watcher& w) noexcept {
        return w.completed == &fire ? static_cast<done_callback*>(&w) : nullptr;
    }
    virtual ~done_callback() = default;

protected:
    done_callback() noexcept : watcher(&fire), ready_item(&run), context_(inherited_context()) {}
    virtual void call(shared_state& source) = 0;

private:
    static void fire(watcher& self, shared_state& source) noexcept {
        auto& callback = static_cast<done_callback&>(self);
        if (source.loop == nullptr || source.loop->closing()) {
            delete &callback;
            return;
        }
        ++source.references;
        callback.source_ = &source;
        source.loop->schedule(callback);
    }

    static void run(ready_item& item) noexcept {
        auto& self = static_cast<done_callback&>(item);
        shared_state& source = *self.source_;
        scheduler& loop = *source.loop;
        if (!loop.closing()) {
            const context_scope inside(&self.context_);
            try {
                self.call(source);
            } catch (...) {
                loop.callback_failed();
            }
            loop.after_call();
        }
        delete &self;
        loop.hooks().release(source);
    }

    static inline thread_local std::uint64_t last_id = 0;
    shared_state* source_ = nullptr;
    context_slot context_; // the context of the registering code
};

/// Removes callbacks. @return how many there were with this id that were not scheduled yet.
inline int remove_done_callback(shared_state& source, std::uint64_t id) noexcept {
    for (watcher* each = source.watchers.front(); each != nullptr; each = source.watchers.after(*each)) {
        done_callback* callback = done_callback::from(*each);
        if (callback == nullptr || callback->id != id) continue;
        source.unwatch(*each);
        delete callback;
        return 1;
    }
    return 0;
}

/// Drops the callbacks of a `source` that will not be completed any more.
inline void drop_callbacks(shared_state& source) noexcept {
    while (watcher* each = source.watchers.pop_front()) delete done_callback::from(*each);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
