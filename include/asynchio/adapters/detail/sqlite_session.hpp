// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the thread of a connection to SQLite does: the handle of the database, and its prepared statements.

#include <asynchio/adapters/sqlite_options.hpp>
#include <asynchio/adapters/sqlite_values.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/thread/thread_pool.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::sqlite {

namespace detail {

struct reply {
    std::vector<row> rows;
    changes changed;
};

struct finalizer {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
    void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
};
using statement_ptr = std::unique_ptr<sqlite3_stmt, finalizer>;

/// @param what the thing that has the text. @throws std::invalid_argument for a zero byte, where SQLite would cut it.
template<class = void>
void require_whole(const char* what, const std::string& text) {
    const std::size_t at = text.find('\0');
    if (at != std::string::npos)
        throw std::invalid_argument("sqlite: " + std::string(what) + " has a zero byte at position " +
                                    std::to_string(at) + ": " + text.substr(0, at));
}

/// Returns where blanks, semicolons and comments that begin at a position end.
template<class = void>
std::size_t skip_blanks(std::string_view sql, std::size_t at) {
    while (at < sql.size()) {
        std::size_t end = at + 1;
        if (sql.substr(at, 2) == "--")
            end = sql.find('\n', at);
        else if (sql.substr(at, 2) == "/*")
            end = sql.find("*/", at + 2) == std::string_view::npos ? sql.size() : sql.find("*/", at + 2) + 2;
        else if (std::string_view("; \t\n\f\r").find(sql[at]) == std::string_view::npos)
            break;
        at = std::min(end, sql.size());
    }
    return at;
}

/// The database of a connection. `turn` and `owner` belong to the loop's thread, the rest to the connection's.
class session {
public:
    session(std::string file, options with) : path(std::move(file)), how(with), threads(1) {
        require_whole("the path", path);
        if (how.read_ahead == 0) throw std::invalid_argument("sqlite: options: read_ahead must be at least 1");
    }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() = default;

    void require_open() const {
        if (closing.load()) throw std::logic_error("sqlite: the connection to " + path + " is closed");
    }
    /// Lets calls that run, and those to come, end soon.
    void begin_closing() noexcept { closing.store(true); }
    /// Has the file closed behind the calls that are under way, whoever waits for that.
    void give_close() {
        if (close_given_) return;
        static_cast<void>(threads.submit([this] { close(); }));
        close_given_ = true;
    }
    /// Has a transaction rolled back whose end was never reached.
    void abandon_transaction() noexcept {
        abandoned_.store(true);
        try {
            static_cast<void>(threads.submit([this] { settle(); }));
        } catch (const std::exception&) { // the next call does it, or the close
        }
    }

    void open() {
        sqlite3* made = nullptr;
        const int code = sqlite3_open_v2(path.c_str(), &made, how.flags | SQLITE_OPEN_FULLMUTEX, nullptr);
        db_.reset(made);
        if (code != SQLITE_OK) {
            const int extended = made != nullptr ? sqlite3_extended_errcode(made) : code;
            throw error(extended, std::string(sqlite3_errstr(code)) + ": " + path, "");
        }
        sqlite3_extended_result_codes(db_.get(), 1);
        // sqlite3_interrupt() is lost when it comes before the first step, and hits later calls while a stream is open.
        sqlite3_progress_handler(db_.get(), 1000, &should_stop, this);
        sqlite3_busy_handler(db_.get(), &wait_for_lock, this);
    }

    reply run(const std::string& sql, const std::vector<value>& params, const std::stop_token& stop) {
        const running now(*this, stop);
        statement_ptr statement = cached_statement(sql);
        bind(statement.get(), sql, params);
        reply all;
        const std::int64_t before = sqlite3_total_changes(db_.get());
        column_names names;
        while (step(statement.get(), sql)) all.rows.push_back(read_row<>(statement.get(), names));
        if (sqlite3_total_changes(db_.get()) != before) all.changed.rows = sqlite3_changes(db_.get());
        all.changed.last_rowid = sqlite3_last_insert_rowid(db_.get());
        keep(sql, std::move(statement));
        return all;
    }

    void run_script(const std::string& sql, const std::stop_token& stop) {
        const running now(*this, stop);
        require_whole("the script", sql);
        if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
    }

