// SPDX-License-Identifier: BSL-1.0
#pragma once

// The readable name of a coroutine from a source_location.

#include <source_location>
#include <string>
#include <string_view>

namespace asynchio::debug {

/// "main()::<lambda()>" or "fetch", from what compilers say of a function or of the coroutine it became: without
/// result type, parameters and template arguments' list.
inline std::string function_name(const std::source_location& where) {
    std::string_view name = where.function_name();
    const auto cut_at = [&name](std::string_view mark) {
        if (const auto at = name.rfind(mark); at != std::string_view::npos) name = name.substr(0, at);
    };
    cut_at(" [with ");
    if (name.ends_with(']')) cut_at(" [");
    for (const std::string_view last : {std::string_view(" const"), std::string_view(" mutable")})
        if (name.ends_with(last)) name.remove_suffix(last.size());
    if (name.ends_with(')')) { // the parameters
        int depth = 0;
        for (std::size_t i = name.size(); i-- > 0;) {
            if (name[i] == ')') ++depth;
            if (name[i] == '(' && --depth == 0) {
                name = name.substr(0, i);
                break;
            }
        }
    }
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
    for (const std::string_view last : {std::string_view("::operator()"), std::string_view("::_anonymous_class")})
        if (name.ends_with(last)) name.remove_suffix(last.size());
    while (!name.empty() && (name.front() == '*' || name.front() == '&')) name.remove_prefix(1);
    return std::string(name);
}

} // namespace asynchio::debug
