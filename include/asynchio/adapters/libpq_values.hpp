// SPDX-License-Identifier: BSL-1.0
#pragma once

// Parameters and results of PostgreSQL's commands, as values of C++.

#include <asynchio/adapters/libpq_error.hpp>

#include <libpq-fe.h>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdlib>
#include <locale.h>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::libpq {

namespace detail {

template<class T>
inline constexpr bool is_optional = false;
template<class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// The parameters of a command, as libpq wants them. Bytes are sent in binary, all else as text, whose type the server
/// infers.
class parameters {
public:
    template<class T>
    void add(const T& value) {
        if constexpr (is_optional<T>) {
            if (value)
                add(*value);
            else
                add_null();
        } else if constexpr (std::is_same_v<T, std::nullopt_t> || std::is_same_v<T, std::nullptr_t>) {
            add_null();
        } else if constexpr (std::is_same_v<T, bool>) {
            texts_.push_back({value ? "t" : "f", false, false});
        } else if constexpr (std::is_arithmetic_v<T>) {
            char digits[64];
            const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
            texts_.push_back({std::string(digits, end), false, false});
        } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
            const std::string_view text = value;
            if (text.find('\0') != std::string_view::npos)
                throw std::invalid_argument("libpq: a text parameter has a zero byte: pass bytes for a bytea");
            texts_.push_back({std::string(text), false, false});
        } else {
            static_assert(std::is_convertible_v<const T&, std::span<const std::byte>>,
                          "a parameter is a number, a bool, a text, bytes, or an optional of one of them");
            const std::span<const std::byte> bytes = value;
            texts_.push_back({std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), false, true});
        }
    }

    /// The arrays that PQsendQueryParams() and its likes want. They refer to the parameters.
    struct arrays {
        std::vector<const char*> values;
        std::vector<int> lengths, formats;
    };
    arrays view() const {
        arrays made;
        for (const one& each : texts_) {
            made.values.push_back(each.null ? nullptr : each.text.c_str());
            made.lengths.push_back(static_cast<int>(each.text.size()));
            made.formats.push_back(each.binary ? 1 : 0);
        }
        return made;
    }
    int size() const noexcept { return static_cast<int>(texts_.size()); }

private:
    struct one {
        std::string text;
        bool null;
        bool binary;
    };
    void add_null() { texts_.push_back({std::string(), true, false}); }

    std::vector<one> texts_;
};

template<class... P>
parameters parameters_of(const P&... each) {
    parameters made;
    (made.add(static_cast<const std::conditional_t<std::is_array_v<P>, std::string_view, P>&>(each)), ...);
    return made;
}

using shared_result = std::shared_ptr<PGresult>;

inline shared_result share(PGresult* given) { return shared_result(given, &PQclear); }

/// Returns the number that a text is, whatever the locale of the program.
template<class T>
std::optional<T> number_of(std::string_view text) {
    if constexpr (std::is_floating_point_v<T>) {
        static const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
        char* end = nullptr;
        const double value = ::strtod_l(text.data(), &end, plain); // libpq ends each value with a zero byte
        if (text.empty() || end != text.data() + text.size()) return std::nullopt;
        return static_cast<T>(value);
    } else {
        T value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
        return value;
    }
}

/// Returns the bytes that the text form of a bytea stands for.
inline std::optional<std::vector<std::byte>> bytes_of(std::string_view text) {
    const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
    if (!text.starts_with("\\x") || text.size() % 2 != 0) return std::nullopt;
    std::vector<std::byte> bytes;
    bytes.reserve(text.size() / 2 - 1);
    for (std::size_t i = 2; i < text.size(); i += 2) {
        const int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<std::byte>(high * 16 + low));
    }
    return bytes;
}

} // namespace detail

/// A row of a result.
///
/// Threads: a plain value, which shares the result with other rows. Lifetime: it keeps the result.
class row {
public:
    /// Makes a row of a result of libpq. @param of the result. @param index the number of the row, from 0.
    row(std::shared_ptr<PGresult> of, int index) noexcept : of_(std::move(of)), index_(index) {}

    /// The number of columns.
    int columns() const noexcept { return PQnfields(of_.get()); }

