// SPDX-License-Identifier: BSL-1.0

// A server's handler gets a stream.

// expect: the handler of a server is called with a stream

#include <asynchio/io/server.hpp>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::task<> handle(aio::stream client);
#else
aio::task<> handle(int descriptor);
#endif

aio::task<> program() { co_await aio::start_server(handle, "localhost", 0); }
