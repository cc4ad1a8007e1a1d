/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A runtime event as a message of proto/sentinel/v1/runtime.proto: what the
 * kernel's record says, in the host's terms. Pure. */

#include "controld/runtime/mounts.h"
#include "controld/runtime/processes.h"
#include "controld/runtime/record.h"
#include "sentinel/v1/runtime.pb-c.h"

enum { CP_RUNTIME_MESSAGE_UUID_BYTES = 37 }; /* with its NUL */

/* What an event is made of; all of it is the caller's and used in the call
 * only. */
struct cp_runtime_event {
	const struct cp_runtime_record *record; /* kind EVENT */
	const struct cp_runtime_process *process; /* NULL: not known */
	const struct cp_runtime_mounts *mounts;
	const struct cp_runtime_rules *rules; /* NULL: none */
	const struct sn_rt_bits *matched; /* of rules */
	int64_t wall_ns;
	uint64_t name[2]; /* of which the uuid is made */
	/* Of the attachment that the process is in; NULL: none. */
	const char *attachment;
	const char *pod;
	const char *namespace;
	/* Redacted; UTF-8. */
	char *const *arguments;
	size_t n_arguments;
};

struct cp_runtime_message;

/* -ENOMEM. */
int cp_runtime_message_new(struct cp_runtime_message **ret,
			   const struct cp_runtime_event *event);
struct cp_runtime_message *
cp_runtime_message_free(struct cp_runtime_message *message);
SN_DEFINE_CLEANUP(struct cp_runtime_message, cp_runtime_message_free)

/* Without a cursor. */
const Sentinel__V1__RuntimeEvent *
cp_runtime_message_get(const struct cp_runtime_message *message);

/* RFC 9562, section 5.8, of 60 and 62 bits: for what is not a record run, which
 * is random, and the number in it. */
void cp_runtime_message_uuid(uint64_t run, uint64_t number,
			     char ret[CP_RUNTIME_MESSAGE_UUID_BYTES]);

/* For a record: 122 bits of a hash of the host's boot, the record's place in the
 * kernel's ring, and what tells it from one in another ring. */
void cp_runtime_message_name(uint64_t boot, uint64_t position,
			     const struct sn_rt_record *head, uint64_t ret[2]);
