// SPDX-License-Identifier: BSL-1.0
#pragma once

// A check of argument types. g++ before 13 destroys twice a temporary made by aggregate initialisation (a lambda with
// captures, a braced aggregate) that stands directly inside a co_await expression. Functions whose result is awaited on
// the spot use this check to refuse such temporaries, as far as their types show it.

#include <type_traits>

#pragma GCC visibility push(default)

namespace asynchio::detail {

template<class T>
consteval bool is_closure() {
    // "... [with T = main()::<lambda(int)>]" on g++; standard function objects name no lambda unless given one.
    constexpr const char* name = __PRETTY_FUNCTION__;
    constexpr const char* mark = "<lambda(";
    const char* last = nullptr;
    for (const char* at = name; *at != '\0'; ++at) {
        unsigned same = 0;
        while (mark[same] != '\0' && at[same] == mark[same]) ++same;
        if (mark[same] == '\0') last = at;
    }
    if (last == nullptr) return false;
    // The type itself is a closure if its own name ends with the lambda's parameter list.
    unsigned depth = 0;
    for (const char* at = last + 7; *at != '\0'; ++at) {
        if (*at == '(') ++depth;
        if (*at == ')' && --depth == 0) return at[1] == '>' && (at[2] == ']' || at[2] == ';');
    }
    return false;
}

/// Whether g++ 12 would destroy a temporary of this type twice inside a co_await expression.
template<class T>
consteval bool breaks_in_co_await() {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
    using type = std::remove_cv_t<T>;
    if constexpr (std::is_reference_v<T> || !std::is_class_v<type> || std::is_trivially_destructible_v<type>)
        return false;
    else
        return std::is_aggregate_v<type> || is_closure<type>();
#else
    return false;
#endif
}

/// Refuses each forwarded argument type (`T` for an rvalue, `T&` for an lvalue) that g++ 12 would destroy twice.
template<class... Ts>
constexpr void check_awaited_arguments() {
    static_assert((!breaks_in_co_await<Ts>() && ...),
                  "g++ before 13 destroys this temporary twice inside co_await: a lambda with captures or a braced "
                  "aggregate must be named first and passed as `name` (referenced) or `aio::take(name)` (moved in), "
                  "or its values passed as arguments after the callable");
}

} // namespace asynchio::detail

#pragma GCC visibility pop
