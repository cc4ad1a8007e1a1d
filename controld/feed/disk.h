/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The spool of a feed on its worker: turns of writing what is pending, reading
 * what has room in the queue, and removing what was answered. What does not
 * depend on the disk waits for none of it. */

#include <stdbool.h>

struct cp_feed;
struct cp_feed_item;

/* Opens it; afterwards there is one or there is none. */
void cp_feed_disk_open(struct cp_feed *feed);
/* Are there events that are not in the queue? Then all that come are to go
 * behind them. */
bool cp_feed_disk_is_behind(const struct cp_feed *feed);
/* Has one event more for the disk. is_read: it is in the queue as well. */
int cp_feed_disk_put(struct cp_feed *feed, struct cp_feed_item *item,
		     bool is_read);
/* Begins a turn if there is something to do. */
void cp_feed_disk_begin(struct cp_feed *feed, bool saves);
/* Writes all that waits, frees the spool and calls cp_feed_part_closed(). */
void cp_feed_disk_close(struct cp_feed *feed);
void cp_feed_disk_done(struct cp_feed *feed);
