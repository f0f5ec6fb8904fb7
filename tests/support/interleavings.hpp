// SPDX-License-Identifier: BSL-1.0
#pragma once

// All orders in which the threads of a small model can take their steps. A model shows that a protocol is right as
// it is written there (under sequential consistency), and its mutants that the model would see if it were not.

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace asynchio_tests {

/// A thread of a model: a coroutine that runs without interruption from one `co_await step` to the next.
class actor {
public:
    struct promise_type {
        std::function<bool()> may_run; // empty: always

        actor get_return_object() { return actor(std::coroutine_handle<promise_type>::from_promise(*this)); }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };

    explicit actor(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}
    actor(actor&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    actor& operator=(actor&&) = delete;
    ~actor() {
        if (coroutine_) coroutine_.destroy();
    }

    bool done() const { return coroutine_.done(); }
    bool can_run() const { return !done() && (!coroutine_.promise().may_run || coroutine_.promise().may_run()); }
    void run() {
        coroutine_.promise().may_run = nullptr;
        coroutine_.resume();
    }

private:
    std::coroutine_handle<promise_type> coroutine_;
};

/// Between two actions that are atomic: here others may come in between.
struct step_awaiter {
    static bool await_ready() noexcept { return false; }
    static void await_suspend(std::coroutine_handle<actor::promise_type>) noexcept {}
    static void await_resume() noexcept {}
};
inline constexpr step_awaiter step{};

/// A step after which the actor goes on only when `condition()` holds: it is blocked, or asleep.
class until {
public:
    explicit until(std::function<bool()> condition) : condition_(std::move(condition)) {}
    until(const until&) = delete;
    until& operator=(const until&) = delete;
    ~until() = default;

    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<actor::promise_type> waiting) {
        waiting.promise().may_run = std::move(condition_);
    }
    static void await_resume() noexcept {}

private:
    std::function<bool()> condition_;
};

/// A mutex of a model: `co_await m.lock(); ...; m.unlock();`
class model_mutex {
public:
    class locked {
    public:
        explicit locked(model_mutex& m) noexcept : mutex_(m) {}
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<actor::promise_type> waiting) {
            waiting.promise().may_run = [this] { return !mutex_.held_; };
        }
        void await_resume() noexcept { mutex_.take(); }

    private:
        model_mutex& mutex_;
    };

    locked lock() noexcept { return locked(*this); }
    void take() noexcept { held_ = true; }
    void unlock() noexcept { held_ = false; }
    bool held() const noexcept { return held_; }

private:
    bool held_ = false;
};

/// A condition variable: `co_await c.wait();` with its mutex held, in a loop that looks at the condition.
class model_condition {
public:
    class waiting {
    public:
        explicit waiting(model_condition& c) noexcept : condition_(c) {}
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<actor::promise_type> sleeper) {
            condition_.mutex_.unlock();
            const std::size_t ticket = condition_.sleepers_++;
            sleeper.promise().may_run = [this, ticket] {
                return ticket < condition_.woken_ && !condition_.mutex_.held();
            };
        }
        void await_resume() noexcept { condition_.mutex_.take(); }

    private:
        model_condition& condition_;
    };

    explicit model_condition(model_mutex& mutex) noexcept : mutex_(mutex) {}
    waiting wait() noexcept { return waiting(*this); }
    void notify_one() noexcept {
        if (woken_ < sleepers_) ++woken_;
    }
    void notify_all() noexcept { woken_ = sleepers_; }

private:
    model_mutex& mutex_;
    std::size_t sleepers_ = 0; // in all
    std::size_t woken_ = 0;    // of those, the first
};

/// The actors of a model.
template<class... Actors>
std::vector<actor> together(Actors... each) {
    std::vector<actor> all;
    (all.push_back(std::move(each)), ...);
    return all;
}

/// What explore() found.
struct exploration {
    std::size_t runs = 0;
    std::string failure; // of the first order that went wrong: what, and the order; empty if none did

    exploration() = default;
};

/// Runs `Model` in every order in which its actors can be interleaved with at most `preemptions` switches away from an
/// actor that could have gone on. A `Model` has `std::vector<actor> actors()` and `std::string wrong() const`, asked at
/// the end. Actors that all wait for each other are a failure: a deadlock, or a lost wake-up.
template<class Model, class... Args>
exploration explore(std::size_t preemptions, Args... args) {
    struct choice {
        std::size_t taken;
        std::size_t options;
    };
    exploration found;
    std::vector<choice> path;
    for (;;) {
        ++found.runs;
        Model model(args...);
        std::vector<actor> actors = model.actors();
        std::string order;
        std::string wrong;
        std::size_t depth = 0;
        std::size_t left = preemptions;
        std::size_t current = actors.size();
        for (;;) {
            std::vector<std::size_t> options;
            const bool goes_on = current < actors.size() && actors[current].can_run();
            if (goes_on) options.push_back(current);
            if (!goes_on || left > 0)
                for (std::size_t i = 0; i < actors.size(); ++i)
                    if (i != current && actors[i].can_run()) options.push_back(i);
            if (options.empty()) break;
            if (depth == path.size()) path.push_back(choice{0, options.size()});
            const std::size_t next = options[path[depth++].taken];
            if (goes_on && next != current) --left;
            current = next;
            order += static_cast<char>('A' + static_cast<int>(next));
            actors[next].run();
        }
        for (const actor& each : actors)
            if (!each.done()) wrong = "somebody waits for ever";
        if (wrong.empty()) wrong = model.wrong();
        if (!wrong.empty()) {
            found.failure = wrong + ", in the order " + order;
            return found;
        }
        while (!path.empty() && path.back().taken + 1 == path.back().options) path.pop_back();
        if (path.empty()) return found;
        ++path.back().taken;
    }
}

} // namespace asynchio_tests
