/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/ring.h"

#include <linux/bpf.h>
#include <sys/mman.h>

#include "test/unit/t.h"

/* A ring as the kernel lays it out, in a memfd. The kernel maps the data twice;
 * here a record is written to both copies. */
struct fake {
	int fd;
	size_t bytes;
	unsigned long *consumer;
	unsigned long *producer;
	uint8_t *data;
};

static struct fake fake_new(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t all = 2 * page + 2 * bytes;
	struct fake fake = { .bytes = bytes };
	uint8_t *at;

	fake.fd = memfd_create("ring", MFD_CLOEXEC);
	t_true(fake.fd >= 0);
	t_eq(ftruncate(fake.fd, (off_t)all), 0);
	at = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED, fake.fd, 0);
	t_true(at != MAP_FAILED);
	fake.consumer = (void *)at;
	fake.producer = (void *)(at + page);
	fake.data = at + 2 * page;
	return fake;
}

static void store(struct fake *fake, unsigned long position, const void *from,
		  size_t size)
{
	const uint8_t *bytes = from;

	for (size_t i = 0; i < size; i++) {
		size_t at = (position + i) & (fake->bytes - 1);

		fake->data[at] = bytes[i];
		fake->data[at + fake->bytes] = bytes[i];
	}
}

/* Returns where the record begins. */
static unsigned long produce(struct fake *fake, const void *record,
			     uint32_t size, uint32_t flags)
{
	unsigned long at = *fake->producer;
	uint32_t header[2] = { size | flags, 0 };

	store(fake, at, header, sizeof(header));
	store(fake, at + sizeof(header), record, size);
	*fake->producer = at + ((size + sizeof(header) + 7) & ~7UL);
	return at;
}

struct seen {
	unsigned int n;
	size_t sizes[64];
	char first[64]; /* first byte of each */
};

static void take(void *userdata, const void *record, size_t size)
{
	struct seen *seen = userdata;

	t_true(seen->n < SN_ARRAY_SIZE(seen->sizes));
	seen->sizes[seen->n] = size;
	seen->first[seen->n++] = *(const char *)record;
}

static void records_come_in_order_and_free_their_room(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	(void)produce(&fake, "abc", 3, 0);
	(void)produce(&fake, "defghijklm", 10, 0);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	t_eq(n, 2);
	t_eq(seen.sizes[0], 3);
	t_eq(seen.sizes[1], 10);
	t_eq(seen.first[0], 'a');
	t_eq(seen.first[1], 'd');
	t_eq(*fake.consumer, *fake.producer);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	t_eq(n, 0);
}

static void no_more_than_max_records_a_call(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	for (int i = 0; i < 5; i++)
		(void)produce(&fake, "x", 1, 0);
	t_eq(sn_ring_read(ring, 3, &n, take, &seen), 0);
	t_eq(n, 3);
	t_eq(*fake.consumer, 3 * 16);
	t_eq(sn_ring_read(ring, 3, &n, take, &seen), 0);
	t_eq(n, 2);
}

static void discarded_records_are_skipped(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	(void)produce(&fake, "a", 1, BPF_RINGBUF_DISCARD_BIT);
	(void)produce(&fake, "b", 1, 0);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	t_eq(n, 1);
	t_eq(seen.first[0], 'b');
	t_eq(*fake.consumer, *fake.producer);
}

static void record_being_written_stops_the_reader(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	uint32_t header = 1;
	unsigned long at;
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	at = produce(&fake, "a", 1, BPF_RINGBUF_BUSY_BIT);
	(void)produce(&fake, "b", 1, 0);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	t_eq(n, 0);
	t_eq(*fake.consumer, 0);

	store(&fake, at, &header, sizeof(header));
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	t_eq(n, 2);
	t_eq(seen.first[0], 'a');
}

