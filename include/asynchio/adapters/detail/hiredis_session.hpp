// SPDX-License-Identifier: BSL-1.0
#pragma once

// The commands under way on a connection to Redis, and the waits for their replies.

#include <asynchio/adapters/detail/hiredis_connect.hpp>
#include <asynchio/adapters/hiredis_error.hpp>
#include <asynchio/adapters/hiredis_options.hpp>
#include <asynchio/adapters/hiredis_reply.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/task_handle.hpp>

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <limits>
#include <list>
#include <memory>
#include <new>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::hiredis::detail {

class reply_awaiter;

/// Commands that were issued together, most often a single one.
struct request {
    std::string text;             // until it is sent
    std::size_t replies = 0;      // that are still to come
    reply_awaiter* who = nullptr; // null if the task was cancelled
    time_point issued;            // waiting for a connection counts from then on, or from the loss of one
    semaphore_guard place;        // among the commands under way
    bool sent = false;
};

/// The state of a connection. A request waits in one list until the task that sends takes it, and then in the other one
/// until its last reply has come. What was sent is never sent again.
class session {
public:
    explicit session(options given)
        : how(std::move(given)), places(permits()), loop_(get_running_loop()),
          patience_(std::min<duration>(how.wait_timeout, std::chrono::hours(24 * 365 * 100))) {
        const auto require = [](bool good, const char* rule) {
            if (!good) throw std::invalid_argument(std::string("redis: options: ") + rule);
        };
        require(how.database >= 0, "database must not be negative");
        require(how.connect_timeout > duration(0), "connect_timeout must be positive");
        require(how.wait_timeout >= duration(0), "wait_timeout must not be negative");
        require(how.first_pause > duration(0) && how.first_pause <= how.longest_pause,
                "first_pause must be positive, and at most longest_pause");
        require(how.longest_pause <= std::chrono::hours(24), "longest_pause must be at most a day");
    }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() { drop_alarm(); }

    bool closed() const noexcept { return state_ == state::closed; }
    bool connected() const noexcept { return state_ == state::connected; }
    /// @throws connection_error if it is closed.
    void require_open() const {
        if (closed())
            throw connection_error(why_.empty() ? "the connection is closed" : "the connection is closed: " + why_);
    }
    time_point now() const noexcept { return loop_.time(); }
    /// Returns how long something that was issued at `issued` waits for a connection.
    time_point deadline(time_point issued) const noexcept { return std::max(issued, lost_at_) + patience_; }

    // The task that has issued a command.

    void add(reply_awaiter& who, request made);
    /// Drops the reply of a command that was cancelled, or the command itself if it is not sent.
    void forget(std::list<request>::iterator at) noexcept {
        at->who = nullptr;
        if (!at->sent) recycle(waiting_, at);
    }

    // The task that serves.

    void connect() noexcept {
        state_ = state::connected;
        drop_alarm();
        useful_ = false;
    }
    /// Whether a reply has come since the connection was made.
    bool useful() const noexcept { return useful_; }
    /// Takes what is to be sent next. @return false if there is nothing.
    bool take(std::string& batch);
    /// Takes a reply. @throws protocol_error if nobody has asked for it.
    void deliver(reply given);
    /// Notes that there is no connection any more: what was sent fails.
    void lose(const std::string& why);
    /// Notes why there is still none.
    void note(const std::string& why) { why_ = why; }
    /// Ends all commands, and those to come. @param why the reason; it may be kept only if there is memory.
    void close(const char* why) noexcept;

    const options how;
    semaphore places;
    event work; // set when a command was added
    task_handle<> serving;

private:
    enum class state : unsigned char { offline, connected, closed };

    std::ptrdiff_t permits() const {
        if (how.max_commands < 1) throw std::invalid_argument("redis: options: max_commands must be at least 1");
        constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();
        return std::in_range<std::ptrdiff_t>(how.max_commands) ? static_cast<std::ptrdiff_t>(how.max_commands) : most;
    }
    void recycle(std::list<request>& from, std::list<request>::iterator at) noexcept {
        std::list<request> used;
        used.splice(used.end(), from, at);
        used.front() = request();
        if (spare_.size() < max_spare) spare_.splice(spare_.end(), used);
    }
    void fail_all(std::list<request>& of, bool sent) noexcept;
    void set_alarm();
    void drop_alarm() noexcept {
        alarm_.cancel();
        alarm_ = {};
    }
    void expire() noexcept;

    static constexpr std::size_t max_spare = 1024;
    static constexpr std::size_t max_sent_together = 262'144;
    static constexpr std::size_t max_copied = 65'536;

    event_loop& loop_;
    duration patience_; // options::wait_timeout, without an overflow
    time_point lost_at_{};
    state state_ = state::connected;
    bool useful_ = false;
    std::string why_; // the last error
    std::list<request> waiting_, sent_, spare_;
    timer_handle alarm_; // for the deadline of the first one that waits, while there is no connection
};

using session_ptr = std::shared_ptr<session>;

