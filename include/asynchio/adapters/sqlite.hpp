// SPDX-License-Identifier: BSL-1.0
#pragma once

// SQLite databases for tasks: each connection has a thread of its own, which makes its calls one after the other. It
// needs SQLite 3.35 or later.

#include <asynchio/adapters/detail/sqlite_session.hpp>
#include <asynchio/adapters/sqlite_options.hpp>
#include <asynchio/adapters/sqlite_values.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::sqlite {

namespace detail {

using session_ptr = std::shared_ptr<session>;

/// Waits until no transaction of another task is under way.
template<class = void>
task<> wait_for_turn(session_ptr s) {
    s->require_open();
    if (!s->turn.locked() || s->owner == asynchio::detail::current_task_frame()) co_return;
    co_await s->turn.acquire();
    s->turn.release();
    s->require_open();
}

template<class = void>
task<reply> call(session_ptr s, std::string sql, std::vector<value> params) {
    co_await wait_for_turn<>(s);
    auto job = [s, &sql, &params](std::stop_token stop) { return s->run(sql, params, stop); };
    reply result = co_await to_thread(s->threads, take(job));
    co_return result;
}
template<class = void>
task<std::vector<row>> call_for_rows(session_ptr s, std::string sql, std::vector<value> params) {
    reply all = co_await call<>(std::move(s), std::move(sql), std::move(params));
    co_return std::move(all.rows);
}
template<class = void>
task<changes> call_for_changes(session_ptr s, std::string sql, std::vector<value> params) {
    const reply all = co_await call<>(std::move(s), std::move(sql), std::move(params));
    co_return all.changed;
}
template<class = void>
task<> call_script(session_ptr s, std::string sql) {
    co_await wait_for_turn<>(s);
    auto job = [s, &sql](std::stop_token stop) { s->run_script(sql, stop); };
    co_await to_thread(s->threads, take(job));
}
template<class = void>
async_generator<row> stream_rows(session_ptr s, std::string sql, std::vector<value> params) {
    cursor rows(s);
    bool more = true;
    while (more) {
        co_await wait_for_turn<>(s);
        auto job = [&](std::stop_token stop) { return rows.read(sql, params, stop); };
        std::vector<row> batch = co_await to_thread(s->threads, take(job));
        more = !rows.at_end();
        for (row& each : batch) co_yield std::move(each);
    }
}
template<class = void>
task<std::shared_ptr<session>> open_session(std::string path, options how) {
    auto s = std::make_shared<session>(std::move(path), how);
    auto job = [s] { s->open(); };
    co_await to_thread(s->threads, take(job));
    co_return s;
}
template<class = void>
task<> close_session(session_ptr s) {
    if (!s) co_return; // the connection was moved from
    s->begin_closing();
    s->give_close();
    co_await s->threads.aclose();
}

/// Ends what is left of a transaction, whatever requests to cancel come meanwhile.
/// @return the last request, or null.
template<class = void>
task<std::exception_ptr> roll_back(session_ptr s) {
    std::exception_ptr request;
    for (bool over = false; !over;) {
        auto job = [s] { s->roll_back(); };
        try {
            co_await to_thread(s->threads, take(job));
            over = true;
        } catch (const cancelled_error&) {
            request = std::current_exception();
        } catch (const std::logic_error&) {
            over = true; // the connection was closed, which rolls back
        }
    }
    co_return request;
}

} // namespace detail

/// A transaction as a resource for with(): it begins at the entry, is committed when the body returns, and is rolled
/// back when the body throws or is cancelled.
///
/// Behaviour: what the task of the transaction calls on the connection is part of it; calls of other tasks wait until
/// it has ended, so the body must not wait for another task that uses the connection. If the commit fails, the
/// transaction is rolled back, and the error is thrown. SQLite itself rolls back after some errors, and when a statement
/// that writes is interrupted: what the body calls after that fails, and so does the end.
/// Cancellation: the end of the transaction is always waited for.
/// Threads: the thread of the loop.
/// Example: `co_await aio::with(db.transaction(), [&]() -> aio::task<> { co_await db.execute("DELETE FROM t"); });`
/// See also: connection, with.
class transaction {
public:
    /// Begins the transaction as soon as no other one is under way.
    /// @throws std::logic_error when the calling task is inside of a transaction already, or when a statement has begun
    /// one, which stays as it is; std::invalid_argument when the statement given begins none; error of SQLite.
    /// Cancellation: nothing has begun then.
    template<class = void>
    task<> async_enter() {
        const detail::session_ptr s = session_;
        s->require_open();
        if (s->owner != nullptr && s->owner == asynchio::detail::current_task_frame())
            throw std::logic_error("sqlite: transaction: the task is inside of a transaction of " + s->path);
        co_await s->turn.acquire();
        detail::held_turn turn(s);
        std::exception_ptr failure;
        try {
            s->require_open();
            auto job = [s, this](std::stop_token stop) { s->begin(begin_, stop); };
            co_await to_thread(s->threads, take(job));
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            const std::exception_ptr request = co_await detail::roll_back<>(s);
            turn.release();
            std::rethrow_exception(request ? request : failure);
        }
        turn_ = std::move(turn);
    }
    /// Commits, or rolls back if there is an exception. @param failure the exception of the body, or null.
    /// @throws error when the commit fails, or when the transaction has ended before.
    /// Cancellation: rolls back what is not committed yet, waits for that, and throws cancelled_error.
    template<class = void>
    task<> async_exit(std::exception_ptr failure) {
        const detail::session_ptr s = session_;
        detail::held_turn turn = std::move(turn_);
        if (!failure) {
            try {
                s->require_open();
                auto job = [s](std::stop_token stop) { s->commit(stop); };
                co_await to_thread(s->threads, take(job));
            } catch (...) {
                failure = std::current_exception();
            }
        }
        if (failure) {
            const std::exception_ptr request = co_await detail::roll_back<>(s);
            if (request) failure = request;
        }
        turn.release();
        if (failure) std::rethrow_exception(failure);
    }

private:
    friend class connection;
    transaction(detail::session_ptr s, std::string begin) noexcept : session_(std::move(s)), begin_(std::move(begin)) {}

