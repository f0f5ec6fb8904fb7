// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exception that an asynchronous generator sees when it is closed.

#pragma GCC visibility push(default)

namespace asynchio {

/// The exception that is thrown at the co_yield where an async_generator stands when it is closed, so that its locals
/// are destroyed and its cleanup runs. The library catches it when it leaves the body. A body that catches it may
/// await, but not yield any more.
///
/// Behaviour: it is not a std::exception, as Python's GeneratorExit is not an Exception: `catch (const
/// std::exception&)` does not keep a generator from being closed.
/// Threads: a plain value.
/// See also: async_generator::aclose.
class generator_exit final {
public:
    generator_exit() noexcept = default;
    /// Returns "the generator is being closed".
    const char* what() const noexcept { return "the generator is being closed"; }
};

} // namespace asynchio

#pragma GCC visibility pop
