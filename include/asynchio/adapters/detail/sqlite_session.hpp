// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the thread of a connection to SQLite does: the handle of the database, its prepared statements, rows and errors.

#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/thread/thread_pool.hpp>

#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::sqlite {

/// An error that SQLite reports.
///
/// Threads: a plain value.
class error : public std::runtime_error {
public:
    /// @param code the extended result code. @param text what SQLite says of it. @param sql the statement, or nothing.
    error(int code, const std::string& text, const std::string& sql)
        : std::runtime_error("sqlite: " + text + (sql.empty() ? "" : " in: " + sql)), code_(code),
          sql_(std::make_shared<const std::string>(sql)) {}

    /// Returns SQLite's extended result code, as SQLITE_CONSTRAINT_UNIQUE.
    int code() const noexcept { return code_; }
    /// Returns the class of the code, as SQLITE_CONSTRAINT.
    int primary_code() const noexcept { return code_ & 0xff; }
    /// Returns the statement that failed; it is empty when there was none.
    const std::string& sql() const noexcept { return *sql_; }

private:
    int code_;
    std::shared_ptr<const std::string> sql_;
};

/// How a database is opened.
///
/// Threads: a plain value.
struct options {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE; ///< flags of sqlite3_open_v2()
    std::chrono::milliseconds busy_timeout{5000};           ///< how long a call waits for another connection's lock
    std::size_t statements = 64;                            ///< the maximum number of prepared statements that are kept
    std::size_t read_ahead = 64;                            ///< how many rows a stream reads at a time, at least 1
};

/// What a statement has changed.
///
/// Threads: a plain value.
struct changes {
    std::int64_t rows = 0;       ///< how many rows were inserted, updated or deleted
    std::int64_t last_rowid = 0; ///< the number of the last row that the connection inserted
};

/// Bytes of a BLOB.
using blob = std::vector<std::byte>;
/// A value of SQLite: NULL, an integer, a real number, a text, or bytes.
using value = std::variant<std::monostate, std::int64_t, double, std::string, blob>;

namespace detail {

template<class T>
struct optional_of : std::false_type {};
template<class T>
struct optional_of<std::optional<T>> : std::true_type {};

template<class T>
value value_of(const T& given) {
    if constexpr (optional_of<T>::value) {
        return given ? value_of(*given) : value();
    } else if constexpr (std::is_same_v<T, value>) {
        return given;
    } else if constexpr (std::is_same_v<T, std::nullptr_t> || std::is_same_v<T, std::nullopt_t>) {
        return value();
    } else if constexpr (std::integral<T>) {
        if (!std::in_range<std::int64_t>(static_cast<std::conditional_t<std::is_same_v<T, bool>, int, T>>(given)))
            throw std::out_of_range("sqlite: the parameter " + std::to_string(given) + " exceeds 64 bits with a sign");
        return value(static_cast<std::int64_t>(given));
    } else if constexpr (std::floating_point<T>) {
        return value(static_cast<double>(given));
    } else if constexpr (std::is_same_v<T, blob>) {
        return value(given);
    } else {
        static_assert(
            std::is_convertible_v<const T&, std::string_view>,
            "a parameter of SQLite is an integer, a number, a text, a blob, nullptr, or an optional of these");
        return value(std::string(std::string_view(given)));
    }
}
template<class... Params>
std::vector<value> values_of(const Params&... params) {
    std::vector<value> all;
    all.reserve(sizeof...(Params));
    (all.push_back(value_of(params)), ...);
    return all;
}

} // namespace detail

/// A row of a result.
///
/// Behaviour: a column is named by its number from 0, or by its name. get<T>() gives an integer type, bool, double,
/// std::string, blob, value, or an optional of one, which is empty for NULL.
/// Threads: a plain value.
class row {
public:
    /// @param names the names of the columns. @param values the values, as many as names.
    row(std::shared_ptr<const std::vector<std::string>> names, std::vector<value> values) noexcept
        : names_(std::move(names)), values_(std::move(values)) {}

