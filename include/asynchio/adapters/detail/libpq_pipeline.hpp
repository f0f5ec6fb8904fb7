// SPDX-License-Identifier: BSL-1.0
#pragma once

// Commands that are sent to PostgreSQL one behind the other, without waiting for answers: libpq's pipeline mode. A Sync
// message follows each of them, so that each is a transaction of its own and its error harms no other.

#include <asynchio/adapters/detail/libpq_statements.hpp>
#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/adapters/libpq_values.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/io/fd_events.hpp>
#include <asynchio/io/fd_watcher.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/loop/loop_ref.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <libpq-fe.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libpq::detail {

/// Has a worker tell the server to stop the command that it runs for a connection.
/// @return whether the server was told, within 10 seconds.
template<class = void>
task<bool> tell_to_stop(PGconn* connection) {
    const std::shared_ptr<PGcancel> handle(PQgetCancel(connection), [](PGcancel* given) { PQfreeCancel(given); });
    const auto tell = [handle] {
        char why[256] = "";
        return PQcancel(handle.get(), why, sizeof why) == 1;
    };
    try {
        auto told = to_thread(abandon_on_cancel, tell);
        co_return co_await wait_for(std::move(told), std::chrono::seconds(10));
    } catch (const std::exception&) {} // no time, no thread, or no memory
    co_return false;
}

/// Drops the notifications that nobody listens to.
inline void drop_notifications(PGconn* connection) noexcept {
    while (connection != nullptr) {
        PGnotify* const dropped = PQnotifies(connection);
        if (dropped == nullptr) break;
        PQfreemem(dropped);
    }
}

/// A command that was sent, until its answer is there.
struct sent_command {
    event ended;
    std::string name;           // of its statement
    bool prepares = false;      // whether the next result is that of the preparation
    bool unwanted = false;      // whether the server is to stop it
    bool exposed = false;       // whether a request to stop another command may have hit it
    bool lost = false;          // whether its answer never comes
    shared_result last, failed; // the last result, and the first error
};

struct finish {
    void operator()(PGconn* given) const noexcept { PQfinish(given); }
};
using owned_connection = std::unique_ptr<PGconn, finish>;

/// A connection, its prepared statements, and the commands in its pipeline. The loop takes the answers in, whichever
/// task waits for them.
class pipeline : public std::enable_shared_from_this<pipeline> {
public:
    pipeline(owned_connection made, std::size_t max_statements) : known(max_statements), handle_(std::move(made)) {
        drained_.set();
        stopped_.set();
    }
    pipeline(const pipeline&) = delete;
    pipeline& operator=(const pipeline&) = delete;
    ~pipeline() { close(); }

    PGconn* raw() const noexcept { return handle_.get(); }
    int descriptor() const noexcept { return PQsocket(raw()); }
    bool open() const noexcept { return raw() != nullptr && PQstatus(raw()) == CONNECTION_OK; }
    std::string text() const { return one_line(PQerrorMessage(raw())); }

    /// Whether neither a command is under way nor a request to stop one.
    bool empty() const noexcept { return commands_.empty() && !stopping(); }
    /// Whether unwanted commands are being stopped.
    bool stopping() const noexcept { return !stopped_.is_set(); }
    /// Awaitable: waits until no command is being stopped.
    auto stopped() noexcept { return event::wait_awaiter(stopped_, "libpq: stop a command"); }
    /// Awaitable: waits until it is empty, for a caller that lets nothing be sent meanwhile.
    auto drained() noexcept { return event::wait_awaiter(drained_, "answers of libpq"); }
    /// Leaves pipeline mode, unless a command is under way.
    void leave() noexcept {
        if (!commands_.empty()) return;
        watcher_.detach();
        if (raw() != nullptr) PQexitPipelineMode(raw());
    }
    /// Closes the connection; the commands under way are lost.
    void close() noexcept {
        watcher_.detach();
        for (const auto& each : commands_) {
            each->lost = true;
            each->ended.set();
        }
        commands_.clear();
        handle_.reset();
        tell_if_empty();
    }
    /// Closes the connection. @param why what commands throw from now on.
    void fail(std::string_view why) noexcept {
        if (raw() == nullptr) return;
        try {
            why_lost_ = why;
        } catch (const std::bad_alloc&) {}
        close();
    }
    [[noreturn]] void lose(const std::string& why) {
        fail(why);
        throw connection_error(why);
    }
    /// @throws connection_error if the connection is closed, or was left in the middle of a command.
    void require_open() {
        if (under_way) close();
        if (!open()) throw connection_error("the connection is closed");
    }
    const std::string& why_lost() const noexcept { return why_lost_; }