    /// Returns the value of a column: an integer, a floating-point number, a bool, a std::string, a std::string_view into
    /// the result, a std::vector<std::byte> of a bytea, or a std::optional of one of them, which is empty for NULL.
    /// @param column the index, from 0.
    /// @throws error if the value is NULL, or not of type `T`, or too large for it; std::out_of_range for a column that
    /// is not there.
    template<class T>
    T get(int column) const {
        if (column < 0 || column >= columns())
            throw std::out_of_range("libpq: the row has no column " + std::to_string(column));
        const bool null = PQgetisnull(of_.get(), index_, column) == 1;
        if constexpr (detail::is_optional<T>) {
            if (null) return std::nullopt;
            return value<typename T::value_type>(column);
        } else {
            if (null) throw error(name(column) + " is NULL: ask for a std::optional");
            return value<T>(column);
        }
    }
    /// Returns the value of a column. @param column its name, exactly as the server tells it. @throws as the other get().
    template<class T>
    T get(std::string_view column) const {
        for (int i = 0; i < columns(); ++i)
            if (column == PQfname(of_.get(), i)) return get<T>(i);
        throw std::out_of_range("libpq: the row has no column \"" + std::string(column) + "\"");
    }

private:
    std::string name(int column) const { return "column \"" + std::string(PQfname(of_.get(), column)) + "\""; }
    template<class T>
    T value(int column) const {
        const std::string_view text(PQgetvalue(of_.get(), index_, column),
                                    static_cast<std::size_t>(PQgetlength(of_.get(), index_, column)));
        if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
            return T(text);
        } else if constexpr (std::is_same_v<T, bool>) {
            if (text != "t" && text != "f") refuse(column, text, "bool");
            return text == "t";
        } else if constexpr (std::is_same_v<T, std::vector<std::byte>>) {
            auto bytes = detail::bytes_of(text);
            if (!bytes) refuse(column, text, "bytea");
            return std::move(*bytes);
        } else {
            static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, char>,
                          "a column is got as a number, a bool, a text, bytes, or an optional of one of them");
            const auto number = detail::number_of<T>(text);
            if (!number) refuse(column, text, std::is_integral_v<T> ? "whole number of that size" : "number");
            return *number;
        }
    }
    [[noreturn]] void refuse(int column, std::string_view text, const char* wanted) const {
        throw error(name(column) + " is no " + wanted + ": " + std::string(text.substr(0, 40)));
    }

    std::shared_ptr<PGresult> of_;
    int index_;
};

/// What a command returns: rows, and how many rows it has touched.
///
/// Threads: a plain value; copies share the rows. Example: `for (const libpq::row& each : answer) ...`
class result {
public:
    result() = default;
    /// Takes over a result of libpq. @param given the result.
    explicit result(std::shared_ptr<PGresult> given) noexcept : given_(std::move(given)) {}

    /// The number of rows.
    int size() const noexcept { return PQntuples(given_.get()); }
    /// Whether there is no row.
    bool empty() const noexcept { return size() == 0; }
    /// The number of columns.
    int columns() const noexcept { return PQnfields(given_.get()); }
    /// Returns a row. @throws std::out_of_range for one that is not there.
    row at(int index) const {
        if (index < 0 || index >= size())
            throw std::out_of_range("libpq: the result has no row " + std::to_string(index));
        return row(given_, index);
    }
    /// Returns a row. @throws as at().
    row operator[](int index) const { return at(index); }
    /// The number of rows that an INSERT, UPDATE, DELETE, SELECT or COPY has touched; 0 for other commands.
    long long affected() const noexcept { return std::atoll(PQcmdTuples(given_.get())); }
    /// The server's word on what it did, such as "INSERT 0 1".
    std::string_view status() const noexcept { return PQcmdStatus(given_.get()); }
    /// libpq's result, which this keeps; a null pointer if this is empty.
    PGresult* native_handle() const noexcept { return given_.get(); }

    /// Goes through the rows.
    class iterator {
    public:
        /// Makes an iterator at a row. @param of the result, which must outlive it. @param index the row.
        iterator(const result& of, int index) noexcept : of_(&of), index_(index) {}
        /// Returns the row.
        row operator*() const { return row(of_->given_, index_); }
        /// Goes on to the next row.
        iterator& operator++() noexcept {
            ++index_;
            return *this;
        }
        bool operator==(const iterator& other) const noexcept { return index_ == other.index_; }

    private:
        const result* of_;
        int index_;
    };
    /// The first row.
    iterator begin() const noexcept { return iterator(*this, 0); }
    /// The end of the rows.
    iterator end() const noexcept { return iterator(*this, size()); }

private:
    std::shared_ptr<PGresult> given_;
};

} // namespace asynchio::libpq

#pragma GCC visibility pop
