// SPDX-License-Identifier: BSL-1.0
#pragma once

// A connection of libpq whose calls do not block: how a command is sent and its answer awaited.

#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/adapters/libpq_values.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <libpq-fe.h>

#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libpq::detail {

/// What a request to cancel does to a command: the server is told to stop it, or it goes on to its end.
enum class urgency : unsigned char { stoppable, whole };

struct statement {
    std::string sql;
    std::string name;
};

/// A connection. Whoever holds the mutex `wire` may send a command, and holds it until the answer has come.
class session {
public:
    session(PGconn* made, std::size_t statements) noexcept : handle_(made), statements_(statements) {}

    PGconn* raw() const noexcept { return handle_.get(); }
    int descriptor() const noexcept { return PQsocket(raw()); }
    bool open() const noexcept { return raw() != nullptr && PQstatus(raw()) == CONNECTION_OK; }
    /// Whether the connection can be given to somebody else.
    bool idle() const noexcept {
        return open() && !under_way && !exclusive.locked() && !wire.locked() &&
               PQtransactionStatus(raw()) == PQTRANS_IDLE;
    }
    void close() noexcept { handle_.reset(); }
    std::string text() const { return one_line(PQerrorMessage(raw())); }

    /// Begins a command. @throws connection_error if the connection is closed, or was left in the middle of a command.
    void begin() {
        if (under_way) close();
        if (!open()) throw connection_error("the connection is closed");
        under_way = true;
    }
    /// @param sent what a function of libpq that sends has returned.
    void require_sent(int sent) {
        if (sent == 1) return;
        const std::string why = text();
        if (!open()) lose(why);
        under_way = false;
        throw error(why);
    }
    [[noreturn]] void lose(const std::string& why) {
        close();
        throw connection_error(why);
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

    mutex exclusive; // held by whoever has the connection alone: one command, a transaction, a stream of rows
    mutex wire;
    bool under_way = false;     // whether the answer of a command is still to come
    std::list<statement> known; // the prepared statements, the one used last in front
    unsigned long long names = 0;
    std::size_t statements() const noexcept { return statements_; }

private:
    struct finish {
        void operator()(PGconn* given) const noexcept { PQfinish(given); }
    };
    std::unique_ptr<PGconn, finish> handle_;
    std::size_t statements_;
};

/// Has a worker tell the server to stop the command under way. If that fails, the connection is closed.
template<class = void>
task<> stop_command(session& s) {
    struct freed {
        void operator()(PGcancel* given) const noexcept { PQfreeCancel(given); }
    };
    if (!s.open()) co_return;
    const std::unique_ptr<PGcancel, freed> handle(PQgetCancel(s.raw()));
    bool tried = false;
    bool told = false;
    const auto tell = [&] {
        char why[256] = "";
        told = PQcancel(handle.get(), why, sizeof why) == 1;
        tried = true;
    };
    while (!tried) {
        try {
            co_await to_thread(tell);
        } catch (const cancelled_error&) { // the caller has a request already
        }
    }
    if (!told) s.close();
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
                co_await wait_ready(s.descriptor(), wanted);
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
    while (s.raw() != nullptr) { // those that nobody listens to
        PGnotify* dropped = PQnotifies(s.raw());
        if (dropped == nullptr) break;
        PQfreemem(dropped);
    }
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

/// Acquires a mutex, whatever requests to cancel come. @return the first of them.
template<class = void>
task<std::exception_ptr> acquire_surely(mutex& wanted) {
    std::exception_ptr request;
    for (;;) {
        try {
            co_await wanted.acquire();
            co_return request;
        } catch (const cancelled_error&) {
            if (!request) request = std::current_exception();
        }
    }
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
    taken.wire = co_await s.wire.scoped_acquire();
    co_return std::move(taken);
}

/// Runs commands without parameters, which may be several in one text.
template<class = void>
task<result> command(session& s, std::string sql, urgency how) {
    std::exception_ptr request;
    if (how == urgency::whole)
        request = co_await detail::acquire_surely(s.wire);
    else
        co_await s.wire.acquire();
    const mutex_guard held(s.wire);
    s.begin();
    s.require_sent(PQsendQuery(s.raw(), sql.c_str()));
    co_return co_await detail::collect(s, how, std::move(request));
}

/// Whether a prepared statement is out of date: the server has dropped it, or its tables have changed.
inline bool is_stale(const error& e) noexcept {
    return e.sqlstate() == "26000" || (e.sqlstate() == "0A000" && e.message().find("cached plan") != std::string::npos);
}

/// Returns the name of the prepared statement for a text, which is made if it is not there.
template<class = void>
task<std::string> prepare(session& s, const std::string& sql) {
    for (auto each = s.known.begin(); each != s.known.end(); ++each) {
        if (each->sql != sql) continue;
        s.known.splice(s.known.begin(), s.known, each);
        co_return each->name;
    }
    if (s.known.size() >= s.statements()) {
        const std::string drop = "DEALLOCATE " + s.known.back().name;
        s.begin();
        s.require_sent(PQsendQuery(s.raw(), drop.c_str()));
        try {
            co_await detail::collect(s, urgency::whole);
        } catch (const error& e) {
            if (!is_stale(e)) throw;
        }
        s.known.pop_back();
    }
    std::string name = "asynchio_" + std::to_string(++s.names);
    s.begin();
    s.require_sent(PQsendPrepare(s.raw(), name.c_str(), sql.c_str(), 0, nullptr));
    co_await detail::collect(s, urgency::stoppable);
    s.known.push_front({sql, name});
    co_return name;
}

/// Sends a command with parameters. The caller holds `wire`.
template<class = void>
void send(session& s, const std::string& sql, const std::string& name, const parameters& given) {
    const parameters::arrays a = given.view();
    s.begin();
    s.require_sent(name.empty() ? PQsendQueryParams(s.raw(), sql.c_str(), given.size(), nullptr, a.values.data(),
                                                    a.lengths.data(), a.formats.data(), 0)
                                : PQsendQueryPrepared(s.raw(), name.c_str(), given.size(), a.values.data(),
                                                      a.lengths.data(), a.formats.data(), 0));
}

/// Runs a command with parameters. One that is prepared anew is tried once more, unless a transaction has failed by it.
template<class = void>
task<result> ask(session& s, std::string sql, parameters given) {
    co_await s.wire.acquire();
    const mutex_guard held(s.wire);
    for (bool again = false;; again = true) {
        std::string name;
        if (s.statements() > 0) name = co_await detail::prepare(s, sql);
        detail::send(s, sql, name, given);
        try {
            co_return co_await detail::collect(s, urgency::stoppable);
        } catch (const connection_error&) {
            throw;
        } catch (const error& e) {
            if (name.empty() || !is_stale(e)) throw;
            if (e.sqlstate() == "26000")
                s.known.clear(); // the server has most likely dropped all
            else
                s.known.pop_front();
            if (again || PQtransactionStatus(s.raw()) != PQTRANS_IDLE) throw;
        }
    }
}

} // namespace asynchio::libpq::detail

#pragma GCC visibility pop
