// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module testing: virtual time, audits, cancellation and errors of the system at every point, streams in memory.

#include <asynchio/testing/allocation_faults.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/for_each_errno.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/testing/stream_pair.hpp>
