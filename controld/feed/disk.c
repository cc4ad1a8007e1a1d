/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/feed/internal.h"
#include "shared/log.h"

enum { WRITE_AT_ONCE = 512 };

void cp_feed_disk_open(struct cp_feed *feed)
{
	const struct cp_feed_spool_options options = {
		.path = feed->options.spool,
		.max_bytes = feed->options.spool_bytes,
		.is_synced = feed->options.mode == CP_FEED_MODE_ALWAYS,
	};
	struct sn_diag diag = { .text = "" };
	int r;

	STAILQ_INIT(&feed->pending);
	STAILQ_INIT(&feed->taken);
	TAILQ_INIT(&feed->found);
	if (!options.path)
		return;
	r = cp_feed_spool_new(&feed->spool, &options, &diag);
	if (r < 0) {
		(void)snprintf(feed->spool_error, sizeof(feed->spool_error),
			       "%.500s",
			       diag.text[0] ? diag.text : strerror(-r));
		sn_log(SN_LOG_ERROR,
		       "detector name=%s spool error='%s': events wait in "
		       "memory only",
		       feed->options.name, feed->spool_error);
		return;
	}
	cp_feed_spool_get_stats(feed->spool, &feed->disk);
	feed->counts.recovered = feed->disk.n_unread;
	feed->sequence = feed->disk.last_sequence;
	feed->queued = feed->sequence;
	/* What is to be read again is not answered before it is in the queue. */
	if (feed->disk.n_unread > 0)
		feed->queued = SN_MAX(feed->disk.below, 1U) - 1;
}

bool cp_feed_disk_is_behind(const struct cp_feed *feed)
{
	return feed->disk.n_unread + feed->n_pending_out + feed->n_taken_out >
	       0;
}

int cp_feed_disk_put(struct cp_feed *feed, struct cp_feed_item *item,
		     bool is_read)
{
	struct cp_feed_write *write = malloc(sizeof(*write));

	if (!write)
		return -ENOMEM;
	write->item = cp_feed_queue_ref(item);
	write->is_read = is_read;
	STAILQ_INSERT_TAIL(&feed->pending, write, link);
	feed->n_pending_bytes += cp_feed_queue_cost(item);
	feed->n_pending_out += !is_read;
	return 0;
}

/* In the worker. */

static void write_some(struct cp_feed *feed, struct cp_feed_write **at)
{
	struct cp_feed_spool_item items[WRITE_AT_ONCE];
	size_t n = 0, n_written;

	for (; *at && n < WRITE_AT_ONCE; *at = STAILQ_NEXT(*at, link)) {
		const struct cp_feed_item *item = (*at)->item;

		items[n].record = (struct cp_feed_record){ item->sequence,
							   item->bytes,
							   item->size };
		items[n++].is_read = (*at)->is_read;
	}
	feed->disk_error =
		cp_feed_spool_write(feed->spool, items, n, &n_written);
	feed->n_written += n_written;
	if (feed->disk_error == 0)
		return;
	/* Not even a small file of answered events is kept now. */
	cp_feed_spool_trim(feed->spool, feed->below, false);
	feed->disk_error = cp_feed_spool_write(feed->spool, items + n_written,
					       n - n_written, &n_written);
	feed->n_written += n_written;
}

/* What was taken and has no place now, neither here nor in the queue. */
static void settle_taken(struct cp_feed *feed)
{
	struct cp_feed_write *write;
	size_t i = 0;

	STAILQ_FOREACH(write, &feed->taken, link) {
		if (i++ < feed->n_written)
			write->item->is_stored = true;
		else
			feed->n_left += !write->is_read;
	}
}

static uint64_t cost_of(const struct cp_feed_item *item)
{
	return CP_FEED_RECORD_HEAD_BYTES + item->size;
}

/* Events of the queue on their way to the disk. */
struct saving {
	struct cp_feed_spool_item items[WRITE_AT_ONCE];
	size_t n;
	int r; /* of the writes so far */
};

static void save(struct cp_feed *feed, struct saving *saving)
{
	size_t n_written = 0;

	if (saving->n > 0 && saving->r == 0)
		saving->r = cp_feed_spool_write(feed->spool, saving->items,
						saving->n, &n_written);
	feed->n_left += saving->n - n_written;
	saving->n = 0;
}

/* What is in the queue and not on disk goes before, between and behind what is:
 * no file has events on both sides of another one's. If there is not room for
 * all of it the oldest are left out. */