    void begin(const std::string& sql, const std::stop_token& stop) {
        {
            const running now(*this, stop);
            if (sqlite3_get_autocommit(db_.get()) == 0)
                throw std::logic_error("sqlite: transaction: a statement has begun one in " + path +
                                       " already; COMMIT or ROLLBACK must come first");
        }
        run(sql, {}, stop);
        if (sqlite3_get_autocommit(db_.get()) != 0)
            throw std::invalid_argument("sqlite: transaction: this does not begin one: " + sql);
        begun_ = true;
    }
    void commit(const std::stop_token& stop) {
        run("COMMIT", {}, stop);
        begun_ = false;
    }
    /// Rolls back what begin() has begun, if it has not ended.
    void roll_back() noexcept {
        if (std::exchange(begun_, false) && db_ != nullptr && sqlite3_get_autocommit(db_.get()) == 0)
            sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }

    using reading = std::list<statement_ptr>::iterator;
    reading begin_reading(const std::string& sql, const std::vector<value>& params) {
        statement_ptr statement = prepare(sql);
        bind(statement.get(), sql, params);
        return reading_.insert(reading_.begin(), std::move(statement));
    }
    void end_reading(reading which) noexcept {
        if (db_ != nullptr) reading_.erase(which);
    }
    /// Has end_reading() called in the connection's thread.
    void leave_reading(reading which) noexcept {
        try {
            static_cast<void>(threads.submit([this, which] { end_reading(which); }));
        } catch (const std::exception&) { // the close does it
        }
    }

    statement_ptr prepare(const std::string& sql) {
        require_whole("the statement", sql);
        const char* const first = sql.c_str() + skip_blanks(sql, 0);
        sqlite3_stmt* made = nullptr;
        const char* rest = first;
        if (sqlite3_prepare_v2(db_.get(), first, -1, &made, &rest) != SQLITE_OK) fail(sql);
        statement_ptr statement(made);
        if (!statement) throw std::invalid_argument("sqlite: there is no statement in: " + sql);
        if (skip_blanks(sql, static_cast<std::size_t>(rest - sql.c_str())) != sql.size())
            throw std::invalid_argument("sqlite: execute_script runs several statements, this call runs one: " + sql);
        return statement;
    }
    void bind(sqlite3_stmt* statement, const std::string& sql, const std::vector<value>& params) {
        const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(statement));
        if (wanted != params.size())
            throw std::invalid_argument("sqlite: the statement has " + std::to_string(wanted) + " parameters, but " +
                                        std::to_string(params.size()) + " were given: " + sql);
        for (std::size_t i = 0; i < params.size(); ++i)
            if (bind_value<>(statement, static_cast<int>(i + 1), params[i]) != SQLITE_OK) fail(sql);
    }
    bool step(sqlite3_stmt* statement, const std::string& sql) {
        const int code = sqlite3_step(statement);
        if (code != SQLITE_ROW && code != SQLITE_DONE) fail(sql);
        return code == SQLITE_ROW;
    }

    /// Tells the handlers of SQLite which request to stop counts. The connection's thread makes it for each call.
    class running {
    public:
        running(session& of, const std::stop_token& stop) : session_(of) {
            of.require_open();
            of.settle();
            if (of.begun_ && sqlite3_get_autocommit(of.db_.get()) != 0)
                throw error(SQLITE_ABORT_ROLLBACK,
                            "the transaction has ended before its block: SQLite has rolled it back after an error or "
                            "an interruption, or a statement has ended it",
                            "");
            of.stop_ = &stop;
        }
        running(const running&) = delete;
        running& operator=(const running&) = delete;
        ~running() { session_.stop_ = nullptr; }

    private:
        session& session_;
    };

    const std::string path;
    const options how;
    std::atomic<bool> closing = false;
    std::atomic<std::size_t> cached = 0;
    mutex turn;                                     // a transaction holds it
    const asynchio::detail::frame* owner = nullptr; // the task of the transaction

private:
    struct prepared {
        std::string sql;
        statement_ptr statement;
    };

    void close() noexcept {
        cache_.clear();
        reading_.clear();
        db_.reset();
    }
    void settle() noexcept {
        if (abandoned_.exchange(false)) roll_back();
    }

