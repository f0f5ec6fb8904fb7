// SPDX-License-Identifier: BSL-1.0
#pragma once

// The replies of Redis as values of C++.

#include <asynchio/adapters/hiredis_error.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <locale.h>
#include <optional>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::hiredis {

namespace detail {

struct reply_access;

template<class T>
inline constexpr bool is_optional = false;
template<class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template<class T>
inline constexpr bool is_pair = false;
template<class A, class B>
inline constexpr bool is_pair<std::pair<A, B>> = true;

/// A type of std::map's kind.
template<class T>
concept is_map = requires(T& all, typename T::key_type key, typename T::mapped_type value) {
    all.insert_or_assign(std::move(key), std::move(value));
};

/// A type of std::vector's or std::set's kind.
template<class T>
concept is_collection = requires(T& all, typename T::value_type each) { all.insert(all.end(), std::move(each)); };

} // namespace detail

/// What a reply is.
///
/// Threads: a plain value.
enum class reply_type : unsigned char {
    /// Nothing: the key or the element does not exist.
    nil,
    /// A short text of the server, such as "OK".
    status,
    /// An integer of 64 bits.
    integer,
    /// Bytes, which may be text.
    string,
    /// Replies, which may be arrays again.
    array,
    /// An error inside of an array, as a transaction has one for each command that has failed.
    error,
};

/// A reply of the server, as a value.
///
/// Threads: a plain value.
/// Example: `auto names = (co_await db.command("LRANGE", "names", 0, -1)).get<std::vector<std::string>>();`
/// See also: connection::command.
class reply {
public:
    /// Makes a nil.
    reply() noexcept = default;

    /// What it is.
    reply_type type() const noexcept { return type_; }
    /// Whether it is nil.
    bool is_nil() const noexcept { return type_ == reply_type::nil; }

    /// Returns it as a value of a type of C++.
    ///
    /// @tparam T std::string or std::string_view (which refers to the reply) for a string or a status; a type of integer
    /// or of floating point for an integer, or for a string that is such a number, as Redis keeps them; bool for the
    /// integers 0 and 1; std::optional of any of these, which is empty for nil; a std::vector or a std::set of any of
    /// these for an array; a std::map, or a std::vector of std::pair, for an array of keys and values by turns, as that
    /// of HGETALL; or reply.
    /// @throws error if it is of another type, out of the range of `T`, or an error itself.
    template<class T>
    T get() const;

    /// Returns the text of a string, a status or an error. @throws error if it is none of these.
    std::string_view text() const {
        if (type_ != reply_type::string && type_ != reply_type::status && type_ != reply_type::error)
            refuse("a string");
        return text_;
    }

    /// The number of elements of an array; 0 for all else.
    std::size_t size() const noexcept { return elements_.size(); }
    /// Returns an element of an array. @param at its index, from 0 on. @throws std::out_of_range for another one.
    const reply& operator[](std::size_t at) const {
        if (at >= elements_.size())
            throw std::out_of_range("redis: a reply of " + std::to_string(elements_.size()) + " elements has none at " +
                                    std::to_string(at));
        return elements_[at];
    }
    /// The first element of an array.
    auto begin() const noexcept { return elements_.begin(); }
    /// The end of the elements.
    auto end() const noexcept { return elements_.end(); }

private:
    friend detail::reply_access;

    [[noreturn]] void refuse(const char* wanted) const;
    template<class T>
    T number(const char* wanted) const;
    template<class T>
    T keyed() const;

    reply_type type_ = reply_type::nil;
    long long integer_ = 0;
    std::string text_;
    std::vector<reply> elements_;
};

namespace detail {

/// What the library does with replies.
struct reply_access {
    static void set(reply& made, reply_type type) noexcept { made.type_ = type; }
    static void set(reply& made, long long value) noexcept {
        made.type_ = reply_type::integer;
        made.integer_ = value;
    }
    static void set(reply& made, reply_type type, std::string_view text) {
        made.text_.assign(text);
        made.type_ = type;
    }
    static std::vector<reply>& elements(reply& made) noexcept { return made.elements_; }
};

/// Makes the exception of an error of the server, which begins with a code word.
inline error error_of(std::string_view text) { return error(std::string(text), text.substr(0, text.find(' '))); }

} // namespace detail

inline void reply::refuse(const char* wanted) const {
    if (type_ == reply_type::error) throw detail::error_of(text_);
    constexpr const char* names[] = {"nil", "a status", "an integer", "a string", "an array"};
    std::string message = "the reply is ";
    message.append(names[static_cast<std::size_t>(type_)]).append(", not ").append(wanted);
    throw hiredis::error(message);
}

template<class T>
T reply::number(const char* wanted) const {
    T value{};
    if (type_ == reply_type::integer) {
        if constexpr (std::is_floating_point_v<T>)
            return static_cast<T>(integer_);
        else if (std::in_range<T>(integer_))
            return static_cast<T>(integer_);
        throw hiredis::error("the reply is " + std::to_string(integer_) +
                             ", which is out of the range that was asked for");
    }
    if (type_ != reply_type::string) refuse(wanted);
    const char* const end = text_.data() + text_.size();
    if constexpr (std::is_floating_point_v<T>) {
        static const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr); // whatever that of the program
        char* stopped = nullptr;
        value = static_cast<T>(::strtod_l(text_.c_str(), &stopped, plain));
        if (!text_.empty() && stopped == end) return value;
    } else {
        const auto [stopped, problem] = std::from_chars(text_.data(), end, value);
        if (problem == std::errc() && stopped == end) return value;
    }
    throw hiredis::error("the reply is not " + std::string(wanted) + ": " + text_.substr(0, 100));
}

/// Returns the array of keys and values by turns.
template<class T>
T reply::keyed() const {
    if (type_ != reply_type::array || elements_.size() % 2 != 0) refuse("an array of keys and values");
    T all;
    for (std::size_t i = 0; i < elements_.size(); i += 2) {
        if constexpr (detail::is_map<T>)
            all.insert_or_assign(elements_[i].get<typename T::key_type>(),
                                 elements_[i + 1].get<typename T::mapped_type>());
        else
            all.emplace_back(elements_[i].get<std::remove_const_t<typename T::value_type::first_type>>(),
                             elements_[i + 1].get<typename T::value_type::second_type>());
    }
    return all;
}

template<class T>
T reply::get() const {
    if constexpr (std::is_same_v<T, reply>) {
        return *this;
    } else if constexpr (detail::is_optional<T>) {
        if (is_nil()) return std::nullopt;
        return get<typename T::value_type>();
    } else if constexpr (std::is_same_v<T, bool>) {
        if (type_ != reply_type::integer || integer_ < 0 || integer_ > 1) refuse("0 or 1");
        return integer_ == 1;
    } else if constexpr (std::is_floating_point_v<T>) {
        return number<T>("a number");
    } else if constexpr (std::is_integral_v<T>) {
        return number<T>("an integer");
    } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
        if (type_ != reply_type::string && type_ != reply_type::status) refuse("a string");
        return T(text_);
    } else if constexpr (detail::is_map<T>) {
        return keyed<T>();
    } else {
        static_assert(detail::is_collection<T>, "a reply is a string, a number, a bool, an optional of one of them, a "
                                                "collection or a map of them, or a reply");
        if constexpr (detail::is_pair<typename T::value_type>) {
            return keyed<T>();
        } else {
            if (type_ != reply_type::array) refuse("an array");
            T all;
            for (const reply& each : elements_) all.insert(all.end(), each.get<typename T::value_type>());
            return all;
        }
    }
}

} // namespace asynchio::hiredis

#pragma GCC visibility pop
