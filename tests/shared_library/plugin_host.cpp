// SPDX-License-Identifier: BSL-1.0

// plugin_host PLUGIN shares|refuses: loads a plugin. It shares the loop if this program was linked with -rdynamic, else
// its coroutines end with an error that says what is missing.

#include "work.hpp"

#include <asynchio/task/run.hpp>

#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <stdexcept>
#include <string>
#include <string_view>

template<class Function>
static Function* function_of(void* plugin, const char* name) {
    void* const found = ::dlsym(plugin, name);
    if (found == nullptr) throw std::runtime_error(name);
    void (*give)(Function*&) = nullptr;
    std::memcpy(&give, &found, sizeof give);
    Function* given = nullptr;
    give(given);
    return given;
}

/// The error that `what` ends with, empty for none.
template<class F>
static std::string error_of(F what) {
    try {
        what();
    } catch (const std::logic_error& error) {
        return error.what();
    }
    return {};
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const bool shares = std::string_view(argv[2]) == "shares";
    void* const plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) {
        std::fprintf(stderr, "%s\n", ::dlerror());
        return 2;
    }
    auto* const loop = function_of<running>(plugin, "give_loop");
    auto* const start = function_of<work>(plugin, "give_work");
    aio::mutex shared;
    aio::context_var<int> variable("variable", 0);
    auto main = [&]() -> aio::task<int> { co_return co_await start(1, shared, variable); };
    int result = 0;
    const std::string of_task = error_of([&] { result = aio::run(main); });
    auto asks = [&]() -> aio::task<> {
        if (&loop() != &aio::get_running_loop()) throw std::runtime_error("another loop");
        co_return;
    };
    const std::string of_call = error_of([&] { aio::run(asks); });
    if (shares) return of_task.empty() && of_call.empty() && result == 8 ? 0 : 1;
    auto* const waits_by = function_of<waits>(plugin, "give_waits");
    for (int way = 0; way < 19; ++way) {
        const std::string told = error_of([&] { aio::run(waits_by(way)); });
        if (told.find("no running event loop") != told.npos) continue;
        std::printf("way %d: '%s'\n", way, told.c_str());
        return 1;
    }
    std::printf("%s\n%s\n", of_task.c_str(), of_call.c_str());
    return of_task.find("no running event loop") != of_task.npos &&
                   of_call.find("no running event loop") != of_call.npos
               ? 0
               : 1;
}
