// SPDX-License-Identifier: BSL-1.0
#pragma once

// The values, rows and errors of SQLite.

#include <sqlite3.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
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

/// What a statement has changed.
///
/// Threads: a plain value.
struct changes {
    changes() = default;

    /// How many rows were inserted, updated or deleted.
    std::int64_t rows = 0;
    /// The number of the last row that the connection inserted.
    std::int64_t last_rowid = 0;
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

using column_names = std::shared_ptr<const std::vector<std::string>>;

template<class = void>
int bind_value(sqlite3_stmt* to, int at, const value& given) {
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
template<class = void>
value read_value(sqlite3_stmt* from, int at) {
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
/// Returns the row at which a statement stands. @param names of its columns; they are found out if it is null.
template<class = void>
row read_row(sqlite3_stmt* statement, column_names& names) {
    const int columns = sqlite3_column_count(statement);
    if (!names) {
        std::vector<std::string> found;
        for (int i = 0; i < columns; ++i) {
            const char* const name = sqlite3_column_name(statement, i);
            if (name == nullptr) throw std::bad_alloc();
            found.emplace_back(name);
        }
        names = std::make_shared<const std::vector<std::string>>(std::move(found));
    }
    std::vector<value> values;
    values.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) values.push_back(read_value<>(statement, i));
    return row(names, std::move(values));
}

} // namespace detail

} // namespace asynchio::sqlite

#pragma GCC visibility pop