    /// Returns the number of columns.
    std::size_t size() const noexcept { return values_.size(); }
    /// Returns the name of a column. @throws std::out_of_range when there is no such column.
    const std::string& name(std::size_t column) const {
        require_column(column);
        return (*names_)[column];
    }
    /// Returns the value of a column. @throws std::out_of_range when there is no such column, or when the integer does
    /// not fit `T`; std::invalid_argument when the value has another type, also for NULL.
    template<class T>
    T get(std::size_t column) const {
        require_column(column);
        const value& held = values_[column];
        if constexpr (detail::optional_of<T>::value) {
            if (std::holds_alternative<std::monostate>(held)) return std::nullopt;
            return get<typename T::value_type>(column);
        } else if constexpr (std::is_same_v<T, value>) {
            return held;
        } else if constexpr (std::integral<T>) {
            const std::int64_t whole = as<std::int64_t>(column, "an integer");
            if constexpr (std::is_same_v<T, bool>) {
                return whole != 0;
            } else {
                if (!std::in_range<T>(whole))
                    throw std::out_of_range("sqlite: the integer " + std::to_string(whole) + " in column " +
                                            quoted(column) + " does not fit the wanted type");
                return static_cast<T>(whole);
            }
        } else if constexpr (std::floating_point<T>) {
            if (const auto* whole = std::get_if<std::int64_t>(&held)) return static_cast<T>(*whole);
            return static_cast<T>(as<double>(column, "a number"));
        } else if constexpr (std::is_same_v<T, std::string>) {
            return as<std::string>(column, "a text");
        } else {
            static_assert(std::is_same_v<T, blob>, "a row gives integers, numbers, std::string, blob, value, and "
                                                   "optionals of these");
            return as<blob>(column, "a blob");
        }
    }
    /// Returns the value of a column by its name. @throws as get() by number.
    template<class T>
    T get(std::string_view name) const {
        for (std::size_t column = 0; column < names_->size(); ++column)
            if ((*names_)[column] == name) return get<T>(column);
        std::string has;
        for (const std::string& each : *names_) has += (has.empty() ? "" : ", ") + each;
        throw std::out_of_range("sqlite: there is no column \"" + std::string(name) + "\"; the row has " + has);
    }
    /// @copydoc get
    template<class T>
    T get(const char* name) const {
        return get<T>(std::string_view(name));
    }
    /// Returns the value of a column. @throws as get() by number.
    template<class T>
    T get(int column) const {
        return get<T>(static_cast<std::size_t>(column));
    }

private:
    std::string quoted(std::size_t column) const { return std::to_string(column) + " (\"" + (*names_)[column] + "\")"; }
    void require_column(std::size_t column) const {
        if (column >= values_.size())
            throw std::out_of_range("sqlite: there is no column " +
                                    std::to_string(static_cast<std::ptrdiff_t>(column)) + "; the row has " +
                                    std::to_string(values_.size()));
    }
    template<class T>
    const T& as(std::size_t column, const char* wanted) const {
        static constexpr const char* kinds[] = {"NULL", "an integer", "a real number", "a text", "a blob"};
        if (const T* found = std::get_if<T>(&values_[column])) return *found;
        throw std::invalid_argument("sqlite: column " + quoted(column) + " is " + kinds[values_[column].index()] +
                                    ", not " + wanted);
    }

    std::shared_ptr<const std::vector<std::string>> names_;
    std::vector<value> values_;
};

namespace detail {

struct reply {
    std::vector<row> rows;
    changes changed;
};

struct finalizer {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using statement_ptr = std::unique_ptr<sqlite3_stmt, finalizer>;
using column_names = std::shared_ptr<const std::vector<std::string>>;

/// The database of a connection. `turn` and `owner` belong to the loop's thread, the rest to the connection's.
class session {
public:
    session(std::string file, options with) : path(std::move(file)), how(with), threads(1) {
        if (how.read_ahead == 0) throw std::invalid_argument("sqlite: options: read_ahead must be at least 1");
    }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() { close(); }

    void require_open() const {
        if (closing.load()) throw std::logic_error("sqlite: the connection to " + path + " is closed");
    }
    /// Lets calls that run, and those to come, end soon.
    void begin_closing() noexcept { closing.store(true); }
    void close() noexcept {
        cache_.clear();
        sqlite3_close_v2(std::exchange(db_, nullptr));
    }

    void open() {
        const int code = sqlite3_open_v2(path.c_str(), &db_, how.flags | SQLITE_OPEN_FULLMUTEX, nullptr);
        if (code != SQLITE_OK) {
            const int extended = db_ != nullptr ? sqlite3_extended_errcode(db_) : code;
            throw error(extended, std::string(sqlite3_errstr(code)) + ": " + path, "");
        }
        sqlite3_extended_result_codes(db_, 1);
        // sqlite3_interrupt() is lost when it comes before the first step, and hits later calls while a stream is open.
        sqlite3_progress_handler(db_, 1000, &should_stop, this);
        sqlite3_busy_handler(db_, &wait_for_lock, this);
    }

    reply run(const std::string& sql, const std::vector<value>& params, const std::stop_token& stop) {
        const running now(*this, stop);
        statement_ptr statement = cached_statement(sql);
        bind(statement.get(), sql, params);
        reply all;
        const std::int64_t before = sqlite3_total_changes(db_);
        column_names names;
        while (step(statement.get(), sql)) all.rows.push_back(read(statement.get(), names));
        if (sqlite3_total_changes(db_) != before) all.changed.rows = sqlite3_changes(db_);
        all.changed.last_rowid = sqlite3_last_insert_rowid(db_);
        keep(sql, std::move(statement));
        return all;
    }

    void run_script(const std::string& sql, const std::stop_token& stop) {
        const running now(*this, stop);
        if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
    }

    void roll_back() {
        if (db_ != nullptr && sqlite3_get_autocommit(db_) == 0)
            sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    }

