// SPDX-License-Identifier: BSL-1.0
#pragma once

// A connection of libpq whose calls do not block: how a command is sent and its answer awaited.

#include <asynchio/adapters/detail/libpq_pipeline.hpp>
#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/adapters/libpq_values.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/io/fd_events.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/task_handle.hpp>

#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <strings.h>
#include <sys/socket.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libpq::detail {

/// What a request to cancel does to a command: the server is told to stop it, or it goes on to its end.
enum class urgency : unsigned char { stoppable, whole };

/// A connection. The task that holds the mutex `wire` may send a command. A command that is not in the pipeline begins when that
/// is empty, and holds `wire` until the answer has come.
class session : public pipeline {
public:
    using pipeline::pipeline;

    std::shared_ptr<session> share() noexcept { return std::static_pointer_cast<session>(shared_from_this()); }

    /// Whether the connection can be given to somebody else.
    bool idle() noexcept {
        return open() && empty() && !under_way && !exclusive.locked() && !wire.locked() && !in_transaction();
    }
    /// Whether a transaction is open; the pipeline is empty.
    bool in_transaction() noexcept {
        leave();
        return PQtransactionStatus(raw()) != PQTRANS_IDLE;
    }

    /// Begins a command that is not in the pipeline. @throws as require_open().
    void begin() {
        require_open();
        leave();
        under_way = true;
        single_rows = false;
    }
    /// @param sent what a function of libpq that sends has returned.
    void require_sent(int sent) {
        if (sent == 1) return;
        const std::string why = text();
        if (!open()) lose(why);
        under_way = false;
        throw error(why);
    }
    /// Sends what is to be sent, and returns what is to be waited for before the next call of PQgetResult(), or nothing.
    fd_events pending() {
        if (!open()) return fd_events::none;
        const int left = PQflush(raw());
        if (left < 0) lose(text());
        if (left > 0) return fd_events::readable | fd_events::writable;
        return PQisBusy(raw()) == 1 ? fd_events::readable : fd_events::none;
    }
    /// Takes in what has come.
    void receive() {
        if (PQconsumeInput(raw()) != 1 && open()) lose(text());
    }

    /// Closes the connection, or has the task that uses it find it closed.
    void give_up() noexcept {
        if (empty() && !exclusive.locked())
            close();
        else if (raw() != nullptr)
            ::shutdown(descriptor(), SHUT_RDWR);
    }

    mutex exclusive; // held while the connection is used alone: by a command, a transaction, a stream of rows
    mutex wire;
};

/// Has the server stop the command under way. If it cannot be told, the connection is closed.
template<class = void>
task<> stop_command(session& s) {
    if (!s.open()) co_return;
    const task_handle<bool> telling = create_task(detail::tell_to_stop(s.raw()), "libpq: stop a command");
    while (!telling.done()) {
        try {
            co_await shield(telling);
        } catch (const cancelled_error&) {} // the caller has a request already
    }
    if (telling.cancelled() || !telling.result()) s.close();
}

/// Waits for the answer of the command under way, to its end.
/// @return the last result. @throws the first error.
template<class = void>
task<result> collect(session& s, urgency how, std::exception_ptr request = nullptr) {
    shared_result last, failed;
    bool copies = false;
    bool sending_out = false; // whether rows of a COPY come, which nobody wants
    bool stopping = false;
    for (;;) {
        if (request && !stopping && how == urgency::stoppable) {
            stopping = true;
            co_await detail::stop_command(s);
        }
        fd_events wanted = s.pending();
        if (sending_out && s.open()) {
            char* data = nullptr;
            const int got = PQgetCopyData(s.raw(), &data, 1);
            PQfreemem(data);
            if (got < 0) sending_out = false;
            if (got != 0) continue;
            wanted = wanted | fd_events::readable;
        }
        if (wanted != fd_events::none) {
            try {
                auto ready = wait_ready(s.descriptor(), wanted);
                if (stopping)
                    co_await wait_for(std::move(ready), std::chrono::milliseconds(500));
                else
                    co_await std::move(ready);
            } catch (const timeout_error&) {
                stopping = false; // the server had not begun with the command when it was told
            } catch (const cancelled_error&) {
                if (!request) request = std::current_exception();
            }
            s.receive();
            continue;
        }
        if (s.raw() == nullptr) break;
        const shared_result next = share(PQgetResult(s.raw()));
        if (!next) break;
        last = next;
        const ExecStatusType status = PQresultStatus(next.get());
        if (status == PGRES_COPY_IN) PQputCopyEnd(s.raw(), "the command was not expected to read");
        sending_out = status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
        copies = copies || sending_out || status == PGRES_COPY_IN;
        if (!failed && (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)) failed = next;
    }
    drop_notifications(s.raw());
    s.under_way = false;
    if (!s.open()) {
        s.close();
        if (request) std::rethrow_exception(request);
        if (failed) throw error_of<connection_error>(failed.get());
        throw connection_error("the connection is lost");
    }
    if (request) std::rethrow_exception(request);
    if (copies) throw error("a COPY from STDIN or to STDOUT needs copy_in() or copy_out()");
    if (failed) throw error_of<error>(failed.get());
    co_return result(std::move(last));
}

/// Waits for the next result of the command under way; a null pointer is its end. The caller goes on with end_early() if
/// this throws.
template<class = void>
task<shared_result> next_result(session& s) {
    for (;;) {
        const fd_events wanted = s.pending();
        if (wanted == fd_events::none) break;
        co_await wait_ready(s.descriptor(), wanted);
        s.receive();
    }
    co_return s.raw() != nullptr ? share(PQgetResult(s.raw())) : nullptr;
}