/// Waits for the replies of a request.
class [[nodiscard]] reply_awaiter final : public suspension {
public:
    /// @param into where the replies go.
    reply_awaiter(session& of, request made, std::span<reply> into) noexcept
        : session_(of), made_(std::move(made)), into_(into) {}
    ~reply_awaiter() override { leave(); }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        made_.replies = into_.size();
        session_.add(*this, std::move(made_));
        park(awaiting, where);
    }
    void await_resume() {
        resumed();
        if (error_) std::rethrow_exception(error_);
    }

    const char* waiting_for() const noexcept override { return "a reply of Redis"; }
    cancel_reply cancel(const cancel_message&) noexcept override {
        if (!under_way_) return cancel_reply::refused;
        leave();
        return cancel_reply::left;
    }

private:
    friend session;

    void leave() noexcept {
        if (std::exchange(under_way_, false)) session_.forget(at_);
    }
    void take(reply given, std::size_t left) noexcept { into_[into_.size() - left] = std::move(given); }
    void end(const std::exception_ptr& error) noexcept {
        under_way_ = false;
        error_ = error;
        wake();
    }

    session& session_;
    request made_;
    std::span<reply> into_;
    std::exception_ptr error_;
    std::list<request>::iterator at_;
    bool under_way_ = false;
};

inline void session::add(reply_awaiter& who, request made) {
    require_open();
    std::list<request> one;
    if (spare_.empty())
        one.emplace_back();
    else
        one.splice(one.end(), spare_, spare_.begin());
    one.front() = std::move(made);
    one.front().who = &who;
    who.at_ = one.begin();
    waiting_.splice(waiting_.end(), one);
    who.under_way_ = true;
    if (!connected()) set_alarm();
    work.set();
}

inline bool session::take(std::string& batch) {
    if (waiting_.empty()) return false;
    batch.clear();
    do {
        request& next = waiting_.front();
        if (batch.empty() && next.text.size() >= max_copied)
            batch = std::move(next.text);
        else
            batch += next.text;
        std::string().swap(next.text);
        next.sent = true;
        sent_.splice(sent_.end(), waiting_, waiting_.begin());
    } while (!waiting_.empty() && batch.size() + waiting_.front().text.size() <= max_sent_together);
    return true;
}

inline void session::deliver(reply given) {
    if (sent_.empty())
        throw protocol_error(given.type() == reply_type::error ? std::string(given.text())
                                                               : "a reply has come that nobody has asked for");
    useful_ = true;
    request& first = sent_.front();
    if (first.who != nullptr) first.who->take(std::move(given), first.replies);
    if (--first.replies != 0) return;
    if (first.who != nullptr) first.who->end(nullptr);
    recycle(sent_, sent_.begin());
}

inline void session::lose(const std::string& why) {
    if (closed()) return;
    state_ = state::offline;
    why_ = why;
    lost_at_ = now();
    fail_all(sent_, true);
    if (!how.reconnect) return close(why.c_str());
    if (!waiting_.empty()) set_alarm();
}

inline void session::close(const char* why) noexcept {
    if (closed()) return;
    state_ = state::closed;
    try {
        why_ = why;
    } catch (const std::bad_alloc&) {
        why_.clear();
    }
    drop_alarm();
    fail_all(sent_, true);
    fail_all(waiting_, false);
}

inline void session::fail_all(std::list<request>& of, bool sent) noexcept {
    if (of.empty()) return;
    std::exception_ptr error;
    try {
        std::string text = closed() && !sent ? "the connection is closed" : "the connection was lost";
        if (!why_.empty()) text.append(": ").append(why_);
        if (sent) text.append("; the command was sent, and may have been carried out");
        error = std::make_exception_ptr(connection_error(text, sent));
    } catch (...) {
        error = std::current_exception();
    }
    while (!of.empty()) {
        if (of.front().who != nullptr) of.front().who->end(error);
        recycle(of, of.begin());
    }
}

inline void session::set_alarm() {
    if (alarm_) return;
    alarm_ = loop_.call_at(deadline(waiting_.front().issued), [this] { expire(); });
}

inline void session::expire() noexcept {
    alarm_ = {};
    std::exception_ptr error;
    try {
        const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(how.wait_timeout);
        std::string text =
            "no connection within options::wait_timeout, which is " + std::to_string(limit.count()) + " ms";
        if (!why_.empty()) text.append(": ").append(why_);
        error = std::make_exception_ptr(connection_error(text));
    } catch (...) {
        error = std::current_exception();
    }
    const auto end_first = [&] {
        waiting_.front().who->end(error);
        recycle(waiting_, waiting_.begin());
    };
    while (!waiting_.empty() && deadline(waiting_.front().issued) <= now()) end_first();
    try {
        if (!waiting_.empty()) set_alarm();
    } catch (const std::bad_alloc&) {
        while (!waiting_.empty()) end_first(); // nothing would end them
    }
}

} // namespace asynchio::hiredis::detail

#pragma GCC visibility pop