static void record_across_the_end_is_whole(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	char long_record[120];
	unsigned int n, all = 0;

	(void)memset(long_record, 'z', sizeof(long_record));
	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	/* 128 bytes each; 7 x 4,096 / 128 records go round seven times. A
	 * shift of 8 makes them straddle the end. */
	(void)produce(&fake, "", 0, BPF_RINGBUF_DISCARD_BIT);
	for (int i = 0; i < 7 * 32; i++) {
		(void)produce(&fake, long_record, sizeof(long_record), 0);
		seen.n = 0;
		t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
		t_eq(seen.sizes[0], sizeof(long_record));
		t_eq(seen.first[0], 'z');
		all += n;
	}
	t_eq(all, 7 * 32);
}

static void impossible_length_is_refused_and_reading_goes_on(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	uint32_t header = 100000;
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	store(&fake, 0, &header, sizeof(header));
	*fake.producer = 64;
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), -EBADMSG);
	t_eq(n, 0);
	t_eq(*fake.consumer, 64);
	(void)produce(&fake, "c", 1, 0);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	t_eq(n, 1);
}

static void producer_further_than_the_ring_is_refused(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	*fake.producer = 8192;
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), -EBADMSG);
	t_eq(n, 0);
}

static void size_that_no_ring_has_is_refused(void)
{
	struct fake fake = fake_new(4096);
	struct sn_ring *ring = NULL;

	t_eq(sn_ring_new(&ring, fake.fd, 0), -EINVAL);
	t_eq(sn_ring_new(&ring, fake.fd, 1000), -EINVAL);
	t_eq(sn_ring_new(&ring, fake.fd, 3 * 4096), -EINVAL);
	t_eq(sn_ring_new(&ring, -1, 4096), -EBADF);
	t_null(ring);
}

/* As after a crash: another reader begins with what was not released. */
static void what_is_held_is_there_for_the_next_reader(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	sn_cleanup(sn_ring_freep) struct sn_ring *next = NULL;
	struct seen seen = { 0 };
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	sn_ring_hold(ring, true);
	(void)produce(&fake, "a", 1, 0);
	(void)produce(&fake, "b", 1, 0);
	(void)produce(&fake, "c", 1, 0);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	t_eq(n, 3);
	t_eq(*fake.consumer, 0);
	t_eq(sn_ring_held(ring), 3 * 16);
	t_eq(sn_ring_position(ring), 3 * 16);
	sn_ring_release(ring, 16);
	t_eq(*fake.consumer, 16);
	sn_ring_release(ring, 0);
	t_eq(*fake.consumer, 16);

	t_eq(sn_ring_new(&next, fake.fd, 4096), 0);
	t_eq(sn_ring_position(next), 16);
	t_eq(sn_ring_read(next, 16, &n, take, &seen), 0);
	t_eq(n, 2);
	t_eq(seen.first[3], 'b');
	t_eq(*fake.consumer, 3 * 16);
}

static void no_more_is_released_than_was_read(void)
{
	struct fake fake = fake_new(4096);
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct seen seen = { 0 };
	unsigned int n;

	t_eq(sn_ring_new(&ring, fake.fd, 4096), 0);
	sn_ring_hold(ring, true);
	(void)produce(&fake, "a", 1, 0);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	(void)produce(&fake, "b", 1, 0);
	sn_ring_release(ring, UINT64_MAX);
	t_eq(*fake.consumer, 16);
	t_eq(sn_ring_read(ring, 16, &n, take, &seen), 0);
	sn_ring_hold(ring, false);
	t_eq(*fake.consumer, 32);
	t_eq(sn_ring_held(ring), 0);
}

T_MAIN("ring", records_come_in_order_and_free_their_room,
       no_more_than_max_records_a_call, discarded_records_are_skipped,
       record_being_written_stops_the_reader, record_across_the_end_is_whole,
       impossible_length_is_refused_and_reading_goes_on,
       producer_further_than_the_ring_is_refused,
       size_that_no_ring_has_is_refused,
       what_is_held_is_there_for_the_next_reader,
       no_more_is_released_than_was_read)
