// SPDX-License-Identifier: BSL-1.0
#pragma once

// The readable name of a coroutine, from a std::source_location.

#include <cstddef>
#include <source_location>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio::debug {

namespace detail {

/// Returns where the parenthesis opens that closes at `end`; npos if there is none.
inline std::size_t opening(std::string_view text, std::size_t end) {
    int depth = 0;
    for (std::size_t i = end + 1; i-- > 0;) {
        if (text[i] == ')') ++depth;
        if (text[i] == '(' && --depth == 0) return i;
    }
    return std::string_view::npos;
}

/// Removes the parameter that g++ adds to the resumed part of a coroutine: "void f(f(int)::_Z1fi.Frame*)".
inline void without_frames(std::string& text) {
    constexpr std::string_view mark = ".Frame*)";
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark)) {
        const std::size_t end = at + mark.size() - 1;
        const std::size_t begin = opening(text, end);
        if (begin == std::string_view::npos) return;
        text.erase(begin + 1, end - begin - 1);
    }
}

} // namespace detail

/// Shortens the name that a compiler has for a function, or for the coroutine that it became, to "main()::<lambda()>"
/// or "fetch".
/// @param full the text of std::source_location::function_name().
/// @return the name without result type, parameters, qualifiers and the list of template arguments.
/// Threads: any.
inline std::string function_name(std::string_view full) {
    std::string text(full);
    if (const auto at = text.rfind(" [with "); at != std::string::npos) text.resize(at);
    if (text.ends_with(']'))
        if (const auto at = text.rfind(" ["); at != std::string::npos) text.resize(at);
    detail::without_frames(text);
    constexpr std::string_view changing = " mutable::";
    for (auto at = text.find(changing); at != std::string::npos; at = text.find(changing))
        text.erase(at, changing.size() - 2);

    std::string_view name = text;
    const auto drop_last = [&name](std::string_view last) {
        if (!name.ends_with(last)) return false;
        name.remove_suffix(last.size());
        return true;
    };
    while (drop_last(" noexcept") || drop_last(" &") || drop_last(" &&") || drop_last(" const") ||
           drop_last(" mutable")) {}
    if (name.ends_with(')'))
        if (const auto begin = detail::opening(name, name.size() - 1); begin != std::string_view::npos)
            name = name.substr(0, begin);
    int depth = 0;
    for (std::size_t i = name.size(); i-- > 0;) { // the result type
        const char c = name[i];
        if (c == ')' || c == '>' || c == '}') ++depth;
        if (c == '(' || c == '<' || c == '{') --depth;
        if (c == ' ' && depth == 0) {
            name.remove_prefix(i + 1);
            break;
        }
    }
    drop_last("::operator()");
    while (!name.empty() && (name.front() == '*' || name.front() == '&')) name.remove_prefix(1);
    return std::string(name);
}

/// Returns the readable name of the function at a place in the source.
/// @param where the place. @return the name, as above.
/// Threads: any.
inline std::string function_name(const std::source_location& where) {
    return function_name(std::string_view(where.function_name()));
}

} // namespace asynchio::debug

#pragma GCC visibility pop
