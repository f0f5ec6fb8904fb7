// SPDX-License-Identifier: BSL-1.0
#pragma once

// Connections to Redis.

#include <asynchio/adapters/detail/hiredis_calls.hpp>
#include <asynchio/adapters/detail/hiredis_connect.hpp>
#include <asynchio/adapters/detail/hiredis_serve.hpp>
#include <asynchio/adapters/detail/hiredis_session.hpp>
#include <asynchio/adapters/detail/hiredis_words.hpp>
#include <asynchio/adapters/hiredis_batch.hpp>
#include <asynchio/adapters/hiredis_error.hpp>
#include <asynchio/adapters/hiredis_message.hpp>
#include <asynchio/adapters/hiredis_options.hpp>
#include <asynchio/adapters/hiredis_reply.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/task_handle.hpp>

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::hiredis {

/// A connection to a server of Redis, which any number of tasks use at once.
///
/// Behaviour: commands are sent in the order of the calls, without waiting for the replies of those before, and many that
/// are issued in one iteration with one system call. A command that blocks at the server, such as BLPOP, holds up all
/// behind it: open a connection for it. A task of the loop sends and receives, and lives until the connection is closed.
///
/// A connection that is lost is made again, unless options::reconnect is false. Commands that were sent and not answered
/// fail with connection_error, and are never sent twice; those that were not sent, and new ones, wait for the next
/// connection. A server that does not speak the protocol of Redis closes the connection for good with protocol_error,
/// and so does a reply beyond options::max_reply.
/// Cancellation: a command that was not sent is dropped; for one that was sent, the reply is dropped when it comes, and
/// the server does what it says all the same. The connection can be used on.
/// Threads: the thread of the loop.
/// Lifetime: it may be moved and destroyed while commands are under way, which fail if it is destroyed. The end of run()
/// closes it.
/// Example: `auto db = co_await hiredis::connection::open(); co_await db.command("SET", "greeting", "hello");`
/// See also: batch, reply.
class connection {
public:
    /// Connects, logs in, and sees whether the server answers.
    /// @param how where the server is, who logs in, and the limits.
    /// @throws connection_error if there is no connection within options::connect_timeout; error if the server refuses,
    /// with a code such as "WRONGPASS", "NOAUTH" or "LOADING"; std::invalid_argument for options that cannot be; what
    /// options::open_stream throws.
    /// Cancellation: closes what is open so far.
    template<class = void>
    static task<connection> open(options how = {}) {
        auto made = std::make_shared<detail::session>(std::move(how));
        std::unique_ptr<detail::wire> first = co_await detail::connect(made->how);
        made->serving = create_task(named("redis"), detail::serve(made, std::move(first)));
        co_return connection(std::move(made));
    }

    connection(connection&&) noexcept = default;
    connection& operator=(connection&& other) noexcept {
        const connection old(std::move(*this));
        state_ = std::move(other.state_);
        return *this;
    }
    ~connection() { close(); }

    /// Runs one command.
    ///
    /// @param words the command's name and arguments: texts and bytes (std::span of std::byte), which may hold any bytes;
    /// numbers; or ranges of these, each element of which is a word.
    /// @return the reply. @throws error with the server's code if it replies with an error; connection_error.
    /// @throws std::invalid_argument, by the call itself, for a command that would leave the connection in another
    /// state, since other tasks use it: the text says what to use instead.
    /// Cancellation: the reply is dropped.
    template<class... Words>
    task<reply> command(const Words&... words) {
        return detail::ask(open_state(), detail::format_command(which(), words...));
    }
    /// Runs commands that are sent together, one behind the other; commands of other tasks come before or after them.
    /// @return their replies; one that has failed has a reply of type error, whose get() throws.
    /// @throws connection_error if one of them has no reply. Cancellation: the replies are dropped.
    task<std::vector<reply>> pipeline(const batch& commands) {
        return detail::ask_all(open_state(), commands.text_, commands.size());
    }
    /// Runs commands as one transaction, by MULTI and EXEC: the server runs nothing in between, and all or none.
    /// @return the replies; one that has failed when it ran has a reply of type error, and the others are done.
    /// @throws error if the server does not take one of the commands, so that none has run; watch_error if a key has
    /// changed that WATCH watches; connection_error. Cancellation: the replies are dropped.
    task<std::vector<reply>> transaction(const batch& commands) {
        return detail::transact(open_state(), commands.text_, commands.size());
    }

    /// Subscribes to channels, by a connection of its own with the same options.
    ///
    /// Behaviour: what is published from the end of the call on is yielded in order. What has not been asked for stays
    /// with the operating system and the server, but for 16 KiB, so that a slow reader takes no memory here; the server
    /// closes the connection if its limit for that is reached (client-output-buffer-limit). A stream whose connection is
    /// lost throws connection_error and does not subscribe again, since messages may have been missed: call subscribe()
    /// again, which waits for the server as a command does.
    /// @param channels texts, or ranges of these; at least one.
    /// @return the messages. Closing or destroying the stream ends the subscription; closing this connection does not.
    /// @throws connection_error, error as open() does; std::invalid_argument without a channel.
    /// Cancellation: closes what is open so far.
    template<class... Channels>
    task<async_generator<message>> subscribe(const Channels&... channels) {
        return detail::subscribe(open_state(), "SUBSCRIBE", channels...);
    }
    /// Subscribes to all channels whose names match patterns such as "news.*", as subscribe() does.
    /// @param patterns texts, or ranges of these; at least one. @return the messages, with the pattern that has matched.
    template<class... Patterns>
    task<async_generator<message>> psubscribe(const Patterns&... patterns) {
        return detail::subscribe(open_state(), "PSUBSCRIBE", patterns...);
    }

    /// Whether it was not closed; it may be lost, and be made again.
    bool is_open() const noexcept { return state_ != nullptr && !state_->closed(); }
    /// Whether there is a connection, as far as is known.
    bool is_connected() const noexcept { return state_ != nullptr && state_->connected(); }

    /// Closes it at once: commands under way fail with connection_error. A second call does nothing.
    void close() noexcept { end(); }
    /// Closes it as close() does, and waits until its task has ended.
    template<class = void>
    task<> aclose() {
        return detail::await_end(end());
    }

private:
    explicit connection(detail::session_ptr made) noexcept : state_(std::move(made)) {}

    const detail::session_ptr& open_state() const {
        if (state_ == nullptr) throw std::logic_error("redis: the connection was moved from");
        return state_;
    }
    detail::allowed which() const {
        return open_state()->how.reconnect ? detail::allowed::stateless : detail::allowed::watching;
    }

    /// @return the task that ends; an empty handle the second time.
    task_handle<> end() noexcept {
        if (state_ == nullptr) return {};
        state_->close("it was closed");
        task_handle<> serving = std::exchange(state_->serving, task_handle<>());
        if (serving) serving.cancel();
        return serving;
    }

    detail::session_ptr state_;
};

} // namespace asynchio::hiredis

#pragma GCC visibility pop
