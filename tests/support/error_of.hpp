// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a task throws: for checks of errors.

#include <asynchio/task/task.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace asynchio_tests {

/// Returns the error of type `E` that a task throws. @throws std::logic_error if it throws none.
template<class E, class T>
asynchio::task<E> error_of(asynchio::task<T> failing) {
    try {
        if constexpr (std::is_void_v<T>)
            co_await std::move(failing);
        else
            static_cast<void>(co_await std::move(failing));
    } catch (const E& e) {
        co_return e;
    }
    throw std::logic_error("nothing was thrown");
}

/// Returns what the exception that something awaited throws says of itself; an empty text if there is none.
template<class A>
asynchio::task<std::string> text_of(A awaited) {
    try {
        static_cast<void>(co_await std::move(awaited));
    } catch (const std::exception& e) {
        co_return e.what();
    }
    co_return std::string();
}

} // namespace asynchio_tests
