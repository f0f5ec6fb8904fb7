// SPDX-License-Identifier: BSL-1.0
#pragma once

// The native stack of a thread that a signal has interrupted, and the names of its functions.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/loop/detail/loop_core.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>
#include <unwind.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// The addresses of the code that a thread runs, the innermost first.
struct native_stack {
    static constexpr std::size_t most_frames = 64;

    std::size_t depth = 0;
    std::uintptr_t code[most_frames] = {};
    std::uintptr_t base = 0; // frames above this address of the stack are not wanted; 0: all are
    bool interrupted = false;

    /// Takes the stack of the code that the running signal handler has interrupted, down to `stack_base`. It allocates
    /// nothing, once warm_up() has been called.
    void take(const char* stack_base) noexcept {
        depth = 0;
        base = reinterpret_cast<std::uintptr_t>(stack_base);
        interrupted = false;
        _Unwind_Backtrace(&add, this);
        if (interrupted) return;
        interrupted = true; // the handler was called otherwise, as ThreadSanitizer does: its frames are there, too
        _Unwind_Backtrace(&add, this);
    }
    /// Has the unwinder do what it does once.
    [[gnu::cold]] static void warm_up() noexcept {
        native_stack unused;
        unused.interrupted = true;
        _Unwind_Backtrace(&add, &unused);
    }

private:
    static _Unwind_Reason_Code add(_Unwind_Context* context, void* argument) {
        native_stack& self = *static_cast<native_stack*>(argument);
        int before = 0; // whether the instruction was not executed yet: so it is in a frame that a signal interrupted
        const std::uintptr_t address = _Unwind_GetIPInfo(context, &before);
        if (before != 0) self.interrupted = true;
        if (!self.interrupted) return _URC_NO_REASON;
        if (self.depth == most_frames || (self.base != 0 && _Unwind_GetCFA(context) > self.base))
            return _URC_NORMAL_STOP;
        if (address != 0) self.code[self.depth++] = before != 0 ? address : address - 1;
        return _URC_NO_REASON;
    }
};

/// Returns the readable name of a function from that of its symbol.
[[gnu::cold]] inline std::string symbol_name(const char* symbol) {
    int status = 0;
    char* const demangled = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
    std::string name(demangled != nullptr ? demangled : symbol);
    std::free(demangled);
    if (const auto clone = name.find(" [clone "); clone != std::string::npos) name.resize(clone);
    std::string shorter = function_name(name);
    return shorter.empty() ? name : shorter;
}

/// Returns the path of the program, or `otherwise`.
[[gnu::cold]] inline std::string path_of_program(const char* otherwise) {
    char path[4096];
    const ::ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
    return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : std::string(otherwise);
}

/// Returns the name of the function at an address; without a symbol the module and the offset, with the command that
/// finds the line.
[[gnu::cold]] inline std::string describe_code(std::uintptr_t code) {
    Dl_info info{};
    void* extra = nullptr;
    if (::dladdr1(reinterpret_cast<void*>(code), &info, &extra, RTLD_DL_LINKMAP) == 0)
        return asynchio::detail::formatted("code at 0x%llx", static_cast<unsigned long long>(code));
    if (info.dli_sname != nullptr) return symbol_name(info.dli_sname);
    const auto* const module = static_cast<const link_map*>(extra);
    const bool is_program = module == nullptr || module->l_name == nullptr || *module->l_name == '\0';
    const std::string path = is_program ? path_of_program(info.dli_fname) : std::string(module->l_name);
    const auto offset = static_cast<unsigned long long>(code - (module != nullptr ? module->l_addr : 0));
    const char* const name = std::strrchr(path.c_str(), '/');
    return asynchio::detail::formatted("%s+0x%llx  (addr2line -Cfie %s 0x%llx)",
                                       name != nullptr ? name + 1 : path.c_str(), offset, path.c_str(), offset);
}

/// Whether an address belongs to the function in which a loop makes an iteration.
[[gnu::cold]] inline bool is_iteration(std::uintptr_t code) noexcept {
    constexpr auto iteration = &asynchio::detail::loop_core::run_once;
    std::uintptr_t address = 0;
    static_assert(sizeof iteration >= sizeof address);
    std::memcpy(&address, &iteration, sizeof address); // a member pointer begins with the address, see the C++ ABI
    return reinterpret_cast<std::uintptr_t>(_Unwind_FindEnclosingFunction(reinterpret_cast<void*>(code))) == address;
}

/// Returns the functions of a stack down to the loop's own, the innermost first.
[[gnu::cold]] inline std::vector<std::string> functions_of(const native_stack& stack) {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < stack.depth && !is_iteration(stack.code[i]); ++i)
        found.push_back(describe_code(stack.code[i]));
    const auto is_own = [](std::string_view name) {
        return name.starts_with("asynchio::detail::") || name.find("coroutine_handle") != std::string_view::npos;
    };
    while (found.size() > 1 && is_own(found.back())) found.pop_back();
    return found;
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
