// SPDX-License-Identifier: BSL-1.0
#pragma once

// The task of a connection to Redis, which sends commands, receives their replies, and connects again.

#include <asynchio/adapters/detail/hiredis_connect.hpp>
#include <asynchio/adapters/detail/hiredis_session.hpp>
#include <asynchio/adapters/hiredis_error.hpp>
#include <asynchio/adapters/hiredis_options.hpp>
#include <asynchio/adapters/hiredis_reply.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/task/task.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::hiredis::detail {

template<class = void>
task<> send_all(session& s, wire& w) {
    std::string batch;
    for (;;) {
        while (!s.take(batch)) {
            s.work.clear();
            co_await s.work.wait();
        }
        co_await w.bytes.write(batch);
        constexpr std::size_t max_kept = 1'000'000;
        if (batch.capacity() > max_kept) std::string().swap(batch);
    }
}

template<class = void>
task<> receive_all(session& s, wire& w) {
    reply next;
    for (;;) {
        while (w.replies.next(next)) s.deliver(std::exchange(next, reply()));
        co_await detail::receive_more(w);
    }
}

/// Serves one connection until it is lost. @return why. @throws protocol_error if it cannot go on with another one.
template<class = void>
task<std::string> use(session& s, wire& w) {
    s.connect();
    try {
        co_await race(detail::send_all(s, w), detail::receive_all(s, w));
    } catch (const protocol_error&) {
        throw;
    } catch (const connection_error& e) {
        co_return e.message();
    } catch (const std::exception& e) {
        co_return e.what();
    }
    co_return std::string(); // not reached: neither of the two ends
}

/// Connects again, for as long as it takes. @throws protocol_error if the server does not speak the protocol.
template<class = void>
task<std::unique_ptr<wire>> connect_again(session& s, pauses& between) {
    for (;;) {
        co_await between.pass();
        try {
            co_return co_await detail::connect(s.how);
        } catch (const protocol_error&) {
            throw;
        } catch (const error& e) {
            s.note(e.message());
        } catch (const std::exception& e) {
            s.note(e.what());
        }
    }
}

/// The task of a connection: serves one after the other until it is cancelled.
template<class = void>
task<> serve(session_ptr given, std::unique_ptr<wire> first) {
    const session_ptr s = std::move(given);
    std::unique_ptr<wire> now = std::move(first);
    const struct at_end {
        session& s;
        ~at_end() { s.serving = {}; } // which would keep this frame
    } at_end{*s};
    try {
        pauses between(s->how);
        while (!s->closed()) {
            const std::string why = co_await detail::use(*s, *now);
            now.reset();
            s->lose(why);
            if (s->closed()) break;
            if (s->useful()) between.reset();
            now = co_await detail::connect_again(*s, between);
        }
    } catch (const cancelled_error&) {
        s->close("it was closed");
        throw;
    } catch (const error& e) {
        s->close(e.message().c_str());
    } catch (const std::exception& e) { // no memory to go on with
        s->close(e.what());
    } catch (...) {
        s->close("options::open_stream has thrown what is no std::exception");
    }
}

} // namespace asynchio::hiredis::detail

#pragma GCC visibility pop