static void save_queue(struct cp_feed *feed, uint64_t wanted, uint64_t room)
{
	struct saving saving = { .n = 0 };
	struct cp_feed_item *item;

	TAILQ_FOREACH(item, &feed->queue.items, link) {
		if (item->is_stored) {
			save(feed, &saving);
			cp_feed_spool_begin(feed->spool);
		} else if (wanted > room) {
			wanted -= cost_of(item);
			feed->n_left++;
		} else {
			saving.items[saving.n++].record =
				(struct cp_feed_record){ item->sequence,
							 item->bytes,
							 item->size };
		}
		if (saving.n == WRITE_AT_ONCE)
			save(feed, &saving);
	}
	save(feed, &saving);
}

static void write_queue(struct cp_feed *feed)
{
	uint64_t room = cp_feed_spool_keep(feed->spool), wanted = 0;
	struct cp_feed_spool_stats stats;
	struct cp_feed_item *item;

	cp_feed_spool_begin(feed->spool);
	cp_feed_spool_get_stats(feed->spool, &stats);
	TAILQ_FOREACH(item, &feed->queue.items, link) {
		item->is_stored &= item->sequence > stats.gone_sequence;
		wanted += item->is_stored ? 0 : cost_of(item);
	}
	save_queue(feed, wanted, room);
	cp_feed_spool_begin(feed->spool);
}

static int take_record(void *userdata, const struct cp_feed_record *record)
{
	struct cp_feed *feed = userdata;
	struct cp_feed_item *item = cp_feed_queue_new_item(record->size);

	if (!item)
		return -ENOMEM;
	item->sequence = record->sequence;
	item->is_stored = true;
	(void)memcpy(item->bytes, record->data, record->size);
	TAILQ_INSERT_TAIL(&feed->found, item, link);
	return 0;
}

static void work(uv_work_t *request)
{
	struct cp_feed *feed = request->data;
	struct cp_feed_write *at = STAILQ_FIRST(&feed->taken);
	bool is_overflow = feed->options.mode == CP_FEED_MODE_OVERFLOW;
	struct cp_feed_spool_stats stats;

	feed->n_written = 0;
	feed->disk_error = 0;
	cp_feed_spool_get_stats(feed->spool, &stats);
	/* What is in memory may have to go between what was written before and
	 * what comes now: see write_queue(). */
	if (is_overflow && at && stats.n_unread == 0)
		cp_feed_spool_begin(feed->spool);
	while (at && feed->disk_error == 0)
		write_some(feed, &at);
	if (feed->is_last) {
		settle_taken(feed);
		write_queue(feed);
	}
	if (feed->want_bytes > 0)
		(void)cp_feed_spool_read(feed->spool, feed->want_bytes,
					 take_record, feed);
	cp_feed_spool_trim(feed->spool, feed->below, feed->saves);
}

/* On the loop. */

static void settle_writes(struct cp_feed *feed)
{
	struct cp_feed_write *write;
	size_t i = 0;

	while ((write = STAILQ_FIRST(&feed->taken))) {
		struct cp_feed_item *item = write->item;

		STAILQ_REMOVE_HEAD(&feed->taken, link);
		if (i++ < feed->n_written)
			item->is_stored = true;
		else if (write->is_read)
			feed->counts.unstored++;
		else
			feed->counts.dropped[CP_FEED_DROP_DISK]++;
		cp_feed_queue_unref(item);
		free(write);
	}
	feed->n_taken = 0;
	feed->n_taken_out = 0;
}

static void settle_reads(struct cp_feed *feed)
{
	struct cp_feed_item *item;

	while ((item = TAILQ_FIRST(&feed->found))) {
		TAILQ_REMOVE(&feed->found, item, link);
		feed->queued = item->sequence;
		if (cp_feed_queue_name_item(item)) {
			cp_feed_queue_put(&feed->queue, item);
			continue;
		}
		feed->counts.dropped[CP_FEED_DROP_DISK]++;
		cp_feed_queue_unref(item);
	}
}

static void settle_stats(struct cp_feed *feed)
{
	struct cp_feed_spool_stats before = feed->disk;
	int error = feed->disk_error;

	cp_feed_spool_get_stats(feed->spool, &feed->disk);
	feed->counts.dropped[CP_FEED_DROP_SPOOL] +=
		feed->disk.n_dropped - before.n_dropped;
	feed->counts.dropped[CP_FEED_DROP_DISK] +=
		feed->disk.n_broken - before.n_broken;
	/* A turn that wrote nothing says nothing about writing. */
	if (error != 0 && before.error != error)
		sn_log(SN_LOG_ERROR,
		       "detector name=%s spool error='%s': events that have no "
		       "room in memory are lost until it can be written",
		       feed->options.name, strerror(-error));
	else if (error == 0 && feed->disk.error == 0 && before.error != 0)
		sn_log(SN_LOG_INFO, "detector name=%s spool is written again",
		       feed->options.name);
}