    [[noreturn]] void fail(const std::string& sql) const {
        const int code = sqlite3_extended_errcode(db_.get());
        std::string text = sqlite3_errmsg(db_.get());
        switch (code & 0xff) { // what is wrong with the file
        case SQLITE_PERM:
        case SQLITE_BUSY:
        case SQLITE_READONLY:
        case SQLITE_IOERR:
        case SQLITE_CORRUPT:
        case SQLITE_FULL:
        case SQLITE_CANTOPEN:
        case SQLITE_NOTADB: text += ": " + path; break;
        default: break;
        }
        throw error(code, text, sql);
    }
    bool stopping() const noexcept { return closing.load() || (stop_ != nullptr && stop_->stop_requested()); }
    static int should_stop(void* self) { return static_cast<session*>(self)->stopping() ? 1 : 0; }
    static int wait_for_lock(void* given, int tries) {
        auto& self = *static_cast<session*>(given);
        const auto now = std::chrono::steady_clock::now();
        if (tries == 0) self.busy_since_ = now;
        if (self.stopping() || now - self.busy_since_ >= self.how.busy_timeout) return 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(tries < 5 ? 1 : 5));
        return 1;
    }

    statement_ptr cached_statement(const std::string& sql) {
        for (auto each = cache_.begin(); each != cache_.end(); ++each) {
            if (each->sql != sql) continue;
            statement_ptr found = std::move(each->statement);
            cache_.erase(each);
            cached.store(cache_.size());
            return found;
        }
        return prepare(sql);
    }
    void keep(const std::string& sql, statement_ptr statement) noexcept {
        sqlite3_reset(statement.get());
        sqlite3_clear_bindings(statement.get());
        if (how.statements == 0) return;
        try {
            cache_.push_front(prepared{sql, std::move(statement)});
        } catch (const std::bad_alloc&) { // it is prepared again the next time
            return;
        }
        if (cache_.size() > how.statements) cache_.pop_back();
        cached.store(cache_.size());
    }

    std::unique_ptr<sqlite3, finalizer> db_;
    const std::stop_token* stop_ = nullptr;
    std::chrono::steady_clock::time_point busy_since_;
    std::list<prepared> cache_;        // the statement used last stands first; one that runs is not in it
    std::list<statement_ptr> reading_; // the statements of streams
    bool begun_ = false;               // from begin() to the end of its transaction
    std::atomic<bool> abandoned_ = false;
    bool close_given_ = false; // belongs to the loop's thread

public:
    thread_pool threads; // comes last: the thread ends before anything that it uses
};

/// A statement whose rows are read in batches.
class cursor {
public:
    explicit cursor(std::shared_ptr<session> of) noexcept : session_(std::move(of)) {}
    cursor(const cursor&) = delete;
    cursor& operator=(const cursor&) = delete;
    ~cursor() {
        if (begun_ && !at_end_) session_->leave_reading(statement_);
    }

    bool at_end() const noexcept { return at_end_; }
    std::vector<row> read(const std::string& sql, const std::vector<value>& params, const std::stop_token& stop) {
        const session::running now(*session_, stop);
        if (!begun_) {
            statement_ = session_->begin_reading(sql, params);
            begun_ = true;
        }
        std::vector<row> batch;
        while (batch.size() < session_->how.read_ahead) {
            if (!session_->step(statement_->get(), sql)) {
                at_end_ = true;
                session_->end_reading(statement_);
                break;
            }
            batch.push_back(read_row<>(statement_->get(), names_));
        }
        return batch;
    }

private:
    std::shared_ptr<session> session_;
    session::reading statement_;
    column_names names_;
    bool begun_ = false;
    bool at_end_ = false;
};

/// The turn of a transaction. If it is destroyed before release(), the transaction is rolled back.
class held_turn {
public:
    held_turn() noexcept = default;
    /// Takes over the turn, which the running task has acquired.
    explicit held_turn(std::shared_ptr<session> of) noexcept : session_(std::move(of)), guard_(session_->turn) {
        session_->owner = asynchio::detail::current_task_frame();
    }
    held_turn(held_turn&& other) noexcept = default;
    held_turn& operator=(held_turn other) noexcept {
        std::swap(session_, other.session_);
        std::swap(guard_, other.guard_);
        return *this;
    }
    ~held_turn() {
        if (!session_) return;
        session_->abandon_transaction();
        release();
    }
    void release() noexcept {
        if (!session_) return;
        session_->owner = nullptr;
        guard_.release();
        session_.reset();
    }

private:
    std::shared_ptr<session> session_;
    mutex_guard guard_;
};

} // namespace detail

} // namespace asynchio::sqlite

#pragma GCC visibility pop
