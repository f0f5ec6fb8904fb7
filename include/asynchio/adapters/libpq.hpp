// SPDX-License-Identifier: BSL-1.0
#pragma once

// PostgreSQL by libpq, 14 or later: connections, transactions, and pools of connections. Link pq.

#include <asynchio/adapters/libpq_connection.hpp>
#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/adapters/libpq_pool.hpp>
#include <asynchio/adapters/libpq_transaction.hpp>
#include <asynchio/adapters/libpq_values.hpp>