static void finish(struct cp_feed *feed)
{
	if (feed->n_left > 0)
		sn_log(SN_LOG_ERROR,
		       "detector name=%s spool error='%s': %zu events that "
		       "waited are lost",
		       feed->options.name,
		       feed->disk.error ? strerror(-feed->disk.error) :
					  "no room",
		       feed->n_left);
	feed->spool = cp_feed_spool_free(feed->spool);
	cp_feed_part_closed(feed);
}

static void worked(uv_work_t *request, int status)
{
	struct cp_feed *feed = request->data;
	struct cp_runtime *runtime = feed->runtime;

	(void)status;
	feed->is_working = false;
	settle_writes(feed);
	settle_reads(feed);
	settle_stats(feed);
	if (feed->is_last) {
		finish(feed);
		return;
	}
	cp_feed_changed(feed);
	if (runtime)
		cp_runtime_release(runtime);
}

/* What waits for the disk and has room in the queue by now. In mode overflow it
 * needs no disk then. */
static void move_pending(struct cp_feed *feed)
{
	struct cp_feed_writes kept = STAILQ_HEAD_INITIALIZER(kept);
	bool is_always = feed->options.mode == CP_FEED_MODE_ALWAYS;
	struct cp_feed_write *write;

	while ((write = STAILQ_FIRST(&feed->pending)) &&
	       (write->is_read ||
		feed->queue.n_bytes < feed->options.queue_bytes)) {
		STAILQ_REMOVE_HEAD(&feed->pending, link);
		if (!write->is_read) {
			write->is_read = true;
			feed->n_pending_out--;
			feed->queued = write->item->sequence;
			cp_feed_queue_put(&feed->queue,
					  cp_feed_queue_ref(write->item));
		}
		if (is_always) {
			STAILQ_INSERT_TAIL(&kept, write, link);
			continue;
		}
		feed->n_pending_bytes -= cp_feed_queue_cost(write->item);
		cp_feed_queue_unref(write->item);
		free(write);
	}
	STAILQ_CONCAT(&kept, &feed->pending);
	STAILQ_CONCAT(&feed->pending, &kept);
}

static void take_pending(struct cp_feed *feed)
{
	struct cp_feed_write *write;

	STAILQ_CONCAT(&feed->taken, &feed->pending);
	feed->n_taken = 0;
	STAILQ_FOREACH(write, &feed->taken, link)
		feed->n_taken++;
	feed->n_taken_out = feed->n_pending_out;
	feed->n_pending_out = 0;
	feed->n_pending_bytes = 0;
}

static void run(struct cp_feed *feed, bool saves)
{
	const struct cp_feed_item *first = TAILQ_FIRST(&feed->queue.items);

	take_pending(feed);
	feed->below = first ? first->sequence : feed->queued + 1;
	feed->saves = saves;
	feed->work.data = feed;
	feed->is_working = true;
	if (uv_queue_work(feed->options.loop, &feed->work, work, worked) < 0) {
		work(&feed->work);
		worked(&feed->work, 0);
	}
}

void cp_feed_disk_begin(struct cp_feed *feed, bool saves)
{
	size_t limit = feed->options.queue_bytes;

	if (!feed->spool || feed->is_working || feed->is_last)
		return;
	if (feed->disk.n_unread == 0)
		move_pending(feed);
	feed->want_bytes = 0;
	if (cp_feed_disk_is_behind(feed) && feed->queue.n_bytes < limit / 2)
		feed->want_bytes = limit / 2;
	if (STAILQ_EMPTY(&feed->pending) && feed->want_bytes == 0 &&
	    !(saves && feed->disk.n_files > 0))
		return;
	run(feed, saves);
}

void cp_feed_disk_close(struct cp_feed *feed)
{
	if (!feed->spool) {
		cp_feed_part_closed(feed);
		return;
	}
	/* A turn that is under way is waited for (cp_feed_changed()). */
	if (feed->is_working)
		return;
	feed->is_last = true;
	feed->want_bytes = 0;
	run(feed, true);
}

void cp_feed_disk_done(struct cp_feed *feed)
{
	struct cp_feed_write *write;

	while ((write = STAILQ_FIRST(&feed->pending))) {
		STAILQ_REMOVE_HEAD(&feed->pending, link);
		cp_feed_queue_unref(write->item);
		free(write);
	}
	feed->spool = cp_feed_spool_free(feed->spool);
}
