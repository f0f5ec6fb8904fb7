// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a server of Redis is connected to, and how its replies come one by one.

#include <asynchio/adapters/detail/hiredis_reader.hpp>
#include <asynchio/adapters/detail/hiredis_words.hpp>
#include <asynchio/adapters/hiredis_error.hpp>
#include <asynchio/adapters/hiredis_options.hpp>
#include <asynchio/adapters/hiredis_reply.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/task.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <system_error>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::hiredis::detail {

/// A stream to a server, and what has come of the next reply.
struct wire {
    wire(stream s, std::size_t limit) : bytes(std::move(s)), replies(limit) {}

    stream bytes;
    reply_reader replies;
    char buffer[16'384];
};

/// Waits until more has come. @throws connection_error at the end; std::system_error, std::bad_alloc, protocol_error.
template<class = void>
task<> receive_more(wire& w) {
    const std::size_t size = co_await w.bytes.read_some(mutable_byte_view(w.buffer, sizeof w.buffer));
    if (size == 0) throw connection_error("the server has closed the connection");
    w.replies.feed(std::string_view(w.buffer, size));
}

/// Waits for a reply. @throws as receive_more() does.
template<class = void>
task<reply> receive(wire& w) {
    reply next;
    while (!w.replies.next(next)) co_await detail::receive_more(w);
    co_return next;
}

/// Has the system find out within two minutes that a server is gone without a word.
inline void probe_often(int fd, const address& where) {
    if (!where.is_ip()) return;
    const auto set = [fd](int option, int value) { ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value); };
    set(TCP_KEEPIDLE, 60);
    set(TCP_KEEPINTVL, 15);
    set(TCP_KEEPCNT, 4);
}

template<class = void>
task<stream> open_stream(const options& how) {
    if (how.open_stream) co_return co_await how.open_stream();
    connect_options with;
    with.keep_alive = true;
    with.configure = &probe_often;
    if (!how.unix_path.empty()) co_return co_await open_unix_connection(how.unix_path, with);
    co_return co_await open_connection(how.host, how.port, with);
}

/// Connects, logs in, and sees whether the server answers.
template<class = void>
task<std::unique_ptr<wire>> log_in(const options& how) {
    auto made = std::make_unique<wire>(co_await detail::open_stream(how), how.max_reply);
    std::string text;
    std::size_t count = 0;
    const auto add = [&](const auto&... words) {
        text += detail::format_command(allowed::all, words...);
        ++count;
    };
    if (!how.user.empty())
        add("AUTH", how.user, how.password);
    else if (!how.password.empty())
        add("AUTH", how.password);
    if (how.database != 0) add("SELECT", how.database);
    add("PING");
    // A server that refuses connections says why, and may have closed already.
    co_await nothrow(made->bytes.write(text));
    while (count-- > 0) {
        const reply answer = co_await detail::receive(*made);
        if (answer.type() != reply_type::error) continue;
        const error refused = detail::error_of(answer.text());
        if (count != 0 || refused.code() != "NOPERM")
            throw error(refused); // a user that may not ping may do other things
    }
    co_return std::move(made);
}

/// Makes an attempt to connect within the limit of the options, whose errors have the types that they have here.
/// @throws connection_error; error if the server refuses; what options::open_stream throws.
template<class T>
task<T> attempt(task<T> trying, const options& how) {
    std::string why;
    try {
        co_return co_await wait_for(std::move(trying), how.connect_timeout);
    } catch (const timeout_error&) {
        const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(how.connect_timeout);
        why = "no connection within options::connect_timeout, which is " + std::to_string(limit.count()) + " ms";
    } catch (const std::system_error& e) {
        why = e.what();
    }
    throw connection_error(why);
}

template<class = void>
task<std::unique_ptr<wire>> connect(const options& how) {
    return attempt(log_in(how), how);
}

/// The pauses between attempts to connect.
class pauses {
public:
    explicit pauses(const options& how)
        : first_(how.first_pause), longest_(how.longest_pause), next_(0),
          random_(static_cast<unsigned>(std::chrono::steady_clock::now().time_since_epoch().count())) {}

    /// Begins anew: the next attempt comes at once.
    void reset() noexcept { next_ = duration(0); }
    /// Awaitable: a pause, which is none the first time.
    task<> pass() {
        const duration whole = std::exchange(next_, next_ == duration(0) ? first_ : std::min(next_ * 2, longest_));
        return wait(whole - whole * static_cast<int>(random_() % 51) / 100);
    }

private:
    template<class = void>
    static task<> wait(duration length) {
        if (length > duration(0)) co_await sleep(length);
    }

    duration first_, longest_, next_;
    std::minstd_rand random_;
};

} // namespace asynchio::hiredis::detail

#pragma GCC visibility pop