    statement_ptr prepare(const std::string& sql) {
        sqlite3_stmt* made = nullptr;
        const char* rest = nullptr;
        if (sqlite3_prepare_v2(db_, sql.c_str(), static_cast<int>(sql.size() + 1), &made, &rest) != SQLITE_OK)
            fail(sql);
        statement_ptr statement(made);
        if (!statement) throw std::invalid_argument("sqlite: there is no statement in: " + sql);
        if (std::string_view(rest).find_first_not_of("; \t\r\n") != std::string_view::npos)
            throw std::invalid_argument("sqlite: execute_script runs several statements, this call runs one: " + sql);
        return statement;
    }
    void bind(sqlite3_stmt* statement, const std::string& sql, const std::vector<value>& params) {
        const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(statement));
        if (wanted != params.size())
            throw std::invalid_argument("sqlite: the statement has " + std::to_string(wanted) + " parameters, but " +
                                        std::to_string(params.size()) + " were given: " + sql);
        for (std::size_t i = 0; i < params.size(); ++i)
            if (bind_one(statement, static_cast<int>(i + 1), params[i]) != SQLITE_OK) fail(sql);
    }
    bool step(sqlite3_stmt* statement, const std::string& sql) {
        const int code = sqlite3_step(statement);
        if (code != SQLITE_ROW && code != SQLITE_DONE) fail(sql);
        return code == SQLITE_ROW;
    }
    static row read(sqlite3_stmt* statement, column_names& names) {
        const int columns = sqlite3_column_count(statement);
        if (!names) {
            std::vector<std::string> found;
            for (int i = 0; i < columns; ++i) found.emplace_back(sqlite3_column_name(statement, i));
            names = std::make_shared<const std::vector<std::string>>(std::move(found));
        }
        std::vector<value> values;
        values.reserve(static_cast<std::size_t>(columns));
        for (int i = 0; i < columns; ++i) values.push_back(read_one(statement, i));
        return row(names, std::move(values));
    }

    /// Tells the handlers of SQLite which request to stop counts. The connection's thread makes it for each call.
    class running {
    public:
        running(session& of, const std::stop_token& stop) : session_(of) {
            of.require_open();
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
    thread_pool threads;

private:
    struct prepared {
        std::string sql;
        statement_ptr statement;
    };

    [[noreturn]] void fail(const std::string& sql) const {
        throw error(sqlite3_extended_errcode(db_), sqlite3_errmsg(db_), sql);
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
    void keep(const std::string& sql, statement_ptr statement) {
        sqlite3_reset(statement.get());
        sqlite3_clear_bindings(statement.get());
        if (how.statements == 0) return;
        cache_.push_front(prepared{sql, std::move(statement)});
        if (cache_.size() > how.statements) cache_.pop_back();
        cached.store(cache_.size());
    }
    static int bind_one(sqlite3_stmt* to, int at, const value& given) {
        if (const auto* whole = std::get_if<std::int64_t>(&given)) return sqlite3_bind_int64(to, at, *whole);
        if (const auto* real = std::get_if<double>(&given)) return sqlite3_bind_double(to, at, *real);
        if (const auto* text = std::get_if<std::string>(&given))
            return sqlite3_bind_text64(to, at, text->data(), text->size(), nullptr, SQLITE_UTF8);
        if (const auto* bytes = std::get_if<blob>(&given)) {
            if (bytes->empty()) return sqlite3_bind_zeroblob(to, at, 0);
            return sqlite3_bind_blob64(to, at, bytes->data(), bytes->size(), nullptr);
        }
        return sqlite3_bind_null(to, at);
    }
    static value read_one(sqlite3_stmt* from, int at) {
        switch (sqlite3_column_type(from, at)) {
        case SQLITE_INTEGER: return value(static_cast<std::int64_t>(sqlite3_column_int64(from, at)));
        case SQLITE_FLOAT: return value(sqlite3_column_double(from, at));
        case SQLITE_NULL: return value();
        case SQLITE_TEXT: {
            const auto* text = static_cast<const char*>(static_cast<const void*>(sqlite3_column_text(from, at)));
            return value(std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(from, at))));
        }
        default: {
            const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(from, at));
            return value(blob(bytes, bytes + sqlite3_column_bytes(from, at)));
        }
        }
    }

    sqlite3* db_ = nullptr;
    const std::stop_token* stop_ = nullptr;
    std::chrono::steady_clock::time_point busy_since_;
    std::list<prepared> cache_; // the statement used last stands first; one that runs is not in it
};

/// A statement whose rows are read in batches.
class cursor {
public:
    explicit cursor(std::shared_ptr<session> of) noexcept : session_(std::move(of)) {}

    bool at_end() const noexcept { return at_end_; }
    std::vector<row> read(const std::string& sql, const std::vector<value>& params, const std::stop_token& stop) {
        const session::running now(*session_, stop);
        if (!statement_) {
            statement_ = session_->prepare(sql);
            session_->bind(statement_.get(), sql, params);
        }
        std::vector<row> batch;
        while (batch.size() < session_->how.read_ahead) {
            if (!session_->step(statement_.get(), sql)) {
                at_end_ = true;
                statement_.reset();
                break;
            }
            batch.push_back(session::read(statement_.get(), names_));
        }
        return batch;
    }

private:
    std::shared_ptr<session> session_;
    statement_ptr statement_;
    column_names names_;
    bool at_end_ = false;
};

} // namespace detail

} // namespace asynchio::sqlite

#pragma GCC visibility pop
