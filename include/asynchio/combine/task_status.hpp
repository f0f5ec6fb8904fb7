// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a task of a group says that it has started. See task_group::start.

#include <asynchio/combine/detail/start_wait.hpp>
#include <asynchio/core/detail/failures.hpp>

#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The means by which a task that task_group::start has started reports that it is ready, and with what value.
///
/// @tparam T the result of the call of start: an object, a reference or void.
/// Threads: the thread of the loop.
/// Lifetime: it lives as long as the task to which it was passed.
/// See also: task_group::start.
template<class T = void>
class task_status : private detail::start_status {
public:
    /// Reports that the task has started: the call of start returns `value`, and the task is an ordinary one of its group
    /// from now on. If that call has ended already, the value is dropped.
    /// @param value the result of start; nothing for a task_status<void>.
    /// @throws std::logic_error the second time; exceptions of copying or moving the value, after which the task counts as
    /// not started.
    template<class... U>
    void started(U&&... value) {
        static_assert(sizeof...(U) == (std::is_void_v<T> ? 0 : 1),
                      "started of a task_status<void> takes nothing, that of another one value");
        constexpr bool converts = std::is_void_v<T> || std::is_reference_v<T> || (std::is_convertible_v<U, T> && ...);
        static_assert(converts,
                      "started takes what converts to the type of the task_status without an explicit conversion");
        if (has_started()) detail::refuse("task_status", "started was called before");
        if constexpr (converts)
            if (detail::start_wait* const caller = wait())
                static_cast<detail::start_result<T>&>(*caller).result.emplace(std::forward<U>(value)...);
        set_started();
    }

private:
    template<class>
    friend struct detail::starting;
    explicit task_status(detail::start_wait* caller) noexcept : start_status(caller) {}
};

} // namespace asynchio

#pragma GCC visibility pop
