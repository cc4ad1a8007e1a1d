/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Findings of rules, told to a feed's detector (ReportAnomaly) on the connection
 * of its stream, while there is one: one call at a time, each report until it is
 * taken or refused. Every finding is accounted for:
 *   reports = sent + refused + dropped + waiting */

#include <stdbool.h>

#include "sentinel/v1/finding.pb-c.h"

struct cp_feed;

/* It is to be told of findings from now on, or not any more: what waits is
 * dropped then. */
void cp_feed_tell_switch(struct cp_feed *feed, bool on);
/* Of another detector's findings it is not told, and so not of its own. */
void cp_feed_tell_put(struct cp_feed *feed,
		      const Sentinel__V1__Finding *finding);

/* For controld/feed only. */
void cp_feed_tell_init(struct cp_feed *feed);
/* The detector may be there again. */
void cp_feed_tell_send(struct cp_feed *feed);
/* When no call is under way any more. */
void cp_feed_tell_done(struct cp_feed *feed);
