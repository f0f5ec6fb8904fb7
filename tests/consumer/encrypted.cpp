// SPDX-License-Identifier: BSL-1.0

// What a program needs of an adapter.

#include <asynchio/adapters/openssl.hpp>

#include <cstdio>

int main() {
    const auto context = asynchio::openssl::context::client();
    std::printf("a context for clients: %d\n", !context.is_server());
    return context.is_server() ? 1 : 0;
}
