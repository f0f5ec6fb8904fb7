// SPDX-License-Identifier: BSL-1.0
#pragma once

// Connections to PostgreSQL.

#include <asynchio/adapters/detail/libpq_connect.hpp>
#include <asynchio/adapters/detail/libpq_session.hpp>
#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/adapters/libpq_values.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/task.hpp>

#include <libpq-fe.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libpq {

/// The options of a connection that libpq does not know.
///
/// Threads: a plain value.
struct connection_options {
    connection_options() = default;

    /// The maximum number of prepared statements that the connection keeps; 0 prepares none, as some proxies want it.
    std::size_t prepared_statements = 100;
};

/// A notification of a channel.
///
/// Threads: a plain value.
struct notification {
    notification() = default;

    /// The channel's name.
    std::string channel;
    /// The text that was sent with it.
    std::string payload;
    /// The process of the server that has sent it.
    int process = 0;
};

/// A connection to a server of PostgreSQL. The loop's thread never waits for it.
///
/// Behaviour: any number of tasks may use it; their commands run one after another, in the order of the calls. Those of
/// query() are sent at once, in libpq's pipeline mode, without waiting for the answers of those before them; each is a
/// transaction of its own. All else waits until the pipeline is empty. The error of one command does not harm the others.
/// Notices of the server are dropped.
/// A connection that is lost throws connection_error, now and ever after, and is_open() tells so.
/// Cancellation: a call that waits for its turn leaves at once; if its command was sent already, the server is told to
/// stop it when its turn comes. For a command that runs, a worker thread asks the server to stop it, without encryption;
/// its answer is awaited, and then cancelled_error is thrown, also if it had succeeded meanwhile. A command of another
/// task that such a request hits, because it comes late, is sent once more. The connection can be used on. If the server
/// cannot be asked within 10 seconds, the connection is closed.
/// Threads: the thread of the loop.
/// Lifetime: calls under way when it is destroyed throw connection_error; it may be moved meanwhile.
/// Example: `auto db = co_await libpq::connection::open("host=localhost dbname=shop");`
/// See also: pool, transaction.
class connection {
public:
    /// Opens a connection.
    /// @param conninfo a connection string or URI of libpq; the environment fills in what it leaves out. Names of hosts
    /// are resolved by resolve(), but not those of a service file, which libpq looks up itself and blocks.
    /// @param options what libpq does not know.
    /// @throws connection_error with what libpq tells in one line.
    /// Cancellation: closes what is open so far.
    template<class = void>
    static task<connection> open(std::string conninfo, connection_options options = {}) {
        detail::settings with(conninfo);
        const std::string limit = with.get("connect_timeout", "PGCONNECT_TIMEOUT");
        const int seconds = std::atoi(limit.c_str());
        auto opening = detail::connect(std::move(with), options.prepared_statements);
        if (seconds <= 0) co_return connection(co_await std::move(opening));
        try {
            co_return connection(co_await wait_for(std::move(opening), std::chrono::seconds(seconds)));
        } catch (const timeout_error&) {}
        throw connection_error("no connection within connect_timeout, which is " + limit + " seconds");
    }

    /// Runs one command. Its parameters stand for $1, $2 and so on. The command is prepared the first time.
    ///
    /// @param sql one command.
    /// @param parameters numbers, bools, texts, bytes (a span of std::byte) for a bytea, or optionals of them for NULL.
    /// @return the rows, if any. @throws error, connection_error; std::invalid_argument for a text with a zero byte.
    /// Cancellation: stops the command.
    template<class... P>
    task<result> query(std::string sql, const P&... parameters) {
        return ask(state_, std::move(sql), detail::parameters_of(parameters...));
    }
    /// Runs commands without parameters, which may be several with semicolons between them. They are not prepared.
    /// @return the result of the last one. @throws error, connection_error. Cancellation: stops the commands.
    task<result> execute(std::string sql) { return run(state_, std::move(sql)); }

    /// Runs one command and yields its rows as they come, so that they never are in memory at once. Other commands wait
    /// until the stream is closed or ends.
    ///
    /// @param sql one command. @param parameters as those of query().
    /// @return the rows. Closing the stream before its end stops the command.
    /// @throws error, connection_error by next(). Cancellation: stops the command.
    template<class... P>
    async_generator<row> stream(std::string sql, const P&... parameters) {
        return rows(state_, std::move(sql), detail::parameters_of(parameters...));
    }

