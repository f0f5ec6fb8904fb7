// SPDX-License-Identifier: BSL-1.0
#pragma once

// Pools of connections to PostgreSQL.

#include <asynchio/adapters/detail/libpq_session.hpp>
#include <asynchio/adapters/libpq_connection.hpp>
#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/adapters/libpq_values.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/task.hpp>

#include <libpq-fe.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::libpq {

/// The options of a pool.
///
/// Threads: a plain value.
struct pool_options : connection_options {
    pool_options() = default;

    /// How many connections pool::open() opens.
    std::size_t min_size = 0;
    /// The maximum number of connections, at least 1.
    std::size_t max_size = 10;
    /// How long acquire() waits for its turn at most.
    std::optional<duration> wait_timeout = std::nullopt;
    /// A connection that was idle for longer is asked whether it works before it is given out.
    duration check_after = std::chrono::seconds(30);
};

class pool;

/// A connection of a pool, which goes back when this is destroyed.
///
/// Behaviour: a connection that is closed, in a transaction, or in the middle of a command does not go back; another one
/// is opened when it is needed.
/// Threads: the thread of the loop. Lifetime: the pool outlives it.
class [[nodiscard("the connection goes back to the pool when this goes away: give it a name")]] lease {
public:
    lease(lease&& other) noexcept = default;
    lease& operator=(lease&&) = delete;
    ~lease();

    /// The connection.
    connection& operator*() noexcept { return connection_; }
    /// The connection.
    connection* operator->() noexcept { return &connection_; }

private:
    friend pool;
    lease(pool& of, connection given, semaphore_guard place) noexcept
        : place_(std::move(place)), pool_(&of), connection_(std::move(given)) {}

    semaphore_guard place_; // destroyed after the connection has gone back
    pool* pool_;
    connection connection_;
};

/// Connections to one server, which are opened when they are needed and used again.
///
/// Behaviour: tasks that wait for a connection get one in the order of their calls. Before a connection is given out, it
/// is checked whether the server has closed it; one that was idle for long is asked. Torn connections are replaced.
/// Cancellation: a task that waits leaves its place.
/// Threads: the thread of the loop. Lifetime: it outlives its leases and queries.
/// Example: `libpq::pool db("dbname=shop"); auto rows = co_await db.query("select name from item");`
/// See also: connection.
class pool {
public:
    /// @param conninfo as that of connection::open(). @param options the limits.
    /// @throws std::invalid_argument for limits that contradict each other.
    explicit pool(std::string conninfo, pool_options options = {})
        : conninfo_(std::move(conninfo)), options_(options), places_(static_cast<std::ptrdiff_t>(options.max_size)) {
        if (options.max_size < 1 || options.min_size > options.max_size)
            throw std::invalid_argument("libpq: pool: max_size must be at least 1 and at least min_size");
        idle_.reserve(options.max_size);
    }
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    ~pool() = default;

    /// Opens the first min_size connections, which acquire() would do one by one.
    /// @throws connection_error if one cannot be opened.
    template<class = void>
    task<> open() {
        std::vector<lease> opened;
        opened.reserve(options_.min_size);
        while (opened.size() < options_.min_size) opened.push_back(co_await acquire());
    }
    /// Takes a connection out of the pool, as soon as there is one.
    /// @throws connection_error if none can be opened; timeout_error after wait_timeout.
    template<class = void>
    task<lease> acquire() {
        auto waiting = places_.scoped_acquire();
        semaphore_guard place = co_await wait_for(std::move(waiting), options_.wait_timeout);
        while (!idle_.empty()) {
            kept last = std::move(idle_.back());
            idle_.pop_back();
            if (co_await works(last)) co_return lease(*this, std::move(last.it), std::move(place));
        }
        co_return lease(*this, co_await connection::open(conninfo_, options_), std::move(place));
    }
    /// Runs a command on a connection of the pool, as connection::query() does.
    template<class... P>
    task<result> query(std::string sql, const P&... parameters) {
        return ask(*this, std::move(sql), detail::parameters_of(parameters...));
    }
    /// The number of connections that are open and not in use.
    std::size_t idle() const noexcept { return idle_.size(); }

private:
    friend lease;
    using clock = std::chrono::steady_clock;
    struct kept {
        connection it;
        clock::time_point since;
    };

    template<class = void>
    static task<result> ask(pool& self, std::string sql, detail::parameters given) {
        lease taken = co_await self.acquire();
        co_return co_await connection::ask(taken->state_, std::move(sql), std::move(given));
    }
    /// An idle connection has nothing to read unless the server has closed it, or tells something that was not asked.
    template<class = void>
    task<bool> works(kept& one) {
        if (!one.it.is_open()) co_return false;
        pollfd readable{PQsocket(one.it.native_handle()), POLLIN, 0};
        if (::poll(&readable, 1, 0) == 0 && clock::now() - one.since < options_.check_after) co_return true;
        try {
            co_await one.it.execute("");
            co_return true;
        } catch (const error&) {}
        co_return false;
    }

    std::string conninfo_;
    pool_options options_;
    semaphore places_;
    std::vector<kept> idle_;
};

inline lease::~lease() {
    if (connection_.state_ != nullptr && connection_.state_->idle())
        pool_->idle_.push_back({std::move(connection_), pool::clock::now()}); // there is room
}

} // namespace asynchio::libpq

#pragma GCC visibility pop
