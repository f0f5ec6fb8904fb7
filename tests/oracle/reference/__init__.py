# SPDX-License-Identifier: BSL-1.0
"""The interpreter on CPython's asyncio. locate.use_asyncio() comes first: it decides which asyncio that is."""