/// Reads the rest of an answer, and throws the reason why nobody wants it.
/// @param unwanted the result that was not expected. @param reason an exception, if there is one.
template<class = void>
task<> end_early(session& s, shared_result unwanted, std::exception_ptr reason) {
    auto how = urgency::stoppable;
    if (unwanted && PQresultStatus(unwanted.get()) == PGRES_FATAL_ERROR) {
        how = urgency::whole;
        reason = s.open() ? std::make_exception_ptr(error_of<error>(unwanted.get()))
                          : std::make_exception_ptr(error_of<connection_error>(unwanted.get()));
    } else if (unwanted) {
        reason = std::make_exception_ptr(error("the command is not of the kind that the call is for"));
    }
    try {
        if (s.raw() != nullptr) co_await detail::collect(s, how, reason);
    } catch (...) {
        if (!reason) reason = std::current_exception();
    }
    if (reason) std::rethrow_exception(reason);
    throw connection_error("the connection is lost");
}

/// Acquires `wire`, and waits until the pipeline is empty.
/// @param how whether a request to cancel ends the wait. @return the first request, if it does not.
template<class = void>
task<std::exception_ptr> take_wire(session& s, urgency how) {
    std::exception_ptr request;
    bool held = false;
    while (!held || !s.empty()) {
        try {
            if (!held) co_await s.wire.acquire();
            held = true;
            co_await s.drained();
        } catch (const cancelled_error&) {
            if (!request) request = std::current_exception();
            if (how == urgency::whole) continue;
            if (held) s.wire.release();
            throw;
        }
    }
    co_return request;
}

/// Both mutexes of a session, held.
struct whole_use {
    whole_use() = default;

    mutex_guard alone;
    mutex_guard wire;
};
template<class = void>
task<whole_use> take_whole(session& s) {
    whole_use taken;
    taken.alone = co_await s.exclusive.scoped_acquire();
    co_await detail::take_wire(s, urgency::stoppable);
    taken.wire = mutex_guard(s.wire);
    co_return std::move(taken);
}

/// Sends a command that is not in the pipeline. The caller holds `wire`, and the pipeline is empty.
template<class = void>
void send_alone(session& s, const std::string& sql) {
    s.begin();
    s.require_sent(PQsendQuery(s.raw(), sql.c_str()));
}
template<class = void>
void send_alone(session& s, const std::string& sql, const parameters& given) {
    const parameters::arrays a = given.view();
    s.begin();
    s.require_sent(PQsendQueryParams(s.raw(), sql.c_str(), given.size(), nullptr, a.values.data(), a.lengths.data(),
                                     a.formats.data(), 0));
}

/// Runs commands without parameters, which may be several in one text.
template<class = void>
task<result> command(std::shared_ptr<session> of, std::string sql, urgency how) {
    session& s = *of;
    std::exception_ptr request = co_await detail::take_wire(s, how);
    const mutex_guard held(s.wire);
    detail::send_alone(s, sql);
    co_return co_await detail::collect(s, how, std::move(request));
}

/// Whether a command with an error may be sent once more, because nothing of it has happened: its prepared statement is
/// out of date, or the request to stop another command has hit it.
template<class = void>
bool may_try_again(session& s, const sent_command& sent, const error& e) {
    if (e.sqlstate() == "57014") return sent.exposed && !sent.unwanted;
    const bool stale =
        e.sqlstate() == "26000" || (e.sqlstate() == "0A000" && e.message().find("cached plan") != std::string::npos);
    if (!stale || sent.name.empty()) return false;
    s.known.forget(sent.name);
    return true;
}

/// Whether a command is a COPY, whose data would be taken for other commands in the pipeline.
inline bool is_copy(std::string_view sql) noexcept {
    std::size_t depth = 0; // of comments, which nest
    std::size_t at = 0;
    for (; at < sql.size(); ++at) {
        const std::string_view rest = sql.substr(at);
        if (rest.starts_with("/*") || (depth > 0 && rest.starts_with("*/"))) {
            depth = rest[0] == '/' ? depth + 1 : depth - 1;
            ++at;
        } else if (depth == 0 && rest.starts_with("--")) {
            at = std::min(sql.find_first_of("\r\n", at), sql.size() - 1);
        } else if (depth == 0 && std::string_view(" \t\r\n\f\v;").find(rest[0]) == std::string_view::npos) {
            break;
        }
    }
    const std::string_view word = sql.substr(std::min(at, sql.size()), 4);
    return word.size() == 4 && ::strncasecmp(word.data(), "copy", 4) == 0;
}

/// Runs a command with parameters in the pipeline.
/// @param in_block whether it belongs to the transaction that has the connection.
template<class = void>
task<result> ask(std::shared_ptr<session> of, std::string sql, parameters given, bool in_block) {
    session& s = *of;
    for (std::optional<error> first;;) {
        std::shared_ptr<sent_command> sent;
        {
            mutex_guard alone;
            if (!in_block) alone = co_await s.exclusive.scoped_acquire();
            if (is_copy(sql)) {
                co_await detail::take_wire(s, urgency::stoppable);
                const mutex_guard held(s.wire);
                detail::send_alone(s, sql, given);
                co_return co_await detail::collect(s, urgency::stoppable);
            }
            const mutex_guard held = co_await s.wire.scoped_acquire();
            sent = s.send(sql, given, !first);
        }
        try {
            co_return co_await detail::answer(s, sent);
        } catch (const connection_error&) {
            throw;
        } catch (const error& e) {
            if (first && e.sqlstate() == "25P02") throw *first; // a transaction has failed by the first one
            if (!may_try_again(s, *sent, e)) throw;
            first = e;
        }
    }
}

} // namespace asynchio::libpq::detail

#pragma GCC visibility pop
