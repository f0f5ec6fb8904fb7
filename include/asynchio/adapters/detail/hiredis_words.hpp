// SPDX-License-Identifier: BSL-1.0
#pragma once

// The words of commands of Redis, as they are sent.

#include <asynchio/core/detail/range.hpp>

#include <charconv>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::hiredis::detail {

/// Which commands may be sent.
enum class allowed : unsigned char {
    /// Those that leave nothing behind in the connection, which other tasks use and which may be made again.
    stateless,
    /// WATCH and UNWATCH as well: the connection is not made again.
    watching,
    /// All: the library's own.
    all,
};

/// The words of one command, in the server's protocol.
class words {
public:
    template<class T>
    void add(const T& word) {
        if constexpr (std::is_convertible_v<const T&, std::string_view>) {
            add_text(word);
        } else if constexpr (std::is_convertible_v<const T&, std::span<const std::byte>>) {
            const std::span<const std::byte> bytes = word;
            add_text(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
        } else if constexpr (asynchio::detail::range<const T&>) {
            for (const auto& each : word) add(each);
        } else {
            static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>,
                          "a word of a command is a text, bytes, a number, or a range of them");
            char digits[64];
            const auto end = std::to_chars(digits, digits + sizeof digits, word).ptr;
            add_text(std::string_view(digits, static_cast<std::size_t>(end - digits)));
        }
    }
    /// Adds words, among them literals of strings.
    template<class... Words>
    void add_all(const Words&... each) {
        (add(static_cast<const std::conditional_t<
                 std::is_array_v<Words> && std::is_convertible_v<Words, std::string_view>, std::string_view, Words>&>(
             each)),
         ...);
    }
    void add_text(std::string_view word) {
        if (count_ < 2) first_two_[count_].assign(word.substr(0, longest));
        ++count_;
        text_.append(length_line('$', word.size())).append(word).append("\r\n");
    }

    /// Returns the whole command, with the number of its words in front.
    std::string take() {
        text_.insert(0, length_line('*', count_));
        return std::move(text_);
    }
    std::size_t count() const noexcept { return count_; }

    /// @throws std::invalid_argument for a command that cannot be sent like others.
    void require(allowed which) const {
        if (count_ == 0 || first_two_[0].empty())
            throw std::invalid_argument("redis: a command begins with its name, which is not empty");
        if (which == allowed::all) return;
        const std::string name = upper(first_two_[0]);
        for (const rule& each : rules)
            if (name == each.name && (each.second.empty() || (count_ > 1 && upper(first_two_[1]) == each.second)) &&
                !(each.of_watching && which == allowed::watching))
                throw std::invalid_argument("redis: " + name + " cannot be sent like this: " + each.instead);
    }

private:
    struct rule {
        std::string_view name, second;
        const char* instead;
        bool of_watching;
    };
    static constexpr std::size_t longest = 15; // as no name is, and without an allocation
    static constexpr const char* use_subscribe = "use connection::subscribe() or psubscribe(), and close the stream";
    static constexpr const char* use_transaction = "use connection::transaction()";
    static constexpr const char* use_options = "set it in options, for every time that the connection is made";
    static constexpr const char* no_reply = "it does not have exactly one reply";
    static constexpr const char* other_watch =
        "tasks share the connection; open one with options::reconnect = false for it";
    static constexpr rule rules[] = {
        {"SUBSCRIBE", {}, use_subscribe, false},
        {"PSUBSCRIBE", {}, use_subscribe, false},
        {"SSUBSCRIBE", {}, no_reply, false},
        {"UNSUBSCRIBE", {}, use_subscribe, false},
        {"PUNSUBSCRIBE", {}, use_subscribe, false},
        {"SUNSUBSCRIBE", {}, no_reply, false},
        {"MULTI", {}, use_transaction, false},
        {"EXEC", {}, use_transaction, false},
        {"DISCARD", {}, use_transaction, false},
        {"AUTH", {}, use_options, false},
        {"SELECT", {}, use_options, false},
        {"HELLO", {}, use_options, false},
        {"RESET", {}, use_options, false},
        {"MONITOR", {}, no_reply, false},
        {"SYNC", {}, no_reply, false},
        {"PSYNC", {}, no_reply, false},
        {"CLIENT", "REPLY", no_reply, false},
        {"QUIT", {}, "use connection::aclose()", false},
        {"WATCH", {}, other_watch, true},
        {"UNWATCH", {}, other_watch, true},
    };

    static std::string upper(std::string_view word) {
        std::string made(word);
        for (char& each : made)
            if (each >= 'a' && each <= 'z') each = static_cast<char>(each - 'a' + 'A');
        return made;
    }
    static std::string length_line(char kind, std::size_t length) {
        std::string line(1, kind);
        return line.append(std::to_string(length)).append("\r\n");
    }

    std::string text_;
    std::size_t count_ = 0;
    std::string first_two_[2];
};

/// Returns a command as it is sent. @throws std::invalid_argument for one that is not allowed.
template<class... Words>
std::string format_command(allowed which, const Words&... each) {
    static_assert(sizeof...(Words) != 0, "a command has a name");
    words all;
    all.add_all(each...);
    all.require(which);
    return all.take();
}

} // namespace asynchio::hiredis::detail

#pragma GCC visibility pop
