/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/ring.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Layout of the mapping (kernel/bpf/ringbuf.c): one page whose first word is
 * the consumer's position, one page whose first word is the producer's, then
 * the data twice in a row, so that a record never wraps. A record is a header
 * of BPF_RINGBUF_HDR_SZ bytes, whose first 32 bits are length and flags, and
 * its data, together rounded up to 8 bytes. */

struct sn_ring {
	unsigned long *consumer;
	unsigned long position; /* of reading; not before *consumer */
	bool holds;
	const unsigned long *producer;
	const uint8_t *data;
	void *mapped; /* the read-only part */
	size_t mapped_bytes;
	size_t page_bytes;
	size_t bytes;
};

int sn_ring_new(struct sn_ring **ret, int fd, size_t bytes)
{
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;

	if (bytes == 0 || bytes % page != 0 || (bytes & (bytes - 1)) != 0 ||
	    bytes > SIZE_MAX / 4)
		return -EINVAL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;

	ring->page_bytes = page;
	ring->bytes = bytes;
	at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return sn_trace(-errno);
	ring->consumer = at;
	ring->position = *ring->consumer;
	ring->mapped_bytes = page + 2 * bytes;
	at = mmap(NULL, ring->mapped_bytes, PROT_READ, MAP_SHARED, fd,
		  (off_t)page);
	if (at == MAP_FAILED)
		return sn_trace(-errno);
	ring->mapped = at;
	ring->producer = at;
	ring->data = (const uint8_t *)at + page;
	*ret = sn_steal(&ring);
	return 0;
}

struct sn_ring *sn_ring_free(struct sn_ring *ring)
{
	if (!ring)
		return NULL;
	if (ring->mapped)
		(void)munmap(ring->mapped, ring->mapped_bytes);
	if (ring->consumer)
		(void)munmap(ring->consumer, ring->page_bytes);
	free(ring);
	return NULL;
}

int sn_ring_read(struct sn_ring *ring, unsigned int max, unsigned int *n_read,
		 sn_ring_fn fn, void *userdata)
{
	unsigned long position = ring->position;
	unsigned long end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	unsigned int n = 0;
	int r = 0;

	while (position != end && n < max) {
		const uint8_t *record =
			ring->data + (position & (ring->bytes - 1));
		/* Pairs with the kernel's release of a finished record. */
		uint32_t header =
			__atomic_load_n((const uint32_t *)(const void *)record,
					__ATOMIC_ACQUIRE);
		uint32_t size = header & ~(BPF_RINGBUF_BUSY_BIT |
					   BPF_RINGBUF_DISCARD_BIT);
		unsigned long step =
			((unsigned long)size + BPF_RINGBUF_HDR_SZ + 7) & ~7UL;

		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		if (end - position > ring->bytes || step > end - position) {
			position = end;
			r = -EBADMSG;
		} else {
			if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
				fn(userdata, record + BPF_RINGBUF_HDR_SZ, size);
				n++;
			}
			position += step;
		}
		ring->position = position;
		/* The kernel may overwrite the record from here on. */
		if (!ring->holds)
			sn_ring_release(ring, position);
	}
	*n_read = n;
	return r;
}

void sn_ring_hold(struct sn_ring *ring, bool holds)
{
	ring->holds = holds;
	if (!holds)
		sn_ring_release(ring, ring->position);
}

uint64_t sn_ring_position(const struct sn_ring *ring)
{
	return ring->position;
}

void sn_ring_release(struct sn_ring *ring, uint64_t position)
{
	unsigned long to = SN_MIN((unsigned long)position, ring->position);

	/* Only this function writes it. */
	if (to > *ring->consumer)
		__atomic_store_n(ring->consumer, to, __ATOMIC_RELEASE);
}

uint64_t sn_ring_held(const struct sn_ring *ring)
{
	return ring->position - *ring->consumer;
}