    /// Runs a COPY ... TO STDOUT, and yields its data as they come, a row at a time. Other commands wait until the stream
    /// is closed or ends.
    /// @param sql the command.
    /// @throws error, connection_error by next(). Cancellation: stops the command.
    async_generator<std::string> copy_out(std::string sql) { return chunks(state_, std::move(sql)); }
    /// Runs a COPY ... FROM STDIN with data that are sent as they come. Other commands wait.
    ///
    /// @param sql the command. @param data texts of any size; their borders do not matter. An exception of theirs ends
    /// the command, which then does nothing.
    /// @return the result, whose affected() is the number of rows. @throws error, connection_error; what `data` throws.
    /// Cancellation: stops the command.
    task<result> copy_in(std::string sql, async_generator<std::string> data) {
        return take_in(state_, std::move(sql), std::move(data));
    }

    /// Listens to a channel. The connection belongs to the stream until that is closed; other commands wait.
    ///
    /// @param channel the name, exactly as it is.
    /// @return the notifications from now on. What has not been asked for stays with the operating system and the
    /// server, so that a slow reader takes no memory here.
    /// @throws error, connection_error, also by next(). Cancellation: listening ends.
    template<class = void>
    task<async_generator<notification>> listen(std::string channel) {
        const std::shared_ptr<detail::session> s = state_;
        co_await s->exclusive.acquire();
        mutex_guard held(s->exclusive);
        const std::string name = quoted(channel);
        co_await detail::command(s, "LISTEN " + name, detail::urgency::stoppable);
        co_return notifications(s, std::move(held), name);
    }

