// SPDX-License-Identifier: BSL-1.0
#pragma once

// Transactions of a connection to PostgreSQL.

#include <asynchio/adapters/detail/libpq_session.hpp>
#include <asynchio/adapters/libpq_connection.hpp>
#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/adapters/libpq_values.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/task.hpp>

#include <libpq-fe.h>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libpq {

/// A transaction, a resource of with(): it begins with the block, is committed at its end, and is rolled back if the
/// block ends by an exception or is cancelled.
///
/// Behaviour: the connection belongs to it meanwhile. Commands of the block go through the transaction; those of the
/// connection wait until the block has ended, and the block must not await them.
/// If a command of the block has failed and the block has caught that, the end throws error, since nothing is committed.
/// Cancellation: BEGIN, COMMIT and ROLLBACK run to their ends; then the request is delivered. A cancellation that comes
/// while COMMIT runs may find the transaction committed.
/// Threads: the thread of the loop. Lifetime: it is entered once at a time.
/// Example: `co_await aio::with(libpq::transaction(db), [&](libpq::transaction& t) { return transfer(t); });`
class transaction {
public:
    /// @param of the connection. @param begin the command that begins it, such as "BEGIN ISOLATION LEVEL SERIALIZABLE".
    explicit transaction(connection& of, std::string begin = "BEGIN") : state_(of.state_), begin_(std::move(begin)) {}
    transaction(transaction&& other) noexcept = default;
    transaction& operator=(transaction&&) = delete;
    ~transaction() {
        if (held_) state_->close(); // its end could not run: the server rolls back
    }

    /// Runs a command of the transaction, as connection::query() does.
    template<class... P>
    task<result> query(std::string sql, const P&... parameters) {
        return detail::ask(state_, std::move(sql), detail::parameters_of(parameters...), true);
    }
    /// Runs commands of the transaction, as connection::execute() does.
    task<result> execute(std::string sql) {
        return detail::command(state_, std::move(sql), detail::urgency::stoppable);
    }

    /// Waits for the connection, and begins.
    template<class = void>
    task<transaction&> async_enter() {
        co_await state_->exclusive.acquire();
        mutex_guard held(state_->exclusive);
        std::exception_ptr failed;
        try {
            co_await detail::command(state_, begin_, detail::urgency::whole);
        } catch (...) {
            failed = std::current_exception();
        }
        if (failed) {
            try {
                co_await roll_back();
            } catch (const std::bad_alloc&) {
                state_->close();
            }
            std::rethrow_exception(failed);
        }
        held_ = std::move(held);
        co_return *this;
    }
    /// Commits, or rolls back if there is an exception.
    template<class = void>
    task<> async_exit(std::exception_ptr error) {
        const mutex_guard held = std::move(held_);
        try {
            co_await end(error != nullptr);
        } catch (const std::bad_alloc&) {
            state_->close(); // the server rolls back by itself
            throw;
        }
    }

private:
    template<class = void>
    task<> end(bool failed) {
        if (failed) {
            co_await roll_back();
            co_return;
        }
        const result ended = co_await detail::command(state_, "COMMIT", detail::urgency::whole);
        if (ended.status() == "ROLLBACK")
            throw libpq::error("the transaction was rolled back: a command in it had failed");
    }
    template<class = void>
    task<> roll_back() {
        std::exception_ptr request = co_await detail::take_wire(*state_, detail::urgency::whole);
        const mutex_guard held(state_->wire);
        try {
            if (state_->open() && !state_->under_way && state_->in_transaction()) {
                detail::send_alone(*state_, "ROLLBACK");
                co_await detail::collect(*state_, detail::urgency::whole, request);
            }
        } catch (const cancelled_error&) {
            request = std::current_exception();
        } catch (const std::exception&) {
            state_->close(); // the server rolls back by itself
        }
        if (request) std::rethrow_exception(request);
    }

    std::shared_ptr<detail::session> state_;
    std::string begin_;
    mutex_guard held_;
};

} // namespace asynchio::libpq

#pragma GCC visibility pop