    /// Sends a command. @param prepare whether as a prepared statement, if the connection keeps any.
    /// @throws error for what libpq refuses, connection_error.
    std::shared_ptr<sent_command> send(const std::string& sql, const parameters& given, bool prepare) {
        const parameters::arrays a = given.view();
        std::list<std::shared_ptr<sent_command>> one(1, std::make_shared<sent_command>());
        const std::shared_ptr<sent_command> command = one.front();
        enter();
        if (single_rows) leave_single_rows();
        prepare = prepare && known.enabled();
        if (prepare) {
            const std::string* prepared = known.find(sql);
            if (prepared == nullptr && known.full()) drop_oldest();
            command->prepares = prepared == nullptr;
            command->name = prepared != nullptr ? *prepared : known.new_name();
            if (command->prepares) known.add(sql, command->name);
        }
        const char* name = command->name.c_str();
        const bool prepared = !command->prepares || PQsendPrepare(raw(), name, sql.c_str(), 0, nullptr) == 1;
        const bool sent =
            prepared && (prepare ? PQsendQueryPrepared(raw(), name, given.size(), a.values.data(), a.lengths.data(),
                                                       a.formats.data(), 0)
                                 : PQsendQueryParams(raw(), sql.c_str(), given.size(), nullptr, a.values.data(),
                                                     a.lengths.data(), a.formats.data(), 0)) == 1;
        if (!sent && command->prepares) known.forget(command->name);
        if (!sent && !(command->prepares && prepared)) refuse();
        std::string refused;
        try {
            if (!sent) refused = text();
        } catch (const std::bad_alloc&) { // what was sent must end all the same
            refused = "no memory";
        }
        end(one);
        if (!sent) throw error(refused);
        return command;
    }

    /// Whether it is the turn of a command.
    bool is_first(const sent_command& one) const noexcept {
        return !commands_.empty() && commands_.front().get() == &one;
    }
    /// Has the server stop the commands that nobody wants, when their turns come.
    void stop_unwanted() noexcept {
        if (stopping() || commands_.empty() || !commands_.front()->unwanted) return;
        stopped_.clear();
        drained_.clear();
        try {
            create_task(stop_commands(stop_mark(shared_from_this())), "libpq: stop a command");
        } catch (...) {
            fail(unstoppable);
        }
    }

    statements known;
    bool under_way = false;   // whether the answer of a command that is not in the pipeline is still to come
    bool single_rows = false; // whether the last command that was not in the pipeline was in single-row mode

private:
    static constexpr const char* unstoppable = "the server could not be asked to stop a command";

    /// The mark that unwanted commands are being stopped, which keeps the pipeline.
    class stop_mark {
    public:
        explicit stop_mark(std::shared_ptr<pipeline> of) noexcept : of_(std::move(of)) {}
        stop_mark(stop_mark&&) noexcept = default;
        stop_mark& operator=(stop_mark&&) = delete;
        ~stop_mark() {
            if (of_ == nullptr) return;
            of_->stopped_.set();
            of_->tell_if_empty();
        }
        pipeline* operator->() const noexcept { return of_.get(); }

    private:
        std::shared_ptr<pipeline> of_;
    };

    /// A request that comes before the server has begun with the command does nothing; therefore it is repeated.
    template<class = void>
    static task<> stop_commands(stop_mark of) {
        while (const std::shared_ptr<sent_command> first = of->to_be_stopped()) {
            const bool told = co_await detail::tell_to_stop(of->raw());
            if (!told && !first->ended.is_set()) of->fail(unstoppable);
            try {
                co_await wait_for(first->ended.wait(), std::chrono::milliseconds(500));
            } catch (const timeout_error&) {}
        }
    }
    /// Returns the command that the server runs if nobody wants it, and marks those behind it.
    std::shared_ptr<sent_command> to_be_stopped() const noexcept {
        if (commands_.empty() || !commands_.front()->unwanted) return nullptr;
        for (const auto& each : commands_) each->exposed = true;
        return commands_.front();
    }