    detail::session_ptr session_;
    std::string begin_;
    detail::held_turn turn_;
};

/// A connection to an SQLite database, with a thread of its own.
///
/// Behaviour: any number of tasks may share it; their calls are made one after the other, in their order. Statements
/// stay prepared in a bounded cache. A parameter is an integer, a bool, a double, a text, a vector of bytes,
/// nullptr, or an optional of these. An error of SQLite is thrown as sqlite::error; std::logic_error tells of a closed
/// connection.
/// Cancellation: a call that has not begun is withdrawn. A running one is interrupted and waited for; the connection
/// can be used afterwards.
/// Threads: the thread of the loop, which is never blocked by a call.
/// Lifetime: calls keep what they use. The destructor interrupts them. It closes the file on the spot if no call is
/// under way; aclose() does so without blocking.
/// Cost: a call wakes the connection's thread and the loop.
/// Example: `auto rows = co_await db.query("SELECT name FROM users WHERE id = ?", 7);`
/// See also: transaction, to_thread.
class connection {
public:
    connection(connection&& other) noexcept = default;
    connection& operator=(connection&& other) noexcept {
        connection old(std::move(*this));
        session_ = std::move(other.session_);
        return *this;
    }
    ~connection() {
        if (session_) session_->begin_closing();
    }

    /// Opens a database. @param path the file, or ":memory:". @param how the options.
    /// @throws error when it cannot be opened.
    /// Cancellation: the opening is waited for, and what was opened is closed.
    template<class = void>
    static task<connection> open(std::string path, options how = {}) {
        co_return connection(co_await detail::open_session<>(std::move(path), how));
    }

    /// Runs one statement and returns its rows. @param sql the statement. @param params the values of its parameters.
    /// @throws error of SQLite; std::invalid_argument for a wrong number of parameters or several statements.
    /// Cancellation: interrupts the statement, and waits for that.
    template<class... Params>
    task<std::vector<row>> query(std::string sql, const Params&... params) const {
        return detail::call_for_rows<>(open_session(), std::move(sql), detail::values_of(params...));
    }
    /// Runs one statement and drops its rows. @param sql the statement. @param params the values of its parameters.
    /// @return how many rows it changed, and the last row number that was inserted.
    /// @throws error of SQLite; std::invalid_argument for a wrong number of parameters or several statements.
    /// Cancellation: interrupts the statement, and waits for that.
    template<class... Params>
    task<changes> execute(std::string sql, const Params&... params) const {
        return detail::call_for_changes<>(open_session(), std::move(sql), detail::values_of(params...));
    }
    /// Runs several statements without parameters. @param sql the statements, with semicolons between them.
    /// @throws error of SQLite; what ran before stays done.
    /// Cancellation: interrupts the statement that runs, and waits for that.
    template<class = void>
    task<> execute_script(std::string sql) const {
        return detail::call_script<>(open_session(), std::move(sql));
    }
    /// Runs one statement and yields its rows, read in batches of options::read_ahead.
    /// @param sql the statement. @param params the values of its parameters.
    /// @throws error of SQLite out of next().
    /// Cancellation: as query().
    template<class... Params>
    async_generator<row> stream(std::string sql, const Params&... params) const {
        return detail::stream_rows<>(open_session(), std::move(sql), detail::values_of(params...));
    }
    /// Returns a transaction, which begins when with() enters it. @param begin the statement that begins it. A
    /// transaction that reads first and writes then begins with BEGIN IMMEDIATE, if other connections write as well:
    /// otherwise the first write fails with SQLITE_BUSY when another one was quicker.
    sqlite::transaction transaction(std::string begin = "BEGIN") const {
        return sqlite::transaction(open_session(), std::move(begin));
    }

    /// Interrupts the calls under way, also those of streams, and closes the file in the connection's thread. Repeated
    /// calls wait for the same end.
    /// Cancellation: stops the waiting; the connection's thread closes the file all the same.
    template<class = void>
    task<> aclose() {
        return detail::close_session<>(session_);
    }
    /// Returns how many prepared statements the cache holds.
    std::size_t cached_statements() const { return open_session()->cached.load(); }

private:
    explicit connection(detail::session_ptr s) noexcept : session_(std::move(s)) {}
    const detail::session_ptr& open_session() const {
        if (!session_) throw std::logic_error("sqlite: the connection was moved from");
        session_->require_open();
        return session_;
    }

    detail::session_ptr session_;
};

} // namespace asynchio::sqlite

#pragma GCC visibility pop
