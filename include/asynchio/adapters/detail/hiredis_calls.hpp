// SPDX-License-Identifier: BSL-1.0
#pragma once

// The calls of a connection to Redis.

#include <asynchio/adapters/detail/hiredis_connect.hpp>
#include <asynchio/adapters/detail/hiredis_session.hpp>
#include <asynchio/adapters/detail/hiredis_words.hpp>
#include <asynchio/adapters/hiredis_error.hpp>
#include <asynchio/adapters/hiredis_message.hpp>
#include <asynchio/adapters/hiredis_options.hpp>
#include <asynchio/adapters/hiredis_reply.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/task_handle.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::hiredis::detail {

/// Waits for its turn, and then for replies.
template<class = void>
task<> ask_into(session_ptr s, std::string text, std::span<reply> into) {
    request made;
    made.issued = s->now();
    made.text = std::move(text);
    s->require_open();
    made.place = co_await s->places.scoped_acquire();
    reply_awaiter answer(*s, std::move(made), into);
    co_await answer;
}

template<class = void>
task<reply> ask(session_ptr s, std::string text) {
    reply answer;
    co_await detail::ask_into(std::move(s), std::move(text), std::span(&answer, 1));
    if (answer.type() == reply_type::error) throw detail::error_of(answer.text());
    co_return answer;
}

template<class = void>
task<std::vector<reply>> ask_all(session_ptr s, std::string text, std::size_t count) {
    std::vector<reply> answers(count);
    if (count != 0) co_await detail::ask_into(std::move(s), std::move(text), answers);
    co_return answers;
}

template<class = void>
task<std::vector<reply>> transact(session_ptr s, std::string text, std::size_t count) {
    text = detail::format_command(allowed::all, "MULTI") + text + detail::format_command(allowed::all, "EXEC");
    std::vector<reply> answers = co_await detail::ask_all(std::move(s), std::move(text), count + 2);
    for (const reply& each : answers) // the reason comes before that of EXEC, which only tells that there is one
        if (each.type() == reply_type::error) throw detail::error_of(each.text());
    reply& done = answers.back();
    if (done.is_nil()) throw watch_error("a watched key has changed, so that the transaction did nothing");
    if (done.type() != reply_type::array || done.size() != count)
        throw error("the reply to EXEC is not that of a transaction");
    co_return std::move(reply_access::elements(done));
}

/// Returns the message that a reply is; nothing if it tells that a subscription has begun.
inline std::optional<message> message_of(const reply& came) {
    if (came.type() == reply_type::error) throw detail::error_of(came.text());
    std::string_view kind;
    if (came.size() >= 3 && came[0].type() == reply_type::string) kind = came[0].text();
    const bool by_pattern = kind == "pmessage" && came.size() == 4;
    if (!by_pattern && (kind != "message" || came.size() != 3)) {
        if (kind == "subscribe" || kind == "psubscribe") return std::nullopt;
        throw protocol_error("what has come is no message of a channel");
    }
    message made;
    const std::size_t at = by_pattern ? 2 : 1;
    if (by_pattern) made.pattern = came[1].text();
    made.channel = came[at].text();
    made.payload = came[at + 1].text();
    return made;
}

struct subscribed {
    std::unique_ptr<wire> with;
    std::vector<message> early; // that have come before all subscriptions had begun
};

template<class = void>
task<subscribed> begin_subscription(const options& how, const std::string& text, std::size_t names) {
    subscribed made;
    made.with = co_await detail::log_in(how);
    co_await made.with->bytes.write(text);
    while (names > 0) {
        const reply came = co_await detail::receive(*made.with);
        std::optional<message> one = detail::message_of(came);
        if (one)
            made.early.push_back(std::move(*one));
        else
            --names;
    }
    co_return made;
}

template<class = void>
async_generator<message> messages(subscribed given) {
    subscribed begun = std::move(given); // closed at the end of the body, and not only with the stream
    for (message& each : begun.early) co_yield std::move(each);
    begun.early.clear();
    for (;;) {
        reply came;
        try {
            came = co_await detail::receive(*begun.with);
        } catch (const std::system_error& e) {
            throw connection_error(e.what());
        }
        std::optional<message> one = detail::message_of(came);
        if (one) co_yield std::move(*one);
    }
}

/// Subscribes; waits for a server that is not there as long as a command does.
template<class = void>
task<async_generator<message>> begin_patiently(session_ptr s, std::string text, std::size_t names) {
    s->require_open();
    const time_point deadline = s->deadline(s->now());
    pauses between(s->how);
    for (;;) {
        co_await between.pass();
        try {
            co_return detail::messages(
                co_await detail::attempt(detail::begin_subscription(s->how, text, names), s->how));
        } catch (const protocol_error&) {
            throw;
        } catch (const connection_error&) {
            if (!s->how.reconnect || s->now() >= deadline) throw;
        }
    }
}

template<class... Names>
task<async_generator<message>> subscribe(session_ptr s, const char* command, const Names&... names) {
    words all;
    all.add_text(command);
    all.add_all(names...);
    const std::size_t count = all.count() - 1;
    if (count == 0) throw std::invalid_argument("redis: there is no channel to subscribe to");
    return detail::begin_patiently(std::move(s), all.take(), count);
}

template<class = void>
task<> await_end(task_handle<> serving) {
    if (serving) co_await nothrow(std::move(serving));
}

} // namespace asynchio::hiredis::detail

#pragma GCC visibility pop