    void enter() {
        require_open();
        if (PQpipelineStatus(raw()) == PQ_PIPELINE_OFF && PQenterPipelineMode(raw()) != 1) throw error(text());
        event_loop& here = get_running_loop();
        if (watcher_ && loop_.get() == &here && !loop_.is_closed()) return;
        watcher_.detach();
        watcher_ = fd_watcher(descriptor(), [this] { advance(); }, fd_events::readable);
        loop_ = here.ref();
    }
    /// Sends nothing but a Sync message, since libpq forgets single-row mode between the commands of a pipeline only.
    void leave_single_rows() {
        std::list<std::shared_ptr<sent_command>> one(1, std::make_shared<sent_command>());
        end(one);
        single_rows = false;
    }
    [[noreturn]] void refuse() {
        const std::string why = text();
        if (!open()) lose(why);
        throw error(why);
    }
    void drop_oldest() {
        std::list<std::shared_ptr<sent_command>> one(1, std::make_shared<sent_command>());
        const std::string text = "DEALLOCATE " + known.oldest();
        if (PQsendQueryParams(raw(), text.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1) refuse();
        known.forget_oldest();
        end(one);
    }
    /// Ends what was sent, which then is under way.
    void end(std::list<std::shared_ptr<sent_command>>& one) {
        if (PQpipelineSync(raw()) != 1) lose(text());
        one.front()->exposed = stopping();
        commands_.splice(commands_.end(), one);
        drained_.clear();
        flush();
        if (!open()) throw connection_error(why_lost());
    }

    void advance() noexcept {
        try {
            const bool received = PQconsumeInput(raw()) == 1;
            take();
            if (raw() == nullptr) return;
            if (!received || !open()) return fail(text());
            flush();
        } catch (const std::exception& e) {
            fail(e.what());
        }
    }
    void flush() {
        const int left = PQflush(raw());
        if (left < 0) return fail(text());
        const fd_events wanted = left > 0 ? fd_events::readable | fd_events::writable : fd_events::readable;
        if (watcher_.wanted() != wanted) watcher_.want(wanted);
    }
    /// Takes the results that are there.
    void take() {
        bool between = false; // whether the last call has returned the mark between the results of two commands
        while (!commands_.empty() && PQisBusy(raw()) == 0) {
            const shared_result next = share(PQgetResult(raw()));
            if (next != nullptr) {
                between = false;
                take(next);
            } else if (!open()) {
                break;
            } else if (std::exchange(between, true)) {
                return fail("the server has left commands without an answer");
            }
        }
        drop_notifications(raw());
    }
    void take(const shared_result& next) {
        sent_command& first = *commands_.front();
        const ExecStatusType status = PQresultStatus(next.get());
        if (status == PGRES_PIPELINE_SYNC) {
            first.ended.set();
            commands_.pop_front();
            stop_unwanted();
            return tell_if_empty();
        }
        const bool fails = status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
        if (fails && first.failed == nullptr) first.failed = next;
        if (std::exchange(first.prepares, false)) {
            if (fails) known.forget(first.name);
            return;
        }
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return fail("the server began a COPY in the midst of other commands");
        if (!fails) first.last = next;
    }
    void tell_if_empty() noexcept {
        if (empty()) drained_.set();
    }

    owned_connection handle_;
    std::list<std::shared_ptr<sent_command>> commands_; // in the order of their answers
    event drained_;
    event stopped_; // cleared while a task has unwanted commands stopped
    std::string why_lost_ = "the connection is closed";
    loop_ref loop_; // that of the watcher
    fd_watcher watcher_;
};

/// Waits for the answer of a command. One that is cancelled is stopped by the server: the command whose turn it is before
/// this returns, another one later.
template<class = void>
task<result> answer(pipeline& of, std::shared_ptr<sent_command> sent) {
    std::exception_ptr request;
    while (!sent->ended.is_set() || (request && of.stopping())) {
        try {
            if (!sent->ended.is_set())
                co_await event::wait_awaiter(sent->ended, "the answer of libpq");
            else
                co_await of.stopped();
        } catch (const cancelled_error&) {
            if (!request) request = std::current_exception();
            sent->unwanted = true;
            if (!of.is_first(*sent)) break;
            of.stop_unwanted();
        }
    }
    if (request) std::rethrow_exception(request);
    if (sent->lost && sent->failed) throw error_of<connection_error>(sent->failed.get());
    if (sent->lost) throw connection_error(of.why_lost());
    if (sent->failed) throw error_of<error>(sent->failed.get());
    co_return result(std::move(sent->last));
}

} // namespace asynchio::libpq::detail

#pragma GCC visibility pop
