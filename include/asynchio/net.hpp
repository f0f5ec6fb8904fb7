// SPDX-License-Identifier: BSL-1.0
#pragma once

// Room net: connections, servers, processes, signals, and whatever else the system makes ready.

#include <asynchio/net/address.hpp>
#include <asynchio/net/bytes.hpp>
#include <asynchio/net/datagram_socket.hpp>
#include <asynchio/net/open_connection.hpp>
#include <asynchio/net/process.hpp>
#include <asynchio/net/process_options.hpp>
#include <asynchio/net/resolve.hpp>
#include <asynchio/net/server.hpp>
#include <asynchio/net/signal_set.hpp>
#include <asynchio/net/stream.hpp>
#include <asynchio/net/system_calls.hpp>
#include <asynchio/net/wait_readable.hpp>
