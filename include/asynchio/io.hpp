// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module io: connections, servers, processes, signals, and whatever else the system makes ready.

#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/datagram_options.hpp>
#include <asynchio/io/datagram_socket.hpp>
#include <asynchio/io/fd_events.hpp>
#include <asynchio/io/fd_watcher.hpp>
#include <asynchio/io/file.hpp>
#include <asynchio/io/layered_channel.hpp>
#include <asynchio/io/lines.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/io/process_options.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/server_options.hpp>
#include <asynchio/io/signal_set.hpp>
#include <asynchio/io/socket_options.hpp>
#include <asynchio/io/start_server_on.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/io/tcp_options.hpp>
#include <asynchio/io/wait_readable.hpp>
