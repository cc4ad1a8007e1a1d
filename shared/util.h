/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ownership, tracing of machine errors and a few small helpers that every
 * user-space part of the project uses. Nothing here allocates or logs. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define sn_cleanup(fn) __attribute__((cleanup(fn)))

/* Hands the value of an owning local out and leaves the value that makes its
 * destructor a no-op: NULL for pointers, -1 for file descriptors. */
#define sn_steal(ptr)                                        \
	({                                                   \
		__typeof__(ptr) sn_steal_p_ = (ptr);         \
		__typeof__(*ptr) sn_steal_v_ = *sn_steal_p_; \
		*sn_steal_p_ = NULL;                         \
		sn_steal_v_;                                 \
	})

static inline int sn_steal_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

/* Defines FREEp() for sn_cleanup(); FREE takes and returns TYPE *. */
#define SN_DEFINE_CLEANUP(TYPE, FREE)             \
	static inline void FREE##p(TYPE **object) \
	{                                         \
		*object = FREE(*object);          \
	}

static inline void sn_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

void sn_freep(void *pointer_to_pointer);

/* For structs whose strings are not const though nothing writes to them, as those
 * of protobuf-c that are packed. The string stays its owner's. */
static inline char *sn_borrow(const char *text)
{
	union {
		const char *from;
		char *to;
	} both = { .from = text };

	return both.to;
}

/* Returns r unchanged; at log level `trace` it also prints where the machine
 * failed. Used on the way up: `return sn_trace(r);`. */
int sn_trace_at(int r, const char *file, int line, const char *function);
#define sn_trace(r) sn_trace_at((r), __FILE__, __LINE__, __func__)

#define SN_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SN_MIN(a, b)	 ((a) < (b) ? (a) : (b))
#define SN_MAX(a, b)	 ((a) > (b) ? (a) : (b))

#define sn_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define SN_NS_PER_S 1000000000ULL