    connection(connection&& other) noexcept = default;
    connection& operator=(connection&& other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    /// Closes the connection. Calls under way throw connection_error.
    ~connection() {
        if (state_ != nullptr) state_->give_up();
    }

    /// Whether the connection is there, as far as is known.
    bool is_open() const noexcept { return state_->open(); }
    /// libpq's connection, for what is not here; a null pointer if it is closed.
    /// It is not in pipeline mode, unless commands are under way.
    PGconn* native_handle() const noexcept {
        state_->leave();
        return state_->raw();
    }

private:
    friend class transaction;
    friend class pool;
    friend class lease;
    explicit connection(std::shared_ptr<detail::session> made) noexcept : state_(std::move(made)) {}

    static std::string quoted(const std::string& name) {
        if (name.find('\0') != std::string::npos)
            throw std::invalid_argument("libpq: a channel's name has a zero byte");
        std::string made = "\"";
        for (const char each : name) made.append(each == '"' ? 2 : 1, each);
        return made + '"';
    }
    template<class = void>
    static task<result> ask(std::shared_ptr<detail::session> s, std::string sql, detail::parameters given) {
        co_return co_await detail::ask(std::move(s), std::move(sql), std::move(given), false);
    }
    template<class = void>
    static task<result> run(std::shared_ptr<detail::session> s, std::string sql) {
        co_await s->exclusive.acquire();
        const mutex_guard held(s->exclusive);
        co_return co_await detail::command(s, std::move(sql), detail::urgency::stoppable);
    }
    template<class = void>
    static async_generator<row> rows(std::shared_ptr<detail::session> s, std::string sql, detail::parameters given);
    template<class = void>
    static async_generator<std::string> chunks(std::shared_ptr<detail::session> s, std::string sql);
    template<class = void>
    static task<result> take_in(std::shared_ptr<detail::session> s, std::string sql, async_generator<std::string> data);
    template<class = void>
    static async_generator<notification> notifications(std::shared_ptr<detail::session> s, mutex_guard held,
                                                       std::string name);

    std::shared_ptr<detail::session> state_;
};

template<class>
async_generator<row> connection::rows(std::shared_ptr<detail::session> s, std::string sql, detail::parameters given) {
    const detail::whole_use use = co_await detail::take_whole(*s);
    detail::send_alone(*s, sql, given);
    s->single_rows = PQsetSingleRowMode(s->raw()) == 1;
    detail::shared_result next;
    std::exception_ptr stopped;
    try {
        for (;;) {
            next = co_await detail::next_result(*s);
            if (next == nullptr) break;
            const ExecStatusType status = PQresultStatus(next.get());
            if (status == PGRES_SINGLE_TUPLE)
                co_yield row(std::move(next), 0);
            else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
                break;
        }
        if (next == nullptr && s->open()) {
            s->under_way = false;
            co_return;
        }
    } catch (...) {
        stopped = std::current_exception();
        next.reset();
    }
    co_await detail::end_early(*s, std::move(next), std::move(stopped));
}

template<class>
async_generator<std::string> connection::chunks(std::shared_ptr<detail::session> s, std::string sql) {
    const detail::whole_use use = co_await detail::take_whole(*s);
    detail::send_alone(*s, sql);
    detail::shared_result first;
    std::exception_ptr stopped;
    bool over = false;
    try {
        first = co_await detail::next_result(*s);
        if (first != nullptr && PQresultStatus(first.get()) == PGRES_COPY_OUT) {
            first.reset();
            while (!over && s->open()) {
                char* data = nullptr;
                const int got = PQgetCopyData(s->raw(), &data, 1);
                const std::unique_ptr<char, void (*)(char*)> owned(data, [](char* p) { PQfreemem(p); });
                over = got < 0;
                if (got > 0) {
                    co_yield std::string(data, static_cast<std::size_t>(got));
                } else if (got == 0) {
                    co_await wait_readable(s->descriptor());
                    s->receive();
                }
            }
        }
    } catch (...) {
        stopped = std::current_exception();
    }
    if (over)
        co_await detail::collect(*s, detail::urgency::stoppable);
    else
        co_await detail::end_early(*s, std::move(first), std::move(stopped));
}

template<class>
task<result> connection::take_in(std::shared_ptr<detail::session> s, std::string sql,
                                 async_generator<std::string> data) {
    const detail::whole_use use = co_await detail::take_whole(*s);
    detail::send_alone(*s, sql);
    detail::shared_result first;
    std::exception_ptr stopped;
    bool copying = false;
    try {
        first = co_await detail::next_result(*s);
        copying = first != nullptr && PQresultStatus(first.get()) == PGRES_COPY_IN;
        while (copying) {
            const std::optional<std::string> chunk = co_await data.next();
            if (!chunk) break;
            if (PQputCopyData(s->raw(), chunk->data(), static_cast<int>(chunk->size())) < 0)
                break; // collect() tells why
            for (fd_events wanted = s->pending(); wanted != fd_events::none; wanted = s->pending()) {
                co_await wait_ready(s->descriptor(), wanted);
                s->receive();
            }
        }
    } catch (...) {
        stopped = std::current_exception();
    }
    if (!copying) co_await detail::end_early(*s, std::move(first), std::move(stopped));
    if (s->open()) PQputCopyEnd(s->raw(), stopped ? "the sender has given up" : nullptr);
    if (stopped) co_await detail::end_early(*s, nullptr, std::move(stopped));
    co_return co_await detail::collect(*s, detail::urgency::stoppable);
}

template<class>
async_generator<notification> connection::notifications(std::shared_ptr<detail::session> s, mutex_guard held,
                                                        std::string name) {
    const mutex_guard alone = std::move(held);
    std::exception_ptr stopped;
    try {
        for (;;) {
            if (!s->open()) s->lose("the connection is lost");
            s->receive();
            if (PGnotify* came = PQnotifies(s->raw())) {
                const std::unique_ptr<PGnotify, void (*)(PGnotify*)> owned(came, [](PGnotify* p) { PQfreemem(p); });
                notification one;
                one.channel = owned->relname;
                one.payload = owned->extra;
                one.process = owned->be_pid;
                co_yield std::move(one);
                continue;
            }
            if (!s->open()) continue;
            co_await wait_readable(s->descriptor());
        }
    } catch (...) {
        stopped = std::current_exception();
    }
    try {
        if (s->open()) co_await detail::command(s, "UNLISTEN " + name, detail::urgency::whole);
    } catch (const std::exception&) {
        s->close();
    } catch (const cancelled_error&) {}
    std::rethrow_exception(stopped);
}

} // namespace asynchio::libpq

#pragma GCC visibility pop
