// SPDX-License-Identifier: BSL-1.0
#pragma once

// Redis by hiredis, 0.14 or later: commands of many tasks in a pipeline, transactions, publish and subscribe. Link hiredis.

#include <asynchio/adapters/hiredis_batch.hpp>
#include <asynchio/adapters/hiredis_connection.hpp>
#include <asynchio/adapters/hiredis_error.hpp>
#include <asynchio/adapters/hiredis_message.hpp>
#include <asynchio/adapters/hiredis_options.hpp>
#include <asynchio/adapters/hiredis_reply.hpp>
