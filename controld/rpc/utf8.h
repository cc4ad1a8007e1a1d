/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* UTF-8 as RFC 3629 has it: shortest forms, no surrogates, up to U+10FFFF.
 * Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What cp_rpc_utf8_copy() may need for size bytes. */
#define CP_RPC_UTF8_ROOM(size) (3 * (size) + 1)

/* The number of bytes of the well-formed sequence at `at`, or 0. left: at least
 * 1. */
size_t cp_rpc_utf8_length(const uint8_t *at, size_t left);

/* Copies bytes to ret, which has CP_RPC_UTF8_ROOM(size) bytes, as a string of
 * protobuf: each byte that is not part of a well-formed sequence, and each NUL,
 * becomes U+FFFD (*is_changed then). Ends it with a NUL; returns its length. */
size_t cp_rpc_utf8_copy(const void *bytes, size_t size, char *ret,
			bool *is_changed);
