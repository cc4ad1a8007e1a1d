/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reader of a BPF ring buffer that came as an fd. It works by mmap(2) alone,
 * so the reader needs no privilege; wait for input with poll or epoll on the
 * same fd. One reader per ring. */

#include <stddef.h>

#include "shared/util.h"

struct sn_ring;

/* record is valid during the call only. */
typedef void (*sn_ring_fn)(void *userdata, const void *record, size_t size);

/* bytes: size of the ring's data, a power of two and a multiple of the page
 * size, as the map was made (else -EINVAL). The fd may be closed afterwards
 * unless the caller polls it. */
int sn_ring_new(struct sn_ring **ret, int fd, size_t bytes);
struct sn_ring *sn_ring_free(struct sn_ring *ring);
SN_DEFINE_CLEANUP(struct sn_ring, sn_ring_free)

/* Hands up to max records to fn, in order; what was discarded or is still
 * being written is never shown. *n_read says how many; max means that there
 * may be more. -EBADMSG: a length that no kernel writes; everything up to the
 * producer's position is dropped and reading can go on. */
int sn_ring_read(struct sn_ring *ring, unsigned int max, unsigned int *n_read,
		 sn_ring_fn fn, void *userdata);

/* From now on what was read stays in the ring until sn_ring_release(), for
 * whoever reads the ring after a crash; or no longer. The kernel wakes a reader
 * only for the record that comes behind what was released, and meanwhile the fd
 * counts as readable. */
void sn_ring_hold(struct sn_ring *ring, bool holds);
/* Of the record at hand, within fn; else of the next one. It rises for as long
 * as the map lives, whoever reads. */
uint64_t sn_ring_position(const struct sn_ring *ring);
/* Releases what was read of the records before that position. */
void sn_ring_release(struct sn_ring *ring, uint64_t position);
/* Bytes that were read and not released. */
uint64_t sn_ring_held(const struct sn_ring *ring);
