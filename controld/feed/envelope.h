/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A runtime event as detectors get it: proto/sentinel/v1/detector.proto says
 * which key is what. Pure. */

#include "sentinel/v1/detector.pb-c.h"
#include "sentinel/v1/runtime.pb-c.h"

enum {
	CP_FEED_ENVELOPE_ENTRIES = 32, /* of each of both maps */
	CP_FEED_ENVELOPE_NUMBERS_BYTES = 1024, /* of all numbers as text */
	CP_FEED_ENVELOPE_LIST_BYTES = 4096, /* rules, and arguments */
};

/* The message and what it points to, besides the event. */
struct cp_feed_envelope {
	Sentinel__V1__EventEnvelope message;
	Sentinel__V1__EventEnvelope__DataEntry data[CP_FEED_ENVELOPE_ENTRIES];
	Sentinel__V1__EventEnvelope__DataEntry
		*data_at[CP_FEED_ENVELOPE_ENTRIES];
	Sentinel__V1__EventEnvelope__AttributesEntry
		attributes[CP_FEED_ENVELOPE_ENTRIES];
	Sentinel__V1__EventEnvelope__AttributesEntry
		*attributes_at[CP_FEED_ENVELOPE_ENTRIES];
	char numbers[CP_FEED_ENVELOPE_NUMBERS_BYTES];
	size_t n_number_bytes;
	char rules[CP_FEED_ENVELOPE_LIST_BYTES];
	char arguments[CP_FEED_ENVELOPE_LIST_BYTES];
};

/* *ret->message is good as long as event and hostname are. */
void cp_feed_envelope_fill(struct cp_feed_envelope *ret,
			   const Sentinel__V1__RuntimeEvent *event,
			   const char *hostname);
/* Texts with something in between, as many as have room; returns ret. */
const char *cp_feed_envelope_join(char *const *texts, size_t n, char between,
				  char ret[CP_FEED_ENVELOPE_LIST_BYTES]);
