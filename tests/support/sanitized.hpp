// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace asynchio_tests {

/// Whether this is a build with ThreadSanitizer, in which a child that was forked beside threads starts none of its own.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitized = true;
#else
inline constexpr bool thread_sanitized = false;
#endif
#else
inline constexpr bool thread_sanitized = false;
#endif

/// Whether this is a build with AddressSanitizer.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool address_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool address_sanitized = true;
#else
inline constexpr bool address_sanitized = false;
#endif
#else
inline constexpr bool address_sanitized = false;
#endif

/// Whether one of them takes its time, stack and memory too.
inline constexpr bool sanitized = thread_sanitized || address_sanitized;

} // namespace asynchio_tests
